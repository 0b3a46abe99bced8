/** How an interaction's handler is run. */
export interface InteractionSettings {
  /**
   * What happens when a handler has not answered in time for Discord's three seconds: `true` shows "thinking…" (a
   * component's message stays as it is), `'ephemeral'` shows it to the user alone, `false` leaves it to the handler.
   * @default true
   */
  readonly autoDefer?: boolean | 'ephemeral';
  /**
   * Run also when more than three seconds have passed since the user's action: Discord takes no answer any more, so
   * only for handlers whose effect matters by itself.
   * @default such an interaction is counted and dropped
   */
  readonly runsWhenExpired?: boolean;
}

import type { EventType } from './event-types.ts';
import type { HandlerContext } from './handler-context.ts';

/** What an event handler gets beside the event's data. Its `signal` also aborts when the event's own time is over. */
export interface EventContext<T extends EventType = EventType> extends HandlerContext {
  /** The event's type by Discord's name, e.g. `MESSAGE_CREATE`. */
  readonly type: T;
  /** The guild it belongs to; `undefined` for direct messages and events of the bot itself. */
  readonly guildId: string | undefined;
  /** Gateway sequence number within {@link session}. */
  readonly seq: number;
  readonly session: string;
  /** From 1; above it, an earlier try in this invocation threw. */
  readonly attempt: number;
}

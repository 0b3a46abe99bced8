/** One reply: who sent it, and the body as it was given. */
export interface Reply {
  readonly from: string;
  /** How many pieces it is stored in. */
  readonly parts: number;
  readonly body: unknown;
}

/**
 * Where answers to requests are left for their callers: under the request's id, for a few minutes. Callers come and
 * look, so nothing has to be made for them first, and nothing is left behind by one that died.
 */
export interface Replies {
  /**
   * Leaves a reply. `from` names it among all under the id; the same name again replaces it.
   * @throws {BatonError} `STORE_UNREACHABLE` when it could not be stored.
   */
  send(id: string, from: string, body: unknown): Promise<void>;
  /** The replies under `id` that are whole, in no order. @throws {BatonError} `STORE_UNREACHABLE`. */
  receive(id: string): Promise<Reply[]>;
  /** Forgets what `receive` gave. @throws {BatonError} `STORE_UNREACHABLE`. */
  forget(id: string, replies: readonly Reply[]): Promise<void>;
}

/** Replies that nobody fetches are gone after this time at the latest. */
export const replyLifetimeMs = 10 * 60 * 1000;

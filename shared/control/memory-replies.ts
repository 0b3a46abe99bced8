import type { Replies, Reply } from './replies.ts';

/** Replies in the memory of one process, for tests and simulations. */
export class MemoryReplies implements Replies {
  readonly #replies = new Map<string, Map<string, string>>();

  async send(id: string, from: string, body: unknown): Promise<void> {
    const replies = this.#replies.get(id) ?? new Map<string, string>();
    this.#replies.set(id, replies.set(from, JSON.stringify(body)));
  }

  async receive(id: string): Promise<Reply[]> {
    const replies = [...(this.#replies.get(id) ?? [])];
    return replies.map(([from, body]) => ({ from, parts: 1, body: JSON.parse(body) as unknown }));
  }

  async forget(id: string, fetched: readonly Reply[]): Promise<void> {
    const replies = this.#replies.get(id);
    for (const { from } of fetched) replies?.delete(from);
    if (replies?.size === 0) this.#replies.delete(id);
  }
}

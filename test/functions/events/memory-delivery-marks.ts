import type {
  DeliveryMarks,
  GuardOutcome,
  Progress,
  ProgressOutcome,
} from '../../../functions/events/delivery-marks.ts';

/** Marks in memory, by the same rules as the table; counts what a table would be asked. */
export class MemoryDeliveryMarks implements DeliveryMarks {
  reads = 0;
  writes = 0;
  /** When set, every request fails with it. */
  outage: Error | undefined;
  readonly #progress = new Map<string, Progress & { receiveCount: number }>();
  readonly #guards = new Map<string, number>();

  loadProgress(messageId: string): Promise<Progress | undefined> {
    return this.#request(() => {
      this.reads += 1;
      return this.#progress.get(messageId);
    });
  }

  saveProgress(messageId: string, receiveCount: number, progress: Progress): Promise<ProgressOutcome> {
    return this.#request(() => {
      this.writes += 1;
      const stored = this.#progress.get(messageId);
      if (stored && stored.receiveCount > receiveCount) return { kind: 'superseded' };
      const { done, running, alone } = progress;
      this.#progress.set(messageId, { receiveCount, done: new Set(done), running: new Set(running), alone });
      return { kind: 'saved' };
    });
  }

  raiseGuard(group: string, session: string, last: number): Promise<GuardOutcome> {
    return this.#request(() => {
      this.writes += 1;
      const key = `${group} ${session}`;
      const previous = this.#guards.get(key);
      if (previous !== undefined && previous >= last) return { kind: 'behind' };
      this.#guards.set(key, last);
      return { kind: 'raised', previous };
    });
  }

  /** Every answer takes a turn of the event loop, so callers cannot depend on it being there at once. */
  async #request<T>(answer: () => T): Promise<T> {
    await new Promise((resolve) => setImmediate(resolve));
    if (this.outage) throw this.outage;
    return answer();
  }
}

import type { Clock } from './clock.ts';

/** Wakes a loop that waits for the next tick: `ring()` ends the current wait, or the next one if nobody waits. */
export class Bell {
  readonly #clock: Clock;
  #rung = false;
  #wake: AbortController | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rung = true;
    this.#wake?.abort();
  }

  /** Resolves when the bell rings, after `durationMs`, or when `signal` aborts. One waiter at a time. */
  async wait(durationMs: number, signal: AbortSignal): Promise<void> {
    if (!this.#rung && !signal.aborted) {
      const wake = new AbortController();
      const abort = () => wake.abort();
      signal.addEventListener('abort', abort, { once: true });
      this.#wake = wake;
      await this.#clock.sleep(durationMs, wake.signal);
      this.#wake = undefined;
      signal.removeEventListener('abort', abort);
    }
    this.#rung = false;
  }
}

import type { Clock, Timer } from '../shared/clock.ts';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly run: () => void;
}

/**
 * A clock that stands still until a test moves it.
 * Timers run in the order in which they are due, those of one instant in the order in which they were set.
 */
export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  readonly #wallOffsetMs: number;
  readonly #pending = new Set<Pending>();

  /** `monotonicMs` and `wallClockMs` are what the two clocks show at the start. */
  constructor({ monotonicMs = 1_000_000, wallClockMs = 1_760_000_000_000 } = {}) {
    this.#nowMs = monotonicMs;
    this.#wallOffsetMs = wallClockMs - monotonicMs;
  }

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallClockMs(): number {
    return this.#nowMs + this.#wallOffsetMs;
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const end = () => {
        timer.cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.schedule(durationMs, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  schedule(durationMs: number, run: () => void): Timer {
    const pending: Pending = { dueMs: this.#nowMs + Math.max(0, durationMs), order: this.#order++, run };
    this.#pending.add(pending);
    return { cancel: () => void this.#pending.delete(pending) };
  }

  /** Timers not run yet: 0 once everything under test has ended. */
  get pendingTimers(): number {
    return this.#pending.size;
  }

  /** When the next timer is due, in milliseconds from now; `undefined` when there is none. */
  get nextTimerMs(): number | undefined {
    const next = this.#earliest();
    return next && next.dueMs - this.#nowMs;
  }

  /**
   * Moves time on by `durationMs` and runs what falls due on the way, also what is set meanwhile.
   * Before, between and after the timers, promises that are ready settle.
   */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    await this.settle();
    for (let next = this.#earliest(); next && next.dueMs <= untilMs; next = this.#earliest()) {
      this.#pending.delete(next);
      this.#nowMs = next.dueMs;
      next.run();
      await this.settle();
    }
    this.#nowMs = untilMs;
  }

  /** Lets promises that are ready settle, without moving time. */
  async settle(): Promise<void> {
    // An immediate runs only when the queue of promise jobs is empty; the second one is for work that itself used one.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
  }

  #earliest(): Pending | undefined {
    let earliest: Pending | undefined;
    for (const pending of this.#pending) {
      const earlier =
        !earliest ||
        pending.dueMs < earliest.dueMs ||
        (pending.dueMs === earliest.dueMs && pending.order < earliest.order);
      if (earlier) earliest = pending;
    }
    return earliest;
  }
}

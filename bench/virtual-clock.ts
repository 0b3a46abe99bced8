import type { Clock, Timer } from '../shared/clock.ts';

interface Alarm {
  readonly atMs: number;
  readonly run: () => void;
}

/** Time that stands still until it is moved: hours of a worker's life in seconds. */
export class VirtualClock implements Clock {
  #nowMs = 0;
  readonly #alarms = new Set<Alarm>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  wallClockMs(): number {
    return Math.floor(1_790_000_000_000 + this.#nowMs);
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const timer = this.schedule(durationMs, () => {
        signal?.removeEventListener('abort', end);
        resolve();
      });
      const end = () => {
        timer.cancel();
        resolve();
      };
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  schedule(durationMs: number, run: () => void): Timer {
    const alarm = { atMs: this.#nowMs + Math.max(0, durationMs), run };
    this.#alarms.add(alarm);
    return { cancel: () => this.#alarms.delete(alarm) };
  }

  /** Moves on to `atMs`, alarm by alarm; what each of them brings about happens before the next. */
  async moveTo(atMs: number): Promise<void> {
    for (let next = this.#nextBefore(atMs); next !== undefined; next = this.#nextBefore(atMs)) {
      this.#alarms.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.run();
      await settled();
    }
    this.#nowMs = atMs;
  }

  #nextBefore(atMs: number): Alarm | undefined {
    let first: Alarm | undefined;
    for (const alarm of this.#alarms) {
      if (alarm.atMs <= atMs && (first === undefined || alarm.atMs < first.atMs)) first = alarm;
    }
    return first;
  }
}

/** Resolves when no promise is left that something could still follow from. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** A timer that can be taken back. Cancelling twice, or after it ran, does nothing. */
export interface Timer {
  cancel(): void;
}

/**
 * Time as a parameter, so that a test or a simulation drives it.
 * Nothing outside this file may touch `Date`, `performance` or `setTimeout`.
 */
export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. Durations and deadlines are measured with this. */
  monotonicMs(): number;
  /** Unix milliseconds; may jump. Only for times that leave the process. */
  wallClockMs(): number;
  /** Resolves after `durationMs`, or at once when `signal` aborts; it never rejects: look at `signal.aborted` next. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `durationMs`, unless cancelled. */
  schedule(durationMs: number, run: () => void): Timer;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  monotonicMs: () => performance.now(),
  wallClockMs: () => Date.now(),
  sleep(durationMs, signal) {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const end = () => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = setTimeout(end, durationMs);
      signal?.addEventListener('abort', end, { once: true });
    });
  },
  schedule(durationMs, run) {
    const timer = setTimeout(run, durationMs);
    return { cancel: () => clearTimeout(timer) };
  },
};

const firstMs = 1000;
const longestMs = 30_000;
/** A process that ran this long has recovered: its next crash counts as the first. */
const recoveredAfterMs = 60_000;

/** How long a crashed process waits before it is started again: a second, then ever longer while it keeps crashing. */
export class RestartBackoff {
  readonly #crashes = new Map<string, { count: number; atMs: number }>();

  /** The pause after the crash of the process of that name at `nowMs`, in milliseconds. */
  pauseMs(name: string, nowMs: number): number {
    const earlier = this.#crashes.get(name);
    const pauseBefore = earlier === undefined ? 0 : pauseAfter(earlier.count);
    const hasRecovered = earlier === undefined || nowMs - earlier.atMs > pauseBefore + recoveredAfterMs;
    const count = hasRecovered ? 1 : earlier.count + 1;
    this.#crashes.set(name, { count, atMs: nowMs });
    return pauseAfter(count);
  }
}

function pauseAfter(crashes: number): number {
  return Math.min(longestMs, firstMs * 2 ** (crashes - 1));
}

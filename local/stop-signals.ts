/** One press of Ctrl-C may arrive more than once: from the terminal, from npm, from the process that started this one. */
const samePressMs = 500;

/**
 * SIGINT, SIGTERM and SIGHUP of this process as two AbortSignals: the first asks for an orderly end, a second one (not
 * just the echo of the first) for an end at once.
 */
export class StopSignals {
  readonly #orderly = new AbortController();
  readonly #atOnce = new AbortController();
  readonly #now: () => number;
  #firstAtMs: number | undefined;

  /** `now` tells monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  get orderly(): AbortSignal {
    return this.#orderly.signal;
  }

  get atOnce(): AbortSignal {
    return this.#atOnce.signal;
  }

  readonly take = (): void => {
    if (this.#firstAtMs === undefined) {
      this.#firstAtMs = this.#now();
      this.#orderly.abort();
    } else if (this.#now() - this.#firstAtMs > samePressMs) {
      this.#atOnce.abort();
    }
  };

  listen(): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, this.take);
  }

  stopListening(): void {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.off(signal, this.take);
  }
}

import type { Context } from 'aws-lambda';
import type { Clock, Timer } from '../../shared/clock.ts';

/** Kept after handlers have been told to stop: for apologies. */
const apologyMs = 1500;
/** Kept after everything has been told to stop: for the invocation's answer. */
const answerMs = 250;

/** The end of an invocation, announced. */
export class InvocationDeadlines {
  readonly #clock: Clock;
  readonly #timers: readonly Timer[];
  readonly #handlersEndAtMs: number;
  readonly #handlers = new AbortController();
  readonly #everything = new AbortController();

  constructor(context: Pick<Context, 'getRemainingTimeInMillis'>, clock: Clock) {
    const remainingMs = context.getRemainingTimeInMillis();
    this.#clock = clock;
    this.#handlersEndAtMs = clock.monotonicMs() + Math.max(0, remainingMs - apologyMs);
    this.#timers = [
      clock.schedule(Math.max(0, remainingMs - apologyMs), () => this.#handlers.abort()),
      clock.schedule(Math.max(0, remainingMs - answerMs), () => this.#everything.abort()),
    ];
  }

  /** Aborts when handlers must end. */
  get handlers(): AbortSignal {
    return this.#handlers.signal;
  }

  /** Aborts when requests must end, those of apologies included. */
  get everything(): AbortSignal {
    return this.#everything.signal;
  }

  /** Milliseconds until {@link handlers} aborts. */
  remainingMs(): number {
    return Math.max(0, this.#handlersEndAtMs - this.#clock.monotonicMs());
  }

  cancel(): void {
    for (const timer of this.#timers) timer.cancel();
  }
}

import type { Clock } from '../../shared/clock.ts';

export interface IdentifyLimitOptions {
  /** IDENTIFYs of one rate limit key are at least this far apart, in milliseconds. */
  readonly identifyIntervalMs: number;
  readonly maxConcurrency: number;
  readonly sessionStartTotal: number;
  readonly sessionStartRemaining: number;
  /** `remaining` goes back to `total` this often, in milliseconds. */
  readonly sessionStartResetMs: number;
}

/** `session_start_limit` of `GET /gateway/bot`; `reset_after` is in milliseconds. */
export interface SessionStartLimit {
  readonly total: number;
  readonly remaining: number;
  readonly reset_after: number;
  readonly max_concurrency: number;
}

/**
 * What Discord allows of IDENTIFY: one in five seconds for each key `shard_id % max_concurrency`, and a daily budget.
 * A refused one costs budget too; one without any budget left brings the punishment (Discord, "Gateway", Identifying).
 */
export class IdentifyLimits {
  maxConcurrency: number;
  remaining: number;
  readonly #options: IdentifyLimitOptions;
  readonly #clock: Clock;
  readonly #lastAtMs = new Map<number, number>();
  #resetsAtMs: number;

  constructor(options: IdentifyLimitOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.maxConcurrency = options.maxConcurrency;
    this.remaining = options.sessionStartRemaining;
    this.#resetsAtMs = clock.monotonicMs() + options.sessionStartResetMs;
  }

  /** The rate limit key that a shard identifies under. */
  keyOf(shardId: number): number {
    return shardId % this.maxConcurrency;
  }

  /** Takes one IDENTIFY into account that is valid otherwise. */
  admit(shardId: number): 'admitted' | 'tooSoon' | 'exhausted' {
    this.#resetWhenDue();
    if (this.remaining <= 0) return 'exhausted';
    this.remaining -= 1;
    const nowMs = this.#clock.monotonicMs();
    const key = this.keyOf(shardId);
    const lastAtMs = this.#lastAtMs.get(key);
    if (lastAtMs !== undefined && nowMs - lastAtMs < this.#options.identifyIntervalMs) return 'tooSoon';
    this.#lastAtMs.set(key, nowMs);
    return 'admitted';
  }

  snapshot(): SessionStartLimit {
    this.#resetWhenDue();
    return {
      total: this.#options.sessionStartTotal,
      remaining: this.remaining,
      reset_after: Math.max(0, Math.round(this.#resetsAtMs - this.#clock.monotonicMs())),
      max_concurrency: this.maxConcurrency,
    };
  }

  #resetWhenDue(): void {
    const nowMs = this.#clock.monotonicMs();
    while (nowMs >= this.#resetsAtMs) {
      this.#resetsAtMs += this.#options.sessionStartResetMs;
      this.remaining = this.#options.sessionStartTotal;
    }
  }
}

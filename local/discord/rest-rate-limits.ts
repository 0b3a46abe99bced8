import { createHash } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import { type RestAnswer, rateLimited } from './rest-answers.ts';

export interface RestLimitOptions {
  /** Requests per bucket (route and major parameter) and window. */
  readonly bucket: { readonly requests: number; readonly perMs: number };
  /** Requests with a bot token in one second, over all routes but interactions. */
  readonly globalPerSecond: number;
}

interface Window {
  endsAtMs: number;
  used: number;
}

/** Fixed-window limits as told by the `X-RateLimit-*` headers. */
export class RestRateLimits {
  readonly #options: RestLimitOptions;
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Window>();
  readonly #global: Window = { endsAtMs: 0, used: 0 };

  constructor(options: RestLimitOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
  }

  /** Counts a request against the limit that all routes share; the refusal when it is one too many. */
  takeGlobal(): RestAnswer | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (nowMs >= this.#global.endsAtMs) {
      this.#global.endsAtMs = nowMs + 1000;
      this.#global.used = 0;
    }
    this.#global.used += 1;
    if (this.#global.used <= this.#options.globalPerSecond) return undefined;
    return rateLimited(this.#global.endsAtMs - nowMs, 'global');
  }

  /** Counts a request against its bucket: headers for the answer, and the refusal when it is one too many. */
  take(route: string, major: string): { headers: Record<string, string>; refusal: RestAnswer | undefined } {
    const { requests, perMs } = this.#options.bucket;
    const nowMs = this.#clock.monotonicMs();
    if (this.#buckets.size > 10_000) {
      for (const [key, { endsAtMs }] of this.#buckets) if (endsAtMs <= nowMs) this.#buckets.delete(key);
    }
    const key = `${route} ${major}`;
    let window = this.#buckets.get(key);
    if (!window || nowMs >= window.endsAtMs) {
      window = { endsAtMs: nowMs + perMs, used: 0 };
      this.#buckets.set(key, window);
    }
    window.used += 1;
    const leftMs = window.endsAtMs - nowMs;
    const headers = {
      'X-RateLimit-Limit': String(requests),
      'X-RateLimit-Remaining': String(Math.max(0, requests - window.used)),
      'X-RateLimit-Reset': ((this.#clock.wallClockMs() + leftMs) / 1000).toFixed(3),
      'X-RateLimit-Reset-After': (leftMs / 1000).toFixed(3),
      // The id of the limit is the same for every channel, guild or webhook.
      'X-RateLimit-Bucket': createHash('md5').update(route).digest('hex'),
    };
    return { headers, refusal: window.used > requests ? rateLimited(leftMs, 'user') : undefined };
  }
}

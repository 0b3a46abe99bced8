import type { Clock } from '../../shared/clock.ts';

const discordEpochMs = 1_420_070_400_000;

/** The snowflake of an instant: 42 bits of milliseconds since 2015, then 22 bits that tell ids of one millisecond apart. */
export function snowflakeAt(unixMs: number, low22Bits: number): string {
  return ((BigInt(unixMs - discordEpochMs) << 22n) | BigInt(low22Bits)).toString();
}

/** Makes ids that are unique and grow, stamped with the clock's time. */
export class Snowflakes {
  readonly #clock: Clock;
  #lastMs = 0;
  #counter = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  next(): string {
    const nowMs = Math.floor(this.#clock.wallClockMs());
    if (nowMs > this.#lastMs) {
      this.#lastMs = nowMs;
      this.#counter = 0;
    } else if (++this.#counter === 1 << 22) {
      this.#lastMs += 1;
      this.#counter = 0;
    }
    return snowflakeAt(this.#lastMs, this.#counter);
  }
}

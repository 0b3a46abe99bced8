/** Buckets grow by 10 %, so a percentile is at most 10 % above the true one. */
const growth = 1.1;
const smallestMs = 0.1;
/** The last bucket takes everything above some 20 minutes. */
const bucketCount = 172;

/** Durations in milliseconds, kept as counts in buckets: a run of any length takes the same memory. */
export class LatencyHistogram {
  readonly #counts = new Float64Array(bucketCount);
  #total = 0;

  get count(): number {
    return this.#total;
  }

  add(durationMs: number): void {
    const bucket = durationMs <= smallestMs ? 0 : Math.ceil(Math.log(durationMs / smallestMs) / Math.log(growth));
    const index = Math.min(bucket, bucketCount - 1);
    this.#counts[index] = (this.#counts[index] as number) + 1;
    this.#total += 1;
  }

  /** The duration that `share` (0 to 1) of all do not exceed, in milliseconds; 0 when there are none. */
  percentileMs(share: number): number {
    if (this.#total === 0) return 0;
    const wanted = Math.max(1, Math.ceil(share * this.#total));
    let seen = 0;
    for (let index = 0; index < bucketCount; index += 1) {
      seen += this.#counts[index] as number;
      if (seen >= wanted) return round(smallestMs * growth ** index);
    }
    return round(smallestMs * growth ** (bucketCount - 1));
  }

  clear(): void {
    this.#counts.fill(0);
    this.#total = 0;
  }
}

function round(valueMs: number): number {
  return valueMs >= 10 ? Math.round(valueMs) : Math.round(valueMs * 10) / 10;
}

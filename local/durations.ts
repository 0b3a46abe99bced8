/** Figures over a set of durations, in whole milliseconds; all zero when there were none. */
export interface Durations {
  readonly count: number;
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** Exact percentiles, unlike a histogram's: for hundreds of durations, not for millions. */
export function summarize(durationsMs: readonly number[]): Durations {
  const sorted = durationsMs.toSorted((one, other) => one - other);
  const at = (share: number): number => Math.round(sorted[Math.ceil(share * sorted.length) - 1] ?? 0);
  return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
}

/** `p50 210 ms, p99 320 ms, max 340 ms (of 12)`. */
export function describeDurations({ count, p50, p99, max }: Durations): string {
  return count === 0 ? 'none' : `p50 ${p50} ms, p99 ${p99} ms, max ${max} ms (of ${count})`;
}

/** How long silence must last before it counts as death. */
export interface LivenessRules {
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
}

/** What an observer remembers of one counter: all times are the observer's own monotonic clock. */
export interface Observation {
  readonly counter: number;
  /** When the first read that showed this counter had answered. */
  readonly sinceMs: number;
  readonly lastReadMs: number;
  /** Reads after the first that showed the same counter. */
  readonly furtherReads: number;
  /** Whether it was seen to move: only that shows that somebody is alive. */
  readonly hasMoved: boolean;
}

/** One successful read of a counter. */
export interface Reading {
  readonly counter: number;
  readonly startedMs: number;
  readonly answeredMs: number;
}

/**
 * Takes one successful read into account. A counter that moved, or two reads more than two heartbeats apart, start the
 * observation anew: an observer that slept cannot say that nothing happened meanwhile.
 */
export function observe(before: Observation | undefined, reading: Reading, rules: LivenessRules): Observation {
  const { counter, startedMs, answeredMs } = reading;
  const isUnbroken = before !== undefined && startedMs - before.lastReadMs <= 2 * rules.heartbeatMs;
  if (!isUnbroken || before.counter !== counter) {
    return { counter, sinceMs: answeredMs, lastReadMs: startedMs, furtherReads: 0, hasMoved: isUnbroken };
  }
  return { ...before, lastReadMs: startedMs, furtherReads: before.furtherReads + 1 };
}

/**
 * Whether the counter stood still long enough: at least three further reads over `heartbeatMs × missedHeartbeats`.
 * The caller must drop its observations whenever its own writes do not succeed; otherwise an outage of the table
 * looks like the death of a healthy fleet.
 */
export function isDead(observation: Observation, rules: LivenessRules): boolean {
  return (
    observation.furtherReads >= 3 &&
    observation.lastReadMs - observation.sinceMs >= rules.heartbeatMs * rules.missedHeartbeats
  );
}

/**
 * When {@link isDead} may come true for an observation that goes on as it is: worth a look at that very time. Infinity
 * when that time was past at the last look: it then waits for more reads, not for time.
 */
export function deadAtMs(
  { sinceMs, lastReadMs }: Observation,
  { heartbeatMs, missedHeartbeats }: LivenessRules,
): number {
  const atMs = sinceMs + heartbeatMs * missedHeartbeats;
  return lastReadMs < atMs ? atMs : Number.POSITIVE_INFINITY;
}

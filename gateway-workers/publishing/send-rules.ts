import type { LivenessRules } from '../../shared/coordination/liveness.ts';

/**
 * An attempt starts only this long after the start of the last confirmed write that lists the range: 6 s, and less than
 * it takes to fence a worker when heartbeats are quicker than usual.
 */
export function listedForMs({ heartbeatMs, missedHeartbeats }: LivenessRules): number {
  return Math.min(6000, (heartbeatMs * missedHeartbeats * 2) / 3);
}

/** An attempt starts only this long after the first one: 60 s of travel more stay below the 300 s of SQS deduplication. */
export const sameIdForMs = 200_000;
/** Without a confirmed checkpoint write for this long, attempts having failed all the while, a worker publishes unfenced. */
export const unfencedAfterMs = 15_000;

export interface RangeView {
  /** Start of the last confirmed write that lists the range as it is. */
  readonly listedAtMs: number | undefined;
  readonly firstAttemptAtMs: number;
  readonly firstAttemptMonotonicMs: number | undefined;
  readonly unfenced: boolean;
}

export interface Now {
  readonly wallClockMs: number;
  readonly monotonicMs: number;
}

/**
 * What may be done with a range in doubt now (protocol, "Flush cycle"): send it, wait for a checkpoint write, or mark
 * it `unfenced` first because SQS may have forgotten its deduplication id.
 */
export function rangeStep(range: RangeView, now: Now, listedMs: number): 'send' | 'wait' | 'mark' {
  if (!range.unfenced && isPastDeduplication(range, now)) return 'mark';
  if (range.listedAtMs === undefined || now.monotonicMs - range.listedAtMs > listedMs) return 'wait';
  return 'send';
}

function isPastDeduplication(range: RangeView, now: Now): boolean {
  if (Math.abs(now.wallClockMs - range.firstAttemptAtMs) > sameIdForMs) return true;
  return range.firstAttemptMonotonicMs !== undefined && now.monotonicMs - range.firstAttemptMonotonicMs > sameIdForMs;
}

export interface OutageView {
  /** Start of the first failed attempt since the last confirmed write; restarted by a gap in the worker's own ticks. */
  readonly failingSinceMs: number | undefined;
  /** Since when the shard's socket is unbroken. */
  readonly connectedSinceMs: number | undefined;
  /** When the control queue last answered. */
  readonly controlQueueAnsweredMs: number | undefined;
}

/** A control queue that answered within this time counts as answering; it is polled with waits of at most 5 s. */
const controlQueueFreshMs = 15_000;

/**
 * Whether a shard may publish without intents, marked `unfenced`: only after 15 s of failed attempts, on a socket
 * unbroken for those 15 s (so nobody RESUMEd the session elsewhere), while the control queue answers.
 */
export function mayPublishUnfenced(outage: OutageView, nowMs: number): boolean {
  const { failingSinceMs, connectedSinceMs, controlQueueAnsweredMs } = outage;
  if (failingSinceMs === undefined || connectedSinceMs === undefined || controlQueueAnsweredMs === undefined)
    return false;
  return (
    nowMs - failingSinceMs >= unfencedAfterMs &&
    nowMs - connectedSinceMs >= unfencedAfterMs &&
    nowMs - controlQueueAnsweredMs <= controlQueueFreshMs
  );
}

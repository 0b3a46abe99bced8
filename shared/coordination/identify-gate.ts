import type { GateToken, Incarnation } from './model.ts';

/**
 * Discord allows one IDENTIFY per bucket in 5 s; the token is held for as long after READY or INVALID_SESSION, and a
 * little longer, because timers strike early and two clocks never run alike.
 */
export const identifySpacingMs = 5100;
/** IDENTIFY is sent within this time of starting the write that won the token, or not at all. */
export const permitMs = 2000;
/** A token that did not change for this long has lost its holder. */
export const abandonedAfterMs = 9000;
/** A holder whose IDENTIFY is not answered yet writes the token again this often, so that nobody takes it for abandoned. */
export const renewEveryMs = 3000;

/** The identify bucket of a shard: `shard_id % max_concurrency` (Discord, "Gateway", Rate Limiting). */
export function identifyBucket(shardId: number, maxConcurrency: number): number {
  return shardId % maxConcurrency;
}

/** A token and since when this observer has seen it unchanged, by its own monotonic clock. */
export interface TokenObservation {
  readonly token: GateToken | undefined;
  readonly sinceMs: number;
}

/** Takes one read of the token, answered at `nowMs`, into account. */
export function observeToken(
  before: TokenObservation | undefined,
  token: GateToken | undefined,
  nowMs: number,
): TokenObservation {
  return before !== undefined && before.token?.version === token?.version ? before : { token, sinceMs: nowMs };
}

export type GateDecision = { readonly kind: 'take' } | { readonly kind: 'wait'; readonly forMs: number };

/** How often a waiting worker looks at a token that may be let go any moment. */
const pollMs = 100;

/** Whether the bucket's token may be tried for now, or when to look again. */
export function decideGate(observation: TokenObservation, me: Incarnation, nowMs: number): GateDecision {
  const { token, sinceMs } = observation;
  if (token?.holder === undefined || token.holder === me) return { kind: 'take' };
  const unchangedForMs = nowMs - sinceMs;
  if (unchangedForMs >= abandonedAfterMs) return { kind: 'take' };
  // The holder keeps a token for at least the spacing, so looking earlier cannot help; the first sight may be late.
  return { kind: 'wait', forMs: pollMs };
}

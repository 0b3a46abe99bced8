import type { IdentifyBudget } from './model.ts';

/** What `session_start_limit` of `GET /gateway/bot` says; `resetsAtMs` is its `reset_after` added to the asker's clock. */
export interface ReportedBudget {
  readonly total: number;
  readonly remaining: number;
  readonly resetsAtMs: number;
}

/** Of a renewed budget this part is set aside for IDENTIFYs that were paid from the old one and are sent under the new. */
const underWayShare = 0.02;

/**
 * The budget after Discord was asked. Within a day the smaller figure counts: Discord does not know yet what is paid for
 * and about to be sent, and the fleet does not know what others spent with the same token. A figure that grew means a
 * new day; that is told by Discord's own two answers, so no two clocks are compared.
 */
export function refreshedBudget(
  stored: IdentifyBudget | undefined,
  told: ReportedBudget,
): Omit<IdentifyBudget, 'version'> {
  const { total, remaining: reported, resetsAtMs } = told;
  const next = { total, reported, resetsAtMs };
  if (stored === undefined) return { ...next, remaining: reported };
  if (stored.reported === undefined || reported <= stored.reported) {
    return { ...next, remaining: Math.min(stored.remaining, reported) };
  }
  return { ...next, remaining: Math.max(0, reported - Math.ceil(total * underWayShare)) };
}

/** IDENTIFYs kept for shards that have no session at all: routine ones are refused below it (design, rule 8). */
export function identifyReserve(total: number): number {
  return Math.ceil(total / 10);
}

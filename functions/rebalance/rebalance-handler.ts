import type { Context } from 'aws-lambda';
import * as z from 'zod';
import { BatonError } from '../../shared/errors.ts';
import { type RebalanceDeps, type RebalanceResult, RebalanceRound } from './rebalance-round.ts';

/** The Lambda of the schedule. `event` is EventBridge's, which says nothing, or `{ "dryRun": true }` on demand. */
export type RebalanceHandler = (
  event: unknown,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<RebalanceResult>;

const requestSchema = z.object({ dryRun: z.boolean().default(false) });

/**
 * Looks at the fleet and moves shards off workers with too much; does the coordinator's work when there is no
 * coordinator. A dry run plans the same and writes nothing. `signal` ends an invocation early.
 * The handler rejects with `BatonError` `COMMAND_REFUSED` for another request, and when the table cannot be reached.
 */
export function createRebalanceHandler(
  deps: RebalanceDeps,
  signal: AbortSignal = new AbortController().signal,
): RebalanceHandler {
  return async (event, context) => {
    const request = requestSchema.safeParse(event ?? {});
    if (!request.success) {
      throw new BatonError('COMMAND_REFUSED', 'rebalance takes {} or {"dryRun": true}; nothing was done');
    }
    const { store, desiredCount } = deps;
    const [fleet, stored] = await Promise.all([store.readFleet(), store.readRebalanceState()]);
    if (fleet === undefined) {
      // Nothing is known of it but the smallest number of workers.
      if (!request.data.dryRun) await desiredCount?.advise({ kind: 'keep' });
      return { kind: 'noFleet' };
    }
    const round = new RebalanceRound(deps, fleet, stored);
    try {
      return await round.run({ dryRun: request.data.dryRun, withinMs: context.getRemainingTimeInMillis(), signal });
    } finally {
      await deps.timeline?.flush();
    }
  };
}

import { createRebalanceHandler } from '../functions/rebalance/rebalance-handler.ts';
import type { RebalanceResult } from '../functions/rebalance/rebalance-round.ts';
import { systemClock } from '../shared/clock.ts';
import { readRebalanceConfig } from '../shared/config.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { BatonError } from '../shared/errors.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { parseShardKey } from '../shared/sharding.ts';
import { asOperator } from './as-operator.ts';
import { withFleet } from './fleet-client.ts';
import { renderTable } from './text-table.ts';

const roundWithinMs = 60_000;
const movesWithinMs = 60_000;
const lookEveryMs = 200;

type Plan = Extract<RebalanceResult, { kind: 'planned' }>;

/**
 * `baton rebalance`: a round of rebalancing now, as the schedule has one every minute; with `dryRun` the plan alone.
 * Waits until the moves are carried out.
 * @throws {BatonError} `REQUEST_FAILED` when there was no plan, or moves did not end; `STORE_UNREACHABLE`, `CONFIG_INVALID`.
 */
export async function rebalance({ dryRun, json }: { dryRun: boolean; json: boolean }): Promise<void> {
  const rules = readRebalanceConfig(process.env);
  await withFleet(process.env, async ({ store, control, timeline }) => {
    const handler = createRebalanceHandler({
      store,
      control,
      timeline,
      rules,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    });
    process.stderr.write('looking who lives\n');
    const startedMs = systemClock.monotonicMs();
    const round = () =>
      handler({ dryRun }, { getRemainingTimeInMillis: () => roundWithinMs - (systemClock.monotonicMs() - startedMs) });
    const result = await (dryRun ? round() : asOperator(timeline, { kind: 'rebalance', dryRun }, round));
    await timeline.flush();
    if (result.kind !== 'planned') throw new BatonError('REQUEST_FAILED', `no plan: ${withoutPlan[result.kind]}`);
    const open = dryRun ? [] : await untilMoved(store, result);
    if (json) console.log(JSON.stringify({ ...result, notMoved: open }));
    else for (const line of planLines(result)) console.log(line);
    if (open.length > 0) {
      throw new BatonError('REQUEST_FAILED', `not moved within ${movesWithinMs / 1000} s: ${open.join(', ')}`);
    }
  });
}

const withoutPlan: Readonly<Record<Exclude<RebalanceResult['kind'], 'planned'>, string>> = {
  noFleet: 'no worker has ever been started',
  superseded: 'another round runs at this moment, ask again',
  unclear: 'time was up before it was clear whether a coordinator lives',
  deserted: 'no coordinator lives, and no worker that shards could be given to',
  cared: 'no coordinator lived; its work was done instead: the dead were fenced, their shards given out',
};

/** Waits until nobody is wanted for the planned shards any more. Returns those that are still on their way. */
async function untilMoved(store: CoordinationStore, { moves, refused = [] }: Plan): Promise<string[]> {
  const planned = moves.filter(({ shard }) => !refused.includes(shard));
  const untilMs = systemClock.monotonicMs() + movesWithinMs;
  let told = -1;
  for (;;) {
    const leases = planned.length === 0 ? [] : await store.readLeases(planned.map(({ shard }) => parseShardKey(shard)));
    const open = leases.filter(({ want }) => want !== undefined);
    const done = planned.length - open.length;
    if (planned.length > 0 && done !== told) process.stderr.write(`${done} of ${planned.length} moves done\n`);
    told = done;
    if (open.length === 0 || systemClock.monotonicMs() >= untilMs) {
      return open.map(({ shard }) => `shard ${shard.shardId}`);
    }
    await systemClock.sleep(lookEveryMs);
  }
}

/** The plan for people: what moves and why, and what does not and why not. */
export function planLines({ dryRun, moves, skipped, held, refused = [] }: Plan): string[] {
  const count = moves.length === 1 ? '1 move' : `${moves.length} moves`;
  return [
    dryRun ? `Plan: ${count}; nothing was changed.` : `${count}.`,
    ...(moves.length === 0
      ? []
      : renderTable([
          ['SHARD', 'FROM', 'TO', 'REASON', 'GAIN', ''],
          ...moves.map(({ shard, from, to, reason, gain }) => [
            String(parseShardKey(shard).shardId),
            from,
            to,
            reason,
            `${Math.round(gain)} %`,
            refused.includes(shard) ? 'its lease had changed, left as it is' : '',
          ]),
        ])),
    ...skipped.map(({ worker, reason, why }) => `${worker} stays as it is in spite of ${reason}: ${why}`),
    ...(held === undefined ? [] : [`Held back: ${held}`]),
  ];
}

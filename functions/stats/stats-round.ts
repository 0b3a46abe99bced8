import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/logger.ts';
import type { FleetPoint } from '../../shared/stats/fleet-view.ts';
import type { DynamoDbSeries } from './dynamodb-series.ts';
import { embeddedMetrics } from './embedded-metrics.ts';
import type { FleetCollector } from './fleet-collector.ts';
import { fleetPoint, workerPoints } from './fleet-points.ts';

export interface StatsRoundDeps {
  readonly fleet: string;
  readonly collector: FleetCollector;
  readonly series: DynamoDbSeries;
  /** Takes the lines that CloudWatch makes metrics of. */
  readonly writeMetric: (line: string) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a round came to. */
export type StatsResult =
  /** No worker has ever set the fleet up. */
  | { readonly kind: 'noFleet' }
  | { readonly kind: 'kept'; readonly point: FleetPoint; readonly silentShards: readonly number[] };

/** One minute: reads the fleet's figures, keeps them, and hands CloudWatch those of the fleet and of workers. Rejects like the table. */
export async function runStatsRound({
  fleet,
  collector,
  series,
  writeMetric,
  clock,
  logger,
}: StatsRoundDeps): Promise<StatsResult> {
  const [view, before] = await Promise.all([collector.look(), series.lastBefore(clock.wallClockMs())]);
  if (view.shardCount === undefined) return { kind: 'noFleet' };
  const point = fleetPoint(view, before?.workers ?? []);
  const workers = workerPoints(view);
  for (const line of embeddedMetrics(fleet, point, workers)) writeMetric(line);
  await series.write({ point, workers }, view.shards);
  const silentShards = view.shards.filter(({ silent }) => silent).map(({ id }) => id);
  if (silentShards.length > 0) logger.warn({ shards: silentShards }, 'stats.shards_silent');
  return { kind: 'kept', point, silentShards };
}

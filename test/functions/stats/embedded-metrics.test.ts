import { expect, test } from 'vitest';
import { embeddedMetrics } from '../../../functions/stats/embedded-metrics.ts';
import { fleetPoint, workerPoints } from '../../../functions/stats/fleet-points.ts';
import { fleetMetrics, workerMetrics } from '../../../infra/stats-function.ts';
import { fleetView, shardView, workerView } from './fleet-of.ts';

interface Line {
  readonly _aws: {
    readonly Timestamp: number;
    readonly CloudWatchMetrics: readonly [
      {
        readonly Namespace: string;
        readonly Dimensions: readonly (readonly string[])[];
        readonly Metrics: readonly { readonly Name: string; readonly Unit: string }[];
      },
    ];
  };
  readonly [metric: string]: unknown;
}

function linesOf(view = fleetView()): Line[] {
  return embeddedMetrics('baton', fleetPoint(view, []), workerPoints(view)).map((line) => JSON.parse(line) as Line);
}

test('the fleet has the metrics that alarms and the dashboard ask for', () => {
  const [fleet] = linesOf();
  const [{ Namespace, Dimensions, Metrics }] = (fleet as Line)._aws.CloudWatchMetrics;
  expect(Namespace).toBe('Baton/baton');
  expect(Dimensions).toEqual([[]]);
  expect(Metrics.map(({ Name }) => Name).sort()).toEqual([...fleetMetrics].sort());
  expect(fleet).toMatchObject({ Shards: 2, ShardsNotReady: 0, GatewayEvents: 10, IdentifiesRemaining: 998 });
});

test('each worker has those of the dashboard, and a shard none, however many there are', () => {
  const view = fleetView({
    shardCount: 500,
    shards: Array.from({ length: 500 }, (_, id) => shardView(id)),
    workers: [workerView('inc-1'), workerView('inc-2')],
  });
  const lines = linesOf(view);
  expect(lines).toHaveLength(3);
  for (const line of lines.slice(1)) {
    expect(line._aws.CloudWatchMetrics[0].Dimensions).toEqual([['worker']]);
    expect(line._aws.CloudWatchMetrics[0].Metrics.map(({ Name }) => Name).sort()).toEqual([...workerMetrics].sort());
  }
});

test('every metric has its value, and what is not known is no metric', () => {
  const { budget: _, ...blind } = fleetView();
  for (const line of linesOf(blind)) {
    for (const { Name } of line._aws.CloudWatchMetrics[0].Metrics) expect(line[Name], Name).toBeTypeOf('number');
  }
  expect(JSON.stringify(linesOf(blind))).not.toContain('IdentifiesRemaining');
});

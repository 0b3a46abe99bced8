import type { FleetPoint, WorkerPoint } from '../../shared/stats/fleet-view.ts';

type Unit = 'Count' | 'Milliseconds' | 'Seconds' | 'Percent' | 'Megabytes' | 'Count/Second';
type Metric = readonly [name: string, unit: Unit, value: number | undefined];

/**
 * The fleet's and the workers' figures as lines of CloudWatch's embedded metric format, which cost nothing beyond the
 * log and the metrics themselves. Shards are left out: each metric of one shard would cost as much as one of the fleet.
 */
export function embeddedMetrics(fleet: string, point: FleetPoint, workers: readonly WorkerPoint[]): string[] {
  const { atMs } = point;
  return [
    line({ fleet, atMs, dimensions: {} }, [
      ['Shards', 'Count', point.shards],
      ['ShardsNotReady', 'Count', Math.max(0, point.shards - point.shardsReady)],
      ['ShardsSilent', 'Count', point.shardsSilent],
      ['Workers', 'Count', point.workers],
      ['Guilds', 'Count', point.guilds],
      ['GatewayEvents', 'Count/Second', point.eventsPerSecond],
      ['Commands', 'Count/Second', point.commandsPerSecond],
      ['GatewayLatency', 'Milliseconds', point.latencyMs],
      ['GatewayLatencyHighest', 'Milliseconds', point.latencyMaxMs],
      ['FlushLatency', 'Milliseconds', point.flushMs],
      ['WorkerQueueAge', 'Milliseconds', point.workerQueueAgeMs],
      ['IdentifiesRemaining', 'Count', point.identifiesRemaining],
    ]),
    ...workers.map((worker) =>
      line({ fleet, atMs, dimensions: { worker: worker.workerId } }, [
        ['WorkerShardsNotReady', 'Count', worker.shards - worker.shardsReady],
        ['WorkerGatewayEvents', 'Count/Second', worker.eventsPerSecond],
        ['WorkerCpu', 'Percent', worker.cpuPercent],
        ['WorkerMemory', 'Megabytes', worker.memoryMb],
      ]),
    ),
  ];
}

function line(
  { fleet, atMs, dimensions }: { fleet: string; atMs: number; dimensions: Readonly<Record<string, string>> },
  metrics: readonly Metric[],
): string {
  const known = metrics.filter(([, , value]) => value !== undefined);
  return JSON.stringify({
    _aws: {
      Timestamp: atMs,
      CloudWatchMetrics: [
        {
          Namespace: `Baton/${fleet}`,
          Dimensions: [Object.keys(dimensions)],
          Metrics: known.map(([Name, Unit]) => ({ Name, Unit })),
        },
      ],
    },
    ...dimensions,
    ...Object.fromEntries(known.map(([name, , value]) => [name, value])),
  });
}

import type { FleetPoint, FleetView, WorkerPoint } from '../../shared/stats/fleet-view.ts';

/** Every worker's figures, with its counts since it started. A worker that has not reported yet is left out. */
export function workerPoints({ workers }: FleetView): WorkerPoint[] {
  return workers.flatMap((worker) =>
    worker.cpuPercent === undefined
      ? []
      : {
          incarnation: worker.incarnation,
          workerId: worker.workerId,
          shards: worker.shardCount,
          shardsReady: worker.readyShardCount,
          cpuPercent: worker.cpuPercent,
          memoryMb: worker.memoryMb ?? 0,
          eventsPerSecond: worker.eventsPerSecond ?? 0,
          identifies: worker.figures?.identifies ?? 0,
          resumes: worker.figures?.resumes ?? 0,
          reconnects: worker.figures?.reconnects ?? 0,
        },
  );
}

/**
 * The fleet's figures of a minute. `before` are the workers of the minute before: what their counts have grown by is
 * this minute's. Of a worker that is new since, everything counts; of one that is gone, its last seconds are lost.
 */
export function fleetPoint(view: FleetView, before: readonly WorkerPoint[]): FleetPoint {
  const { shards, workers, budget, queues } = view;
  const ready = shards.filter((shard) => shard.ready);
  const latencies = ready.map((shard) => shard.latencyMs ?? 0).sort((one, other) => one - other);
  const earlier = new Map(before.map((worker) => [worker.incarnation, worker]));
  const now = workerPoints(view);
  const grown = (count: (worker: WorkerPoint) => number): number =>
    sum(now, (worker) => {
      const known = earlier.get(worker.incarnation);
      return Math.max(0, count(worker) - (known === undefined ? 0 : count(known)));
    });
  const oldest = [queues?.events.oldestSeconds, queues?.interactions.oldestSeconds].filter((age) => age !== undefined);
  return {
    atMs: view.atMs,
    shards: view.shardCount ?? shards.length,
    shardsReady: ready.length,
    shardsSilent: shards.filter((shard) => shard.silent).length,
    workers: workers.filter((worker) => !worker.fenced).length,
    guilds: sum(shards, (shard) => shard.guildCount ?? 0),
    members: sum(shards, (shard) => shard.figures?.memberCount ?? 0),
    eventsPerSecond: round(sum(shards, (shard) => shard.eventsPerSecond ?? 0)),
    commandsPerSecond: round(sum(shards, (shard) => shard.figures?.commandsPerSecond ?? 0)),
    latencyMs: latencies[Math.floor(latencies.length / 2)] ?? 0,
    latencyMaxMs: latencies.at(-1) ?? 0,
    flushMs: highest(workers.map(({ figures }) => figures?.flushMs ?? 0)),
    workerQueueAgeMs: highest(workers.map(({ figures }) => figures?.queueAgeMs ?? 0)),
    ...(budget && { identifiesRemaining: budget.remaining }),
    identifies: grown((worker) => worker.identifies),
    resumes: grown((worker) => worker.resumes),
    reconnects: grown((worker) => worker.reconnects),
    ...(queues && {
      ...(oldest.length > 0 && { queueAgeSeconds: highest(oldest) }),
      queueWaiting: queues.events.waiting + queues.interactions.waiting,
      deadLetters: queues.events.deadLetters + queues.interactions.deadLetters,
    }),
  };
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}

/** Without spreading arguments: there may be thousands. */
function highest(values: readonly number[]): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

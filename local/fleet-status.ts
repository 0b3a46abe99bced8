import type { Clock } from '../shared/clock.ts';
import type { CheckpointItem, Incarnation } from '../shared/coordination/model.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';

/** A registered worker as the coordination table shows it. */
export interface WorkerStatus {
  readonly workerId: string;
  readonly incarnation: Incarnation;
  readonly joinNumber: number;
  readonly release: string;
  readonly coordinator: boolean;
  readonly draining: boolean;
  readonly fenced: boolean;
  /** Version of its checkpoint item: grows at least every heartbeat while the worker lives. */
  readonly counter: number;
  readonly shardIds: readonly number[];
  readonly readyShardCount: number;
  readonly cpuPercent: number | undefined;
  readonly memoryMb: number | undefined;
  readonly eventsPerSecond: number | undefined;
}

export interface ShardStatus {
  readonly shardId: number;
  /** What its owner last reported, `unknown` before the first report, `unheld` without an owner. */
  readonly state: string;
  readonly ready: boolean;
  readonly epoch: number;
  readonly owner: Incarnation | undefined;
  readonly workerId: string | undefined;
  /** Worker it is to move to. */
  readonly wanted: string | undefined;
  readonly seq: number | undefined;
  readonly guildCount: number | undefined;
  readonly latencyMs: number | undefined;
  readonly eventsPerSecond: number | undefined;
}

export interface FleetStatus {
  /** Absent until a worker has asked Discord. */
  readonly shardCount: number | undefined;
  readonly maxConcurrency: number | undefined;
  readonly coordinator: string | undefined;
  readonly identifiesRemaining: number | undefined;
  readonly identifiesTotal: number | undefined;
  readonly workers: readonly WorkerStatus[];
  readonly shards: readonly ShardStatus[];
}

/** The fleet as the coordination table has it now. Rejects like the store's reads. */
export async function readFleetStatus(store: CoordinationStore): Promise<FleetStatus> {
  const [records, reports, role, fleet, budget] = await Promise.all([
    store.listWorkers(),
    store.listReports(),
    store.readRole(),
    store.readFleet(),
    store.readBudget(),
  ]);
  const [leases, checkpoints] = await Promise.all([
    fleet === undefined ? [] : store.listLeases(fleet.shardCount),
    store.readCheckpoints(records.map(({ incarnation }) => ({ incarnation, chunk: 0 }))),
  ]);
  const checkpointOf = new Map<Incarnation, CheckpointItem>(checkpoints.map((item) => [item.incarnation, item]));
  const reportOf = new Map(reports.map((report) => [report.incarnation, report]));
  const nameOf = new Map(records.map((record) => [record.incarnation, record.workerId]));
  const shards = leases
    .map((lease): ShardStatus => {
      const report = lease.owner === undefined ? undefined : reportOf.get(lease.owner);
      // A report from before the last change of hands says nothing about this owner.
      const shard = report?.shards.find(
        (each) => each.shard === `${lease.shard.shardCount}.${lease.shard.shardId}` && each.epoch === lease.epoch,
      );
      return {
        shardId: lease.shard.shardId,
        state: lease.owner === undefined ? 'unheld' : (shard?.state ?? 'unknown'),
        ready: shard?.ready ?? false,
        epoch: lease.epoch,
        owner: lease.owner,
        workerId: lease.owner === undefined ? undefined : (nameOf.get(lease.owner) ?? report?.workerId),
        wanted: lease.want === undefined ? undefined : (nameOf.get(lease.want) ?? lease.want),
        seq: shard?.seq,
        guildCount: shard?.guildCount,
        latencyMs: shard?.latencyMs,
        eventsPerSecond: shard?.eventsPerSecond,
      };
    })
    .sort((one, other) => one.shardId - other.shardId);
  const workers = records
    .map((record): WorkerStatus => {
      const { incarnation } = record;
      const report = reportOf.get(incarnation);
      const held = shards.filter((shard) => shard.owner === incarnation);
      return {
        workerId: record.workerId,
        incarnation,
        joinNumber: record.joinNumber,
        release: record.release,
        coordinator: role?.holder === incarnation,
        draining: record.draining,
        fenced: checkpointOf.get(incarnation)?.fencedBy !== undefined,
        counter: checkpointOf.get(incarnation)?.version ?? 0,
        shardIds: held.map((shard) => shard.shardId),
        readyShardCount: held.filter((shard) => shard.ready).length,
        cpuPercent: report?.cpuPercent,
        memoryMb: report?.memoryMb,
        eventsPerSecond: report?.eventsPerSecond,
      };
    })
    .sort((one, other) => one.joinNumber - other.joinNumber);
  return {
    shardCount: fleet?.shardCount,
    maxConcurrency: fleet?.maxConcurrency,
    coordinator: role?.holder === undefined ? undefined : (nameOf.get(role.holder) ?? role.holder),
    identifiesRemaining: budget?.remaining,
    identifiesTotal: budget?.total,
    workers,
    shards,
  };
}

const lookAgainAfterMs = 200;

/**
 * Which workers are seen to live: their counter moves while this watches, for at most `withinMs` (a heartbeat and some).
 * Nobody compares clocks of two machines, so this takes the time it takes.
 */
export async function watchCounters(
  store: CoordinationStore,
  workers: readonly WorkerStatus[],
  { clock, withinMs }: { clock: Clock; withinMs: number },
): Promise<ReadonlySet<Incarnation>> {
  const alive = new Set<Incarnation>();
  const startedAtMs = clock.monotonicMs();
  let silent = workers.filter((worker) => !worker.fenced);
  while (silent.length > 0 && clock.monotonicMs() - startedAtMs < withinMs) {
    await clock.sleep(lookAgainAfterMs);
    const now = await store.readCheckpoints(silent.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
    const versions = new Map(now.map((item) => [item.incarnation, item.version]));
    for (const worker of silent) {
      if ((versions.get(worker.incarnation) ?? 0) > worker.counter) alive.add(worker.incarnation);
    }
    silent = silent.filter((worker) => !alive.has(worker.incarnation));
  }
  return alive;
}

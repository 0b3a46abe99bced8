import type { Clock } from '../../shared/clock.ts';
import type { LivenessRules } from '../../shared/coordination/liveness.ts';
import type { Incarnation, Lease, ShardReport, WorkerReport } from '../../shared/coordination/model.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { type ShardKey, shardKey } from '../../shared/sharding.ts';
import type { FleetView, QueuesView, ShardView, WorkerView } from '../../shared/stats/fleet-view.ts';
import { silentShards } from './silent-shards.ts';

export interface FleetCollectorOptions {
  readonly fleet: string;
  readonly store: CoordinationStore;
  /** Those of the workers. */
  readonly rules: LivenessRules;
  readonly readQueues: () => Promise<QueuesView>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Puts together what tables and queues tell of a fleet. Only reads. */
export class FleetCollector {
  readonly #options: FleetCollectorOptions;
  /** Since when each worker's counter has had its value, by the own clock. */
  readonly #counters = new Map<Incarnation, { version: number; sinceMs: number }>();

  constructor(options: FleetCollectorOptions) {
    this.#options = options;
  }

  /** The fleet now. Rejects like the store's reads; a queue that gives no answer is left out. */
  async look(): Promise<FleetView> {
    const { fleet: name, store, rules, readQueues, clock, logger } = this.#options;
    const reading = readQueues().catch((error: unknown) => {
      logger.warn({ error: messageOf(error) }, 'stats.queues_unreadable');
      return undefined;
    });
    const [records, reports, role, fleet, budget] = await Promise.all([
      store.listWorkers(),
      store.listReports(),
      store.readRole(),
      store.readFleet(),
      store.readBudget(),
    ]);
    const [leases, checkpoints, queues] = await Promise.all([
      fleet === undefined ? [] : store.listLeases(fleet.shardCount),
      store.readCheckpoints(records.map(({ incarnation }) => ({ incarnation, chunk: 0 }))),
      reading,
    ]);
    const nowMs = clock.monotonicMs();
    for (const { incarnation, version } of checkpoints) {
      if (this.#counters.get(incarnation)?.version !== version) {
        this.#counters.set(incarnation, { version, sinceMs: nowMs });
      }
    }
    const reportOf = new Map(reports.map((report) => [report.incarnation, report]));
    const shards = shardViews(leases, reports);
    const heldBy = Map.groupBy(shards, (shard) => shard.owner);
    const fenced = new Set(
      checkpoints.filter(({ fencedBy }) => fencedBy !== undefined).map((item) => item.incarnation),
    );
    const workers = records
      .toSorted((one, other) => one.joinNumber - other.joinNumber)
      .map(({ incarnation, maxShards, ...record }): WorkerView => {
        const held = heldBy.get(incarnation) ?? [];
        const counter = this.#counters.get(incarnation);
        const report = reportOf.get(incarnation);
        return {
          incarnation,
          workerId: record.workerId,
          joinNumber: record.joinNumber,
          release: record.release,
          originalCoordinator: record.originalCoordinator,
          draining: record.draining,
          fenced: fenced.has(incarnation),
          counter: counter?.version ?? 0,
          stillForMs: counter === undefined ? 0 : Math.round(nowMs - counter.sinceMs),
          ...(maxShards !== undefined && { maxShards }),
          shardCount: held.length,
          readyShardCount: held.filter((shard) => shard.ready).length,
          ...(report && {
            cpuPercent: report.cpuPercent,
            memoryMb: report.memoryMb,
            eventsPerSecond: report.eventsPerSecond,
            ...(report.figures && { figures: report.figures }),
          }),
        };
      });
    const registered = new Set(records.map(({ incarnation }) => incarnation));
    for (const incarnation of this.#counters.keys()) {
      if (!registered.has(incarnation)) this.#counters.delete(incarnation);
    }
    return {
      atMs: Math.round(clock.wallClockMs()),
      fleet: name,
      heartbeatMs: rules.heartbeatMs,
      missedHeartbeats: rules.missedHeartbeats,
      ...(fleet && { shardCount: fleet.shardCount, maxConcurrency: fleet.maxConcurrency }),
      ...(role?.holder !== undefined && { coordinator: role.holder }),
      ...(budget && {
        budget: {
          total: budget.total,
          remaining: Math.max(0, budget.remaining),
          ...(budget.resetsAtMs !== undefined && { resetsAtMs: budget.resetsAtMs }),
        },
      }),
      ...(queues && { queues }),
      workers,
      shards,
    };
  }
}

function shardViews(leases: readonly Lease[], reports: readonly WorkerReport[]): ShardView[] {
  const rows = new Map<string, ShardReport>();
  for (const { incarnation, shards } of reports) {
    for (const row of shards) rows.set(rowKey(incarnation, row.shard, row.epoch), row);
  }
  const views = leases
    .toSorted((one, other) => one.shard.shardId - other.shard.shardId)
    .map(({ shard, owner, epoch, want }): ShardView => {
      // A report from before the last change of hands says nothing about this owner.
      const row = owner === undefined ? undefined : rows.get(rowKey(owner, shardKey(shard), epoch));
      return {
        id: shard.shardId,
        state: owner === undefined ? 'unheld' : (row?.state ?? 'unknown'),
        ready: row?.ready ?? false,
        epoch,
        ...(owner !== undefined && { owner }),
        ...(want !== undefined && want !== owner && { wanted: want }),
        ...(row && {
          seq: row.seq,
          guildCount: row.guildCount,
          latencyMs: row.latencyMs,
          eventsPerSecond: row.eventsPerSecond,
          bufferedEvents: row.bufferedEvents,
          ...(row.figures && { figures: row.figures }),
        }),
      };
    });
  const silent = silentShards(views);
  return silent.size === 0 ? views : views.map((view) => (silent.has(view.id) ? { ...view, silent: true } : view));
}

function rowKey(incarnation: Incarnation, shard: ShardKey, epoch: number): string {
  return `${incarnation} ${shard} ${epoch}`;
}

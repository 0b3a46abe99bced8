import type {
  IdentifyBudget,
  Incarnation,
  Lease,
  WorkerRecord,
  WorkerReport,
} from '../../../shared/coordination/model.ts';
import {
  type Move,
  planRebalance,
  type RebalancePlan,
  type RebalanceRules,
  type RebalanceState,
  type RebalanceView,
  rebalanceRules,
} from '../../../shared/coordination/rebalance.ts';
import { shardKey } from '../../../shared/sharding.ts';
import { workerRecord } from './store-contract.ts';

export interface ModelShard {
  eventsPerSecond: number;
  owner: Incarnation | undefined;
  want?: Incarnation;
  epoch: number;
  ready: boolean;
  latencyMs: number;
}

/** A fleet in numbers: what its shards bring decides what its workers report, and moves are carried out at once. */
export class ModelFleet {
  nowMs = 1_790_000_000_000;
  budget: IdentifyBudget | undefined = { total: 1000, remaining: 1000, version: 1 };
  state: RebalanceState | undefined;
  /** Percent of CPU for an event per second. */
  cpuPerEvent: number;
  /** What a figure is reported as. */
  noise: (figure: number) => number = (figure) => figure;
  readonly workers = new Map<Incarnation, WorkerRecord>();
  readonly dead = new Set<Incarnation>();
  readonly silent = new Set<Incarnation>();
  readonly shards: ModelShard[] = [];

  constructor({ cpuPerEvent = 0.01 } = {}) {
    this.cpuPerEvent = cpuPerEvent;
  }

  /** A worker with shards of these event rates. */
  add(incarnation: Incarnation, rates: readonly number[], changes: Partial<WorkerRecord> = {}): void {
    this.workers.set(incarnation, {
      ...workerRecord(incarnation),
      maxShards: undefined,
      joinNumber: this.workers.size + 1,
      ...changes,
    });
    for (const eventsPerSecond of rates) {
      this.shards.push({ eventsPerSecond, owner: incarnation, epoch: 1, ready: true, latencyMs: 40 });
    }
  }

  change(incarnation: Incarnation, changes: Partial<WorkerRecord>): void {
    this.workers.set(incarnation, { ...(this.workers.get(incarnation) as WorkerRecord), ...changes });
  }

  shardsOf(incarnation: Incarnation): ModelShard[] {
    return this.shards.filter((shard) => shard.owner === incarnation);
  }

  rateOf(incarnation: Incarnation): number {
    return this.shardsOf(incarnation).reduce((sum, shard) => sum + shard.eventsPerSecond, 0);
  }

  countOf(incarnation: Incarnation): number {
    return this.shardsOf(incarnation).length;
  }

  view(): RebalanceView {
    const shardCount = Math.max(1, this.shards.length);
    const leases: Lease[] = this.shards.map(({ owner, want, epoch }, shardId) => ({
      shard: { shardId, shardCount },
      epoch,
      ...(owner !== undefined && { owner }),
      ...(want !== undefined && { want }),
      checkpoint: { session: 's', acknowledgedSeq: 1, publishedSeq: 1 },
    }));
    const reports: WorkerReport[] = [...this.workers.values()]
      .filter(({ incarnation }) => !this.silent.has(incarnation))
      .map(({ incarnation, workerId }) => {
        const rows = this.shards.flatMap((shard, shardId) =>
          shard.owner === incarnation
            ? [
                {
                  shard: shardKey({ shardId, shardCount }),
                  epoch: shard.epoch,
                  state: shard.ready ? 'ready' : 'connecting',
                  ready: shard.ready,
                  seq: 1,
                  guildCount: 1,
                  latencyMs: shard.latencyMs,
                  eventsPerSecond: this.noise(shard.eventsPerSecond),
                  bufferedEvents: 0,
                },
              ]
            : [],
        );
        const eventsPerSecond = rows.reduce((sum, row) => sum + row.eventsPerSecond, 0);
        return {
          incarnation,
          workerId,
          cpuPercent: this.noise(eventsPerSecond * this.cpuPerEvent),
          memoryMb: 100,
          eventsPerSecond,
          coordinator: false,
          shards: rows,
        };
      });
    return {
      nowMs: this.nowMs,
      shardCount,
      leases,
      workers: [...this.workers.values()],
      alive: new Set([...this.workers.keys()].filter((incarnation) => !this.dead.has(incarnation))),
      reports,
      budget: this.budget,
    };
  }

  plan(rules: RebalanceRules = rebalanceRules): RebalancePlan {
    return planRebalance(this.view(), this.state, rules);
  }

  /** One round a minute after the one before, whose moves are carried out. */
  round(rules: RebalanceRules = rebalanceRules): RebalancePlan {
    this.nowMs += 60_000;
    const plan = this.plan(rules);
    this.state = plan.state;
    for (const move of plan.moves) this.carryOut(move);
    return plan;
  }

  /** Rounds in which nothing is done but look, so that everybody's load is known for long enough. */
  observe(rounds = 3): void {
    for (let round = 0; round < rounds; round += 1) {
      this.nowMs += 60_000;
      this.state = planRebalance({ ...this.view(), budget: undefined }, this.state).state;
    }
  }

  carryOut({ shard, to }: Move): void {
    const moved = this.shards[shard.shardId] as ModelShard;
    moved.owner = to;
    moved.epoch += 1;
  }
}

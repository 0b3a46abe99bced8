import { type ShardAddress, shardKey } from '../sharding.ts';
import type { Incarnation, Lease, WorkerRecord } from './model.ts';

/** What a coordinator knows when it decides who runs which shard. */
export interface AssignmentView {
  readonly leases: readonly Lease[];
  readonly workers: readonly WorkerRecord[];
  /** Incarnations that are fenced, or registered no more: their shards may be taken. */
  readonly gone: ReadonlySet<Incarnation>;
  /** Incarnations that look alive; only they are given shards. */
  readonly alive: ReadonlySet<Incarnation>;
  /** Whether shards that nobody ever held may be given out yet (a cold fleet waits until its workers have joined). */
  readonly settled: boolean;
}

export type Assignment =
  | { readonly kind: 'grant'; readonly shard: ShardAddress; readonly epoch: number; readonly to: Incarnation }
  | {
      readonly kind: 'takeOver';
      readonly shard: ShardAddress;
      readonly epoch: number;
      readonly from: Incarnation;
      /** `undefined` when nobody has room: the shard becomes unheld, its session kept. */
      readonly to: Incarnation | undefined;
    }
  | {
      readonly kind: 'want';
      readonly shard: ShardAddress;
      readonly epoch: number;
      readonly owner: Incarnation;
      readonly want: Incarnation;
      /** For people. @default the owner drains */
      readonly reason?: string;
    }
  /** The wanted target is gone or draining: take the wish back, so that another can be chosen. */
  | {
      readonly kind: 'unwant';
      readonly shard: ShardAddress;
      readonly epoch: number;
      readonly owner: Incarnation;
      readonly unwanted: Incarnation;
    };

export interface AssignmentPlan {
  readonly assignments: readonly Assignment[];
  /** Shards that need an owner and found no room. Worth an alarm when it lasts. */
  readonly unplaced: readonly ShardAddress[];
}

/**
 * Who should run the shards that need an owner: the unheld, those of the dead, and those of draining workers.
 * Targets are alive, not draining and have room; the newest release first during a drain, then the fewest shards.
 */
export function planAssignments({ leases, workers, gone, alive, settled }: AssignmentView): AssignmentPlan {
  const byIncarnation = new Map(workers.map((worker) => [worker.incarnation, worker]));
  const targets = new Targets(
    workers.filter(
      (worker) =>
        worker.assignable && !worker.draining && alive.has(worker.incarnation) && !gone.has(worker.incarnation),
    ),
    leases,
  );
  const assignments: Assignment[] = [];
  const unplaced: ShardAddress[] = [];

  for (const { shard, epoch, owner, want } of leases) {
    if (owner === undefined) {
      if (epoch === 0 && !settled) continue;
      const to = targets.take();
      if (to === undefined) unplaced.push(shard);
      else assignments.push({ kind: 'grant', shard, epoch, to });
    } else if (gone.has(owner)) {
      const to = want !== undefined && targets.has(want) ? want : targets.take();
      if (to === undefined) unplaced.push(shard);
      assignments.push({ kind: 'takeOver', shard, epoch, from: owner, to });
    } else if (want !== undefined && want !== owner && !targets.has(want)) {
      assignments.push({ kind: 'unwant', shard, epoch, owner, unwanted: want });
    } else if (want === undefined && byIncarnation.get(owner)?.draining) {
      const to = targets.take();
      if (to === undefined) unplaced.push(shard);
      else assignments.push({ kind: 'want', shard, epoch, owner, want: to });
    }
  }
  return { assignments, unplaced };
}

/** Workers that can take shards, with the load they have and are promised. */
class Targets {
  readonly #load = new Map<Incarnation, number>();
  /** Those with room, the best first. A load changes only by taking, so one place is looked for anew with each shard. */
  readonly #ranked: WorkerRecord[];

  constructor(workers: readonly WorkerRecord[], leases: readonly Lease[]) {
    for (const { incarnation } of workers) this.#load.set(incarnation, 0);
    for (const { owner, want } of leases) {
      const holder = want ?? owner;
      const load = holder === undefined ? undefined : this.#load.get(holder);
      if (holder !== undefined && load !== undefined) this.#load.set(holder, load + 1);
    }
    this.#ranked = workers.filter((worker) => this.#hasRoom(worker)).sort((one, other) => this.#compare(one, other));
  }

  has(incarnation: Incarnation): boolean {
    return this.#load.has(incarnation);
  }

  /** The best target, whose load grows by one. */
  take(): Incarnation | undefined {
    const best = this.#ranked.shift();
    if (best === undefined) return undefined;
    this.#load.set(best.incarnation, this.#loadOf(best) + 1);
    if (this.#hasRoom(best)) this.#ranked.splice(this.#placeOf(best), 0, best);
    return best.incarnation;
  }

  #placeOf(worker: WorkerRecord): number {
    let low = 0;
    let high = this.#ranked.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#compare(this.#ranked[middle] as WorkerRecord, worker) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #compare(one: WorkerRecord, other: WorkerRecord): number {
    if (one.release !== other.release) return one.release > other.release ? -1 : 1;
    return this.#loadOf(one) - this.#loadOf(other) || one.joinNumber - other.joinNumber;
  }

  #hasRoom(worker: WorkerRecord): boolean {
    return this.#loadOf(worker) < (worker.maxShards ?? Number.POSITIVE_INFINITY);
  }

  #loadOf(worker: WorkerRecord): number {
    return this.#load.get(worker.incarnation) ?? 0;
  }
}

/** Shards as words, for logs and messages: `16.3, 16.7`. */
export function listShards(shards: readonly ShardAddress[]): string {
  return shards.map(shardKey).join(', ');
}

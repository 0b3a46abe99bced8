import type { Clock } from '../clock.ts';
import type { ControlPlane } from '../control/control-queue.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type ShardAddress, type ShardKey, shardKey } from '../sharding.ts';
import { waitAtMost } from '../wait-at-most.ts';
import { type Assignment, listShards, planAssignments } from './assignment.ts';
import type { LivenessWatch } from './liveness-watch.ts';
import type { CheckpointEntry, CheckpointItem, FleetState, Incarnation, Lease, WorkerRecord } from './model.ts';
import type { CoordinationStore } from './store.ts';
import type { TimelineSink } from '../stats/timeline.ts';

/** A cold fleet waits for this long without a new worker before shards that nobody ever held are given out. */
const settleMs = 1000;
/** A queue that does not answer holds nothing up for longer. */
const controlPatienceMs = 1000;
/** Log again about shards without an owner, while it lasts. */
const unplacedLogEveryMs = 30_000;

export interface FleetCareOptions {
  readonly store: CoordinationStore;
  readonly control: ControlPlane;
  /** Who writes: named in fences, and watched by nobody here. */
  readonly me: Incarnation;
  readonly fleet: FleetState;
  readonly watch: LivenessWatch;
  /** `undefined`: all shards of the fleet. A list: `me` looks after these alone, and takes them itself. */
  readonly ownShardIds: readonly number[] | undefined;
  /** A lease that `me` owns or shall own was changed here. */
  readonly onOwnLease: (leases: readonly Lease[]) => void;
  /** Told of what is done here. @default nobody */
  readonly timeline?: TimelineSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * What looking after a fleet consists of: everybody's liveness counter is observed, the dead are fenced, their shards
 * and the unheld ones assigned, the empty records removed. Any number of these at once do no harm: every write is
 * conditional on what it was decided on. The coordinator does it every tick, the rebalance function when there is none.
 */
export class FleetCare {
  readonly #options: FleetCareOptions;
  readonly #watch: LivenessWatch;
  /** Entries of fenced workers: what a takeover hands on. */
  readonly #fenced = new Map<Incarnation, Map<ShardKey, CheckpointEntry>>();
  #isSettling = false;
  #knownWorkers = '';
  #workersChangedMs: number;
  #unplacedLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: FleetCareOptions) {
    this.#options = options;
    this.#watch = options.watch;
    this.#workersChangedMs = options.clock.monotonicMs();
  }

  /** Incarnations known to be fenced, or to own shards without being registered. */
  get gone(): ReadonlySet<Incarnation> {
    return new Set(this.#fenced.keys());
  }

  /** Shards that nobody ever held wait for the fleet to gather: worth looking again soon. */
  get isSettling(): boolean {
    return this.#isSettling;
  }

  /** Observes everybody; when `acting`, also fences the dead and assigns shards. */
  async lookAfter(workers: readonly WorkerRecord[], acting: boolean, signal: AbortSignal): Promise<void> {
    const { ownShardIds, me, clock } = this.#options;
    this.#noticeJoins(workers);
    const others = workers.filter((worker) => worker.incarnation !== me && !this.#fenced.has(worker.incarnation));
    const { dead, fenced, items } = await this.#watch.read(others);
    for (const worker of fenced) await this.#fence(worker);
    if (!acting || signal.aborted) return;
    for (const worker of dead) await this.#fence(worker);
    const leases = await this.#readLeases();
    const registered = new Set(workers.map((worker) => worker.incarnation));
    const owners = new Set(leases.flatMap((lease) => (lease.owner === undefined ? [] : [lease.owner])));
    for (const owner of owners)
      if (!registered.has(owner) && !this.#fenced.has(owner)) await this.#fenceUnregistered(owner);
    const gone = new Set(this.#fenced.keys());
    const targets = ownShardIds === undefined ? workers : workers.filter((worker) => worker.incarnation === me);
    const settled = ownShardIds !== undefined || clock.monotonicMs() - this.#workersChangedMs >= settleMs;
    this.#isSettling = !settled && leases.some((lease) => lease.owner === undefined && lease.epoch === 0);
    const plan = planAssignments({
      leases,
      workers: targets.map((worker) => (ownShardIds === undefined ? worker : { ...worker, assignable: true })),
      gone,
      alive: new Set(
        workers.map((worker) => worker.incarnation).filter((incarnation) => this.#looksAlive(incarnation)),
      ),
      settled,
    });
    await this.#remind(workers, leases, items);
    await this.#carryOutForAWhile(plan.assignments, workers, signal);
    if (workers.some((worker) => !worker.draining)) this.#reportUnplaced(plan.unplaced);
    await this.#removeEmpty(workers, leases, plan.assignments);
  }

  /** All leases this coordinator answers for; those that do not exist yet are created. */
  async #readLeases(): Promise<Lease[]> {
    const { store, fleet, ownShardIds } = this.#options;
    const { shardCount } = fleet;
    const shardIds = ownShardIds ?? Array.from({ length: shardCount }, (_, shardId) => shardId);
    const read = () =>
      ownShardIds === undefined
        ? store.listLeases(shardCount)
        : store.readLeases(shardIds.map((shardId) => ({ shardId, shardCount })));
    const leases = await read();
    if (leases.length >= shardIds.length) return leases;
    const existing = new Set(leases.map((lease) => lease.shard.shardId));
    await store.createLeases(
      shardCount,
      shardIds.filter((shardId) => !existing.has(shardId)),
    );
    return read();
  }

  /** A worker that may well be dead is given nothing new. */
  #looksAlive(incarnation: Incarnation): boolean {
    if (this.#fenced.has(incarnation)) return false;
    const observation = this.#watch.observation(incarnation);
    return (
      observation === undefined || observation.lastReadMs - observation.sinceMs <= 2 * this.#watch.rules.heartbeatMs
    );
  }

  #noticeJoins(workers: readonly WorkerRecord[]): void {
    const known = workers.map((worker) => worker.incarnation).join(' ');
    if (known === this.#knownWorkers) return;
    this.#knownWorkers = known;
    this.#workersChangedMs = this.#options.clock.monotonicMs();
  }

  /** Fences every item of a worker on the counter that was seen; what the fence returns is what a takeover starts from. */
  async #fence(worker: WorkerRecord): Promise<void> {
    const { me, logger } = this.#options;
    const { incarnation, workerId, chunkCount } = worker;
    const seen = this.#watch.observation(incarnation)?.counter;
    const entries = new Map<ShardKey, CheckpointEntry>();
    let isByMe = false;
    for (let chunk = 0; chunk < chunkCount; chunk += 1) {
      const item = await this.#fenceItem(incarnation, chunk, chunk === 0 ? seen : undefined);
      if (item === 'alive') {
        this.#watch.forget(incarnation);
        return;
      }
      isByMe ||= item?.fencedBy === me;
      for (const [key, entry] of item?.entries ?? []) entries.set(key, entry);
    }
    this.#fenced.set(incarnation, entries);
    this.#watch.forget(incarnation);
    logger.warn({ fenced: incarnation, name: workerId, by: me, shards: [...entries.keys()] }, 'worker.fenced');
    // One that leaves in good order fences itself.
    if (isByMe) {
      this.#options.timeline?.record({ kind: 'fence', from: incarnation, name: workerId, reason: 'silent' });
    }
    await this.send([worker], incarnation, { kind: 'fenced', incarnation, by: me });
  }

  /** Fences one item. Its further chunks belong to a worker that is fenced already, so any counter of theirs will do. */
  async #fenceItem(
    incarnation: Incarnation,
    chunk: number,
    seenVersion: number | undefined,
  ): Promise<CheckpointItem | undefined | 'alive'> {
    const { store, me } = this.#options;
    let version = seenVersion;
    for (;;) {
      if (version === undefined) {
        const [item] = await store.readCheckpoints([{ incarnation, chunk }]);
        if (item === undefined || item.fencedBy !== undefined) return item;
        version = item.version;
      }
      const outcome = await store.fence({ incarnation, chunk, seenVersion: version, by: me });
      switch (outcome.kind) {
        case 'fenced':
          return outcome.item;
        case 'missing':
          return undefined;
        case 'alive':
          if (chunk === 0) return 'alive';
          version = outcome.item.version;
          break;
      }
    }
  }

  /**
   * An owner without a record left the fleet, or lost its record: its items, if any, say what it last stored. How many
   * it has is written nowhere else, so they are read until there is no further one.
   */
  async #fenceUnregistered(incarnation: Incarnation): Promise<void> {
    const { store, logger } = this.#options;
    const [first] = await store.readCheckpoints([{ incarnation, chunk: 0 }]);
    if (first !== undefined && first.fencedBy === undefined) return;
    const entries = new Map<ShardKey, CheckpointEntry>();
    let item = first;
    for (let chunk = 1; item !== undefined; chunk += 1) {
      for (const [key, entry] of item.entries) entries.set(key, entry);
      const next = await this.#fenceItem(incarnation, chunk, undefined);
      item = next === 'alive' ? undefined : next;
    }
    this.#fenced.set(incarnation, entries);
    logger.warn({ fenced: incarnation }, 'worker.unregistered_owner');
  }

  /** What takes longer than a heartbeat is planned anew at the next tick: whoever looks after a fleet must show signs of life. */
  async #carryOutForAWhile(
    assignments: readonly Assignment[],
    workers: readonly WorkerRecord[],
    signal: AbortSignal,
  ): Promise<void> {
    const enough = new AbortController();
    const timer = this.#options.clock.schedule(this.#watch.rules.heartbeatMs, () => enough.abort());
    try {
      await this.carryOut(assignments, workers, AbortSignal.any([signal, enough.signal]));
    } finally {
      timer.cancel();
    }
  }

  /** Writes assignments and tells those concerned, until `signal` aborts. Returns the leases that were still as decided upon, and changed. */
  async carryOut(
    assignments: readonly Assignment[],
    workers: readonly WorkerRecord[],
    signal: AbortSignal,
  ): Promise<Lease[]> {
    const changed: Lease[] = [];
    const nudges = new Map<Incarnation, Set<ShardKey>>();
    const own: Lease[] = [];
    const nudge = (incarnation: Incarnation | undefined, shard: ShardAddress) => {
      if (incarnation === undefined) return;
      const shards = nudges.get(incarnation) ?? new Set<ShardKey>();
      nudges.set(incarnation, shards.add(shardKey(shard)));
    };
    let failure: Error | undefined;
    // Ten at a time: a fleet of thousands is assigned in seconds, and the table is not overrun.
    for (let index = 0; index < assignments.length && failure === undefined && !signal.aborted; index += 10) {
      const group = assignments.slice(index, index + 10);
      const outcomes = await Promise.allSettled(group.map((assignment) => this.#assign(assignment)));
      for (const [place, outcome] of outcomes.entries()) {
        // The others of the group are carried out all the same, and their owners must hear of it.
        if (outcome.status === 'rejected') failure ??= outcome.reason as Error;
        const lease = outcome.status === 'fulfilled' ? outcome.value : undefined;
        if (lease === undefined) continue;
        changed.push(lease);
        if (lease.owner === this.#options.me || lease.want === this.#options.me) own.push(lease);
        nudge(lease.owner, lease.shard);
        const assignment = group[place];
        if (assignment?.kind === 'want') nudge(assignment.want, lease.shard);
      }
    }
    if (own.length > 0) this.#options.onOwnLease(own);
    await this.#nudge(workers, nudges);
    if (failure !== undefined) throw failure;
    return changed;
  }

  /** Owners whose own item does not list what they were given have not heard of it: a message may be lost, or its sender dead. */
  async #remind(
    workers: readonly WorkerRecord[],
    leases: readonly Lease[],
    items: readonly CheckpointItem[],
  ): Promise<void> {
    const entries = new Map(items.map((item) => [item.incarnation, item.entries]));
    const inOneItem = new Set(
      workers.filter(({ chunkCount }) => chunkCount === 1).map(({ incarnation }) => incarnation),
    );
    const nudges = new Map<Incarnation, Set<ShardKey>>();
    for (const { shard, owner, epoch } of leases) {
      if (owner === undefined || !inOneItem.has(owner)) continue;
      const listed = entries.get(owner);
      const key = shardKey(shard);
      if (listed === undefined || (listed.get(key)?.epoch ?? -1) >= epoch) continue;
      nudges.set(owner, (nudges.get(owner) ?? new Set<ShardKey>()).add(key));
    }
    await this.#nudge(workers, nudges);
  }

  async #nudge(
    workers: readonly WorkerRecord[],
    nudges: ReadonlyMap<Incarnation, ReadonlySet<ShardKey>>,
  ): Promise<void> {
    // All at once: queues that do not answer, one after the other, would cost the coordinator its role.
    await Promise.all(
      [...nudges]
        .filter(([incarnation]) => incarnation !== this.#options.me)
        .map(([incarnation, shards]) => this.send(workers, incarnation, { kind: 'nudge', shards: [...shards] })),
    );
  }

  /** One conditional write; the lease after it, or `undefined` when the lease had changed meanwhile. */
  async #assign(assignment: Assignment): Promise<Lease | undefined> {
    const { store, logger } = this.#options;
    const { shard, epoch } = assignment;
    const write = () => {
      switch (assignment.kind) {
        case 'grant':
          return store.grant(shard, { epoch, to: assignment.to });
        case 'takeOver': {
          const entry = this.#fenced.get(assignment.from)?.get(shardKey(shard));
          return store.takeOver(shard, { epoch, from: assignment.from, to: assignment.to, entry });
        }
        case 'want':
          return store.setWant(shard, { epoch, owner: assignment.owner, want: assignment.want });
        case 'unwant':
          return store.setWant(shard, { epoch, owner: assignment.owner, unwanted: assignment.unwanted });
      }
    };
    const outcome = await write();
    if (outcome.kind === 'refused') return undefined;
    const event = assignment.kind === 'takeOver' ? 'shard.takeover' : 'shard.assigned';
    logger.info(
      { shard: shard.shardId, epoch: outcome.lease.epoch, assignment: assignment.kind, ...targetOf(assignment) },
      event,
    );
    this.#tell(assignment);
    return outcome.lease;
  }

  #tell(assignment: Assignment): void {
    const { timeline } = this.#options;
    const shards = [assignment.shard.shardId];
    switch (assignment.kind) {
      case 'grant':
        timeline?.record({ kind: 'grant', shards, to: assignment.to });
        break;
      case 'takeOver': {
        const { from, to } = assignment;
        timeline?.record({ kind: 'takeover', shards, from, ...(to !== undefined && { to }) });
        break;
      }
      case 'want': {
        const { owner, want, reason = 'drain' } = assignment;
        timeline?.record({ kind: 'wish', shards, from: owner, to: want, reason });
        break;
      }
      case 'unwant':
        break;
    }
  }

  /** Fenced workers that own nothing any more leave the register. */
  async #removeEmpty(
    workers: readonly WorkerRecord[],
    leases: readonly Lease[],
    assignments: readonly Assignment[],
  ): Promise<void> {
    const { store, control, fleet, ownShardIds, logger, clock } = this.#options;
    if (assignments.length > 0 || !workers.some((worker) => this.#fenced.has(worker.incarnation))) return;
    // A worker that looks after its own list alone has not seen all leases.
    const all = ownShardIds === undefined ? leases : await store.listLeases(fleet.shardCount);
    const owners = new Set(all.map((lease) => lease.owner));
    for (const worker of workers) {
      if (!this.#fenced.has(worker.incarnation) || owners.has(worker.incarnation)) continue;
      await store.removeWorker(worker.incarnation);
      const closing = control.close(worker.controlQueueUrl).catch((error: unknown) => {
        logger.warn({ queue: worker.controlQueueUrl, error: messageOf(error) }, 'control_queue.not_removed');
      });
      await waitAtMost(controlPatienceMs, closing, clock);
      logger.info({ removed: worker.incarnation, name: worker.workerId }, 'worker.removed');
    }
  }

  /** A word to one of `workers`; nothing happens when `to` is not among them. Never rejects. */
  async send(
    workers: readonly WorkerRecord[],
    to: Incarnation | undefined,
    message: Parameters<ControlPlane['send']>[1],
  ): Promise<void> {
    const worker = workers.find(({ incarnation }) => incarnation === to);
    if (worker === undefined) return;
    // The receiver reads its leases every few seconds anyway; a message only makes it sooner.
    const sending = this.#options.control.send(worker.controlQueueUrl, message).catch((error: unknown) => {
      this.#options.logger.warn({ to, message: message.kind, error: messageOf(error) }, 'control_queue.not_sent');
    });
    await waitAtMost(controlPatienceMs, sending, this.#options.clock);
  }

  #reportUnplaced(shards: readonly ShardAddress[]): void {
    const { clock, logger } = this.#options;
    if (shards.length === 0 || clock.monotonicMs() - this.#unplacedLoggedMs < unplacedLogEveryMs) return;
    this.#unplacedLoggedMs = clock.monotonicMs();
    logger.error({ shards: listShards(shards) }, 'coordinator.no_capacity');
  }
}

function targetOf(assignment: Assignment): object {
  switch (assignment.kind) {
    case 'grant':
      return { to: assignment.to };
    case 'takeOver':
      return { from: assignment.from, to: assignment.to };
    case 'want':
      return { from: assignment.owner, to: assignment.want };
    case 'unwant':
      return { from: assignment.owner };
  }
}

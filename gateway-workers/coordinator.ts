import { Bell } from '../shared/bell.ts';
import type { Clock } from '../shared/clock.ts';
import type { ControlPlane } from '../shared/control-queue.ts';
import { type Assignment, listShards, planAssignments } from '../shared/coordination/assignment.ts';
import { isDead, type LivenessRules, type Observation, observe } from '../shared/coordination/liveness.ts';
import type {
  CheckpointEntry,
  CheckpointItem,
  CoordinatorRole,
  FleetState,
  Incarnation,
  Lease,
  WorkerRecord,
} from '../shared/coordination/model.ts';
import { type CoordinationStore, StoreUnavailable } from '../shared/coordination/store.ts';
import { decideRole, successionOrder } from '../shared/coordination/succession.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { type ShardAddress, type ShardKey, shardKey } from '../shared/sharding.ts';

/** Observers read every second. */
const tickMs = 1000;
/** A cold fleet waits for this long without a new worker before shards that nobody ever held are given out. */
const settleMs = 1500;
/** Log again about shards without an owner, while it lasts. */
const unplacedLogEveryMs = 30_000;

export interface CoordinatorOptions {
  readonly store: CoordinationStore;
  readonly control: ControlPlane;
  readonly me: Incarnation;
  readonly fleet: FleetState;
  readonly rules: LivenessRules;
  /**
   * `undefined`: the coordinator of a fleet, by turns. A list: this worker looks after its own shards alone, without
   * the role, and takes them itself (modes `single` and `explicit`).
   */
  readonly ownShardIds: readonly number[] | undefined;
  /** Start of the last checkpoint write of this worker that is known to have happened. */
  readonly lastConfirmedStartMs: () => number | undefined;
  /** A lease of this worker changed by its own doing. */
  readonly onOwnLease: (leases: readonly Lease[]) => void;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One worker's part in looking after the fleet: it watches the role and, when first or second in succession, everybody's
 * liveness counter; with the role it fences the dead, and assigns shards. Any number of coordinators at once do no harm:
 * every write is conditional on what it was decided on.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #bell: Bell;
  readonly #observations = new Map<Incarnation, Observation>();
  /** Entries of fenced workers: what a takeover hands on. */
  readonly #fenced = new Map<Incarnation, Map<ShardKey, CheckpointEntry>>();
  #role: CoordinatorRole | undefined;
  #roleObservation: Observation | undefined;
  #vacantSinceMs: number | undefined;
  #knownWorkers = '';
  #workersChangedMs: number;
  #unplacedLoggedMs = Number.NEGATIVE_INFINITY;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
    this.#workersChangedMs = options.clock.monotonicMs();
  }

  get hasRole(): boolean {
    return this.#role?.holder === this.#options.me;
  }

  /** Runs the next tick now. */
  tickSoon(): void {
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger } = this.#options;
    while (!signal.aborted) {
      try {
        await this.#tick(signal);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#forgetObservations();
        logger.warn({ error: messageOf(error) }, 'coordinator.store_unreachable');
      }
      await this.#bell.wait(tickMs, signal);
    }
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { store, ownShardIds, me } = this.#options;
    // An observer whose own writes fail must not take the table's outage for the death of the others.
    if (!this.#ownWritesSucceed()) this.#forgetObservations();
    const workers = await store.listWorkers();
    if (ownShardIds !== undefined) {
      await this.#lookAfter(workers, true, signal);
      return;
    }
    await this.#watchRole();
    const order = successionOrder(workers, new Set(this.#fenced.keys()));
    const rank = order.findIndex((worker) => worker.incarnation === me);
    const decision = decideRole({ me, role: this.#role, order, vacantForMs: this.#vacantForMs(workers) });
    switch (decision.kind) {
      case 'take':
        await this.#swapRole({ holder: me, term: (this.#role?.term ?? 0) + 1, counter: 0 }, 'coordinator.role_taken');
        break;
      case 'hold':
        if (this.#role) await this.#swapRole({ ...this.#role, counter: this.#role.counter + 1 });
        break;
      case 'yield':
        await this.#lookAfter(workers, this.hasRole, signal);
        if (this.#role) {
          const { holder: _, ...rest } = this.#role;
          const next = { ...rest, term: rest.term + 1, counter: 0, ...(decision.to && { holder: decision.to }) };
          await this.#swapRole(next, 'coordinator.role_given');
          await this.#send(workers, decision.to, { kind: 'tick' });
        }
        return;
      case 'wait':
        break;
    }
    if (this.hasRole || rank === 0 || rank === 1) await this.#lookAfter(workers, this.hasRole, signal);
  }

  /** Observes everybody; when `acting`, also fences the dead and assigns shards. */
  async #lookAfter(workers: readonly WorkerRecord[], acting: boolean, signal: AbortSignal): Promise<void> {
    const { ownShardIds, me, clock } = this.#options;
    this.#noticeJoins(workers);
    const dead = await this.#observeWorkers(workers);
    if (!acting || signal.aborted) return;
    for (const worker of dead) await this.#fence(worker);
    const leases = await this.#readLeases();
    const registered = new Set(workers.map((worker) => worker.incarnation));
    const owners = new Set(leases.flatMap((lease) => (lease.owner === undefined ? [] : [lease.owner])));
    for (const owner of owners)
      if (!registered.has(owner) && !this.#fenced.has(owner)) await this.#fenceUnregistered(owner);
    const gone = new Set(this.#fenced.keys());
    const targets = ownShardIds === undefined ? workers : workers.filter((worker) => worker.incarnation === me);
    const plan = planAssignments({
      leases,
      workers: targets.map((worker) => (ownShardIds === undefined ? worker : { ...worker, assignable: true })),
      gone,
      alive: new Set(
        workers.map((worker) => worker.incarnation).filter((incarnation) => this.#looksAlive(incarnation)),
      ),
      settled: ownShardIds !== undefined || clock.monotonicMs() - this.#workersChangedMs >= settleMs,
    });
    await this.#carryOut(plan.assignments, workers, signal);
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
    const observation = this.#observations.get(incarnation);
    return (
      observation === undefined || observation.lastReadMs - observation.sinceMs <= 2 * this.#options.rules.heartbeatMs
    );
  }

  #noticeJoins(workers: readonly WorkerRecord[]): void {
    const known = workers.map((worker) => worker.incarnation).join(' ');
    if (known === this.#knownWorkers) return;
    this.#knownWorkers = known;
    this.#workersChangedMs = this.#options.clock.monotonicMs();
  }

  /** Reads everybody's counters and returns the workers that are dead. Fenced items are remembered on the way. */
  async #observeWorkers(workers: readonly WorkerRecord[]): Promise<WorkerRecord[]> {
    const { store, clock, rules, me } = this.#options;
    const others = workers.filter((worker) => worker.incarnation !== me && !this.#fenced.has(worker.incarnation));
    const startedMs = clock.monotonicMs();
    const items = await store.readCheckpoints(others.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
    const answeredMs = clock.monotonicMs();
    const byIncarnation = new Map(items.map((item) => [item.incarnation, item]));
    const dead: WorkerRecord[] = [];
    for (const worker of others) {
      const item = byIncarnation.get(worker.incarnation);
      if (item?.fencedBy !== undefined) {
        await this.#fence(worker);
        continue;
      }
      const reading = { counter: item?.version ?? -1, startedMs, answeredMs };
      const observation = observe(this.#observations.get(worker.incarnation), reading, rules);
      this.#observations.set(worker.incarnation, observation);
      if (isDead(observation, rules)) dead.push(worker);
    }
    return dead;
  }

  /** Fences every item of a worker on the counter that was seen; what the fence returns is what a takeover starts from. */
  async #fence(worker: WorkerRecord): Promise<void> {
    const { me, logger } = this.#options;
    const { incarnation, workerId, chunkCount } = worker;
    const seen = this.#observations.get(incarnation)?.counter;
    const entries = new Map<ShardKey, CheckpointEntry>();
    for (let chunk = 0; chunk < chunkCount; chunk += 1) {
      const item = await this.#fenceItem(incarnation, chunk, chunk === 0 ? seen : undefined);
      if (item === 'alive') {
        this.#observations.delete(incarnation);
        return;
      }
      for (const [key, entry] of item?.entries ?? []) entries.set(key, entry);
    }
    this.#fenced.set(incarnation, entries);
    this.#observations.delete(incarnation);
    logger.warn({ fenced: incarnation, name: workerId, by: me, shards: [...entries.keys()] }, 'worker.fenced');
    await this.#send([worker], incarnation, { kind: 'fenced', incarnation, by: me });
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

  /** An owner without a record left the fleet, or lost its record: its items, if any, say what it last stored. */
  async #fenceUnregistered(incarnation: Incarnation): Promise<void> {
    const { store, logger } = this.#options;
    const [item] = await store.readCheckpoints([{ incarnation, chunk: 0 }]);
    if (item !== undefined && item.fencedBy === undefined) return;
    this.#fenced.set(incarnation, new Map(item?.entries));
    logger.warn({ fenced: incarnation }, 'worker.unregistered_owner');
  }

  async #carryOut(
    assignments: readonly Assignment[],
    workers: readonly WorkerRecord[],
    signal: AbortSignal,
  ): Promise<void> {
    const nudges = new Map<Incarnation, Set<ShardKey>>();
    const own: Lease[] = [];
    const nudge = (incarnation: Incarnation | undefined, shard: ShardAddress) => {
      if (incarnation === undefined) return;
      const shards = nudges.get(incarnation) ?? new Set<ShardKey>();
      nudges.set(incarnation, shards.add(shardKey(shard)));
    };
    // Ten at a time: a fleet of thousands is assigned in seconds, and the table is not overrun.
    for (let index = 0; index < assignments.length && !signal.aborted; index += 10) {
      const group = assignments.slice(index, index + 10);
      const leases = await Promise.all(group.map((assignment) => this.#assign(assignment)));
      group.forEach((assignment, place) => {
        const lease = leases[place];
        if (lease === undefined) return;
        if (lease.owner === this.#options.me || lease.want === this.#options.me) own.push(lease);
        nudge(lease.owner, lease.shard);
        if (assignment.kind === 'want') nudge(assignment.want, lease.shard);
      });
    }
    if (own.length > 0) this.#options.onOwnLease(own);
    for (const [incarnation, shards] of nudges) {
      if (incarnation === this.#options.me) continue;
      await this.#send(workers, incarnation, { kind: 'nudge', shards: [...shards] });
    }
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
    return outcome.lease;
  }

  /** Fenced workers that own nothing any more leave the register. */
  async #removeEmpty(
    workers: readonly WorkerRecord[],
    leases: readonly Lease[],
    assignments: readonly Assignment[],
  ): Promise<void> {
    const { store, control, fleet, ownShardIds, logger } = this.#options;
    if (assignments.length > 0 || !workers.some((worker) => this.#fenced.has(worker.incarnation))) return;
    // A worker that looks after its own list alone has not seen all leases.
    const all = ownShardIds === undefined ? leases : await store.listLeases(fleet.shardCount);
    const owners = new Set(all.map((lease) => lease.owner));
    for (const worker of workers) {
      if (!this.#fenced.has(worker.incarnation) || owners.has(worker.incarnation)) continue;
      await store.removeWorker(worker.incarnation);
      await control.close(worker.controlQueueUrl).catch((error: unknown) => {
        logger.warn({ queue: worker.controlQueueUrl, error: messageOf(error) }, 'control_queue.not_removed');
      });
      logger.info({ removed: worker.incarnation, name: worker.workerId }, 'worker.removed');
    }
  }

  async #watchRole(): Promise<void> {
    const { store, clock, rules } = this.#options;
    const startedMs = clock.monotonicMs();
    const role = await store.readRole();
    this.#role = role;
    if (role === undefined) return;
    const counter = role.term * 1e9 + role.counter;
    this.#roleObservation = observe(
      this.#roleObservation,
      { counter, startedMs, answeredMs: clock.monotonicMs() },
      rules,
    );
  }

  /** How long nobody alive has held the role. */
  #vacantForMs(workers: readonly WorkerRecord[]): number | undefined {
    const { clock, rules, me } = this.#options;
    const holder = this.#role?.holder;
    const holderIsGone =
      holder === undefined ||
      this.#fenced.has(holder) ||
      !workers.some((worker) => worker.incarnation === holder) ||
      (holder !== me && this.#roleObservation !== undefined && isDead(this.#roleObservation, rules));
    if (!holderIsGone) {
      this.#vacantSinceMs = undefined;
      return undefined;
    }
    this.#vacantSinceMs ??= clock.monotonicMs();
    return clock.monotonicMs() - this.#vacantSinceMs;
  }

  async #swapRole(next: CoordinatorRole, event?: string): Promise<void> {
    const { store, logger } = this.#options;
    const outcome = await store.swapRole(this.#role, next);
    this.#role = outcome.value;
    if (outcome.kind === 'done' && event) logger.info({ holder: next.holder, term: next.term }, event);
    if (outcome.kind === 'done' && event === 'coordinator.role_taken') this.#vacantSinceMs = undefined;
  }

  async #send(
    workers: readonly WorkerRecord[],
    to: Incarnation | undefined,
    message: Parameters<ControlPlane['send']>[1],
  ): Promise<void> {
    const worker = workers.find(({ incarnation }) => incarnation === to);
    if (worker === undefined) return;
    // The receiver reads its leases every few seconds anyway; a message only makes it sooner.
    await this.#options.control.send(worker.controlQueueUrl, message).catch((error: unknown) => {
      this.#options.logger.warn({ to, message: message.kind, error: messageOf(error) }, 'control_queue.not_sent');
    });
  }

  #ownWritesSucceed(): boolean {
    const { clock, rules, lastConfirmedStartMs } = this.#options;
    const confirmedMs = lastConfirmedStartMs();
    return confirmedMs !== undefined && clock.monotonicMs() - confirmedMs <= 2 * rules.heartbeatMs;
  }

  #forgetObservations(): void {
    this.#observations.clear();
    this.#roleObservation = undefined;
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

import type { Clock } from '../clock.ts';
import type { Incarnation, Lease, WorkerRecord } from '../coordination/model.ts';
import type { CoordinationStore } from '../coordination/store.ts';
import { BatonError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { type ShardAddress, shardKey } from '../sharding.ts';
import type { ControlPlane } from './control-queue.ts';
import { checkedIds, findWorker } from './addressees.ts';
import type { Fleet } from './fleet.ts';

export interface FleetOperationsOptions {
  readonly store: Pick<
    CoordinationStore,
    'readFleet' | 'listWorkers' | 'listLeases' | 'readLeases' | 'readCheckpoints' | 'setWant'
  >;
  readonly control: Pick<ControlPlane, 'send'>;
  readonly fleet: Fleet;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface OperationOptions {
  /** Milliseconds until it counts as failed. */
  readonly withinMs?: number;
  readonly signal?: AbortSignal;
  /** Told in one line how far it has come, whenever that changes. */
  readonly onProgress?: (line: string) => void;
}

export interface Migration {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
  /** `false`: it was there already. */
  readonly moved: boolean;
  readonly epoch: number;
  /** Until the target had it. */
  readonly tookMs: number;
}

export interface Drain {
  readonly worker: string;
  /** Shards that it held when it was asked. */
  readonly shards: number;
  /** Shards that found no worker and wait for one, their sessions kept. */
  readonly unheld: number;
  readonly tookMs: number;
}

const migrateWithinMs = 30_000;
/** More than the longest time a container gets to stop. */
const drainWithinMs = 150_000;
const drainAnswerWithinMs = 10_000;
const lookEveryMs = 100;

/**
 * What people do with a running fleet, each as one call that ends when it is done. Whatever is refused
 * (`REQUEST_INVALID`) has changed nothing.
 */
export class FleetOperations {
  readonly #options: FleetOperationsOptions;

  constructor(options: FleetOperationsOptions) {
    this.#options = options;
  }

  /**
   * Hands a shard over to a worker, given by name or incarnation.
   * @throws {BatonError} `REQUEST_INVALID` for a shard or worker that the fleet does not have, a worker that is full,
   * draining or takes no assignments, and a shard that nobody holds or that is on its way already; `REQUEST_FAILED`
   * when the target did not take it (the shard stays where it was); `STORE_UNREACHABLE`.
   */
  async migrate(shardId: number, workerName: string, options: OperationOptions = {}): Promise<Migration> {
    const { store, clock } = this.#options;
    const { withinMs = migrateWithinMs, onProgress } = options;
    const startedMs = clock.monotonicMs();
    const shardCount = await this.#shardCount();
    checkedIds([shardId], shardCount);
    const [workers, leases] = await Promise.all([store.listWorkers(), store.listLeases(shardCount)]);
    const target = findWorker(workers, workerName);
    const lease = leases.find(({ shard }) => shard.shardId === shardId);
    const nameOf = namesOf(workers);
    if (lease?.owner === undefined) {
      throw new BatonError('REQUEST_INVALID', `shard ${shardId} is held by no worker: the coordinator gives it out`);
    }
    const { owner, epoch, shard } = lease;
    const from = nameOf(owner);
    const done = (moved: boolean, epochNow: number): Migration => ({
      shard: shardId,
      from,
      to: target.workerId,
      moved,
      epoch: epochNow,
      tookMs: Math.round(clock.monotonicMs() - startedMs),
    });
    if (lease.want !== undefined && lease.want !== target.incarnation) {
      throw new BatonError('REQUEST_INVALID', `shard ${shardId} is on its way to ${nameOf(lease.want)} already`);
    }
    if (owner === target.incarnation) return done(false, epoch);
    await this.#refuseAsTarget(target, leases);
    if (lease.want === undefined) {
      const outcome = await store.setWant(shard, { owner, epoch, want: target.incarnation });
      if (outcome.kind === 'refused') {
        throw new BatonError('REQUEST_FAILED', `shard ${shardId} changed hands at this moment: ask again`);
      }
    }
    onProgress?.(`shard ${shardId}: ${target.workerId} opens a connection, ${from} goes on meanwhile`);
    await this.#nudge(workers, [target.incarnation, owner], shard);
    const moved = await this.#untilMoved(lease, target, startedMs + withinMs, options.signal);
    onProgress?.(`shard ${shardId}: ${target.workerId} has it`);
    return done(true, moved.epoch);
  }

  /**
   * Has a worker hand everything over and end, as SIGTERM does; resolves when it has left.
   * @throws {BatonError} `REQUEST_INVALID` for a worker that the fleet does not have, or when the others have
   * no room for its shards; `REQUEST_FAILED` when it gives no answer or does not end in time; `STORE_UNREACHABLE`.
   */
  async drain(workerName: string, options: OperationOptions = {}): Promise<Drain> {
    const { store, fleet, clock } = this.#options;
    const { withinMs = drainWithinMs, signal, onProgress } = options;
    const startedMs = clock.monotonicMs();
    const shardCount = await this.#shardCount();
    const [workers, before] = await Promise.all([store.listWorkers(), store.listLeases(shardCount)]);
    const worker = findWorker(workers, workerName);
    const { incarnation, workerId } = worker;
    const held = before.filter(({ owner }) => owner === incarnation).length;
    const room = roomFor(
      workers.filter((each) => each.incarnation !== incarnation),
      before,
    );
    if (room < held) {
      const reason = `${workerId} holds ${held} shards and the other workers have room for ${room}: start one first`;
      throw new BatonError('REQUEST_INVALID', reason);
    }
    const { missing } = await fleet.askWorkers(
      [incarnation],
      { kind: 'drain' },
      { withinMs: Math.min(withinMs, drainAnswerWithinMs), ...(signal && { signal }) },
    );
    const [failure] = missing;
    if (failure !== undefined) throw new BatonError('REQUEST_FAILED', `${workerId} was not drained: ${failure.reason}`);
    let left = -1;
    while (!isOver(clock, startedMs + withinMs, signal)) {
      const [leases, registered] = await Promise.all([store.listLeases(shardCount), store.listWorkers()]);
      const stillHeld = leases.filter(({ owner }) => owner === incarnation).length;
      if (stillHeld !== left) onProgress?.(`${workerId}: ${held - stillHeld} of ${held} shards handed over`);
      left = stillHeld;
      if (stillHeld === 0 && !registered.some((each) => each.incarnation === incarnation)) {
        const unheld = leases.filter(({ owner }) => owner === undefined).length;
        return { worker: workerId, shards: held, unheld, tookMs: Math.round(clock.monotonicMs() - startedMs) };
      }
      await clock.sleep(lookEveryMs, signal);
    }
    throw new BatonError(
      'REQUEST_FAILED',
      `${workerId} is still draining after ${Math.round(withinMs / 1000)} s, with ${left} shards: it goes on`,
    );
  }

  async #shardCount(): Promise<number> {
    return this.#options.fleet.shardCount();
  }

  /** @throws {BatonError} `REQUEST_INVALID` when the worker must not be given a shard. */
  async #refuseAsTarget(target: WorkerRecord, leases: readonly Lease[]): Promise<void> {
    const { incarnation, workerId, draining, assignable, maxShards } = target;
    const refuse = (reason: string) => new BatonError('REQUEST_INVALID', `${workerId} ${reason}`);
    if (draining) throw refuse('is draining and takes no shards');
    if (!assignable) throw refuse('runs a list of its own and takes no shards');
    const [item] = await this.#options.store.readCheckpoints([{ incarnation, chunk: 0 }]);
    if (item === undefined || item.fencedBy !== undefined) throw refuse('was found dead and takes no shards');
    const load = loadOf(incarnation, leases);
    if (maxShards !== undefined && load >= maxShards) throw refuse(`is full: it has ${load} of ${maxShards} shards`);
  }

  async #untilMoved(
    before: Lease,
    target: WorkerRecord,
    untilMs: number,
    signal: AbortSignal | undefined,
  ): Promise<Lease> {
    const { store, clock } = this.#options;
    const { shard, owner, epoch } = before;
    const failed = (reason: string) =>
      new BatonError('REQUEST_FAILED', `shard ${shard.shardId} was not moved: ${reason}`);
    while (!isOver(clock, untilMs, signal)) {
      await clock.sleep(lookEveryMs, signal);
      const [lease] = await store.readLeases([shard]);
      if (lease?.owner === target.incarnation) return lease;
      if (lease?.owner !== owner) throw failed('its owner ended meanwhile, and it went elsewhere');
      // An owner that could not be sure of its release keeps the shard under a new epoch.
      if (lease?.want === undefined || lease.epoch !== epoch) {
        throw failed(`${target.workerId} did not take it in time, and it stays where it was`);
      }
    }
    await store.setWant(shard, { owner: owner as Incarnation, epoch, unwanted: target.incarnation });
    const [lease] = await store.readLeases([shard]);
    if (lease?.owner === target.incarnation) return lease;
    throw failed('time was up, and it stays where it was');
  }

  /** The target first: it has a socket to open. Both read their leases every few seconds anyway. */
  async #nudge(
    workers: readonly WorkerRecord[],
    incarnations: readonly Incarnation[],
    shard: ShardAddress,
  ): Promise<void> {
    const { control, logger } = this.#options;
    for (const incarnation of incarnations) {
      const worker = workers.find((each) => each.incarnation === incarnation);
      if (worker === undefined) continue;
      await control
        .send(worker.controlQueueUrl, { kind: 'nudge', shards: [shardKey(shard)] })
        .catch((error: unknown) => {
          logger.debug({ to: incarnation, error: messageOf(error) }, 'migration.not_nudged');
        });
    }
  }
}

function namesOf(workers: readonly WorkerRecord[]): (incarnation: Incarnation) => string {
  const names = new Map(workers.map(({ incarnation, workerId }) => [incarnation, workerId]));
  return (incarnation) => names.get(incarnation) ?? incarnation;
}

/** How many shards more these workers can take. */
function roomFor(workers: readonly WorkerRecord[], leases: readonly Lease[]): number {
  return workers
    .filter(({ assignable, draining }) => assignable && !draining)
    .map(({ incarnation, maxShards = Number.POSITIVE_INFINITY }) =>
      Math.max(0, maxShards - loadOf(incarnation, leases)),
    )
    .reduce((sum, room) => sum + room, 0);
}

/** Shards that a worker holds, or is to be given. */
function loadOf(incarnation: Incarnation, leases: readonly Lease[]): number {
  return leases.filter(({ owner, want }) => (want ?? owner) === incarnation).length;
}

function isOver(clock: Clock, untilMs: number, signal: AbortSignal | undefined): boolean {
  return clock.monotonicMs() >= untilMs || signal?.aborted === true;
}

import { Bell } from '../shared/bell.ts';
import type { Clock } from '../shared/clock.ts';
import type { GatewayCompression, ShardMode } from '../shared/config.ts';
import type { ControlMessage, ControlPlane } from '../shared/control/control-queue.ts';
import type {
  FleetState,
  Incarnation,
  Lease,
  ShardReport,
  WorkerFigures,
  WorkerRecord,
  WorkerReport,
} from '../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble, StoreUnavailable } from '../shared/coordination/store.ts';
import type { EnvelopeEncoding } from '../shared/envelope.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Random } from '../shared/random.ts';
import { parseShardKey, type ShardKey, shardKey } from '../shared/sharding.ts';
import type { TimelineSink } from '../shared/stats/timeline.ts';
import { waitAtMost } from '../shared/wait-at-most.ts';
import { Backpressure } from './backpressure.ts';
import { BudgetKeeper } from './budget-keeper.ts';
import { ControlInbox } from './control-inbox.ts';
import { Coordinator } from './coordinator.ts';
import type { GatewayBot } from './gateway-bot.ts';
import type { DialGateway } from './gateway/gateway-socket.ts';
import { HandoffSource } from './handoff-source.ts';
import { IdentifyLimiter } from './identify-limiter.ts';
import { NamesakeWatch } from './namesake-watch.ts';
import type { EventsSender, InteractionsSender } from './publishing/events-sender.ts';
import { FlushCycle } from './publishing/flush-cycle.ts';
import { listedForMs } from './publishing/send-rules.ts';
import { ControlQueueSweep } from './requests/control-queue-sweep.ts';
import { ControlService, type RequestPorts } from './requests/control-service.ts';
import type { ParkingLot } from './shard/parking-lot.ts';
import { Shard, type ShardEnvironment } from './shard/shard.ts';

export interface WorkerOptions {
  readonly workerId: string;
  readonly release: string;
  readonly maxShards: number | undefined;
  readonly sharding: ShardMode;
  readonly originalCoordinator: boolean;
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  readonly lingerMs: number;
  readonly stopTimeoutMs: number;
  readonly token: string;
  readonly intents: number;
  readonly compress: GatewayCompression;
  readonly encoding: EnvelopeEncoding;
  readonly isWanted: (type: string) => boolean;
}

/** Everything outside the process, as ports. */
export interface WorkerPorts {
  readonly store: CoordinationStore;
  readonly control: ControlPlane;
  readonly events: EventsSender;
  readonly interactions: InteractionsSender;
  readonly parking: ParkingLot;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Told of what happens to this worker and its shards. @default nobody */
  readonly timeline?: TimelineSink & { flush(): Promise<void> };
  /** Asks Discord for the identify budget. @default the budget stays as the start left it, less what is spent */
  readonly askGatewayBot?: (signal: AbortSignal) => Promise<GatewayBot>;
  /** Figures of this process since the last call. */
  readonly usage: () => { cpuPercent: number; memoryMb: number };
  /** How requests are answered that come over the control queue. @default they are not */
  readonly requests?: RequestPorts;
  /** @default a WebSocket over the network */
  readonly dial?: DialGateway;
}

/** Why a life of a worker ended. */
export type LifeEnd = { readonly kind: 'drained' } | { readonly kind: 'fenced'; readonly by: string };

/** Shards beyond this number get a further checkpoint item: an item stays far below DynamoDB's 400 KB. */
const shardsPerChunk = 4000;
/** What a worker has read of Discord and not sent stays near this at most. */
const maxBufferedBytes = 64 * 1024 * 1024;
/** A target of a handoff waits at HELLO this long for its grant. */
const poisedForMs = 10_000;
/** Of the stop timeout this much is kept for releasing what found no target. */
const releaseReserveMs = 10_000;
/** And this much for signing off. */
const leaveReserveMs = 2000;
const reportEveryMs = 5000;
/** What is told for people alone holds up no exit for longer. */
const timelinePatienceMs = 500;

/**
 * One life of a worker: registers under a fresh incarnation, holds the shards it is given, takes part in looking after
 * the fleet, and ends drained (planned) or fenced (taken for dead, or cut off).
 */
export class WorkerLife {
  readonly incarnation: Incarnation;
  readonly #options: WorkerOptions;
  readonly #ports: WorkerPorts;
  readonly #fleet: FleetState;
  readonly #logger: Logger;
  readonly #chunks: FlushCycle[] = [];
  readonly #held = new Map<ShardKey, Shard>();
  readonly #poised = new Map<ShardKey, { shard: Shard; deadline: AbortController; isAtHello: boolean }>();
  /** Highest epoch of each shard that this incarnation has let go: an image that is not above it is old news. */
  readonly #letGo = new Map<ShardKey, number>();
  readonly #offers = new Map<Shard, Promise<void>>();
  readonly #leaseBell: Bell;
  readonly #inbox: ControlInbox;
  readonly #source: HandoffSource;
  readonly #ending = new AbortController();
  /** Aborts, with the reason, when this worker has to go though nobody asked it to. */
  readonly #unwanted = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #requests: ControlService | undefined;
  #environment: ShardEnvironment | undefined;
  #coordinator: Coordinator | undefined;
  #record: WorkerRecord | undefined;
  #fencedBy: string | undefined;
  #isDraining = false;
  #usage = { cpuPercent: 0, memoryMb: 0 };
  #flushMs = 0;
  /** Counts of the shards that were held and let go. */
  #formerCounts = { identifies: 0, resumes: 0, reconnects: 0 };
  readonly #startedMs: number;
  #fatal: BatonError | undefined;

  constructor(options: WorkerOptions, ports: WorkerPorts, fleet: FleetState) {
    this.#options = options;
    this.#ports = ports;
    this.#fleet = fleet;
    this.incarnation = ports.random.uuid();
    this.#startedMs = ports.clock.monotonicMs();
    this.#logger = ports.logger.child({ incarnation: this.incarnation });
    this.#leaseBell = new Bell(ports.clock);
    const { control, store, clock, requests } = ports;
    this.#requests =
      requests &&
      new ControlService({
        ...requests,
        incarnation: this.incarnation,
        workerId: options.workerId,
        release: options.release,
        host: {
          held: (key) => this.#held.get(key),
          report: () => this.report(),
          usage: () => ({ memoryMb: this.#usage.memoryMb, uptimeMs: this.#uptimeMs }),
        },
        clock,
        logger: this.#logger,
      });
    this.#inbox = new ControlInbox({ control, store, clock, logger: this.#logger });
    this.#source = new HandoffSource({
      incarnation: this.incarnation,
      store,
      inbox: this.#inbox,
      clock,
      logger: this.#logger,
      holds: (shard) => this.#held.get(shardKey(shard.shard)) === shard,
      flushSoon: (shard) => this.#chunkOf(shard).flushSoon(),
      writeSettled: (shard) => this.#chunkOf(shard).writeSettled(),
      onReleased: (shard) => this.#onReleased(shard),
      onKept: () => this.#leaseBell.ring(),
      ...(ports.timeline && { timeline: ports.timeline }),
    });
  }

  /** The first fatal error that Discord answered a shard with, such as a token that was reset. */
  get fatal(): BatonError | undefined {
    return this.#fatal;
  }

  get isRegistered(): boolean {
    return this.#record !== undefined;
  }

  /**
   * Registers, runs until `drain` aborts (then hands everything over), `stop` aborts (then leaves at once, sessions
   * kept) or the worker is fenced. Rejects with `StoreUnavailable` or `BatonError` when it cannot even register, and
   * with `WORKER_ID_TAKEN`, everything handed over, when an earlier worker of the same name turns out to be alive.
   */
  async run(drain: AbortSignal, stop: AbortSignal): Promise<LifeEnd> {
    const { store, control } = this.#ports;
    const end = () => this.#ending.abort();
    stop.addEventListener('abort', end, { once: true });
    const controlQueueUrl = await control.open(this.incarnation);
    try {
      this.#record = await this.#register(controlQueueUrl);
      this.#logger.info({ name: this.#options.workerId, joinNumber: this.#record.joinNumber }, 'worker.registered');
      this.#ports.timeline?.record({ kind: 'join', to: this.incarnation, name: this.#options.workerId });
      this.#start(this.#record);
      await this.#untilAborted(AbortSignal.any([drain, this.#ending.signal, this.#unwanted.signal]));
      if (!this.#ending.signal.aborted) await this.#drain();
    } finally {
      stop.removeEventListener('abort', end);
      await this.#leave(store, controlQueueUrl);
    }
    this.#unwanted.signal.throwIfAborted();
    return this.#fencedBy === undefined ? { kind: 'drained' } : { kind: 'fenced', by: this.#fencedBy };
  }

  async #register(controlQueueUrl: string): Promise<WorkerRecord> {
    const { workerId, release, maxShards, originalCoordinator, sharding } = this.#options;
    const { store, clock } = this.#ports;
    const record = {
      incarnation: this.incarnation,
      workerId,
      release,
      chunkCount: Math.max(1, Math.ceil((maxShards ?? this.#fleet.shardCount) / shardsPerChunk)),
      controlQueueUrl,
      originalCoordinator,
      assignable: sharding.mode === 'fleet',
      draining: false,
      ...(maxShards !== undefined && { maxShards }),
    };
    for (let attempt = 0; ; attempt += 1) {
      try {
        return await store.join(record);
      } catch (error) {
        if (!(error instanceof StoreUnavailable) || attempt >= 4) throw error;
        await clock.sleep(500 * (attempt + 1), this.#ending.signal);
      }
    }
  }

  #start(record: WorkerRecord): void {
    const { store, events, clock, random, interactions, parking, control, dial } = this.#ports;
    const { heartbeatMs, missedHeartbeats, lingerMs, sharding } = this.#options;
    for (let chunk = 0; chunk < record.chunkCount; chunk += 1) {
      this.#chunks.push(
        new FlushCycle({
          store,
          sender: events,
          incarnation: this.incarnation,
          chunk,
          heartbeatMs,
          listedForMs: listedForMs({ heartbeatMs, missedHeartbeats }),
          lingerMs,
          clock,
          logger: this.#logger,
          onFenced: (by) => this.#onFenced(by),
          controlQueueAnsweredMs: () => this.#inbox.answeredMs,
        }),
      );
    }
    this.#environment = {
      incarnation: this.incarnation,
      token: this.#options.token,
      intents: this.#options.intents,
      gatewayUrl: this.#fleet.gatewayUrl,
      compress: this.#options.compress,
      encoding: this.#options.encoding,
      isWanted: this.#options.isWanted,
      identifyGate: new IdentifyLimiter({
        store,
        incarnation: this.incarnation,
        maxConcurrency: this.#fleet.maxConcurrency,
        clock,
        logger: this.#logger,
      }),
      interactions,
      store,
      parking,
      clock,
      random,
      logger: this.#logger,
      ...(this.#requests && { tap: this.#requests.tap }),
      ...(dial && { dial }),
    };
    this.#coordinator = new Coordinator({
      store,
      control,
      me: this.incarnation,
      fleet: this.#fleet,
      rules: { heartbeatMs, missedHeartbeats },
      ownShardIds: ownShardIds(sharding),
      lastConfirmedStartMs: () => this.#lastConfirmedStartMs(),
      onOwnLease: (leases) => this.#applyLeases(leases),
      ...(this.#ports.timeline && { timeline: this.#ports.timeline }),
      clock,
      logger: this.#logger,
    });
    const { signal } = this.#ending;
    for (const chunk of this.#chunks) this.#track(chunk.run(signal));
    this.#track(this.#coordinator.run(signal));
    this.#track(this.#inbox.run(record.controlQueueUrl, (message) => this.#obey(message), signal));
    this.#track(this.#watchLeases(signal));
    this.#track(this.#watchNamesakes(record, signal));
    const shards = () => this.#held.values();
    this.#track(new Backpressure({ shards, maxBytes: maxBufferedBytes, clock, logger: this.#logger }).run(signal));
    this.#track(this.#report(signal));
    const { askGatewayBot, requests } = this.#ports;
    const isResponsible = () => this.#coordinator?.looksAfterShards ?? false;
    if (this.#requests) this.#track(this.#requests.run(signal));
    if (requests?.queueNotes) {
      const notes = requests.queueNotes;
      this.#track(
        new ControlQueueSweep({ store, control, notes, isResponsible, clock, logger: this.#logger }).run(signal),
      );
    }
    if (askGatewayBot === undefined) return;
    const keeper = new BudgetKeeper({ store, askGatewayBot, isResponsible, clock, logger: this.#logger });
    this.#track(keeper.run(signal));
  }

  /** Two workers of one name cannot be told apart by those who steer them: this one, the younger, leaves. */
  async #watchNamesakes(me: WorkerRecord, signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#ports;
    const { workerId, heartbeatMs } = this.#options;
    const living = await new NamesakeWatch({ store, me, heartbeatMs, clock, logger: this.#logger }).run(signal);
    if (living === undefined || this.#isDraining) return;
    this.#logger.error({ name: workerId, taken: living.incarnation }, 'worker.id_taken');
    const message = `worker id ${workerId} is taken: incarnation ${living.incarnation} is alive; stop that worker or give this one another BATON_WORKER_ID`;
    this.#unwanted.abort(new BatonError('WORKER_ID_TAKEN', message));
  }

  #failure: Error | undefined;

  /** A loop that fails ends the whole life: half a worker is worse than none. */
  #track(task: Promise<void>): void {
    const tracked = task
      .catch((error: unknown) => {
        this.#logger.error({ error: messageOf(error) }, 'worker.loop_failed');
        this.#failure ??= error instanceof Error ? error : new Error(String(error));
        this.#ending.abort();
      })
      .finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  async #leave(store: CoordinationStore, controlQueueUrl: string): Promise<void> {
    this.#ending.abort();
    for (const { deadline } of this.#poised.values()) deadline.abort();
    await Promise.all([...this.#held.values()].map((shard) => shard.close()));
    await Promise.all(this.#tasks);
    if (this.#environment?.identifyGate instanceof IdentifyLimiter) await this.#environment.identifyGate.close();
    await this.#leaveRegister(store);
    await this.#tellOfLeaving();
    await this.#ports.control.close(controlQueueUrl).catch((error: unknown) => {
      this.#logger.warn({ error: messageOf(error) }, 'control_queue.not_removed');
    });
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** A clean exit fences itself, so that whatever it still owns is granted without waiting for it to be found dead. */
  async #leaveRegister(store: CoordinationStore): Promise<void> {
    const record = this.#record;
    if (record === undefined || this.#fencedBy !== undefined) return;
    try {
      for (let chunk = 0; chunk < record.chunkCount; chunk += 1) {
        await this.#fenceItself(store, chunk);
      }
      if (this.#held.size === 0) await store.removeWorker(this.incarnation);
    } catch (error) {
      // The others will find it dead: later, not wrong.
      this.#logger.warn({ error: messageOf(error) }, 'worker.not_signed_off');
    }
  }

  async #tellOfLeaving(): Promise<void> {
    const { timeline, clock } = this.#ports;
    if (timeline === undefined || this.#record === undefined) return;
    const reason = this.#fencedBy === undefined ? (this.#isDraining ? 'drained' : 'stopped') : 'fenced';
    timeline.record({ kind: 'leave', from: this.incarnation, name: this.#options.workerId, reason });
    await waitAtMost(timelinePatienceMs, timeline.flush(), clock);
  }

  async #fenceItself(store: CoordinationStore, chunk: number): Promise<void> {
    const { incarnation } = this;
    const [item] = await store.readCheckpoints([{ incarnation, chunk }]);
    if (item === undefined || item.fencedBy !== undefined) return;
    // Twice: a late copy of the last write may have moved the version since it was read.
    const outcome = await store.fence({ incarnation, chunk, seenVersion: item.version, by: incarnation });
    if (outcome.kind !== 'alive') return;
    await store.fence({ incarnation, chunk, seenVersion: outcome.item.version, by: incarnation });
  }

  #onFenced(by: string): void {
    if (this.#fencedBy !== undefined) return;
    this.#fencedBy = by;
    this.#logger.error({ by, shards: [...this.#held.keys()] }, 'worker.fenced');
    this.#ending.abort();
    // At once, whatever else this life still waits for: each of them belongs to somebody else by now.
    for (const shard of this.#held.values()) this.#track(shard.close());
  }

  // Leases

  /** Reads all leases now and then: what a nudge that got lost would have said. */
  async #watchLeases(signal: AbortSignal): Promise<void> {
    const { store } = this.#ports;
    const { shardCount } = this.#fleet;
    // The larger the fleet, the rarer: sixteen thousand leases are five megabytes.
    const everyMs = Math.max(this.#options.heartbeatMs, shardCount * 4);
    const own = ownShardIds(this.#options.sharding);
    while (!signal.aborted) {
      try {
        const leases = await (own === undefined
          ? store.listLeases(shardCount)
          : store.readLeases(own.map((shardId) => ({ shardId, shardCount }))));
        this.#applyLeases(leases);
      } catch (error) {
        if (!isPassingTrouble(error)) throw error;
        this.#logger.warn({ error: messageOf(error) }, 'worker.leases_unreadable');
      }
      await this.#leaseBell.wait(everyMs, signal);
    }
  }

  #applyLeases(leases: readonly Lease[]): void {
    if (this.#ending.signal.aborted) return;
    for (const lease of leases) this.#applyLease(lease);
  }

  #applyLease(lease: Lease): void {
    const key = shardKey(lease.shard);
    const held = this.#held.get(key);
    if (lease.owner === this.incarnation) {
      if (held === undefined) this.#begin(key, lease);
      else if (lease.epoch === held.epoch && lease.want !== undefined && lease.want !== this.incarnation) {
        this.#offer(held, lease.want);
      }
      return;
    }
    // Only this worker's own release, or its fencing, takes a shard away; the fence is the flush cycle's to find.
    if (lease.want === this.incarnation && held === undefined) this.#poise(key, lease);
  }

  #begin(key: ShardKey, lease: Lease): void {
    if (lease.epoch <= (this.#letGo.get(key) ?? 0) || this.#environment === undefined) return;
    const poised = this.#poised.get(key);
    this.#poised.delete(key);
    poised?.deadline.abort();
    const shard = poised?.shard ?? this.#newShard(lease);
    this.#held.set(key, shard);
    this.#logger.info({ shard: lease.shard.shardId, epoch: lease.epoch, poised: poised !== undefined }, 'shard.held');
    shard.hold(lease);
    this.#chunkOf(shard).add(shard);
  }

  #offer(shard: Shard, to: Incarnation): void {
    if (this.#offers.has(shard) || shard.isFrozen) return;
    const offer = this.#source.offer(shard, to, this.#ending.signal).finally(() => this.#offers.delete(shard));
    this.#offers.set(shard, offer);
    this.#track(offer);
  }

  #onReleased(shard: Shard): void {
    const key = shardKey(shard.shard);
    this.#held.delete(key);
    this.#formerCounts = addCounts(this.#formerCounts, shard.report());
    this.#letGo.set(key, shard.epoch);
    this.#chunkOf(shard).remove(shard);
  }

  #newShard(lease: Lease): Shard {
    return new Shard(lease.shard, this.#environment as ShardEnvironment, {
      confirm: (timeoutMs, signal) => this.#confirm(timeoutMs, signal),
      checkpointSoon: (shard) => this.#chunkOf(shard).writeSoon(),
      flushSoon: (shard) => this.#chunkOf(shard).flushSoon(),
      onFatal: (shard, error) => {
        this.#fatal ??= error;
        this.#logger.error({ shard: shard.shard.shardId, code: error.code, error: error.message }, 'shard.stopped');
      },
    });
  }

  #chunkOf(shard: Shard): FlushCycle {
    return this.#chunks[shard.shard.shardId % this.#chunks.length] as FlushCycle;
  }

  async #confirm(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const confirmed = await Promise.all(this.#chunks.map((chunk) => chunk.confirm(timeoutMs, signal)));
    return confirmed.every(Boolean);
  }

  #lastConfirmedStartMs(): number | undefined {
    return this.#chunks[0]?.lastConfirmedStartMs;
  }

  // Handoff, target's side

  #poise(key: ShardKey, lease: Lease): void {
    const poised = this.#poised.get(key);
    if (poised?.isAtHello) {
      // The owner asks again: it has not heard that this worker waits.
      this.#track(this.#tellOwner(lease));
      return;
    }
    if (poised !== undefined || this.#isDraining || this.#environment === undefined) return;
    const shard = this.#newShard(lease);
    const deadline = new AbortController();
    this.#poised.set(key, { shard, deadline, isAtHello: false });
    this.#track(this.#waitAtHello(key, lease, shard, deadline.signal));
  }

  /** Opens the socket, tells the owner, and waits for the grant; without one the socket is closed again. */
  async #waitAtHello(key: ShardKey, lease: Lease, shard: Shard, granted: AbortSignal): Promise<void> {
    const { clock, store } = this.#ports;
    const over = AbortSignal.any([granted, this.#ending.signal]);
    const untilMs = clock.monotonicMs() + poisedForMs;
    try {
      const limit = new AbortController();
      const timer = clock.schedule(poisedForMs, () => limit.abort());
      await shard.poise(lease, AbortSignal.any([over, limit.signal])).finally(() => timer.cancel());
      const poised = this.#poised.get(key);
      if (poised) poised.isAtHello = true;
      await this.#tellOwner(lease);
    } catch (error) {
      if (!over.aborted)
        this.#logger.warn({ shard: lease.shard.shardId, error: messageOf(error) }, 'handoff.not_poised');
    }
    while (!over.aborted && clock.monotonicMs() < untilMs) {
      await clock.sleep(1000, over);
      if (over.aborted) break;
      try {
        this.#applyLeases(await store.readLeases([lease.shard]));
      } catch (error) {
        if (!isPassingTrouble(error)) throw error;
        this.#logger.warn({ shard: lease.shard.shardId, error: messageOf(error) }, 'worker.leases_unreadable');
      }
    }
    if (this.#poised.get(key)?.shard !== shard) return;
    this.#poised.delete(key);
    await shard.close();
  }

  async #tellOwner(lease: Lease): Promise<void> {
    const { shard, epoch, owner } = lease;
    if (owner === undefined) return;
    await this.#inbox.tell(owner, { kind: 'poised', shard: shardKey(shard), epoch, incarnation: this.incarnation });
  }

  // Drain

  /**
   * Hands everything over within the stop timeout; what has no target by then is released to nobody, its session kept.
   * Whatever the table does, it ends before SIGKILL: what could not be released is taken over from the dead worker.
   */
  async #drain(): Promise<void> {
    const { store, clock } = this.#ports;
    const { stopTimeoutMs } = this.#options;
    const deadlineMs = clock.monotonicMs() + Math.max(0, stopTimeoutMs - releaseReserveMs);
    const limit = new AbortController();
    const timer = clock.schedule(Math.max(0, stopTimeoutMs - leaveReserveMs), () => limit.abort());
    const signal = AbortSignal.any([limit.signal, this.#ending.signal]);
    this.#isDraining = true;
    this.#logger.info({ shards: this.#held.size }, 'worker.draining');
    for (const { deadline } of this.#poised.values()) deadline.abort();
    await this.#untilStored(() => store.markDraining(this.incarnation), signal);
    this.#coordinator?.tickSoon();
    let lastAskMs = Number.NEGATIVE_INFINITY;
    while (this.#held.size > 0 && !signal.aborted && clock.monotonicMs() < deadlineMs) {
      if (clock.monotonicMs() - lastAskMs >= 1000) {
        lastAskMs = clock.monotonicMs();
        if (!(await this.#askForTargets())) break;
      }
      await clock.sleep(20, signal);
    }
    await this.#releaseTheRest(signal);
    timer.cancel();
    if (!signal.aborted) await this.#tellCoordinator();
  }

  async #releaseTheRest(signal: AbortSignal): Promise<void> {
    if (this.#held.size === 0 || this.#ending.signal.aborted) return;
    this.#logger.warn({ shards: [...this.#held.keys()] }, 'worker.released_to_nobody');
    await Promise.all(
      [...this.#held.values()].map(async (shard) => {
        // A handoff that is just being carried out may still succeed; if not, the shard is released after all.
        await Promise.race([this.#offers.get(shard), this.#untilAborted(signal)]);
        if (this.#held.get(shardKey(shard.shard)) === shard) await this.#source.release(shard, undefined, signal);
      }),
    );
  }

  /** Makes the coordinator plan now. `false` when no other worker could take anything: waiting would be in vain. */
  async #askForTargets(): Promise<boolean> {
    if (ownShardIds(this.#options.sharding) !== undefined) return false;
    try {
      const workers = await this.#ports.store.listWorkers();
      const others = workers.filter((worker) => worker.incarnation !== this.incarnation && worker.assignable);
      if (others.length === 0) return false;
      await this.#tellCoordinator(others);
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.#logger.warn({ error: messageOf(error) }, 'worker.cannot_ask_for_targets');
    }
    return true;
  }

  async #tellCoordinator(among?: readonly WorkerRecord[]): Promise<void> {
    const { store } = this.#ports;
    try {
      const role = await store.readRole();
      const workers = among ?? (await store.listWorkers());
      const holder = workers.find(({ incarnation }) => incarnation === role?.holder);
      const others = (holder === undefined ? workers : [holder]).filter(
        (worker) => worker.incarnation !== this.incarnation,
      );
      // All at once: a drain has no time for queues that do not answer, one after the other.
      await Promise.all(others.map((worker) => this.#inbox.send(worker.controlQueueUrl, { kind: 'tick' })));
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.#logger.warn({ error: messageOf(error) }, 'worker.cannot_tell_coordinator');
    }
  }

  // Control queue

  async #obey(message: ControlMessage): Promise<void> {
    switch (message.kind) {
      case 'nudge':
        await this.#readLeases(message.shards);
        break;
      case 'poised':
        this.#source.announce(message.shard, message);
        if (!this.#source.isUnderWay(message.shard)) await this.#readLeases([message.shard]);
        break;
      case 'fenced':
        if (message.incarnation === this.incarnation) this.#onFenced(message.by);
        break;
      case 'tick':
        this.#coordinator?.tickSoon();
        break;
      case 'request':
        this.#requests?.accept(message);
        break;
    }
  }

  async #readLeases(keys: readonly ShardKey[]): Promise<void> {
    try {
      this.#applyLeases(await this.#ports.store.readLeases(keys.map(parseShardKey)));
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.#logger.warn({ error: messageOf(error) }, 'worker.leases_unreadable');
      this.#leaseBell.ring();
    }
  }

  // Figures

  async #report(signal: AbortSignal): Promise<void> {
    const { store, clock } = this.#ports;
    // What it took to start says nothing of what shards cost: it would keep them away from an empty worker for minutes.
    this.#usage = { ...this.#ports.usage(), cpuPercent: 0 };
    while (!signal.aborted) {
      this.#flushMs = Math.max(0, ...this.#chunks.map((chunk) => chunk.takeLongestSendMs()));
      for (const shard of this.#held.values()) shard.measure();
      try {
        await store.writeReport(this.report());
      } catch (error) {
        this.#logger.debug({ error: messageOf(error) }, 'worker.report_not_written');
      }
      await clock.sleep(reportEveryMs, signal);
      this.#usage = this.#ports.usage();
    }
  }

  get #uptimeMs(): number {
    return Math.round(this.#ports.clock.monotonicMs() - this.#startedMs);
  }

  /** Figures of this worker and its shards; rates and usage are those of the last few seconds. */
  report(): WorkerReport {
    const { cpuPercent, memoryMb } = this.#usage;
    const held = [...this.#held.values()];
    const shards = held.map((shard) => shard.report());
    const commandsPerSecond = shards.reduce((sum, { figures }) => sum + (figures?.commandsPerSecond ?? 0), 0);
    return {
      incarnation: this.incarnation,
      workerId: this.#options.workerId,
      cpuPercent,
      memoryMb,
      eventsPerSecond: shards.reduce((sum, shard) => sum + shard.eventsPerSecond, 0),
      coordinator: this.#coordinator?.hasRole ?? false,
      shards,
      figures: {
        uptimeMs: this.#uptimeMs,
        commandsPerSecond,
        ...shards.reduce(addCounts, this.#formerCounts),
        flushMs: Math.round(this.#flushMs),
        queueAgeMs: Math.round(held.reduce((longest, { queueAgeMs }) => Math.max(longest, queueAgeMs), 0)),
      },
    };
  }

  // Waiting

  /** Repeats `request` until the table answers; `undefined` when `signal` aborts first. */
  async #untilStored<T>(request: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    while (!signal.aborted) {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#logger.warn({ error: messageOf(error) }, 'worker.store_unreachable');
        await this.#ports.clock.sleep(250, signal);
      }
    }
    return undefined;
  }

  async #untilAborted(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  }
}

type SessionCounts = Pick<WorkerFigures, 'identifies' | 'resumes' | 'reconnects'>;

function addCounts(counts: SessionCounts, { figures }: ShardReport): SessionCounts {
  return {
    identifies: counts.identifies + (figures?.identifies ?? 0),
    resumes: counts.resumes + (figures?.resumes ?? 0),
    reconnects: counts.reconnects + (figures?.reconnects ?? 0),
  };
}

/** The shards of a worker that looks after its own list; `undefined` for a worker of a fleet. */
export function ownShardIds(sharding: ShardMode): readonly number[] | undefined {
  switch (sharding.mode) {
    case 'single':
      return [0];
    case 'explicit':
      return sharding.shardIds;
    case 'fleet':
      return undefined;
  }
}

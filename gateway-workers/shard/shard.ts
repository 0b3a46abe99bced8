import type { Clock } from '../../shared/clock.ts';
import type { GatewayCompression } from '../../shared/config.ts';
import {
  type Checkpoint,
  type CheckpointEntry,
  emptyCheckpoint,
  type Incarnation,
  type Lease,
  type ShardReport,
} from '../../shared/coordination/model.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { permitMs } from '../../shared/coordination/identify-gate.ts';
import type { EnvelopeEncoding } from '../../shared/envelope.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { type ShardAddress, shardKey } from '../../shared/sharding.ts';
import { GatewayConnection } from '../gateway/connection.ts';
import type {
  GatewayCommand,
  GatewayListener,
  GatewaySession,
  IdentifyGate,
  ReadyFacts,
  StateChange,
} from '../gateway/gateway-session.ts';
import { scanGuildFields } from '../gateway/frame-scan.ts';
import type { DialGateway } from '../gateway/gateway-socket.ts';
import type { InteractionsSender } from '../publishing/events-sender.ts';
import type { PublishingShard } from '../publishing/flush-cycle.ts';
import type { KeptFrame } from '../publishing/pack.ts';
import { SessionStream } from '../publishing/session-stream.ts';
import type { EventTap } from '../requests/event-tap.ts';
import { InteractionForwarder } from './interaction-forwarder.ts';
import type { ParkingLot } from './parking-lot.ts';
import { RosterKeeper } from './roster-keeper.ts';

/** What all shards of a worker share. */
export interface ShardEnvironment {
  readonly incarnation: Incarnation;
  readonly token: string;
  readonly intents: number;
  readonly gatewayUrl: string;
  readonly compress: GatewayCompression;
  readonly encoding: EnvelopeEncoding;
  readonly isWanted: (type: string) => boolean;
  readonly identifyGate: IdentifyGate & { leave(shard: ShardAddress): void };
  readonly interactions: InteractionsSender;
  readonly store: CoordinationStore;
  readonly parking: ParkingLot;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Lets people look at what is read. @default nobody can */
  readonly tap?: EventTap;
  /** @default a WebSocket over the network */
  readonly dial?: DialGateway;
}

/** What a shard asks of the worker that holds it. */
export interface ShardHost {
  /** See `FlushCycle.confirm`. */
  confirm(timeoutMs: number, signal: AbortSignal): Promise<boolean>;
  /** The checkpoint has news that should not wait: a new session. */
  checkpointSoon(shard: Shard): void;
  /** What the shard has read has waited long enough already. */
  flushSoon(shard: Shard): void;
  /** Discord will never accept this shard as it is configured; it is not retried. */
  onFatal(shard: Shard, error: BatonError): void;
}

/** How long a broken shard tries to confirm its lease before it RESUMEs all the same, once. */
const confirmMs = 2000;

/**
 * One shard on this worker: its gateway connection, the streams of events that lead from it to SQS, and the roster of
 * its guilds. It exists in two phases: poised (a target of a handoff, waiting at HELLO) and holding (with a lease).
 */
export class Shard implements PublishingShard, GatewayListener {
  readonly shard: ShardAddress;
  /** The lease's epoch; 0 while poised. */
  epoch = 0;
  isFrozen = false;
  connectedSinceMs: number | undefined;
  readonly #environment: ShardEnvironment;
  readonly #host: ShardHost;
  readonly #logger: Logger;
  readonly #connection: GatewayConnection;
  readonly #roster: RosterKeeper;
  readonly #interactions: InteractionForwarder;
  readonly #closing = new AbortController();
  /** Work in the background, awaited by `close`. */
  readonly #tasks = new Set<Promise<void>>();
  /** Oldest first: a dead session's frames go out before those of its successor. */
  readonly #streams: SessionStream[] = [];
  #resumeUrl: string | undefined;
  #onHeld: (() => void) | undefined;
  /** Those who wait for the shard to be up again. */
  readonly #comebacks = new Set<Pick<PromiseWithResolvers<'resumed' | 'identified'>, 'resolve' | 'reject'>>();
  #isReplaying = false;
  #isReady = false;
  #resumedUnconfirmed = false;
  #events = 0;
  #commands = 0;
  #measured = { atMs: 0, events: 0, commands: 0 };
  #eventsPerSecond = 0;
  #commandsPerSecond = 0;
  /** The last time that dispatches were seen to have come. */
  #lastHeardMs: number;

  constructor(shard: ShardAddress, environment: ShardEnvironment, host: ShardHost) {
    this.shard = shard;
    this.#environment = environment;
    this.#host = host;
    const { clock, random, store } = environment;
    const nowMs = clock.monotonicMs();
    this.#measured = { atMs: nowMs, events: 0, commands: 0 };
    this.#lastHeardMs = nowMs;
    const logger = environment.logger.child({ shard: shard.shardId });
    this.#logger = logger;
    this.#roster = new RosterKeeper({ shard, epoch: () => this.epoch, store, clock, logger });
    this.#interactions = new InteractionForwarder({ shard, sender: environment.interactions, clock, random, logger });
    this.#connection = new GatewayConnection({
      shard,
      token: environment.token,
      intents: environment.intents,
      gatewayUrl: environment.gatewayUrl,
      compress: environment.compress,
      clock,
      random,
      logger,
      listener: this,
      ...(environment.dial && { dial: environment.dial }),
      identifyGate: {
        approach: (address, signal) => environment.identifyGate.approach(address, signal),
        // A second session of a shard that has moved on would double every event.
        win: async (address, signal) => {
          for (;;) {
            await this.#confirmed(signal);
            const permit = await environment.identifyGate.win(address, signal);
            // The wait may have been long, and this process may have stood still in it.
            if (!this.isFrozen && (await host.confirm(permitMs / 2, signal)) && !this.isFrozen) return permit;
            permit.settle('unused');
          }
        },
      },
      confirmBeforeResume: (signal) => this.#confirmBeforeResume(signal),
    });
  }

  /** Opens a socket and waits at HELLO, so that a handoff costs one round trip. Resolves when it waits there, rejects when `signal` aborts. */
  async poise(lease: Lease, signal: AbortSignal): Promise<void> {
    const held = new Promise<void>((resolve, reject) => {
      this.#onHeld = resolve;
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    this.#connection.connect(this.#sessionOf(lease), { holdAtHello: true });
    await held;
  }

  /** The lease is ours: goes on where its checkpoint says, on the socket that waits if there is one. */
  hold(lease: Lease): void {
    this.epoch = lease.epoch;
    this.#resumeUrl = lease.resumeUrl;
    const { checkpoint } = lease;
    const session = this.#sessionOf(lease);
    if (checkpoint.session !== undefined) this.#streams.push(this.#openStream(checkpoint.session, checkpoint));
    this.#isReplaying = session !== undefined;
    if (session !== undefined) this.#track(this.#restoreRoster());
    if (this.#connection.state === 'idle') this.#connection.connect(session);
    else this.#connection.proceed(session);
  }

  get stream(): SessionStream | undefined {
    while (this.#streams.length > 0) {
      const oldest = this.#streams[0] as SessionStream;
      if (!oldest.ended || !oldest.isDrained) return oldest;
      this.#streams.shift();
    }
    return undefined;
  }

  get state(): string {
    return this.#connection.state;
  }

  /** Connected, acknowledged, and the roster known (design, rules 11 and 12). */
  get isReady(): boolean {
    return this.#isReady && this.#roster.isComplete;
  }

  get bufferedBytes(): number {
    return this.#streams.reduce((bytes, stream) => bytes + stream.bufferedBytes, this.#interactions.bufferedBytes);
  }

  get resumeUrl(): string | undefined {
    return this.#resumeUrl;
  }

  /** One live session or none, and none just starting: then one checkpoint says all there is to hand over. */
  get isSettled(): boolean {
    const { stream } = this;
    if (this.isIdentifying) return false;
    return stream === undefined || (this.#streams.length === 1 && !stream.ended);
  }

  /** What Discord answers decides what there is to hand over. */
  get isIdentifying(): boolean {
    return this.#connection.state === 'identifying';
  }

  /** What a release carries: the newest session. Frames of a dead one that did not go out in time are lost, and told. */
  releaseCheckpoint(): Checkpoint {
    const { stream } = this;
    if (stream !== undefined && (stream !== this.#streams.at(-1) || stream.ended)) {
      this.#logger.error({ session: stream.session, frames: stream.bufferedFrames }, 'shard.frames_left_behind');
    }
    return this.#checkpoint();
  }

  checkpointEntry(): CheckpointEntry {
    return { epoch: this.epoch, ...this.#checkpoint() };
  }

  /** Speaks of the session that lives: frames of a dead one are replayed to nobody, so the next owner need not know of them. */
  #checkpoint(): Checkpoint {
    const newest = this.#streams.at(-1);
    return newest === undefined || newest.ended ? emptyCheckpoint : newest.checkpoint();
  }

  /** Stores what the next owner must know and Discord does not tell it again. Never rejects. */
  storeRoster(): Promise<void> {
    return this.#roster.storeNow();
  }

  pauseReading(): void {
    this.#connection.pauseReading();
  }

  resumeReading(): void {
    this.#connection.resumeReading();
  }

  /** Drops the socket and RESUMEs. */
  reconnect(reason: string): void {
    this.#connection.reconnect(reason);
  }

  /** The bot user and the guilds, as far as they are known. */
  get roster(): RosterKeeper['roster'] {
    return this.#roster.roster;
  }

  /** See `GatewayConnection.send`. */
  send(command: GatewayCommand): Promise<void> {
    return this.#connection.send(command);
  }

  /**
   * Starts anew: closes the socket so that the session lives, and RESUMEs; `fresh` gives the session up and IDENTIFYs
   * through the gate. A shard that Discord had stopped is tried again. Resolves when the shard has a session that is up.
   * @throws {BatonError} `SHARD_STOPPED` when Discord stops it, `REQUEST_FAILED` when `signal` aborts first.
   */
  async respawn({ fresh }: { fresh: boolean }, signal: AbortSignal): Promise<'resumed' | 'identified'> {
    const { promise, resolve, reject } = Promise.withResolvers<'resumed' | 'identified'>();
    const comeback = { resolve, reject };
    const giveUp = () => {
      const reason = `shard ${this.shard.shardId} was not up again in time; it goes on trying (${this.state})`;
      reject(new BatonError('REQUEST_FAILED', reason));
    };
    this.#comebacks.add(comeback);
    signal.addEventListener('abort', giveUp, { once: true });
    try {
      this.#logger.info({ fresh, state: this.state }, 'shard.respawn');
      this.#connection.respawn({ fresh });
      return await promise;
    } finally {
      signal.removeEventListener('abort', giveUp);
      this.#comebacks.delete(comeback);
    }
  }

  /** Closes the socket so that the session lives, and stops everything of the shard here. */
  async close(): Promise<void> {
    this.#closing.abort();
    const closed = this.#connection.close();
    this.#environment.identifyGate.leave(this.shard);
    await Promise.all([closed, this.#roster.close(), this.#interactions.close(), ...this.#tasks]);
  }

  /** Takes the rates since the last call; called at even intervals. */
  measure(): void {
    const nowMs = this.#environment.clock.monotonicMs();
    const { atMs, events, commands } = this.#measured;
    const seconds = Math.max(0.001, (nowMs - atMs) / 1000);
    this.#eventsPerSecond = Math.round(((this.#events - events) / seconds) * 10) / 10;
    this.#commandsPerSecond = Math.round(((this.#commands - commands) / seconds) * 10) / 10;
    if (this.#events > events) this.#lastHeardMs = nowMs;
    this.#measured = { atMs: nowMs, events: this.#events, commands: this.#commands };
  }

  /** How long the envelope in doubt has been tried, by this owner or another; 0 without one. */
  get queueAgeMs(): number {
    const doubt = this.stream?.doubt;
    return doubt === undefined ? 0 : Math.max(0, this.#environment.clock.wallClockMs() - doubt.firstAttemptAtMs);
  }

  report(): ShardReport {
    const { clock } = this.#environment;
    const { identifies, resumes, reconnects, lastCloseCode } = this.#connection.stats;
    const { readyAtMs, memberCount } = this.#roster;
    const hasSession = this.#streams.at(-1)?.ended === false;
    return {
      shard: shardKey(this.shard),
      epoch: this.epoch,
      state: this.#connection.state,
      ready: this.isReady,
      seq: this.#streams.at(-1)?.receivedSeq ?? 0,
      guildCount: this.#roster.guildCount,
      latencyMs: Math.round(this.#connection.latencyMs ?? 0),
      eventsPerSecond: this.#eventsPerSecond,
      bufferedEvents: this.#streams.reduce((frames, stream) => frames + stream.bufferedFrames, 0),
      figures: {
        memberCount,
        commandsPerSecond: this.#commandsPerSecond,
        identifies,
        resumes,
        reconnects,
        ...(lastCloseCode !== undefined && { lastCloseCode }),
        ...(readyAtMs !== undefined &&
          hasSession && { sessionAgeMs: Math.max(0, Math.round(clock.wallClockMs() - readyAtMs)) }),
        silentForMs: Math.round(clock.monotonicMs() - this.#lastHeardMs),
      },
    };
  }

  onDispatch(bytes: Buffer, seq: number, type: string): void {
    const stream = this.#streams.at(-1);
    if (stream === undefined) return;
    this.#events += 1;
    const { tap } = this.#environment;
    if (tap?.isOpen === true) tap.see(this.shard.shardId, bytes, seq, type);
    switch (type) {
      case 'INTERACTION_CREATE':
        this.#commands += 1;
        stream.hold(seq);
        this.#interactions.forward(bytes, { session: stream.session, epoch: this.epoch, seq }, () =>
          stream.letPass(seq),
        );
        break;
      case 'GUILD_CREATE':
      case 'GUILD_DELETE':
        this.#takeGuild(stream, bytes, seq, type);
        break;
      default:
        break;
    }
    stream.accept({ seq, type, bytes, replayed: this.#isReplaying });
  }

  onSessionStarted(session: GatewaySession, ready: ReadyFacts): void {
    this.#streams.push(this.#openStream(session.sessionId, undefined));
    this.#isReplaying = false;
    this.#isReady = true;
    this.#roster.begin(session.sessionId, ready);
    this.#setResumeUrl(session.resumeGatewayUrl);
    this.#logger.info({ epoch: this.epoch, guilds: ready.guildIds.length }, 'shard.ready');
    for (const { resolve } of this.#comebacks) resolve('identified');
    this.#host.checkpointSoon(this);
  }

  onResumed(): void {
    this.#isReplaying = false;
    this.#isReady = true;
    this.#logger.info({ epoch: this.epoch, seq: this.#streams.at(-1)?.receivedSeq }, 'shard.resumed');
    for (const { resolve } of this.#comebacks) resolve('resumed');
    this.#host.flushSoon(this);
  }

  onSessionLost(reason: string, { asked }: { asked: boolean }): void {
    const stream = this.#streams.at(-1);
    this.#isReplaying = false;
    if (stream === undefined || stream.ended) return;
    const dropped = stream.end();
    const end = {
      reason,
      session: stream.session,
      afterSeq: stream.receivedSeq,
      ...(dropped && { droppedEnvelope: dropped }),
    };
    // What an operator wanted is no alarm.
    if (asked) this.#logger.info(end, 'shard.session_given_up');
    else this.#logger.error(end, 'shard.session_lost');
    this.#host.checkpointSoon(this);
  }

  onStateChange(change: StateChange): void {
    if (change.to === 'holding') this.#onHeld?.();
    if (change.to === 'ready') {
      this.connectedSinceMs = this.#environment.clock.monotonicMs();
    } else if (change.from === 'ready') {
      this.connectedSinceMs = undefined;
      this.#isReady = false;
      this.#isReplaying = true;
    }
  }

  onFatal(error: BatonError): void {
    this.#isReady = false;
    for (const { reject } of this.#comebacks) reject(error);
    this.#host.onFatal(this, error);
  }

  #takeGuild(stream: SessionStream, bytes: Buffer, seq: number, type: 'GUILD_CREATE' | 'GUILD_DELETE'): void {
    const guild = scanGuildFields(bytes);
    if (guild?.id === undefined || guild.unavailable) return;
    const isChange =
      type === 'GUILD_CREATE'
        ? this.#roster.guildCreated(guild.id, guild.memberCount)
        : this.#roster.guildDeleted(guild.id);
    if (!isChange) return;
    stream.hold(seq);
    this.#roster.afterStoring(() => stream.letPass(seq));
  }

  #openStream(session: string, from: Checkpoint | undefined): SessionStream {
    const { isWanted, encoding, clock } = this.#environment;
    const stream: SessionStream = new SessionStream({
      session,
      from,
      isWanted,
      encoding,
      monotonicMs: () => clock.monotonicMs(),
      onOversized: (frame) => {
        this.#track(this.#park(stream, frame));
      },
    });
    return stream;
  }

  /** A frame that SQS cannot carry is stored aside, in the open: the checkpoint passes it only then. */
  async #park(stream: SessionStream, frame: KeptFrame): Promise<void> {
    const { parking, clock } = this.#environment;
    this.#logger.error({ type: frame.type, seq: frame.seq, bytes: frame.bytes.length }, 'shard.frame_oversized');
    while (!this.#closing.signal.aborted) {
      try {
        await parking.park(this.shard, stream.session, frame);
        stream.letPass(frame.seq);
        return;
      } catch (error) {
        this.#logger.error({ seq: frame.seq, error: messageOf(error) }, 'shard.frame_not_parked');
        await clock.sleep(1000, this.#closing.signal);
      }
    }
  }

  async #restoreRoster(): Promise<void> {
    const { clock } = this.#environment;
    while (!this.#closing.signal.aborted && !this.#roster.isComplete) {
      try {
        await this.#roster.restore();
      } catch (error) {
        this.#logger.warn({ error: messageOf(error) }, 'roster.not_restored');
        await clock.sleep(1000, this.#closing.signal);
      }
    }
  }

  /**
   * RESUME needs a lease that is not known to be lost: a confirmed write of the last seconds is enough. Without one the
   * shard tries to get one, then RESUMEs all the same, but only once: two owners must not take the session from each other in turn.
   */
  async #confirmBeforeResume(signal: AbortSignal): Promise<void> {
    const isConfirmed = await this.#host.confirm(confirmMs, signal);
    if (!this.isFrozen) {
      if (isConfirmed) {
        this.#resumedUnconfirmed = false;
        return;
      }
      if (!this.#resumedUnconfirmed) {
        this.#resumedUnconfirmed = true;
        this.#logger.warn({}, 'shard.resume_unconfirmed');
        return;
      }
    }
    this.#logger.warn({ frozen: this.isFrozen }, 'shard.waits_for_confirmation');
    await this.#confirmed(signal);
    this.#resumedUnconfirmed = false;
  }

  /** Waits until the lease is confirmed; rejects when `signal` aborts. */
  async #confirmed(signal: AbortSignal): Promise<void> {
    // A shard on its way to another owner stays as it is until the release has a definite answer.
    while (this.isFrozen || !(await this.#host.confirm(confirmMs, signal)) || this.isFrozen) {
      signal.throwIfAborted();
      await this.#environment.clock.sleep(100, signal);
    }
  }

  #track(task: Promise<void>): void {
    const tracked = task.finally(() => this.#tasks.delete(tracked));
    this.#tasks.add(tracked);
  }

  #setResumeUrl(resumeUrl: string): void {
    const { store, clock, incarnation } = this.#environment;
    if (resumeUrl === this.#resumeUrl) return;
    this.#resumeUrl = resumeUrl;
    const { epoch } = this;
    // Without it the next owner RESUMEs at the main URL: slower, never wrong. So a few tries are enough.
    const write = async () => {
      for (let attempt = 0; attempt < 5 && !this.#closing.signal.aborted && this.epoch === epoch; attempt += 1) {
        try {
          await store.setResumeUrl(this.shard, { owner: incarnation, epoch, resumeUrl });
          return;
        } catch (error) {
          this.#logger.warn({ error: messageOf(error) }, 'shard.resume_url_not_stored');
          await clock.sleep(1000, this.#closing.signal);
        }
      }
    };
    this.#track(write());
  }

  /** The session a lease hands over; without a resume URL it is resumed at the main one. */
  #sessionOf({ checkpoint, resumeUrl }: Lease): GatewaySession | undefined {
    if (checkpoint.session === undefined) return undefined;
    return {
      sessionId: checkpoint.session,
      resumeGatewayUrl: resumeUrl ?? this.#environment.gatewayUrl,
      seq: checkpoint.acknowledgedSeq,
    };
  }
}

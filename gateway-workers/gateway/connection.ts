import type { Clock, Timer } from '../../shared/clock.ts';
import type { GatewayCompression } from '../../shared/config.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { type Random, backoffMs } from '../../shared/random.ts';
import { type ShardAddress, shardKey } from '../../shared/sharding.ts';
import { closeRule } from './close-codes.ts';
import {
  heartbeatFrame,
  identifyFrame,
  isGatewayUrl,
  opcodes,
  readHeartbeatInterval,
  readReady,
  readResumable,
  resumeFrame,
} from './control-frames.ts';
import type { FrameHeader } from './frame-scan.ts';
import type {
  BadFrameReason,
  GatewayCommand,
  GatewayListener,
  GatewaySession,
  GatewayStats,
  IdentifyGate,
  IdentifyPermit,
  StateChange,
} from './gateway-session.ts';
import { type DialGateway, dialWebSocket, maxMessageBytes } from './gateway-socket.ts';
import { createInflater } from './inflate.ts';
import { SendLimiter } from './send-limiter.ts';
import {
  type Address,
  type GatewayEffect,
  type GatewayInput,
  type GatewayState,
  type Goal,
  step,
} from './session-machine.ts';
import { Wire, type WireListener } from './wire.ts';

export interface GatewayConnectionOptions {
  readonly shard: ShardAddress;
  readonly token: string;
  readonly intents: number;
  /** From `GET /gateway/bot`. */
  readonly gatewayUrl: string;
  readonly compress: GatewayCompression;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly listener: GatewayListener;
  readonly identifyGate: IdentifyGate;
  /**
   * Awaited, with the socket open and heartbeating, before every RESUME: whether the session is still the owner's own.
   * A rejection closes the socket and delays the RESUME.
   */
  readonly confirmBeforeResume: (signal: AbortSignal) => Promise<void>;
  /** @default a WebSocket over the network */
  readonly dial?: DialGateway;
}

export interface ConnectOptions {
  /** Open the socket, send heartbeats, and wait for `proceed`. */
  readonly holdAtHello?: boolean;
  /** Where a held socket is opened, if the session is not known yet. @default the session's own, else the main URL */
  readonly resumeGatewayUrl?: string;
}

const backOff = { baseMs: 1_000, capMs: 15_000 };
const refusalPauseMs = { min: 1_000, max: 5_000 };
/** A hole that two RESUMEs could not fill will never be filled. */
const resumesPerHole = 2;

/**
 * One shard's session over successive sockets: keeps it alive, resumes it, and starts a new one only when Discord has
 * refused the old. The decisions are in `session-machine.ts`; this class carries them out.
 */
export class GatewayConnection {
  readonly stats: GatewayStats = {
    reconnects: 0,
    resumes: 0,
    identifies: 0,
    zombies: 0,
    dispatches: 0,
    badFrames: {},
    lastCloseCode: undefined,
  };

  readonly #shard: ShardAddress;
  readonly #token: string;
  readonly #intents: number;
  readonly #gatewayUrl: string;
  readonly #compress: GatewayCompression;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #listener: GatewayListener;
  readonly #gate: IdentifyGate;
  readonly #confirmBeforeResume: (signal: AbortSignal) => Promise<void>;
  readonly #dialSocket: DialGateway;
  readonly #limiter: SendLimiter;

  /** Every wire is given up before the next one is made, so what is heard comes from the present one. */
  readonly #wireListener: WireListener = {
    onOpen: () => this.#apply({ kind: 'opened' }),
    onFrame: (frame, header) => {
      if (header.op === opcodes.dispatch) this.#receiveDispatch(frame, header);
      else this.#receiveControl(frame, header.op);
    },
    onUnreadable: (reason, detail) => this.#breakStream(reason, detail),
    onError: (error) => this.#logger.warn({ error: messageOf(error) }, 'gateway.socket_error'),
    onClose: (code, reason) => {
      this.stats.lastCloseCode = code;
      if (reason !== '') this.#logger.info({ closeCode: code, closeReason: reason }, 'gateway.closed_by_discord');
      this.#apply({ kind: 'closed', code });
    },
    onHeartbeatDue: () => this.#sendUrgent(heartbeatFrame(this.#seq)),
    onHeartbeatMissed: () => {
      this.stats.zombies++;
      this.#apply({ kind: 'heartbeatMissed' });
    },
  };

  #state: GatewayState = { kind: 'idle' };
  readonly #inputs: GatewayInput[] = [];
  #stepping = false;

  #sessionId: string | undefined;
  #resumeGatewayUrl = '';
  #seq: number | undefined;
  #holeAfter: number | undefined;
  #resumesForHole = 0;

  #wire: Wire | undefined;
  readonly #closing = new Set<Promise<void>>();
  #dialled = false;
  #latencyMs: number | undefined;
  #readingPaused = false;

  /** Back-off or deadline of the present state. */
  #timer: Timer | undefined;
  #pausedSinceArmed = false;
  #dispatchesWhenArmed = 0;
  /** The question to the gate or the owner that is open in the present state. */
  #asking: AbortController | undefined;
  #permit: IdentifyPermit | undefined;

  /** @throws {BatonError} `CONFIG_INVALID` for a URL that is none, or a compression this Node cannot read. */
  constructor(options: GatewayConnectionOptions) {
    const { shard, gatewayUrl, compress } = options;
    if (!isGatewayUrl(gatewayUrl)) {
      throw new BatonError('CONFIG_INVALID', `gateway URL ${JSON.stringify(gatewayUrl)} is not a ws or wss URL`);
    }
    createInflater(compress, maxMessageBytes).close();
    this.#shard = shard;
    this.#token = options.token;
    this.#intents = options.intents;
    this.#gatewayUrl = gatewayUrl;
    this.#compress = compress;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger.child({ component: 'gateway', shard: shardKey(shard) });
    this.#listener = options.listener;
    this.#gate = options.identifyGate;
    this.#confirmBeforeResume = options.confirmBeforeResume;
    this.#dialSocket = options.dial ?? dialWebSocket;
    this.#limiter = new SendLimiter(options.clock);
  }

  /** The session in hand, also after `close`; `undefined` before READY and after Discord has refused it. */
  get session(): GatewaySession | undefined {
    if (this.#sessionId === undefined) return undefined;
    return { sessionId: this.#sessionId, resumeGatewayUrl: this.#resumeGatewayUrl, seq: this.#seq ?? 0 };
  }

  get state(): GatewayState['kind'] {
    return this.#state.kind;
  }

  /** Time from the last heartbeat to its acknowledgement; `undefined` before the first. */
  get latencyMs(): number | undefined {
    return this.#latencyMs;
  }

  /** Starts: RESUMEs `session` when given, else IDENTIFYs through the gate. @throws {Error} when it runs already. */
  connect(session?: GatewaySession, { holdAtHello = false, resumeGatewayUrl }: ConnectOptions = {}): void {
    if (this.#state.kind !== 'idle' && this.#state.kind !== 'stopped') {
      throw new Error(`shard ${shardKey(this.#shard)} is connected already (${this.#state.kind})`);
    }
    this.#adopt(session);
    this.#readingPaused = false;
    this.#dialled = false;
    const hold: Goal = { kind: 'hold', resumeGatewayUrl: resumeGatewayUrl ?? session?.resumeGatewayUrl };
    this.#apply({ kind: 'connect', goal: holdAtHello ? hold : goalOf(session) });
  }

  /**
   * Ends the wait of `holdAtHello`: RESUMEs on the waiting socket, or IDENTIFYs when there is no session. Connects anew if that
   * socket is gone. Nothing happens after a fatal close.
   * @param session the one given to `connect` when left out
   * @throws {Error} when the connection was not held.
   */
  proceed(session: GatewaySession | undefined = this.session): void {
    const state = this.#state;
    if (state.kind === 'stopped') return;
    if (state.kind !== 'idle' && !('goal' in state && state.goal.kind === 'hold')) {
      throw new Error(`shard ${shardKey(this.#shard)} is not held at HELLO (${state.kind})`);
    }
    this.#adopt(session);
    this.#apply({ kind: 'proceed', session });
  }

  /** Backpressure. Heartbeats go on; frames of the data read already still arrive. A socket that breaks is dialled again only after `resumeReading`. */
  pauseReading(): void {
    if (this.#readingPaused) return;
    this.#readingPaused = true;
    this.#pausedSinceArmed = true;
    this.#wire?.pauseReading();
  }

  resumeReading(): void {
    if (!this.#readingPaused) return;
    this.#readingPaused = false;
    this.#wire?.resumeReading();
    this.#apply({ kind: 'readingResumed' });
  }

  /** Closes the socket so that the session lives, and RESUMEs. Without a socket there is nothing to do. */
  reconnect(reason: string): void {
    this.#apply({ kind: 'reconnect', reason });
  }

  /**
   * Starts anew on request: as {@link reconnect}, or with `fresh` as a new session. A connection that Discord had
   * stopped connects again; one that is on its way to a session goes on.
   */
  respawn({ fresh }: { fresh: boolean }): void {
    if (this.#state.kind === 'stopped') this.connect(fresh ? undefined : this.session);
    else this.#apply(fresh ? { kind: 'renew' } : { kind: 'reconnect', reason: 'respawn' });
  }

  /**
   * Sends as soon as Discord's limits and the session allow. Resolves when the socket has it; rejects with `COMMAND_REFUSED` when it is
   * above 4,096 bytes or too many wait, and with `SHARD_STOPPED` when the connection is closed.
   */
  send(command: GatewayCommand): Promise<void> {
    const { kind } = this.#state;
    if (kind === 'idle' || kind === 'stopped') return Promise.reject(this.#stoppedError());
    return this.#limiter.submit(command.op, JSON.stringify({ op: command.op, d: command.d }));
  }

  /** Closes so that the session can be resumed, by whoever holds `session`. Resolves when no socket and no timer is left, 2 s later at most. */
  async close(): Promise<void> {
    this.#apply({ kind: 'close' });
    this.#readingPaused = false;
    this.#limiter.rejectAll(this.#stoppedError());
    // Called from within a listener, the step above still waits for its turn.
    await Promise.resolve();
    await Promise.all(this.#closing);
  }

  #adopt(session: GatewaySession | undefined): void {
    this.#sessionId = session?.sessionId;
    this.#resumeGatewayUrl = session?.resumeGatewayUrl ?? '';
    this.#seq = session?.seq;
  }

  /** Steps the machine. What effects bring about meanwhile waits its turn, so that effects stay in order. */
  #apply(input: GatewayInput): void {
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    try {
      for (let next = this.#inputs.shift(); next; next = this.#inputs.shift()) this.#step(next);
    } finally {
      this.#stepping = false;
    }
  }

  #step(input: GatewayInput): void {
    const from = this.#state.kind;
    const { state, effects, reason } = step(this.#state, input);
    this.#state = state;
    if (state.kind !== from) {
      this.#asking?.abort();
      this.#asking = undefined;
      const change: StateChange = {
        from,
        to: state.kind,
        ...(reason === undefined ? {} : { reason }),
        ...(input.kind === 'closed' ? { closeCode: input.code } : {}),
      };
      this.#logger.debug(change, 'gateway.state_changed');
      this.#listener.onStateChange(change);
    }
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: GatewayEffect): void {
    switch (effect.kind) {
      case 'backOff':
        return this.#wait(effect.tries === 0 ? 0 : backoffMs(effect.tries - 1, this.#random, backOff));
      case 'backOffAfterRefusal': {
        const { min, max } = refusalPauseMs;
        return this.#wait(min + this.#random.next() * (max - min));
      }
      case 'dial':
        return this.#dial(effect.address);
      case 'armDeadline':
        return this.#armDeadline(effect.durationMs);
      case 'cancelDeadline':
        this.#timer?.cancel();
        this.#timer = undefined;
        return;
      case 'approachGate':
        return void this.#approachGate(this.#ask());
      case 'winPermit':
        return void this.#winPermit(this.#ask());
      case 'settlePermit': {
        const permit = this.#permit;
        this.#permit = undefined;
        return permit?.settle(effect.outcome);
      }
      case 'confirm':
        return void this.#confirm(this.#ask());
      case 'startHeartbeat':
        this.#limiter.startConnection(effect.intervalMs);
        return this.#wire?.startHeartbeat(effect.intervalMs);
      case 'sendHeartbeat':
        return this.#sendUrgent(heartbeatFrame(this.#seq));
      case 'sendIdentify':
        this.stats.identifies++;
        return this.#sendUrgent(identifyFrame(this.#token, this.#intents, this.#shard));
      case 'sendResume':
        this.stats.resumes++;
        return this.#sendUrgent(resumeFrame(this.#token, effect.session.sessionId, this.#seq ?? 0));
      case 'openCommands':
        return this.#limiter.open((frame) => this.#wire?.send(frame));
      case 'closeSocket':
        return this.#close(this.#giveUpWire());
      case 'terminateSocket':
        return this.#giveUpWire()?.terminate();
      case 'sessionLost':
        this.#adopt(undefined);
        if (!effect.asked) this.#logger.warn({ reason: effect.reason }, 'gateway.session_lost');
        return this.#listener.onSessionLost(effect.reason, { asked: effect.asked });
      case 'stop':
        return this.#stop(effect.closeCode);
    }
  }

  #wait(durationMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.schedule(durationMs, () =>
      this.#apply({ kind: 'waited', readingPaused: this.#readingPaused }),
    );
  }

  #armDeadline(durationMs: number): void {
    this.#timer?.cancel();
    this.#pausedSinceArmed = this.#readingPaused;
    this.#dispatchesWhenArmed = this.stats.dispatches;
    this.#timer = this.#clock.schedule(durationMs, () => {
      const excused = this.#pausedSinceArmed || this.stats.dispatches !== this.#dispatchesWhenArmed;
      this.#apply({ kind: 'timedOut', excused });
    });
  }

  /** A signal for a question that is void once the state changes. */
  #ask(): AbortSignal {
    this.#asking = new AbortController();
    return this.#asking.signal;
  }

  async #approachGate(signal: AbortSignal): Promise<void> {
    try {
      await this.#gate.approach(this.#shard, signal);
    } catch (error) {
      if (!signal.aborted) this.#apply({ kind: 'gateFailed', reason: messageOf(error) });
      return;
    }
    if (!signal.aborted) this.#apply({ kind: 'approached' });
  }

  async #winPermit(signal: AbortSignal): Promise<void> {
    for (;;) {
      let permit: IdentifyPermit;
      try {
        permit = await this.#gate.win(this.#shard, signal);
      } catch (error) {
        if (!signal.aborted) this.#apply({ kind: 'gateFailed', reason: messageOf(error) });
        return;
      }
      if (!signal.aborted && this.#clock.monotonicMs() < permit.sendBeforeMs) {
        this.#permit = permit;
        this.#apply({ kind: 'permitted' });
        return;
      }
      permit.settle('unused');
      if (signal.aborted) return;
    }
  }

  async #confirm(signal: AbortSignal): Promise<void> {
    try {
      await this.#confirmBeforeResume(signal);
    } catch (error) {
      if (!signal.aborted) this.#apply({ kind: 'confirmFailed', reason: messageOf(error) });
      return;
    }
    if (!signal.aborted) this.#apply({ kind: 'confirmed' });
  }

  #dial(address: Address): void {
    if (this.#dialled) this.stats.reconnects++;
    this.#dialled = true;
    const base = address.kind === 'main' ? this.#gatewayUrl : address.resumeGatewayUrl;
    if (!isGatewayUrl(base)) {
      this.#logger.warn({ url: base }, 'gateway.resume_url_invalid');
      return this.#apply({ kind: 'closed', code: 1006 });
    }
    this.#wire = new Wire({
      url: connectUrl(base, this.#compress),
      compress: this.#compress,
      dial: this.#dialSocket,
      clock: this.#clock,
      random: this.#random,
      readingPaused: this.#readingPaused,
      listener: this.#wireListener,
    });
  }

  #receiveDispatch(frame: Buffer, { seq, type }: FrameHeader): void {
    const { kind } = this.#state;
    // It is not part of the stream. If it should have been, the next event shows the hole.
    if (seq === null || seq === 0 || type === null) return this.#countBadFrame('dispatchIncomplete', 'no s or no t');
    if (kind !== 'ready' && kind !== 'resuming') return this.#receiveFirstDispatch(frame, seq, type);
    const last = this.#seq ?? 0;
    if (seq !== last + 1 && !this.#takesOutOfSequence(seq, last)) return;
    this.#seq = seq;
    this.stats.dispatches++;
    if (kind === 'resuming' && type === 'RESUMED') return this.#receiveResumed(frame, seq, type);
    this.#listener.onDispatch(frame, seq, type);
  }

  #receiveFirstDispatch(frame: Buffer, seq: number, type: string): void {
    if (this.#state.kind !== 'identifying') return this.#breakStream('dispatchOutOfPlace', `in ${this.#state.kind}`);
    if (type !== 'READY') return this.#countBadFrame('dispatchOutOfPlace', `${type} before READY`);
    const ready = readReady(frame);
    if (!ready) return this.#breakStream('readyUnreadable', 'fields are missing');
    const { sessionId, resumeGatewayUrl = this.#gatewayUrl, applicationId, userId, guildIds } = ready;
    this.#adopt({ sessionId, resumeGatewayUrl, seq });
    this.stats.dispatches++;
    const wire = this.#wire;
    this.#apply({ kind: 'sessionStarted', session: { sessionId, resumeGatewayUrl } });
    this.#listener.onSessionStarted({ sessionId, resumeGatewayUrl, seq }, { applicationId, userId, guildIds });
    if (wire === this.#wire) this.#listener.onDispatch(frame, seq, type);
  }

  #receiveResumed(frame: Buffer, seq: number, type: string): void {
    const wire = this.#wire;
    this.#apply({ kind: 'resumed' });
    this.#listener.onResumed();
    if (wire === this.#wire) this.#listener.onDispatch(frame, seq, type);
  }

  /** Whether a dispatch that does not follow the last one is taken nevertheless. */
  #takesOutOfSequence(seq: number, last: number): boolean {
    if (seq <= last) {
      this.#countBadFrame('repeat', `${seq} after ${last}`);
      return false;
    }
    if (this.#holeAfter !== last) {
      this.#holeAfter = last;
      this.#resumesForHole = 0;
    }
    if (this.#resumesForHole < resumesPerHole) {
      this.#resumesForHole++;
      this.#breakStream('hole', `${seq} after ${last}`);
      return false;
    }
    this.#countBadFrame('holeAccepted', `${seq} after ${last}`);
    return true;
  }

  #receiveControl(frame: Buffer, op: number): void {
    switch (op) {
      case opcodes.heartbeatAck:
        this.#latencyMs = this.#wire?.acknowledge() ?? this.#latencyMs;
        return this.#apply({ kind: 'heartbeatAcknowledged' });
      case opcodes.heartbeat:
        return this.#apply({ kind: 'heartbeatRequested' });
      case opcodes.reconnect:
        return this.#apply({ kind: 'reconnectRequested' });
      case opcodes.invalidSession:
        return this.#apply({ kind: 'sessionInvalid', resumable: readResumable(frame) });
      case opcodes.hello: {
        const heartbeatIntervalMs = readHeartbeatInterval(frame);
        if (heartbeatIntervalMs === undefined) return this.#breakStream('helloUnreadable', 'no heartbeat_interval');
        return this.#apply({ kind: 'hello', heartbeatIntervalMs });
      }
      default:
        return this.#countBadFrame('unknownOp', `op ${op}`);
    }
  }

  #countBadFrame(reason: BadFrameReason, detail: string): void {
    this.stats.badFrames[reason] = (this.stats.badFrames[reason] ?? 0) + 1;
    // After a RESUME there may be thousands of repeats.
    this.#logger[reason === 'repeat' ? 'debug' : 'warn']({ reason, detail }, 'gateway.bad_frame');
  }

  #breakStream(reason: BadFrameReason, detail: string): void {
    this.#countBadFrame(reason, detail);
    this.#apply({ kind: 'streamBroken', reason: `bad frame (${reason}): ${detail}` });
  }

  #sendUrgent(frame: string): void {
    this.#limiter.countUrgent();
    this.#wire?.send(frame);
  }

  /** The present wire, which is from now on an old one. */
  #giveUpWire(): Wire | undefined {
    const wire = this.#wire;
    this.#wire = undefined;
    this.#limiter.shut();
    return wire;
  }

  #close(wire: Wire | undefined): void {
    if (!wire) return;
    const closing = wire.close().finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
  }

  #stop(closeCode: number): void {
    const { meaning, remedy } = closeRule(closeCode);
    const error = new BatonError(
      closeCode === 4004 ? 'DISCORD_UNAUTHORIZED' : 'SHARD_STOPPED',
      `shard ${shardKey(this.#shard)}: Discord closed the gateway with ${closeCode} (${meaning}); ${remedy}`,
    );
    this.#logger.error({ closeCode }, error.message);
    this.#limiter.rejectAll(error);
    this.#listener.onFatal(error);
  }

  #stoppedError(): BatonError {
    return new BatonError(
      'SHARD_STOPPED',
      `shard ${shardKey(this.#shard)} is not connected: send the command again later`,
    );
  }
}

function goalOf(session: GatewaySession | undefined): Goal {
  return session ? { kind: 'resume', session } : { kind: 'identify' };
}

function connectUrl(base: string, compress: GatewayCompression): string {
  const url = new URL(base);
  url.hash = '';
  url.searchParams.set('v', '10');
  url.searchParams.set('encoding', 'json');
  if (compress !== 'none') url.searchParams.set('compress', compress);
  return url.toString();
}

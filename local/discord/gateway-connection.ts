import type { RawData, WebSocket } from 'ws';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { ShardAddress } from '../../shared/sharding.ts';
import { type IdentifyRules, judgeIdentify, resumeSchema } from './client-payloads.ts';
import { createEncoder, type FrameEncoder, payloadCompression, type Transport } from './frame-encoder.ts';
import type { GatewayCommands } from './gateway-commands.ts';
import {
  finalInvalidSessionFrame,
  heartbeatAckFrame,
  heartbeatRequestFrame,
  helloFrame,
  reconnectFrame,
  resumableInvalidSessionFrame,
} from './gateway-frames.ts';
import type { IdentifyLimits } from './identify-limits.ts';
import type { Session, SessionConnection } from './session.ts';
import type { Sessions } from './sessions.ts';
import type { SimulatorStats } from './simulator-stats.ts';

export interface ConnectionOptions {
  readonly heartbeatIntervalMs: number;
  /** A connection without a heartbeat for this many intervals is closed with 4009. */
  readonly heartbeatGrace: number;
  readonly identifyTimeoutMs: number;
  readonly identifyViolationDelayMs: number;
  readonly invalidSessionCloses: boolean;
  readonly doubleResumeCloseCode: number;
  readonly reconnectGraceMs: number;
  readonly sendLimit: { readonly frames: number; readonly perMs: number };
  readonly maxBufferedBytes: number;
}

/** What a connection needs of the simulator around it. */
export interface ConnectionDeps {
  readonly options: ConnectionOptions;
  readonly clock: Clock;
  readonly stats: SimulatorStats;
  readonly sessions: Sessions;
  readonly limits: IdentifyLimits;
  readonly commands: GatewayCommands;
  readonly identifyRules: IdentifyRules;
  /** The daily budget of IDENTIFYs is overrun. */
  readonly onBudgetExhausted: () => void;
  readonly onClosed: (connection: GatewayConnection) => void;
}

/** How a connection came about. */
export interface ConnectionTerms {
  readonly transport: Transport;
  readonly atResumeUrl: boolean;
  /** HELLO is held back for this long. */
  readonly helloDelayMs: number;
  /** Silent from the start: no HELLO, no answer. */
  readonly silent: boolean;
}

type ConnectionState =
  /** HELLO not sent yet. */
  | { readonly kind: 'greeting' }
  /** HELLO sent; IDENTIFY or RESUME is expected. */
  | { readonly kind: 'waiting'; readonly sinceMs: number }
  | { readonly kind: 'attached'; readonly session: Session }
  /** A close frame was sent, or the socket is gone. */
  | { readonly kind: 'closing'; readonly sinceMs: number };

/** A client frame may have at most this many bytes; a longer one is answered with 4002. */
const maxClientFrameBytes = 4096;
/** How long a client may take to answer a close frame. */
const closeHandshakeMs = 2000;

/** One WebSocket of a client: what Discord checks, answers and closes with. */
export class GatewayConnection implements SessionConnection {
  /** Off: heartbeats are taken but not acknowledged. */
  acknowledgesHeartbeats = true;
  readonly terms: ConnectionTerms;
  readonly #socket: WebSocket;
  readonly #deps: ConnectionDeps;
  readonly #timers = new Set<Timer>();
  #state: ConnectionState = { kind: 'greeting' };
  #encoder: FrameEncoder;
  #silent = false;
  #hadSession = false;
  #lastSentSeq = 0;
  #lastHeartbeatAtMs = 0;
  #windowStartMs: number;
  #framesInWindow = 0;
  /** What the simulator closed with, when it did. */
  #ownClose: { code: number; reason: string } | undefined;
  #shardAtClose: ShardAddress | undefined;

  constructor(socket: WebSocket, terms: ConnectionTerms, deps: ConnectionDeps) {
    this.#socket = socket;
    this.terms = terms;
    this.#deps = deps;
    this.#encoder = createEncoder(terms.transport);
    this.#windowStartMs = deps.clock.monotonicMs();
    socket.on('message', (data) => this.#onMessage(data));
    socket.on('close', (code, reason) => this.#onClose(code, reason.toString()));
    // Errors of the socket are followed by 'close', which is where they are recorded.
    socket.on('error', () => socket.terminate());
    this.#silent = terms.silent;
    if (terms.helloDelayMs > 0) this.#later(terms.helloDelayMs, () => this.#greet());
    else this.#greet();
  }

  get session(): Session | undefined {
    return this.#state.kind === 'attached' ? this.#state.session : undefined;
  }

  get silent(): boolean {
    return this.#silent;
  }

  /** A silent peer neither sends nor hears anything; when it speaks again it sends what it owes. */
  set silent(silent: boolean) {
    if (this.#silent === silent) return;
    this.#silent = silent;
    this.#lastHeartbeatAtMs = this.#deps.clock.monotonicMs();
    if (silent) return;
    if (this.#state.kind === 'greeting' && this.#timers.size === 0) this.#greet();
    if (this.#state.kind !== 'attached') return;
    for (const { seq, frame } of this.#state.session.buffer.framesAfter(this.#lastSentSeq)) this.deliver(seq, frame);
  }

  deliver(seq: number, frame: Buffer): void {
    if (this.#silent) return;
    this.#lastSentSeq = seq;
    this.#send(frame);
  }

  /** Sends op 7 and closes by itself a little later, as Discord does. */
  requestReconnect(): void {
    this.#send(reconnectFrame);
    this.#later(this.#deps.options.reconnectGraceMs, () => this.close(4000, 'Reconnect requested.'));
  }

  /** Asks for a heartbeat at once (op 1). */
  requestHeartbeat(): void {
    this.#send(heartbeatRequestFrame);
  }

  /** Sends op 9; with `resumable` false the session ends. */
  invalidateSession(resumable: boolean): void {
    const { session } = this;
    if (session) {
      if (resumable) this.#deps.sessions.detach(session);
      else this.#deps.sessions.end(session, 'invalidated');
      this.#state = { kind: 'waiting', sinceMs: this.#deps.clock.monotonicMs() };
    }
    this.#sendInvalidSession(resumable);
  }

  /** Sends bytes that need not be a gateway frame: through the transport's compression, or raw as a binary message. */
  sendBytes(bytes: Buffer, how: 'encoded' | 'raw'): void {
    if (how === 'encoded') this.#send(bytes);
    else this.#socket.send(bytes, { binary: true });
  }

  /** Closes with a close frame. The session, if any, can be resumed unless its owner ended it. */
  close(code: number, reason: string): void {
    if (this.#state.kind === 'closing') return;
    this.#leaveSession();
    this.#ownClose = { code, reason };
    this.#socket.close(code, reason);
  }

  /** Drops the TCP connection without a close frame. */
  cut(): void {
    this.#leaveSession();
    this.#ownClose = { code: 1006, reason: 'cut' };
    this.#socket.terminate();
  }

  /** Applies the time limits: heartbeats, identifying, the close handshake. */
  sweep(nowMs: number): void {
    const { options } = this.#deps;
    if (this.#state.kind === 'closing') {
      if (nowMs - this.#state.sinceMs >= closeHandshakeMs) this.#socket.terminate();
      return;
    }
    if (this.#state.kind === 'greeting' || this.#silent) return;
    const identifyLate = this.#state.kind === 'waiting' && nowMs - this.#state.sinceMs >= options.identifyTimeoutMs;
    const heartbeatLate = nowMs - this.#lastHeartbeatAtMs >= options.heartbeatIntervalMs * options.heartbeatGrace;
    if (identifyLate || heartbeatLate) this.close(4009, 'Session timed out.');
  }

  #greet(): void {
    if (this.#silent) return;
    const nowMs = this.#deps.clock.monotonicMs();
    this.#state = { kind: 'waiting', sinceMs: nowMs };
    this.#lastHeartbeatAtMs = nowMs;
    this.#send(helloFrame(this.#deps.options.heartbeatIntervalMs));
  }

  #onMessage(data: RawData): void {
    if (this.#silent || this.#state.kind === 'closing') return;
    if (this.#isOverSendLimit()) {
      this.close(4008, 'Rate limited.');
      return;
    }
    const bytes = Buffer.isBuffer(data) ? data : Buffer.concat(Array.isArray(data) ? data : [Buffer.from(data)]);
    const frame = bytes.length > maxClientFrameBytes ? undefined : parseFrame(bytes);
    if (frame) this.#onFrame(frame.op, frame.d);
    else this.close(4002, 'Error while decoding payload.');
  }

  #onFrame(op: number, d: unknown): void {
    if (op === 1) {
      this.#onHeartbeat(d);
    } else if (this.#state.kind === 'attached') {
      if (op === 2 || op === 6) {
        this.close(4005, 'Already authenticated.');
        return;
      }
      const outcome = this.#deps.commands.run(this.#state.session, op, d);
      if (outcome !== 'done') this.close(4001, outcome === 'unknownOp' ? 'Unknown opcode.' : 'Invalid payload.');
    } else if (this.#state.kind === 'waiting' && op === 2) {
      this.#onIdentify(d);
    } else if (this.#state.kind === 'waiting' && op === 6) {
      this.#onResume(d);
    } else {
      this.close(4003, 'Not authenticated.');
    }
  }

  #onHeartbeat(d: unknown): void {
    const { session } = this;
    this.#deps.stats.heartbeats += 1;
    this.#lastHeartbeatAtMs = this.#deps.clock.monotonicMs();
    if (session && typeof d === 'number' && d <= session.buffer.lastSeq) {
      session.acknowledgedSeq = Math.max(session.acknowledgedSeq, d);
    }
    if (this.acknowledgesHeartbeats) this.#send(heartbeatAckFrame);
  }

  #onIdentify(d: unknown): void {
    const { stats, limits, sessions, options, identifyRules, onBudgetExhausted } = this.#deps;
    if (this.terms.atResumeUrl) stats.identifiesAtResumeUrl += 1;
    const verdict = judgeIdentify(d, identifyRules);
    if (verdict.kind === 'refused') {
      this.#recordIdentify(verdict.shard, verdict.code);
      this.close(verdict.code, verdict.reason);
      return;
    }
    const { identify } = verdict;
    switch (limits.admit(identify.shard?.shardId ?? 0)) {
      case 'exhausted':
        this.#recordIdentify(identify.shard, 'exhausted');
        onBudgetExhausted();
        return;
      case 'tooSoon':
        this.#recordIdentify(identify.shard, 'tooSoon');
        stats.identifyViolations += 1;
        this.#later(options.identifyViolationDelayMs, () => this.#sendInvalidSession(false));
        return;
      case 'admitted':
        break;
    }
    this.#recordIdentify(identify.shard, 'ready');
    if (identify.compressPayloads && this.terms.transport === 'none') this.#encoder = payloadCompression;
    this.#attach(sessions.start(identify, this));
  }

  #attach(session: Session): void {
    // The client may have been cut off for reading too slowly while READY or the replay was sent.
    if (this.#state.kind === 'closing') this.#deps.sessions.detach(session);
    else this.#state = { kind: 'attached', session };
    this.#hadSession = true;
  }

  #onResume(d: unknown): void {
    const { stats, clock, sessions, identifyRules, options } = this.#deps;
    const parsed = resumeSchema.safeParse(d);
    if (!parsed.success) {
      this.close(4001, 'Invalid payload.');
      return;
    }
    // After op 9 a client may resume on the socket it has: that says nothing about the URL it would dial.
    if (!this.terms.atResumeUrl && !this.#hadSession) stats.resumesAtMainUrl += 1;
    const { token, session_id: sessionId, seq } = parsed.data;
    const record = { atMs: clock.wallClockMs(), sessionId, seq };
    if (!identifyRules.acceptsToken(token)) {
      stats.resumes.push({ ...record, shard: undefined, replayed: 0, outcome: 'badToken' });
      this.close(4004, 'Authentication failed.');
      return;
    }
    const older = sessions.connectionOf(sessionId);
    const outcome = sessions.resume(sessionId, seq, this);
    const replayed = outcome.kind === 'resumed' ? outcome.replayed : 0;
    stats.resumes.push({ ...record, shard: outcome.session?.shard, replayed, outcome: outcome.kind });
    switch (outcome.kind) {
      case 'resumed':
        this.#attach(outcome.session);
        // A session has one connection: whoever held it until now is out.
        if (older instanceof GatewayConnection) older.#lose(options.doubleResumeCloseCode);
        break;
      case 'seqAhead':
        this.close(4007, 'Invalid seq.');
        break;
      case 'unknownSession':
      case 'tooOld':
        if (older instanceof GatewayConnection) older.#lose(options.doubleResumeCloseCode);
        this.#sendInvalidSession(false);
        break;
    }
  }

  /** Another connection has taken the session over: this one closes without touching it. */
  #lose(code: number): void {
    this.#shardAtClose ??= this.session?.shard;
    this.#state = { kind: 'waiting', sinceMs: this.#deps.clock.monotonicMs() };
    this.close(code, 'Session no longer valid.');
  }

  #sendInvalidSession(resumable: boolean): void {
    this.#send(resumable ? resumableInvalidSessionFrame : finalInvalidSessionFrame);
    if (this.#deps.options.invalidSessionCloses) this.close(4000, 'Invalid session.');
  }

  #recordIdentify(shard: ShardAddress | undefined, outcome: 'ready' | 'tooSoon' | 'exhausted' | number): void {
    const { stats, clock, limits } = this.#deps;
    const { shardId, shardCount } = shard ?? { shardId: 0, shardCount: 1 };
    stats.identifies.push({ atMs: clock.wallClockMs(), shardId, shardCount, key: limits.keyOf(shardId), outcome });
  }

  #isOverSendLimit(): boolean {
    const { sendLimit } = this.#deps.options;
    const nowMs = this.#deps.clock.monotonicMs();
    if (nowMs - this.#windowStartMs >= sendLimit.perMs) {
      this.#windowStartMs = nowMs;
      this.#framesInWindow = 0;
    }
    this.#framesInWindow += 1;
    return this.#framesInWindow > sendLimit.frames;
  }

  #send(frame: Buffer): void {
    if (this.#silent || this.#state.kind === 'closing') return;
    const { stats, options } = this.#deps;
    const { data, binary } = this.#encoder.encode(frame);
    stats.messagesSent += 1;
    stats.bytesSent += data.length;
    this.#socket.send(data, { binary });
    if (this.#socket.bufferedAmount > options.maxBufferedBytes) {
      stats.slowReaders += 1;
      this.cut();
    }
  }

  #later(delayMs: number, run: () => void): void {
    const timer = this.#deps.clock.schedule(delayMs, () => {
      this.#timers.delete(timer);
      run();
    });
    this.#timers.add(timer);
  }

  #leaveSession(): void {
    const { session } = this;
    this.#shardAtClose ??= session?.shard;
    if (session) this.#deps.sessions.detach(session);
    this.#state = { kind: 'closing', sinceMs: this.#deps.clock.monotonicMs() };
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
  }

  #onClose(code: number, reason: string): void {
    const { stats, clock, sessions, onClosed } = this.#deps;
    const { session } = this;
    this.#leaveSession();
    // These two codes of a client end its session; every other way to go keeps it (Discord, "Gateway", Disconnecting).
    if (session && (code === 1000 || code === 1001)) sessions.end(session, 'closedByClient', session.buffer.lastSeq);
    stats.closes.push({
      atMs: clock.wallClockMs(),
      shard: this.#shardAtClose,
      code: this.#ownClose?.code ?? code,
      reason: this.#ownClose?.reason ?? reason,
      by: this.#ownClose ? 'simulator' : code === 1006 ? 'peer lost' : 'client',
    });
    this.#encoder.close();
    onClosed(this);
  }
}

/** The opcode and data of a client frame; `undefined` when it is not one. */
function parseFrame(bytes: Buffer): { op: number; d: unknown } | undefined {
  let frame: unknown;
  try {
    frame = JSON.parse(bytes.toString());
  } catch {
    return undefined;
  }
  if (typeof frame !== 'object' || frame === null) return undefined;
  const { op, d } = frame as Record<string, unknown>;
  return Number.isInteger(op) ? { op: op as number, d } : undefined;
}

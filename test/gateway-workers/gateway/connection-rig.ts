import { GatewayConnection, type GatewayConnectionOptions } from '../../../gateway-workers/gateway/connection.ts';
import type {
  GatewayListener,
  GatewaySession,
  IdentifyGate,
  IdentifyPermit,
  ReadyFacts,
  StateChange,
} from '../../../gateway-workers/gateway/gateway-session.ts';
import type {
  DialGateway,
  GatewaySocket,
  GatewaySocketHandlers,
} from '../../../gateway-workers/gateway/gateway-socket.ts';
import type { IdentifyOutcome } from '../../../gateway-workers/gateway/session-machine.ts';
import type { BatonError } from '../../../shared/errors.ts';
import { type Logger, silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';

export const token = 'secret.token.value';
export const mainUrl = 'wss://gateway.example/';
export const resumeUrl = 'wss://resume.example';
export const session: GatewaySession = { sessionId: 'session-1', resumeGatewayUrl: resumeUrl, seq: 10 };

/** The far end of a socket, moved by the test. What is sent while the client does not read waits. */
export class FakeSocket implements GatewaySocket {
  readonly url: string;
  readonly sent: { op: number; d: unknown }[] = [];
  closedWith: number | undefined;
  terminated = false;
  paused = false;
  readonly #handlers: GatewaySocketHandlers;
  #unread: (() => void)[] = [];

  constructor(url: string, handlers: GatewaySocketHandlers) {
    this.url = url;
    this.#handlers = handlers;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(code: number): void {
    this.closedWith = code;
  }

  terminate(): void {
    this.terminated = true;
  }

  pause(): void {
    this.paused = true;
  }

  resume(): void {
    this.paused = false;
    const unread = this.#unread;
    this.#unread = [];
    for (const read of unread) read();
  }

  ops(): number[] {
    return this.sent.map(({ op }) => op);
  }

  opens(): this {
    this.#handlers.onOpen();
    return this;
  }

  says(frame: object | string, isBinary = Buffer.isBuffer(frame)): this {
    const data = Buffer.isBuffer(frame)
      ? frame
      : Buffer.from(typeof frame === 'string' ? frame : JSON.stringify(frame));
    const read = () => this.#handlers.onMessage(data, isBinary);
    if (this.paused) this.#unread.push(read);
    else read();
    return this;
  }

  fails(error: Error): this {
    this.#handlers.onError(error);
    return this;
  }

  closes(code = 1006, reason = ''): this {
    this.#handlers.onClose(code, reason);
    return this;
  }

  hello(heartbeat_interval = 40_000): this {
    return this.says({ t: null, s: null, op: 10, d: { heartbeat_interval } });
  }

  ack(): this {
    return this.says({ t: null, s: null, op: 11, d: null });
  }

  dispatch(s: number, t = 'MESSAGE_CREATE', d: object = { id: String(s) }): this {
    return this.says({ t, s, op: 0, d });
  }

  ready(s = 1, sessionId = 'session-1'): this {
    return this.dispatch(s, 'READY', {
      session_id: sessionId,
      resume_gateway_url: resumeUrl,
      user: { id: '100' },
      application: { id: '200' },
      guilds: [{ id: '1', unavailable: true }],
    });
  }

  resumed(s: number): this {
    return this.dispatch(s, 'RESUMED', {});
  }
}

/** Permits on request, and what became of them. */
export class FakeGate implements IdentifyGate {
  approached = 0;
  readonly outcomes: IdentifyOutcome[] = [];
  /** Each permit is good for this long. */
  permitMs = 2_000;
  readonly #clock: ManualClock;
  /** Runs before `win` answers. */
  beforeWin: (signal: AbortSignal) => Promise<void> = async () => undefined;
  beforeApproach: (signal: AbortSignal) => Promise<void> = async () => undefined;

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  async approach(_shard: object, signal: AbortSignal): Promise<void> {
    this.approached++;
    await this.beforeApproach(signal);
  }

  async win(_shard: object, signal: AbortSignal): Promise<IdentifyPermit> {
    const sendBeforeMs = this.#clock.monotonicMs() + this.permitMs;
    await this.beforeWin(signal);
    let settled = false;
    return {
      sendBeforeMs,
      settle: (outcome) => {
        if (settled) throw new Error('settled twice');
        settled = true;
        this.outcomes.push(outcome);
      },
    };
  }
}

/** Notes everything as `kind` or `kind detail`, in order. */
export class NotingListener implements GatewayListener {
  readonly notes: string[] = [];
  readonly frames: string[] = [];
  readonly changes: StateChange[] = [];
  started: { session: GatewaySession; ready: ReadyFacts } | undefined;
  fatal: BatonError | undefined;
  /** Runs after each dispatch was noted. */
  afterDispatch: (seq: number) => void = () => undefined;

  onDispatch(frame: Buffer, seq: number, type: string): void {
    this.frames.push(frame.toString());
    this.notes.push(`${type} ${seq}`);
    this.afterDispatch(seq);
  }

  onSessionStarted(session: GatewaySession, ready: ReadyFacts): void {
    this.started = { session, ready };
    this.notes.push('started');
  }

  onResumed(): void {
    this.notes.push('resumed');
  }

  onSessionLost(_reason: string, { asked }: { asked: boolean }): void {
    this.notes.push(asked ? 'given up' : 'lost');
  }

  onStateChange(change: StateChange): void {
    this.changes.push(change);
  }

  onFatal(error: BatonError): void {
    this.fatal = error;
    this.notes.push('fatal');
  }
}

/** Keeps every line as text. */
export function notingLogger(lines: string[]): Logger {
  const note = (fields: object, message: string) => void lines.push(JSON.stringify({ ...fields, message }));
  return { debug: note, info: note, warn: note, error: note, child: () => notingLogger(lines) };
}

export class Rig {
  readonly clock = new ManualClock();
  readonly gate = new FakeGate(this.clock);
  readonly listener = new NotingListener();
  readonly sockets: FakeSocket[] = [];
  readonly confirmations: AbortSignal[] = [];
  confirm: () => Promise<void> = async () => undefined;
  readonly connection: GatewayConnection;

  constructor(options: Partial<GatewayConnectionOptions> = {}) {
    const dial: DialGateway = (url, handlers) => {
      const socket = new FakeSocket(url, handlers);
      this.sockets.push(socket);
      return socket;
    };
    this.connection = new GatewayConnection({
      shard: { shardId: 3, shardCount: 64 },
      token,
      intents: 513,
      gatewayUrl: mainUrl,
      compress: 'none',
      clock: this.clock,
      random: seededRandom(1),
      logger: silentLogger,
      listener: this.listener,
      identifyGate: this.gate,
      confirmBeforeResume: (signal) => {
        this.confirmations.push(signal);
        return this.confirm();
      },
      dial,
      ...options,
    });
  }

  /** The socket dialled last. */
  get socket(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (!socket) throw new Error('nothing was dialled');
    return socket;
  }

  /** Waits, in the connection's time, until one more socket is dialled. */
  async nextSocket(withinMs = 20_000): Promise<FakeSocket> {
    const before = this.sockets.length;
    const untilMs = this.clock.monotonicMs() + withinMs;
    await this.clock.settle();
    while (this.sockets.length === before) {
      const nextMs = this.clock.nextTimerMs;
      if (nextMs === undefined || this.clock.monotonicMs() + nextMs > untilMs) throw new Error('no further dial');
      await this.clock.advance(nextMs);
    }
    return this.socket;
  }

  /** A new session, read up to READY (`s` 1). */
  async identified(): Promise<FakeSocket> {
    this.connection.connect();
    await this.clock.settle();
    this.socket.opens().hello();
    await this.clock.settle();
    return this.socket.ready();
  }

  /** `session` resumed: RESUMED has `s` 11. */
  async resumed(): Promise<FakeSocket> {
    this.connection.connect(session);
    await this.clock.settle();
    this.socket.opens().hello();
    await this.clock.settle();
    this.confirmations.length = 0;
    return this.socket.resumed(11);
  }
}

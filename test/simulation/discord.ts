import type {
  DialGateway,
  GatewaySocket,
  GatewaySocketHandlers,
} from '../../gateway-workers/gateway/gateway-socket.ts';
import type { Chance } from './chance.ts';
import type { EventKind, Ledger, SessionRecord } from './ledger.ts';
import type { SimProcess } from './machine.ts';
import { poisonType } from './queues.ts';
import type { World } from './world.ts';

export interface DiscordOptions {
  readonly shardCount: number;
  readonly guildsPerShard: number;
  readonly maxConcurrency: number;
  readonly heartbeatIntervalMs: number;
  /** How long a session without a connection can be resumed. */
  readonly resumeWindowMs: number;
  /** Frames a session keeps for replay. */
  readonly replayFrames: number;
  /** Close code of the older connection when a session is resumed on another. */
  readonly doubleResumeCode: number;
  /** A connection that neither IDENTIFYs nor RESUMEs is closed after this time. */
  readonly silentForMs: number;
  readonly identifies: number;
}

export const mainGatewayUrl = 'wss://gateway.sim';
const identifySpacingMs = 5000;
/** The identify gate waits this long for a worker that does not move its token. */
const abandonedMs = 9000 * 0.98;
const totalIdentifies = 1000;

type ClientFrame =
  | { readonly op: 1; readonly d: unknown }
  | { readonly op: 2; readonly d: { readonly shard: readonly [number, number] } }
  | { readonly op: 6; readonly d: { readonly session_id: string; readonly seq: number } };

/** What a gateway host does to connections. */
export type HostFault = 'refuses' | 'swallows';

interface Session {
  readonly record: SessionRecord;
  readonly resumeUrl: string;
  /** Frame of sequence number `evicted + 1 + i` at index `i`. */
  readonly frames: Buffer[];
  evicted: number;
  connection: Connection | undefined;
  detachedMs: number;
}

/** Discord: sessions that number and keep events, connections that come and go, and the limits on IDENTIFY. */
export class SimDiscord {
  /** An IDENTIFY is refused with op 9 with this probability. */
  refusesIdentify = 0;
  /** READY takes up to this long. */
  slowestReadyMs = 300;
  readonly options: DiscordOptions;
  /** Told of every new session; what it brings is on its way for at most `slowestReadyMs`. */
  onStarted: (started: { process: SimProcess; record: SessionRecord; isStillRead: () => boolean }) => void = () => {};
  /** Told of every RESUME. */
  onResume: (sessionId: string, by: string) => void = () => {};
  /** Told when a client has closed the connection of a session that it may resume. */
  onLeft: (left: { process: SimProcess; incarnation: string; shardId: number; isStillLeft: () => boolean }) => void =
    () => {};
  readonly #world: World;
  readonly #chance: Chance;
  readonly #ledger: Ledger;
  readonly #sessions = new Map<string, Session>();
  readonly #byShard: Session[][];
  readonly #hostFaults = new Map<string, HostFault>();
  readonly #identifiedMs = new Map<number, number>();
  readonly #numbers = new Map<string, number>();
  readonly #stalled: Connection[] = [];
  #remainingIdentifies: number;
  #identifies = 0;
  #resumes = 0;
  #sessionCount = 0;

  constructor(world: World, chance: Chance, ledger: Ledger, options: DiscordOptions) {
    this.#world = world;
    this.#chance = chance;
    this.#ledger = ledger;
    this.options = options;
    this.#remainingIdentifies = options.identifies;
    this.#byShard = Array.from({ length: options.shardCount }, () => []);
  }

  get identifies(): number {
    return this.#identifies;
  }

  get resumes(): number {
    return this.#resumes;
  }

  get remainingIdentifies(): number {
    return this.#remainingIdentifies;
  }

  /** Answer of `GET /gateway/bot`. */
  gatewayBot(): object {
    return {
      url: mainGatewayUrl,
      shards: this.options.shardCount,
      session_start_limit: {
        total: totalIdentifies,
        remaining: this.#remainingIdentifies,
        reset_after: 14_400_000,
        max_concurrency: this.options.maxConcurrency,
      },
    };
  }

  resetBudget(): void {
    this.#remainingIdentifies = totalIdentifies;
  }

  dialFrom(process: SimProcess): DialGateway {
    return (url, handlers) => {
      const connection = new Connection(this.#world, this.#chance, process, new URL(url).host, handlers);
      if (!process.sends('discord.dial')) return connection.socket;
      process.lastDialMs = this.#world.nowMs;
      const fault = this.#hostFaults.get(connection.host);
      if (fault === 'refuses') connection.refuse();
      else if (fault === undefined) connection.toServer.push(() => this.#accept(connection));
      return connection.socket;
    };
  }

  /** An event of `shardId`, taken into every session of the shard that is alive. */
  emit(shardId: number, type: string, guild: string): void {
    const n = (this.#numbers.get(guild) ?? 0) + 1;
    this.#numbers.set(guild, n);
    const body =
      type === 'GUILD_CREATE'
        ? `{"id":"${guild}","member_count":${this.#chance.whole(1, 4)},"n":${n}}`
        : `{"id":"${n}","guild_id":"${guild}","n":${n}}`;
    for (const session of this.#byShard[shardId] as Session[]) this.#dispatch(session, type, body, { guild, n });
  }

  guildsOf(shardId: number): string[] {
    return Array.from({ length: this.options.guildsPerShard }, (_, index) => `${shardId + 1}0${index}`);
  }

  /** Shards whose newest session has a connection. */
  connectedShards(): number[] {
    return this.#byShard.flatMap((sessions, shardId) => (sessions.at(-1)?.connection ? [shardId] : []));
  }

  // Faults

  setHostFault(host: string, fault: HostFault | undefined): void {
    this.#world.note('discord', () => `${host} ${fault ?? 'works'}`);
    if (fault === undefined) this.#hostFaults.delete(host);
    else this.#hostFaults.set(host, fault);
  }

  askToReconnect(shardId: number): void {
    this.#connectionOf(shardId)?.say('{"t":null,"s":null,"op":7,"d":null}');
  }

  invalidate(shardId: number, resumable: boolean): void {
    const session = this.#byShard[shardId]?.at(-1);
    const connection = session?.connection;
    if (session === undefined || connection === undefined) return;
    this.#world.note('discord', () => `op 9 ${resumable} for shard ${shardId}`);
    if (!resumable) this.#end(session, 'invalidated');
    connection.say(`{"t":null,"s":null,"op":9,"d":${resumable}}`);
  }

  close(shardId: number, code: number): void {
    const session = this.#byShard[shardId]?.at(-1);
    const connection = session?.connection;
    if (session === undefined || connection === undefined) return;
    if (code === 4007 || (code === 4006 && this.#chance.happens(0.5))) this.#end(session, `closed with ${code}`);
    this.#closeFromHere(connection, code);
  }

  /** The connection goes silent: neither events nor acknowledgements come through any more. */
  stall(shardId: number): void {
    const connection = this.#connectionOf(shardId);
    this.#world.note('discord', () => `connection of shard ${shardId} goes silent`);
    if (connection === undefined) return;
    connection.isStalled = true;
    this.#stalled.push(connection);
  }

  /** Ends the silence: what went silent is closed. */
  endStalls(): void {
    for (const connection of this.#stalled.splice(0)) if (connection.isUp) this.#closeFromHere(connection, 1006);
  }

  #connectionOf(shardId: number): Connection | undefined {
    return this.#byShard[shardId]?.at(-1)?.connection;
  }

  // Connections

  #accept(connection: Connection): void {
    const { heartbeatIntervalMs, silentForMs } = this.options;
    connection.onFrame = (text, sentMs) => this.#receive(connection, text, sentMs);
    connection.onEnd = (code) => this.#ended(connection, code);
    connection.open();
    connection.say(`{"t":null,"s":null,"op":10,"d":{"heartbeat_interval":${heartbeatIntervalMs}}}`);
    connection.heardMs = this.#world.nowMs;
    this.#watch(connection);
    if (Number.isFinite(silentForMs)) {
      this.#world.time.after(silentForMs, () => {
        if (connection.isUp && connection.sessionId === undefined) this.#closeFromHere(connection, 4009);
      });
    }
  }

  /** Closes a connection that has not sent a heartbeat for one and a half intervals. */
  #watch(connection: Connection): void {
    const { heardMs } = connection;
    this.#world.time.at(heardMs + 1.5 * this.options.heartbeatIntervalMs, () => {
      if (!connection.isUp) return;
      if (connection.heardMs === heardMs) this.#closeFromHere(connection, 4009);
      else this.#watch(connection);
    });
  }

  #receive(connection: Connection, text: string, sentMs: number): void {
    const { op, d } = JSON.parse(text) as ClientFrame;
    switch (op) {
      case 1:
        connection.heardMs = this.#world.nowMs;
        connection.say('{"t":null,"s":null,"op":11,"d":null}');
        break;
      case 2:
        this.#identify(connection, d, sentMs);
        break;
      case 6:
        this.#resume(connection, d);
        break;
      default:
        this.#world.violate('bad frame', `op ${String(op)} from ${connection.process.name}`);
    }
  }

  #ended(connection: Connection, code: number | undefined): void {
    const session = connection.sessionId === undefined ? undefined : this.#sessions.get(connection.sessionId);
    if (session?.connection !== connection) return;
    // A client that closes with 1000 or 1001 ends its session.
    if (code === 1000 || code === 1001) {
      this.#end(session, `closed with ${code}`);
      return;
    }
    this.#detach(session);
    if (code === undefined) return;
    const { process, incarnation } = connection;
    const { shardId, isStored } = session.record;
    // The client may not even have heard of it.
    if (!isStored) return;
    const isStillLeft = () =>
      session.record.ended === undefined && session.connection === undefined && this.#hostFaults.size === 0;
    this.onLeft({ process, incarnation, shardId, isStillLeft });
  }

  #closeFromHere(connection: Connection, code: number): void {
    this.#world.note('discord', () => `closes connection of ${connection.process.name} with ${code}`);
    connection.close(code);
    this.#ended(connection, undefined);
  }

  #detach(session: Session): void {
    session.connection = undefined;
    const detachedMs = this.#world.nowMs;
    session.detachedMs = detachedMs;
    this.#world.time.after(this.options.resumeWindowMs, () => {
      if (session.connection === undefined && session.detachedMs === detachedMs) this.#end(session, 'expired');
    });
  }

  #end(session: Session, reason: string): void {
    if (session.record.ended !== undefined) return;
    this.#world.note('discord', () => `session ${session.record.id} is over: ${reason}`);
    session.record.ended = reason;
    session.connection = undefined;
    const shard = this.#byShard[session.record.shardId] as Session[];
    shard.splice(shard.indexOf(session), 1);
  }

  // Sessions

  #identify(connection: Connection, { shard }: { readonly shard: readonly [number, number] }, sentMs: number): void {
    const [shardId] = shard;
    const { maxConcurrency, shardCount } = this.options;
    const name = `shard ${shardId} by ${connection.process.name}`;
    this.#world.note('discord', () => `IDENTIFY of ${name}`);
    if (connection.host !== new URL(mainGatewayUrl).host) this.#world.violate('identify at a resume url', name);
    if (shard[1] !== shardCount) this.#world.violate('wrong shard count', name);
    const bucket = shardId % maxConcurrency;
    const nowMs = this.#world.nowMs;
    const sinceMs = nowMs - (this.#identifiedMs.get(bucket) ?? Number.NEGATIVE_INFINITY);
    // What is on its way while its sender stands still is spaced by nobody: no gate can call it back.
    const { process } = connection;
    const isAbandoned = nowMs - sentMs > abandonedMs && (process.isPaused || process.pausedUntilMs > sentMs);
    if (sinceMs < identifySpacingMs && !isAbandoned) {
      this.#world.violate(
        'identify too close',
        `${name}: ${Math.round(sinceMs)} ms after the last in bucket ${bucket}`,
      );
    }
    if (!isAbandoned) this.#identifiedMs.set(bucket, nowMs);
    if (this.#remainingIdentifies === 0) this.#world.violate('identify budget overrun', name);
    this.#remainingIdentifies -= 1;
    this.#identifies += 1;
    for (const { record } of this.#byShard[shardId] as Session[]) {
      if (record.isStored) this.#world.violate('session thrown away', `${name}: session ${record.id} is alive`);
    }
    if (this.#chance.happens(this.refusesIdentify)) {
      connection.say('{"t":null,"s":null,"op":9,"d":false}');
      return;
    }
    this.#start(connection, shardId);
  }

  #start(connection: Connection, shardId: number): void {
    const id = `s${++this.#sessionCount}`;
    const resumeUrl = `wss://resume-${this.#chance.whole(0, 2)}.sim`;
    const session: Session = {
      record: this.#ledger.openSession(id, shardId),
      resumeUrl,
      frames: [],
      evicted: 0,
      connection,
      detachedMs: 0,
    };
    this.#sessions.set(id, session);
    (this.#byShard[shardId] as Session[]).push(session);
    connection.sessionId = id;
    this.onStarted({
      process: connection.process,
      record: session.record,
      isStillRead: () =>
        session.record.ended === undefined && session.connection === connection && !connection.isStalled,
    });
    const delayMs = this.#chance.between(5, this.slowestReadyMs);
    connection.heldUntilMs = this.#world.nowMs + delayMs;
    const guilds = this.guildsOf(shardId);
    const unavailable = guilds.map((guild) => `{"id":"${guild}","unavailable":true}`).join(',');
    this.#dispatch(
      session,
      'READY',
      `{"session_id":"${id}","resume_gateway_url":"${resumeUrl}","user":{"id":"1"},"application":{"id":"2"},"guilds":[${unavailable}]}`,
    );
    this.#world.time.after(delayMs + 10, () => {
      if (session.record.ended !== undefined) return;
      for (const guild of guilds) this.emit(shardId, 'GUILD_CREATE', guild);
    });
  }

  #resume(
    connection: Connection,
    { session_id: id, seq }: { readonly session_id: string; readonly seq: number },
  ): void {
    const session = this.#sessions.get(id);
    const name = `RESUME of ${id} at ${seq} by ${connection.process.name}`;
    if (session === undefined) return this.#world.violate('unknown session', name);
    const { record } = session;
    if (seq > record.events.length)
      return this.#world.violate('resume ahead', `${name}: it has ${record.events.length}`);
    this.#resumes += 1;
    this.onResume(id, connection.incarnation);
    const reachesBack = seq >= session.evicted;
    if (record.ended !== undefined || !reachesBack) {
      this.#world.note('discord', () => `refuses ${name} (shard ${record.shardId}, ${record.ended ?? 'too old'})`);
      this.#end(session, 'too old');
      record.refusal ??= { incarnation: connection.incarnation, seq };
      connection.say('{"t":null,"s":null,"op":9,"d":false}');
      return;
    }
    this.#world.note('discord', () => `${name} (shard ${record.shardId}) up to ${record.events.length}`);
    const older = session.connection;
    session.connection = connection;
    connection.sessionId = id;
    if (older !== undefined && older !== connection) this.#closeFromHere(older, this.options.doubleResumeCode);
    for (const frame of session.frames.slice(seq - session.evicted)) connection.tell(frame);
    this.#dispatch(session, 'RESUMED', '{"_trace":[]}');
  }

  #dispatch(session: Session, type: string, body: string, origin?: { guild: string; n: number }): void {
    const { record, frames } = session;
    const frame = Buffer.from(`{"t":"${type}","s":${record.events.length + 1},"op":0,"d":${body}}`);
    record.events.push({
      kind: kindOf(type),
      guild: origin?.guild,
      n: origin?.n ?? 0,
      fenced: 0,
      unfenced: 0,
      elsewhere: 0,
    });
    frames.push(frame);
    // Cutting now and then, not each time, keeps this cheap; Discord's limit is no exact one either.
    if (frames.length > this.options.replayFrames * 1.2) {
      const cut = frames.length - this.options.replayFrames;
      frames.splice(0, cut);
      session.evicted += cut;
    }
    session.connection?.tell(frame);
  }
}

export const unwantedType = 'TYPING_START';

function kindOf(type: string): EventKind {
  switch (type) {
    case 'READY':
    case 'RESUMED':
    case unwantedType:
      return 'none';
    case 'INTERACTION_CREATE':
      return 'interaction';
    case poisonType:
      return 'poison';
    default:
      return 'wanted';
  }
}

/** One direction of a TCP connection: in order, with delays, standing still while the machine is cut off. */
class Pipe {
  isClosed = false;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #isCut: () => boolean;
  readonly #onceBack: (run: () => void) => void;
  #lastMs = 0;
  #waiting: (() => void)[] = [];

  constructor(world: World, chance: Chance, isCut: () => boolean, onceBack: (run: () => void) => void) {
    this.#world = world;
    this.#chance = chance;
    this.#isCut = isCut;
    this.#onceBack = onceBack;
  }

  push(run: () => void): void {
    this.#lastMs = Math.max(this.#lastMs + 0.001, this.#world.nowMs + this.#chance.between(3, 30));
    this.#world.time.at(this.#lastMs, () => this.#arrive(run));
  }

  /** Forgets what the other side has not got because of the cut. */
  dropWaiting(): void {
    this.#waiting = [];
  }

  #arrive(run: () => void): void {
    if (this.isClosed) return;
    if (!this.#isCut()) {
      run();
      return;
    }
    if (this.#waiting.length === 0) this.#onceBack(() => this.#flush());
    this.#waiting.push(run);
  }

  #flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const run of waiting) this.#world.time.after(0, () => this.#arrive(run));
  }
}

/** A WebSocket connection: the client's end is `socket`, the rest is Discord's end. */
class Connection {
  readonly process: SimProcess;
  /** Whose connection it is. */
  readonly incarnation: string;
  readonly host: string;
  readonly socket: GatewaySocket;
  readonly toServer: Pipe;
  sessionId: string | undefined;
  heardMs = 0;
  isStalled = false;
  /** Nothing is sent before. */
  heldUntilMs = 0;
  onFrame: (text: string, sentMs: number) => void = () => {};
  /** The client closed with this code; without one it is simply gone. */
  onEnd: (code: number | undefined) => void = () => {};
  readonly #world: World;
  readonly #handlers: GatewaySocketHandlers;
  readonly #toClient: Pipe;
  #isUp = true;
  #client: 'connecting' | 'open' | 'closed' = 'connecting';
  #isReadingPaused = false;
  #unread: Buffer[] = [];

  constructor(world: World, chance: Chance, process: SimProcess, host: string, handlers: GatewaySocketHandlers) {
    this.#world = world;
    this.process = process;
    this.incarnation = process.incarnation;
    this.host = host;
    this.#handlers = handlers;
    const { machine } = process;
    const onceBack = (run: () => void) => machine.onceDiscordIsBack(run);
    this.toServer = new Pipe(world, chance, () => machine.cuts.get('discord') === 'both', onceBack);
    this.#toClient = new Pipe(world, chance, () => machine.cuts.has('discord'), onceBack);
    process.onDeath(() => {
      this.#client = 'closed';
      this.#toClient.isClosed = true;
      this.toServer.dropWaiting();
      // A dead process is noticed at once, a lost machine is not.
      if (chance.happens(0.6)) this.toServer.push(() => this.#gone(undefined));
    });
    this.socket = {
      send: (text) => {
        if (this.#client !== 'open' || !process.sends('discord.send')) return;
        const sentMs = this.#world.nowMs;
        this.toServer.push(() => {
          if (this.#isUp) this.onFrame(text, sentMs);
        });
      },
      close: (code) => {
        if (this.#client !== 'open') return;
        this.toServer.push(() => {
          this.#gone(code);
          this.#toClient.push(() => this.#endClient(code));
        });
      },
      terminate: () => {
        if (this.#client === 'closed') return;
        this.toServer.dropWaiting();
        this.toServer.push(() => this.#gone(undefined));
        this.#world.time.after(0.1, () => this.#endClient(1006));
      },
      pause: () => {
        this.#isReadingPaused = true;
      },
      resume: () => {
        this.#isReadingPaused = false;
        const unread = this.#unread;
        this.#unread = [];
        for (const frame of unread) this.#hand(frame);
      },
    };
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  /** Nobody listens at the address. */
  refuse(): void {
    this.#isUp = false;
    this.#world.time.after(20, () => this.#endClient(1006));
  }

  open(): void {
    this.#toClient.push(() =>
      this.process.deliver(() => {
        if (this.#client !== 'connecting') return;
        this.#client = 'open';
        this.#handlers.onOpen();
      }),
    );
  }

  /** Sends what is no event. */
  say(text: string): void {
    if (!this.isStalled) this.#push(Buffer.from(text));
  }

  /** Sends an event. */
  tell(frame: Buffer): void {
    if (!this.#isUp || this.isStalled) return;
    const waitMs = this.heldUntilMs - this.#world.nowMs;
    if (waitMs > 0) this.#world.time.after(waitMs, () => this.#push(frame));
    else this.#push(frame);
  }

  /** Closes from Discord's side. */
  close(code: number): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.#toClient.push(() => this.#endClient(code));
  }

  #push(frame: Buffer): void {
    if (this.#isUp) this.#toClient.push(() => this.process.deliver(() => this.#hand(frame)));
  }

  #hand(frame: Buffer): void {
    if (this.#client !== 'open') return;
    if (this.#isReadingPaused) this.#unread.push(frame);
    else this.#handlers.onMessage(frame, false);
  }

  #gone(code: number | undefined): void {
    if (!this.#isUp) return;
    this.#isUp = false;
    this.onEnd(code);
  }

  #endClient(code: number): void {
    this.process.deliver(() => {
      if (this.#client === 'closed') return;
      this.#client = 'closed';
      this.#toClient.isClosed = true;
      this.#handlers.onClose(code, '');
    });
  }
}

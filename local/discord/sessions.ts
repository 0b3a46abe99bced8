import type { Clock, Timer } from '../../shared/clock.ts';
import { type Random, randomBelow } from '../../shared/random.ts';
import type { ShardAddress } from '../../shared/sharding.ts';
import { directMessageStream, type EventIdentity, withIdentity } from './event-identity.ts';
import { intentBits, receives } from './intents.ts';
import { Session, type SessionConnection } from './session.ts';
import type { SimulatorStats, UndeliverableReason } from './simulator-stats.ts';
import type { Guild, World } from './world.ts';

export interface SessionOptions {
  readonly resumeWindowMs: number;
  /** Frames a session keeps for replay, by the number of its guilds. */
  readonly replayMaxEvents: (guilds: number) => number;
  readonly replayMinAgeMs: number;
}

/** Called for each event that at least one session took into its stream; `atMs` is Unix milliseconds. */
export type OnEmit = (stream: string, n: number, type: string, atMs: number) => void;

/** Called for each event that the simulator can no longer give to the session that took it. */
export type OnUndeliverable = (stream: string, n: number, reason: UndeliverableReason) => void;

/** An event on its way to sessions. `body` is the JSON text of `d` without its identity. */
export interface OutgoingEvent {
  readonly type: string;
  readonly body: string;
  /** The same for sessions without MESSAGE_CONTENT, where it differs. */
  readonly bodyWithoutContent?: string | undefined;
}

export type ResumeOutcome =
  | { readonly kind: 'resumed'; readonly session: Session; readonly replayed: number }
  | { readonly kind: 'unknownSession' | 'tooOld' | 'seqAhead'; readonly session?: Session | undefined };

export interface SessionsDeps {
  readonly options: SessionOptions;
  readonly world: World;
  readonly clock: Clock;
  readonly random: Random;
  readonly stats: SimulatorStats;
  readonly resumeGatewayUrl: () => string;
  readonly onEmit: OnEmit;
  readonly onUndeliverable: OnUndeliverable;
}

/** GUILD_CREATEs sent per session before other work gets a turn. */
const guildsPerTurn = 25;

/** All sessions of the bot: which of them get an event, how they start, are resumed, and end. */
export class Sessions {
  readonly #deps: SessionsDeps;
  readonly #byId = new Map<string, Session>();
  /** Sessions that can be resumed: by shard count, then by shard. */
  readonly #byShard = new Map<number, Session[][]>();
  readonly #numbers = new Map<string, number>();
  readonly #announcing = new Set<Session>();
  #announceTimer: Timer | undefined;
  /** The answer of {@link targets}, used again for each event. */
  readonly #targets: Session[] = [];

  constructor(deps: SessionsDeps) {
    this.#deps = deps;
  }

  /** Sessions not ended. */
  *live(): Generator<Session> {
    for (const session of this.#byId.values()) if (session.state.kind !== 'ended') yield session;
  }

  /** Starts a session: READY at once, then one GUILD_CREATE for each guild, in no particular order. */
  start(
    identify: { shard: ShardAddress | undefined; intents: number; presence: unknown },
    connection: SessionConnection,
  ): Session {
    const { options, world, clock, random, resumeGatewayUrl } = this.#deps;
    const guilds = world.guildsOn(identify.shard ?? { shardId: 0, shardCount: 1 });
    const session = new Session(
      {
        id: random.uuid().replaceAll('-', ''),
        shard: identify.shard,
        intents: identify.intents,
        replay: { maxEvents: options.replayMaxEvents(guilds.length), minAgeMs: options.replayMinAgeMs },
        guilds: identify.intents & intentBits.GUILDS ? shuffled(guilds, random).filter((g) => !g.unavailable) : [],
      },
      connection,
    );
    session.presence = identify.presence;
    this.#byId.set(session.id, session);
    this.#shardOf(session).push(session);
    session.take(
      'READY',
      world.ready({ id: session.id, shard: session.shard, resumeGatewayUrl: resumeGatewayUrl() }),
      clock.monotonicMs(),
    );
    this.#announcing.add(session);
    this.#announceSoon();
    return session;
  }

  /** The connection that a session has now, if any. */
  connectionOf(sessionId: string): SessionConnection | undefined {
    const state = this.#byId.get(sessionId)?.state;
    return state?.kind === 'connected' ? state.connection : undefined;
  }

  /**
   * Moves a session to a new connection: the missed frames in order, then RESUMED. An older connection of it is left
   * to the caller, who finds it in `session.state` before the call.
   */
  resume(sessionId: string, seq: number, connection: SessionConnection): ResumeOutcome {
    const session = this.#byId.get(sessionId);
    if (!session) return { kind: 'unknownSession' };
    if (session.state.kind === 'ended') {
      this.#reportAfter(session, seq, session.state.reason);
      return { kind: 'unknownSession', session };
    }
    if (seq > session.buffer.lastSeq) return { kind: 'seqAhead', session };
    if (!session.buffer.reachesBackTo(seq)) {
      this.end(session, 'bufferOverflow', seq);
      return { kind: 'tooOld', session };
    }
    session.acknowledgedSeq = Math.max(session.acknowledgedSeq, seq);
    session.state = { kind: 'connected', connection };
    let replayed = 0;
    for (const { seq: frameSeq, frame } of session.buffer.framesAfter(seq)) {
      connection.deliver(frameSeq, frame);
      replayed += 1;
    }
    session.take('RESUMED', '{"_trace":["[\\"gateway-sim\\",{\\"micros\\":0.0}]"]}', this.#deps.clock.monotonicMs());
    return { kind: 'resumed', session, replayed };
  }

  /** The connection is gone, the session stays for the resume window. */
  detach(session: Session): void {
    if (session.state.kind === 'connected') {
      session.state = { kind: 'disconnected', sinceMs: this.#deps.clock.monotonicMs() };
    }
  }

  /** Nobody can resume the session any more. What the client cannot have is reported as undeliverable. */
  end(session: Session, reason: UndeliverableReason, knownSeq?: number): void {
    if (session.state.kind === 'ended') return;
    const wasConnected = session.state.kind === 'connected';
    session.state = { kind: 'ended', atMs: this.#deps.clock.monotonicMs(), reason };
    const shard = this.#shardOf(session);
    shard.splice(shard.indexOf(session), 1);
    this.#announcing.delete(session);
    // Over an open connection the client has got, in order, everything that was sent before it hears of the end.
    if (!wasConnected || knownSeq !== undefined)
      this.#reportAfter(session, knownSeq ?? session.acknowledgedSeq, reason);
  }

  /** Ends what was not resumed in time and forgets what ended long ago. */
  sweep(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    const { resumeWindowMs } = this.#deps.options;
    for (const session of this.#byId.values()) {
      const { state } = session;
      if (state.kind === 'disconnected' && nowMs - state.sinceMs >= resumeWindowMs) this.end(session, 'windowExpired');
      else if (state.kind === 'ended' && nowMs - state.atMs >= resumeWindowMs) this.#byId.delete(session.id);
    }
  }

  /**
   * The sessions that get an event of `guild` (of a DM when absent) which needs one of `requiredIntents`.
   * The array is used again by the next call.
   */
  targets(guild: Guild | undefined, requiredIntents: number): readonly Session[] {
    this.#targets.length = 0;
    for (const [shardCount, shards] of this.#byShard) {
      const shardId = guild ? guild.routingNumber % shardCount : 0;
      for (const session of shards[shardId] as Session[]) {
        if (receives(session.intents, requiredIntents)) this.#targets.push(session);
      }
    }
    return this.#targets;
  }

  /** Gives an event of the traffic its number and puts it into the streams of `targets` (at least one). */
  emit(targets: readonly Session[], event: OutgoingEvent, guild: Guild | undefined, stream?: string): EventIdentity {
    const { clock, stats, onEmit } = this.#deps;
    const nowMs = clock.monotonicMs();
    const identity = this.#nextIdentity(stream ?? guild?.id ?? directMessageStream);
    const body = withIdentity(event.body, identity.stream, identity.n);
    stats.emitted += 1;
    stats.emittedByType[event.type] = (stats.emittedByType[event.type] ?? 0) + 1;
    onEmit(identity.stream, identity.n, event.type, clock.wallClockMs());
    for (const session of targets) {
      if (guild && session.pendingGuilds.size > 0) this.#announce(session, guild);
      const hidden = event.bodyWithoutContent !== undefined && !(session.intents & intentBits.MESSAGE_CONTENT);
      const seen = hidden ? withIdentity(event.bodyWithoutContent, identity.stream, identity.n) : body;
      session.take(event.type, seen, nowMs, identity);
    }
    return identity;
  }

  /** Numbers an event of the traffic that goes elsewhere than to sessions. The answer is its body with the number. */
  numbered(event: OutgoingEvent, stream: string): string {
    const { clock, onEmit } = this.#deps;
    const identity = this.#nextIdentity(stream);
    onEmit(identity.stream, identity.n, event.type, clock.wallClockMs());
    return withIdentity(event.body, identity.stream, identity.n);
  }

  /** Sends one session something that is no traffic, such as an answer to a gateway command. */
  send(session: Session, type: string, d: unknown): void {
    session.take(type, JSON.stringify(d), this.#deps.clock.monotonicMs());
  }

  /** Stops announcing guilds; for the end of the simulator. */
  stop(): void {
    this.#announceTimer?.cancel();
    this.#announcing.clear();
  }

  #nextIdentity(stream: string): EventIdentity {
    const n = (this.#numbers.get(stream) ?? 0) + 1;
    this.#numbers.set(stream, n);
    return { stream, n };
  }

  #shardOf(session: Session): Session[] {
    const { shardId, shardCount } = session.shard ?? { shardId: 0, shardCount: 1 };
    let shards = this.#byShard.get(shardCount);
    if (!shards) {
      shards = Array.from({ length: shardCount }, () => []);
      this.#byShard.set(shardCount, shards);
    }
    return shards[shardId] as Session[];
  }

  #announceSoon(): void {
    this.#announceTimer ??= this.#deps.clock.schedule(0, () => {
      this.#announceTimer = undefined;
      for (const session of this.#announcing) {
        let sent = 0;
        for (const guild of session.pendingGuilds) {
          if (sent++ === guildsPerTurn) break;
          this.#announce(session, guild);
        }
        if (session.pendingGuilds.size === 0) this.#announcing.delete(session);
      }
      if (this.#announcing.size > 0) this.#announceSoon();
    });
  }

  #announce(session: Session, guild: Guild): void {
    if (!session.pendingGuilds.delete(guild) || guild.unavailable) return;
    session.take('GUILD_CREATE', this.#deps.world.guildCreate(guild, session.intents), this.#deps.clock.monotonicMs());
  }

  #reportAfter(session: Session, seq: number, reason: UndeliverableReason): void {
    const { stats, onUndeliverable } = this.#deps;
    for (const { stream, n } of session.buffer.identitiesAfter(seq, session.reportedAfterSeq)) {
      stats.undeliverable[reason] += 1;
      onUndeliverable(stream, n, reason);
    }
    session.reportedAfterSeq = Math.min(session.reportedAfterSeq, seq);
  }
}

function shuffled<T>(items: readonly T[], random: Random): T[] {
  const result = [...items];
  for (let i = result.length - 1; i > 0; i--) {
    const j = randomBelow(random, i + 1);
    [result[i], result[j]] = [result[j] as T, result[i] as T];
  }
  return result;
}

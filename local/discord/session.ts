import type { ShardAddress } from '../../shared/sharding.ts';
import type { EventIdentity } from './event-identity.ts';
import { dispatchFrame } from './gateway-frames.ts';
import { ReplayBuffer, type ReplayLimits } from './replay-buffer.ts';
import type { UndeliverableReason } from './simulator-stats.ts';
import type { Guild } from './world.ts';

/** The live connection of a session, as far as the session needs it. */
export interface SessionConnection {
  deliver(seq: number, frame: Buffer): void;
  close(code: number, reason: string): void;
}

/** Where a session stands: it can be resumed unless it has ended. */
export type SessionState =
  | { readonly kind: 'connected'; readonly connection: SessionConnection }
  | { readonly kind: 'disconnected'; readonly sinceMs: number }
  | { readonly kind: 'ended'; readonly atMs: number; readonly reason: UndeliverableReason };

/** What a session was identified with. */
export interface SessionTerms {
  readonly id: string;
  /** Absent when IDENTIFY named no shard. */
  readonly shard: ShardAddress | undefined;
  readonly intents: number;
  readonly replay: ReplayLimits;
  /** Guilds announced in READY whose GUILD_CREATE is to follow. */
  readonly guilds: Iterable<Guild>;
}

/** The stream of one IDENTIFY: it numbers events, keeps the newest for replay, and outlives its connections. */
export class Session {
  readonly id: string;
  readonly shard: ShardAddress | undefined;
  readonly intents: number;
  readonly buffer: ReplayBuffer;
  readonly pendingGuilds: Set<Guild>;
  state: SessionState;
  /** The highest sequence number that the client is known to have received, from heartbeats and RESUMEs. */
  acknowledgedSeq = 0;
  /** Events after this one were reported as undeliverable. */
  reportedAfterSeq = Number.POSITIVE_INFINITY;
  /** What the last op 3, or IDENTIFY, asked to show. */
  presence: unknown;

  constructor(terms: SessionTerms, connection: SessionConnection) {
    this.id = terms.id;
    this.shard = terms.shard;
    this.intents = terms.intents;
    this.buffer = new ReplayBuffer(terms.replay);
    this.pendingGuilds = new Set(terms.guilds);
    this.state = { kind: 'connected', connection };
  }

  /** Adds a dispatch with the JSON text `body` to the stream and sends it when somebody is connected. */
  take(type: string, body: string, nowMs: number, identity?: EventIdentity): void {
    const seq = this.buffer.lastSeq + 1;
    const frame = dispatchFrame(type, seq, body);
    this.buffer.push(frame, nowMs, identity);
    if (this.state.kind === 'connected') this.state.connection.deliver(seq, frame);
  }
}

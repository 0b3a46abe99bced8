import type { ShardAddress } from '../../shared/sharding.ts';

/** One IDENTIFY with a readable payload. Times are Unix milliseconds. */
export interface IdentifyRecord {
  readonly atMs: number;
  readonly shardId: number;
  readonly shardCount: number;
  /** Rate limit key: `shard_id % max_concurrency`. */
  readonly key: number;
  /** `ready`, or why not: `tooSoon` (bucket violation), `exhausted` (no budget), or the close code. */
  readonly outcome: 'ready' | 'tooSoon' | 'exhausted' | number;
}

/** One RESUME. */
export interface ResumeRecord {
  readonly atMs: number;
  readonly sessionId: string;
  readonly shard: ShardAddress | undefined;
  readonly seq: number;
  /** Frames sent again; 0 unless resumed. */
  readonly replayed: number;
  readonly outcome: 'resumed' | 'unknownSession' | 'tooOld' | 'seqAhead' | 'badToken';
}

/** The end of a connection. */
export interface CloseRecord {
  readonly atMs: number;
  readonly shard: ShardAddress | undefined;
  readonly code: number;
  readonly reason: string;
  /** Who closed; `peer lost` when TCP ended without a close frame. */
  readonly by: 'client' | 'simulator' | 'peer lost';
}

/** Why Discord itself no longer had an event for anybody. */
export type UndeliverableReason =
  /** The session was not resumed in time. */
  | 'windowExpired'
  /** A RESUME came with a sequence number older than the buffer. */
  | 'bufferOverflow'
  /** The simulator ended the session (a fault). */
  | 'invalidated'
  /** The client closed with 1000 or 1001: its own fault. */
  | 'closedByClient';

/** Counters and records since the start; read them at any time. */
export interface SimulatorStats {
  readonly identifies: IdentifyRecord[];
  readonly resumes: ResumeRecord[];
  readonly closes: CloseRecord[];
  /** IDENTIFYs that came too soon for their rate limit key. */
  identifyViolations: number;
  /** IDENTIFYs that arrived at the resume URL instead of the main one. */
  identifiesAtResumeUrl: number;
  /** RESUMEs that arrived at the main URL instead of the resume URL. */
  resumesAtMainUrl: number;
  connections: number;
  heartbeats: number;
  /** WebSocket messages and their bytes sent to clients. */
  messagesSent: number;
  bytesSent: number;
  /** Events of the traffic that at least one session took, and how many of each type. */
  emitted: number;
  readonly emittedByType: Record<string, number>;
  /** Events of the traffic that no session was there for: Discord would not have sent them. */
  skipped: number;
  readonly undeliverable: Record<UndeliverableReason, number>;
  /** Connections ended because the client read too slowly. */
  slowReaders: number;
  /** REST requests by `METHOD /route/{param} status`. */
  readonly restCalls: Record<string, number>;
  /** REST answers 401, 403 and 429: Discord bans an IP address above 10,000 of them in ten minutes. */
  invalidRequests: number;
}

export function newStats(): SimulatorStats {
  return {
    identifies: [],
    resumes: [],
    closes: [],
    identifyViolations: 0,
    identifiesAtResumeUrl: 0,
    resumesAtMainUrl: 0,
    connections: 0,
    heartbeats: 0,
    messagesSent: 0,
    bytesSent: 0,
    emitted: 0,
    emittedByType: {},
    skipped: 0,
    undeliverable: { windowExpired: 0, bufferOverflow: 0, invalidated: 0, closedByClient: 0 },
    slowReaders: 0,
    restCalls: {},
    invalidRequests: 0,
  };
}

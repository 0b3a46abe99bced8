import type { ShardAddress, ShardKey } from '../sharding.ts';

/** A worker's identity for one life of its process: a fresh UUID per start. Leases belong to it, never to a worker's name. */
export type Incarnation = string;

/** The one envelope of a shard that may or may not be in SQS: the range of `s` it covers, and when it was first tried. */
export interface EnvelopeInDoubt {
  readonly first: number;
  readonly last: number;
  /** Unix milliseconds of the first attempt; kept across owners, because SQS counts its deduplication window from there. */
  readonly firstAttemptAtMs: number;
  /** Set when the deduplication window may be over: the envelope goes out marked `unfenced`. */
  readonly unfenced?: boolean;
}

/**
 * Where a shard's stream stands (protocol: `ck {session, a, p, d?}`). Without a session the other fields are zero.
 */
export interface Checkpoint {
  readonly session?: string;
  /** `a`: everything up to this `seq` is in SQS, or was dropped by the edge filter on purpose. */
  readonly acknowledgedSeq: number;
  /** `p`: last `seq` of the group's previous envelope. */
  readonly publishedSeq: number;
  /** `d`: the envelope in doubt. */
  readonly inDoubt?: EnvelopeInDoubt;
}

/** A shard whose stream has not begun. */
export const emptyCheckpoint: Checkpoint = { acknowledgedSeq: 0, publishedSeq: 0 };

/** A shard's checkpoint under the lease epoch it was written with. */
export interface CheckpointEntry extends Checkpoint {
  readonly epoch: number;
}

/** The right to connect a shard (protocol: Lease). Unheld when `owner` is absent. */
export interface Lease {
  readonly shard: ShardAddress;
  readonly owner?: Incarnation;
  /** The fencing number: grows with every change of owner. */
  readonly epoch: number;
  /** A wish: who should own the shard next. */
  readonly want?: Incarnation;
  /** Where Discord wants the session resumed. */
  readonly resumeUrl?: string;
  /** What the grant or release that made this epoch carried over. */
  readonly checkpoint: Checkpoint;
}

/** The checkpoint item of a worker, or one chunk of it. Its version is the worker's liveness counter. */
export interface CheckpointItem {
  readonly incarnation: Incarnation;
  readonly chunk: number;
  readonly version: number;
  /** Who fenced it. A fenced item is never written again. */
  readonly fencedBy?: Incarnation;
  readonly entries: ReadonlyMap<ShardKey, CheckpointEntry>;
}

/** A worker as it registered. Records are read by everybody and say nothing about whether the worker lives. */
export interface WorkerRecord {
  readonly incarnation: Incarnation;
  /** The worker's name: `BATON_WORKER_ID`. */
  readonly workerId: string;
  /** Place in the order of succession; from a counter in the table. */
  readonly joinNumber: number;
  /** Release the process runs; a drain prefers the newest. */
  readonly release: string;
  /** Capacity in shards. */
  readonly maxShards?: number;
  /** Number of checkpoint items, fixed at registration. */
  readonly chunkCount: number;
  readonly controlQueueUrl: string;
  readonly originalCoordinator: boolean;
  /** Fleet workers take what they are assigned; the others run their own list and are no targets. */
  readonly assignable: boolean;
  readonly draining: boolean;
}

/** What all workers must agree on. */
export interface FleetState {
  readonly shardCount: number;
  /** `session_start_limit.max_concurrency`: the number of identify buckets. */
  readonly maxConcurrency: number;
  /** Main gateway URL as `GET /gateway/bot` gave it, so that a new worker can RESUME while Discord's REST is down. */
  readonly gatewayUrl: string;
}

/** The coordinator's role: a lease on `counter`, which its holder moves every tick. */
export interface CoordinatorRole {
  readonly holder?: Incarnation;
  /** Grows with every change of holder. */
  readonly term: number;
  readonly counter: number;
}

/** The token of one identify bucket (`shard_id % max_concurrency`). */
export interface GateToken {
  readonly holder?: Incarnation;
  /** Grows with every write. */
  readonly version: number;
}

/** The daily IDENTIFY budget, as Discord last told it less what was spent since. */
export interface IdentifyBudget {
  readonly total: number;
  readonly remaining: number;
  /** `session_start_limit.remaining` when Discord was last asked: it grows only when a new day's budget begins. */
  readonly reported?: number;
  /** When Discord renews the budget, in Unix milliseconds by the clock of whoever asked. For people. */
  readonly resetsAtMs?: number;
  /** Grows with every write, so that a slow refresh cannot overwrite what was spent meanwhile. */
  readonly version: number;
}

/** What READY and the GUILD_CREATEs told of a shard and a RESUME does not tell again. */
export interface ShardRoster {
  readonly userId: string;
  readonly applicationId: string;
  /** Guild id to member count (0 while unknown). */
  readonly guilds: ReadonlyMap<string, number>;
  /** Unix milliseconds of READY, by the clock of the worker that got it. For people. */
  readonly readyAtMs?: number;
  /** The session whose READY the list of guilds began with. */
  readonly session?: string;
}

/** Figures of a worker, for people. They have no part in any decision about safety. */
export interface WorkerReport {
  readonly incarnation: Incarnation;
  readonly workerId: string;
  readonly cpuPercent: number;
  readonly memoryMb: number;
  readonly eventsPerSecond: number;
  readonly coordinator: boolean;
  readonly shards: readonly ShardReport[];
  /** Absent in reports of releases that did not count these. */
  readonly figures?: WorkerFigures;
}

/** Counts are those since the worker started, shards that have left it included. */
export interface WorkerFigures {
  readonly uptimeMs: number;
  readonly commandsPerSecond: number;
  readonly identifies: number;
  readonly resumes: number;
  /** Sockets dialled after a shard's first. */
  readonly reconnects: number;
  /** Longest time that SQS took for a batch since the last report; 0 when nothing was sent. */
  readonly flushMs: number;
  /** How long the oldest envelope has been tried that SQS has not taken yet; 0 without one. */
  readonly queueAgeMs: number;
}

export interface ShardReport {
  readonly shard: ShardKey;
  readonly epoch: number;
  readonly state: string;
  readonly ready: boolean;
  readonly seq: number;
  readonly guildCount: number;
  readonly latencyMs: number;
  readonly eventsPerSecond: number;
  readonly bufferedEvents: number;
  /** Absent in reports of releases that did not count these. */
  readonly figures?: ShardFigures;
}

/** Counts are those since this worker has had the shard. */
export interface ShardFigures {
  readonly memberCount: number;
  readonly commandsPerSecond: number;
  readonly identifies: number;
  readonly resumes: number;
  readonly reconnects: number;
  /** With which Discord, or the network, last ended a socket. */
  readonly lastCloseCode?: number;
  /** Since READY; absent without a session, and where nobody stored when that was. */
  readonly sessionAgeMs?: number;
  /** Since the last dispatch, to within a report's period. */
  readonly silentForMs: number;
}

import type { Incarnation, ShardFigures, WorkerFigures } from '../coordination/model.ts';
import type { TimelineKind } from './timeline.ts';

/** The whole fleet at one moment, as the coordination table and the queues tell it. What the stats function serves and the console draws. */
export interface FleetView {
  /** When it was read: Unix milliseconds by the reader's clock. */
  readonly atMs: number;
  readonly fleet: string;
  /** Of the workers; one whose counter stands still for several of these is dead. */
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  /** Absent until a worker has asked Discord. */
  readonly shardCount?: number;
  readonly maxConcurrency?: number;
  readonly coordinator?: Incarnation;
  readonly budget?: BudgetView;
  /** Absent when SQS gave no answer. */
  readonly queues?: QueuesView;
  /** In order of joining. */
  readonly workers: readonly WorkerView[];
  /** In order of their ids. */
  readonly shards: readonly ShardView[];
}

export interface BudgetView {
  readonly total: number;
  readonly remaining: number;
  readonly resetsAtMs?: number;
}

export interface QueueView {
  readonly waiting: number;
  readonly inFlight: number;
  readonly deadLetters: number;
  /** Age of the oldest message, where it can be known. */
  readonly oldestSeconds?: number;
}

export interface QueuesView {
  readonly events: QueueView;
  readonly interactions: QueueView;
}

export interface WorkerView {
  readonly incarnation: Incarnation;
  readonly workerId: string;
  readonly joinNumber: number;
  readonly release: string;
  readonly originalCoordinator: boolean;
  readonly draining: boolean;
  readonly fenced: boolean;
  /** Version of its checkpoint item: grows at least every heartbeat while the worker lives. */
  readonly counter: number;
  /** How long the counter has stood still while the reader watched; 0 for a reader that has only just begun. */
  readonly stillForMs: number;
  /** What became of its process, where the reader is on the same machine. */
  readonly process?: 'running' | 'paused' | 'draining' | 'ended';
  readonly maxShards?: number;
  readonly shardCount: number;
  readonly readyShardCount: number;
  /** The rest is absent before the first report. */
  readonly cpuPercent?: number;
  readonly memoryMb?: number;
  readonly eventsPerSecond?: number;
  readonly figures?: WorkerFigures;
}

export interface ShardView {
  readonly id: number;
  /** What its owner last reported, `unknown` before the first report, `unheld` without an owner. */
  readonly state: string;
  readonly ready: boolean;
  readonly epoch: number;
  readonly owner?: Incarnation;
  /** Worker it is to move to. */
  readonly wanted?: Incarnation;
  /** No dispatch for so long while its peers get them. */
  readonly silent?: true;
  readonly seq?: number;
  readonly guildCount?: number;
  readonly latencyMs?: number;
  readonly eventsPerSecond?: number;
  readonly bufferedEvents?: number;
  readonly figures?: ShardFigures;
}

/** The fleet's figures of one minute. Rates and latencies are those of its end; counts are of the whole minute. */
export interface FleetPoint {
  readonly atMs: number;
  readonly shards: number;
  readonly shardsReady: number;
  readonly shardsSilent: number;
  readonly workers: number;
  readonly guilds: number;
  readonly members: number;
  readonly eventsPerSecond: number;
  readonly commandsPerSecond: number;
  /** Of the heartbeats of ready shards: median and highest. */
  readonly latencyMs: number;
  readonly latencyMaxMs: number;
  /** Of the workers, the longest. */
  readonly flushMs: number;
  readonly workerQueueAgeMs: number;
  readonly identifiesRemaining?: number;
  readonly identifies: number;
  readonly resumes: number;
  readonly reconnects: number;
  /** Absent when SQS gave no answer. */
  readonly queueAgeSeconds?: number;
  readonly queueWaiting?: number;
  readonly deadLetters?: number;
}

/** A worker's part of a {@link FleetPoint}; the counts are those since it started. */
export interface WorkerPoint {
  readonly incarnation: Incarnation;
  readonly workerId: string;
  readonly shards: number;
  readonly shardsReady: number;
  readonly cpuPercent: number;
  readonly memoryMb: number;
  readonly eventsPerSecond: number;
  readonly identifies: number;
  readonly resumes: number;
  readonly reconnects: number;
}

/** A shard's figures at the end of one minute. */
export interface ShardPoint {
  readonly atMs: number;
  readonly ready: boolean;
  readonly epoch: number;
  readonly eventsPerSecond: number;
  readonly latencyMs: number;
  readonly guilds: number;
  readonly members: number;
}

/** Something that happened, with workers by name and the reason where it is known. */
export interface HappeningView {
  readonly atMs: number;
  readonly kind: TimelineKind;
  readonly shards: readonly number[];
  readonly from?: string;
  readonly to?: string;
  readonly reason?: string;
  readonly by?: string;
}

/** What is kept of one shard: its minutes, and what happened to it. */
export interface ShardHistory {
  readonly points: readonly ShardPoint[];
  readonly happenings: readonly HappeningView[];
}

/** What charts of the last minutes show of one moment. */
export interface LivePoint {
  readonly atMs: number;
  /** Delivered to handlers where that is known, else read from Discord. */
  readonly eventsPerSecond: number;
  /** Sent by the simulator. */
  readonly emittedPerSecond?: number;
  /** Of the heartbeats of ready shards: median and highest. */
  readonly latencyMs: number;
  readonly latencyMaxMs: number;
  /** From Discord to the handler, where the simulator knows when an event was sent. */
  readonly deliveryP50Ms?: number;
  readonly deliveryP99Ms?: number;
}

/** What a page is sent every second: the fleet, with those shards alone that are not as they were. */
export interface LiveUpdate extends FleetView {
  readonly point?: LivePoint;
  /** Why there is nothing newer than this. */
  readonly trouble?: string;
  /** Of a fleet that runs on this machine. */
  readonly run?: {
    readonly phase: string;
    readonly elapsedMs: number;
    readonly discord: 'simulator' | 'discord';
    readonly emittedPerSecond?: number;
    readonly deliveredPerSecond: number;
    readonly latencyMs: { readonly p50: number; readonly p99: number };
    readonly totals?: {
      readonly emitted: number;
      readonly delivered: number;
      readonly pending: number;
      readonly lost: number;
      readonly duplicated: number;
      readonly reordered: number;
    };
  };
}

import type { ShardReport } from '../coordination/model.ts';
import type { ShardAddress } from '../sharding.ts';

/** What a shard lets requests see of itself: a picture of now, which nothing that is done to it changes. */
export interface ShardView {
  readonly shard: ShardAddress;
  readonly workerId: string;
  readonly report: ShardReport;
  /** Guild id to member count (0 while unknown). */
  readonly guilds: ReadonlyMap<string, number>;
  /** The bot's; empty before the first READY is known. */
  readonly userId: string;
  readonly applicationId: string;
  /** Of the whole process. */
  readonly memoryMb: number;
  readonly workerUptimeMs: number;
}

export interface RunLimits {
  /** Until the caller stops waiting; what takes longer is given up. */
  readonly withinMs: number;
  readonly signal: AbortSignal;
}

/**
 * Carries out what people ask of shards in code, property paths and named queries. Results must be JSON. What a method
 * throws is told to the caller by its message, and harms nobody else.
 */
export interface RequestRunner {
  /** Absent: eval is off at this worker. */
  evaluate?(code: string, view: ShardView, limits: RunLimits): Promise<unknown>;
  /** The property at `path` of the client view, `null` when there is none. */
  fetch(path: string, view: ShardView, limits: RunLimits): Promise<unknown>;
  query(name: string, args: unknown, view: ShardView, limits: RunLimits): Promise<unknown>;
}

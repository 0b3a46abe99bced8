import type { LedgerTotals } from './ledger.ts';

/** What a run is doing: `settling` waits for events under way, `draining` for the workers to hand over and end. */
export type FleetPhase = 'starting' | 'running' | 'settling' | 'draining' | 'ended';

/** A worker process as seen from outside and from its own reports. */
export interface WorkerSnapshot {
  readonly workerId: string;
  readonly pid: number | undefined;
  readonly state: 'running' | 'paused' | 'draining' | 'ended';
  readonly coordinator: boolean;
  readonly shardCount: number;
  readonly readyShardCount: number;
  /** Of one core, over the last second. */
  readonly cpuPercent: number;
  readonly rssMb: number;
  readonly eventsPerSecond: number;
  /** Log lines of level `warn` and `error` since it started. */
  readonly warnings: number;
  readonly errors: number;
}

export interface ShardSnapshot {
  readonly shardId: number;
  /** `ready` or what it is doing instead; `unheld` when no worker has it. */
  readonly state: string;
  readonly ready: boolean;
  readonly workerId: string | undefined;
  readonly guildCount: number;
}

/** Something worth a line: a handoff, a takeover, a deed of chaos. */
export interface FleetHappening {
  readonly atMs: number;
  readonly text: string;
}

/** The whole fleet at one moment of a run; what the live view draws and the console serves. */
export interface FleetSnapshot {
  readonly phase: FleetPhase;
  /** Since the command started. */
  readonly elapsedMs: number;
  /** Left of `--duration`, once traffic flows. */
  readonly remainingMs: number | undefined;
  readonly discord: 'simulator' | 'discord';
  readonly workers: readonly WorkerSnapshot[];
  readonly shards: readonly ShardSnapshot[];
  readonly guildCount: number;
  readonly emittedPerSecond: number;
  readonly deliveredPerSecond: number;
  /** From Discord's emission to the handler, over the last second. */
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Absent with the real Discord, which keeps no ledger. */
  readonly totals: LedgerTotals | undefined;
  readonly identifies: number;
  readonly resumes: number;
  readonly handoffs: number;
  readonly takeovers: number;
  /** The last few, oldest first. */
  readonly happenings: readonly FleetHappening[];
}

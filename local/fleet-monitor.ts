import type { Clock } from '../shared/clock.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { FleetHappening, FleetPhase, FleetSnapshot, ShardSnapshot, WorkerSnapshot } from './fleet-snapshot.ts';
import { type FleetStatus, readFleetStatus } from './fleet-status.ts';
import type { Ledger } from './ledger.ts';
import type { ShardMoves } from './shard-moves.ts';
import type { WorkerFleet, WorkerSlot } from './worker-fleet.ts';

/** What the simulator knows better than the coordination table, which hears of it every few seconds. */
export interface DiscordView {
  /** Shards with a session that somebody is connected to. */
  connectedShards(): ReadonlySet<number>;
  readonly guildCount: number;
  readonly identifies: number;
  readonly resumes: number;
}

export interface FleetMonitorOptions {
  readonly store: CoordinationStore;
  readonly workers: WorkerFleet;
  readonly ledger: Ledger;
  readonly moves: ShardMoves;
  /** Absent with the real Discord. */
  readonly discord: DiscordView | undefined;
  readonly clock: Clock;
  readonly logger: Logger;
}

const happeningsKept = 8;
const nothingYet: FleetStatus = {
  shardCount: undefined,
  maxConcurrency: undefined,
  coordinator: undefined,
  identifiesRemaining: undefined,
  identifiesTotal: undefined,
  workers: [],
  shards: [],
};

/** Looks at a running fleet from all sides, about once a second, and puts what it sees together. */
export class FleetMonitor {
  readonly #options: FleetMonitorOptions;
  readonly #startedAtMs: number;
  #status: FleetStatus = nothingYet;
  #happenings: FleetHappening[] = [];
  #delivered = 0;
  #seen = { atMs: 0, emitted: 0, delivered: 0 };
  #rates = { emitted: 0, delivered: 0 };
  #latencyMs = { p50: 0, p99: 0 };
  #workerResumes = 0;
  #workerIdentifies = 0;

  constructor(options: FleetMonitorOptions) {
    this.#options = options;
    this.#startedAtMs = options.clock.monotonicMs();
  }

  get elapsedMs(): number {
    return this.#options.clock.monotonicMs() - this.#startedAtMs;
  }

  /** The figures of the last look. */
  get status(): FleetStatus {
    return this.#status;
  }

  /** Events that reached a handler; with the simulator the ledger has the same figure. */
  get delivered(): number {
    return this.#delivered;
  }

  get identifies(): number {
    return this.#options.discord?.identifies ?? this.#workerIdentifies;
  }

  get resumes(): number {
    return this.#options.discord?.resumes ?? this.#workerResumes;
  }

  note(text: string): void {
    this.#happenings = [...this.#happenings, { atMs: this.elapsedMs, text }].slice(-happeningsKept);
  }

  countDelivery(): void {
    this.#delivered += 1;
  }

  /** Without a simulator to ask, sessions are counted where the workers tell of them. */
  countSession(how: 'identify' | 'resume'): void {
    if (how === 'identify') this.#workerIdentifies += 1;
    else this.#workerResumes += 1;
  }

  /** Reads the coordination table and works out the rates since the last look. */
  async look(): Promise<void> {
    const { store, ledger, logger } = this.#options;
    const atMs = this.elapsedMs;
    const { emitted } = ledger.totals;
    const seconds = (atMs - this.#seen.atMs) / 1000;
    if (seconds > 0) {
      this.#rates = {
        emitted: (emitted - this.#seen.emitted) / seconds,
        delivered: (this.#delivered - this.#seen.delivered) / seconds,
      };
      this.#latencyMs = ledger.takeRecentLatencyMs();
      this.#seen = { atMs, emitted, delivered: this.#delivered };
    }
    try {
      this.#status = await readFleetStatus(store);
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'monitor.table_unreadable');
    }
  }

  snapshot(phase: FleetPhase, remainingMs: number | undefined): FleetSnapshot {
    const { workers, ledger, moves, discord } = this.#options;
    const connected = discord?.connectedShards();
    const shards = this.#status.shards.map((shard): ShardSnapshot => {
      const ready = connected === undefined ? shard.ready : connected.has(shard.shardId);
      const state = ready ? 'ready' : shard.state === 'ready' ? 'disconnected' : shard.state;
      return {
        shardId: shard.shardId,
        state,
        ready: ready && shard.owner !== undefined,
        workerId: shard.workerId,
        guildCount: shard.guildCount ?? 0,
      };
    });
    return {
      phase,
      elapsedMs: this.elapsedMs,
      remainingMs,
      discord: discord === undefined ? 'discord' : 'simulator',
      workers: workers.workers.map((worker) => this.#workerSnapshot(worker, shards)),
      shards,
      guildCount: discord?.guildCount ?? shards.reduce((sum, shard) => sum + shard.guildCount, 0),
      emittedPerSecond: this.#rates.emitted,
      deliveredPerSecond: this.#rates.delivered,
      latencyMs: this.#latencyMs,
      totals: discord === undefined ? undefined : ledger.totals,
      identifies: this.identifies,
      resumes: this.resumes,
      handoffs: moves.handoffs,
      takeovers: moves.takeovers,
      happenings: this.#happenings,
    };
  }

  #workerSnapshot(worker: WorkerSlot, shards: readonly ShardSnapshot[]): WorkerSnapshot {
    const { workerId } = worker;
    const held = shards.filter((shard) => shard.workerId === workerId);
    const reported = this.#status.workers.filter((each) => each.workerId === workerId);
    return {
      workerId,
      pid: worker.pid,
      state: worker.state,
      coordinator: reported.some((each) => each.coordinator),
      shardCount: held.length,
      readyShardCount: held.filter((shard) => shard.ready).length,
      cpuPercent: worker.cpuPercent,
      rssMb: worker.rssBytes / 2 ** 20,
      eventsPerSecond: worker.state === 'ended' ? 0 : (reported.at(-1)?.eventsPerSecond ?? 0),
      warnings: worker.warnings,
      errors: worker.errors,
    };
  }
}

import type { Clock } from '../../shared/clock.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import type { WorkerReport } from '../../shared/coordination/model.ts';
import { type ShardAddress, shardKey } from '../../shared/sharding.ts';

/** What a worker last reported of a shard: a few seconds old. */
export interface ShardFigures {
  /** `unheld` while nobody reports the shard; otherwise the state its worker tells, such as `ready` or `resuming`. */
  readonly status: string;
  readonly ready: boolean;
  readonly guildCount: number;
  /** Milliseconds between the last heartbeat and Discord's answer to it. */
  readonly latencyMs: number;
  readonly eventsPerSecond: number;
  /** Interactions that came through the shard's gateway session; those over HTTP are not among them. */
  readonly commandsPerSecond: number;
  /** The name of the worker that holds the shard; `undefined` while nobody does. */
  readonly worker: string | undefined;
}

/** The shard that an event or interaction came through. What it knows at once is plain, what has to be read is async. */
export interface ShardContext {
  /** `null` when the bot is not sharded: then there is one session for everything, and {@link total} is 1. */
  readonly id: number | null;
  /** `num_shards` of the shard's session. */
  readonly total: number;
  /** How often the shard has changed hands: the fencing number of the worker that sent the event. */
  readonly epoch: number;
  /** What the shard's worker reports. Read from the coordination table, at most every few seconds. */
  figures(): Promise<ShardFigures>;
  /** Ids of the shard's guilds. Read from the coordination table, at most every few seconds. */
  guildIds(): Promise<readonly string[]>;
}

/** Where a shard context reads what it does not know. Rejects with `StoreUnavailable`. */
export interface ShardReader {
  figures(shard: ShardAddress): Promise<ShardFigures>;
  guildIds(shard: ShardAddress): Promise<readonly string[]>;
}

/** From the envelope's `shard` and `epoch` (contract, section 3). */
export function shardContext(
  [shardId, shardCount]: readonly [number, number],
  epoch: number,
  reader: ShardReader,
): ShardContext {
  const shard = { shardId, shardCount };
  return {
    id: shardCount === 1 ? null : shardId,
    total: shardCount,
    epoch,
    figures: () => reader.figures(shard),
    guildIds: () => reader.guildIds(shard),
  };
}

/** What was read is good for this long; everything behind it is as old as a worker's report, about five seconds. */
const freshMs = 5000;

interface Read<T> {
  readonly atMs: number;
  readonly value: Promise<T>;
}

/** Reads reports and rosters of the coordination table, and remembers them for a few seconds. */
export class StoredShards implements ShardReader {
  readonly #store: Pick<CoordinationStore, 'listReports' | 'readRoster'>;
  readonly #clock: Clock;
  #reports: Read<WorkerReport[]> | undefined;
  readonly #guildIds = new Map<string, Read<readonly string[]>>();

  constructor(store: Pick<CoordinationStore, 'listReports' | 'readRoster'>, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  async figures(shard: ShardAddress): Promise<ShardFigures> {
    if (!this.#isFresh(this.#reports)) {
      this.#reports = this.#read(this.#store.listReports(), () => (this.#reports = undefined));
    }
    const key = shardKey(shard);
    // Two workers report a shard that has just changed hands: the later owner is right.
    const [held] = ((await this.#reports?.value) ?? [])
      .flatMap(({ workerId, shards }) => shards.map((report) => ({ workerId, report })))
      .filter(({ report }) => report.shard === key)
      .sort((one, other) => other.report.epoch - one.report.epoch);
    if (!held) {
      return {
        status: 'unheld',
        ready: false,
        guildCount: 0,
        latencyMs: 0,
        eventsPerSecond: 0,
        commandsPerSecond: 0,
        worker: undefined,
      };
    }
    const { state, ready, guildCount, latencyMs, eventsPerSecond, figures } = held.report;
    return {
      status: state,
      ready,
      guildCount,
      latencyMs,
      eventsPerSecond,
      commandsPerSecond: figures?.commandsPerSecond ?? 0,
      worker: held.workerId,
    };
  }

  guildIds(shard: ShardAddress): Promise<readonly string[]> {
    const key = shardKey(shard);
    let read = this.#guildIds.get(key);
    if (!this.#isFresh(read)) {
      const ids = this.#store.readRoster(shard).then((roster) => [...(roster?.guilds.keys() ?? [])]);
      read = this.#read(ids, () => this.#guildIds.delete(key));
      this.#guildIds.set(key, read);
    }
    return (read as Read<readonly string[]>).value;
  }

  #isFresh(read: Read<unknown> | undefined): boolean {
    return read !== undefined && this.#clock.monotonicMs() - read.atMs < freshMs;
  }

  /** A failure is not remembered. */
  #read<T>(value: Promise<T>, forget: () => void): Read<T> {
    value.catch(forget);
    return { atMs: this.#clock.monotonicMs(), value };
  }
}

import type { Clock } from '../clock.ts';
import { BatonError, messageOf } from '../errors.ts';
import { parsePropertyPath } from './client-properties.ts';
import { type AnyQuery, parseQueryArguments, type QueryDefinition } from './define-query.ts';
import { checkedIds } from './addressees.ts';
import { type MissingShard, missingLine, type ShardAnswer } from './answers.ts';
import type { Fleet } from './fleet.ts';
import type { LiveShardFigures, RespawnResult, ShardRequest, ShardResults } from './requests.ts';
import { shown } from './shard-manager-options.ts';

/** A shard as `getShardInfo` tells it. */
export interface ShardInfo {
  readonly shardId: number;
  readonly totalShards: number;
  /** `ready`, or what its connection is doing; `unknown` when it cannot be asked. */
  readonly status: string;
  readonly ready: boolean;
  /** Name of the worker that holds it, if one is known. */
  readonly worker: string | null;
  readonly guildCount: number;
  /** Of the gateway, in milliseconds. */
  readonly latencyMs: number;
  /** Why it cannot be asked. */
  readonly error?: string;
}

/** A shard as `getShardStats` tells it: figures, or the error of a shard that cannot answer. */
export type ShardStats =
  | {
      readonly shardId: number;
      readonly guildCount: number;
      /** Members of all its guilds; somebody in two of them counts twice. */
      readonly userCount: number;
      /** Of the gateway, in milliseconds. */
      readonly ping: number;
      /** Of the worker process that holds it. */
      readonly memoryMb: number;
      /** Age of its session, handoffs included; 0 while it is not ready. */
      readonly uptimeMs: number;
      readonly ready: boolean;
    }
  | { readonly shardId: number; readonly error: string };

export interface RespawnedShard extends RespawnResult {
  readonly shardId: number;
}

export interface AskShardsOptions {
  /** @default all of the manager's */
  readonly shards?: readonly number[];
  /** Nobody waits longer than this. @default 5000 */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface SpawnOptions {
  /** How long it may take until every shard is ready. @default 30000 and 6000 more for each shard */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

export interface RespawnOptions {
  /** Gives the session up and IDENTIFYs, at the cost of one of the day's, instead of resuming it. @default false */
  readonly fresh?: boolean;
  /** @default 30000 */
  readonly timeoutMs?: number;
}

/** What can start and end worker processes; a manager of a deployed fleet has none. */
export interface ShardSpawner {
  /** Starts everything that is needed. Resolves before the shards are ready. */
  start(): Promise<{ readonly fleet: ShardFleet }>;
  /** Rejects when what was started cannot go on. */
  readonly failed: Promise<never>;
  /** Why a worker is down and stays so. */
  downReason(worker: string): string | undefined;
  /** What a worker last complained about. */
  lastTrouble(): string | undefined;
  /** Hands everything over and ends what was started. */
  stop(): Promise<void>;
}

export type ShardFleet = Pick<Fleet, 'askShards' | 'shardCount'>;

export type ShardManagerParts = {
  readonly clock: Clock;
  /** The shards that this manager looks after. @default all of the fleet's */
  readonly shardIds?: readonly number[] | undefined;
} & ({ readonly spawner: ShardSpawner } | { readonly fleet: ShardFleet; readonly close: () => void });

const lookEveryMs = 100;
const spawnBaseMs = 30_000;
/** An identify bucket lets one shard through in five seconds. */
const spawnPerShardMs = 6000;

/**
 * What discord.js's ShardingManager does, over a fleet: the same calls, for shards on any number of workers. Every
 * answer is partial when it has to be: `{ results, missing }`, with a reason for each missing shard.
 */
export class ShardManager {
  readonly #parts: ShardManagerParts;
  #fleet: ShardFleet | undefined;
  #isStopped = false;

  constructor(parts: ShardManagerParts) {
    this.#parts = parts;
    if ('fleet' in parts) this.#fleet = parts.fleet;
  }

  /**
   * Starts the fleet, where this manager has one to start, and waits until every shard is ready.
   * @throws {BatonError} `REQUEST_FAILED` naming the shards that are not ready in time; whatever keeps the fleet from
   *   starting, such as `HANDLERS_INVALID` or `CONFIG_INVALID`.
   */
  async spawnShards({ timeoutMs, signal }: SpawnOptions = {}): Promise<ShardInfo[]> {
    const parts = this.#parts;
    if (this.#isStopped)
      throw new BatonError('REQUEST_INVALID', 'spawnShards: this manager was stopped; create another');
    const wait = { ...(timeoutMs !== undefined && { timeoutMs }), ...(signal && { signal }) };
    if (!('spawner' in parts)) return this.untilReady(wait);
    if (this.#fleet !== undefined)
      throw new BatonError('REQUEST_INVALID', 'spawnShards: the shards have been spawned already');
    const { fleet } = await parts.spawner.start();
    this.#fleet = fleet;
    return Promise.race([this.untilReady(wait), parts.spawner.failed]);
  }

  /**
   * Waits until every shard is ready, e.g. after a crash.
   * @throws {BatonError} `REQUEST_FAILED` naming the shards that are not ready in time.
   */
  async untilReady({ timeoutMs, signal }: SpawnOptions = {}): Promise<ShardInfo[]> {
    const { clock } = this.#parts;
    const startedAtMs = clock.monotonicMs();
    for (;;) {
      const shards = await this.#knownShards();
      if (shards.length > 0 && shards.every(({ ready }) => ready)) return shards;
      const limitMs = timeoutMs ?? spawnBaseMs + spawnPerShardMs * shards.length;
      const passedMs = clock.monotonicMs() - startedAtMs;
      if (signal?.aborted || this.#isStopped)
        throw new BatonError('REQUEST_FAILED', 'ended before every shard was ready');
      if (passedMs > limitMs)
        throw new BatonError(
          'REQUEST_FAILED',
          `${notReadyLine(shards)} after ${Math.round(passedMs)} ms${this.#trouble()}`,
        );
      await clock.sleep(lookEveryMs, signal);
    }
  }

  /** What each shard is doing, in order of their ids. */
  async getShardInfo({ timeoutMs }: Pick<AskShardsOptions, 'timeoutMs'> = {}): Promise<ShardInfo[]> {
    const totalShards = await this.#fleetOf('getShardInfo').shardCount();
    const { results, missing } = await this.#figures('getShardInfo', timeoutMs);
    const answered = results.map(({ shard, worker, value }): ShardInfo => {
      const { state, ready, guildCount, latencyMs } = value;
      return { shardId: shard, totalShards, status: ready ? 'ready' : state, ready, worker, guildCount, latencyMs };
    });
    const silent = missing.map(({ shard, worker = null, reason }): ShardInfo => {
      return {
        shardId: shard,
        totalShards,
        status: 'unknown',
        ready: false,
        worker,
        guildCount: 0,
        latencyMs: 0,
        error: reason,
      };
    });
    return [...answered, ...silent].sort(byShard);
  }

  /**
   * Runs code on every shard, in a sandbox with a read-only `client`; the value of its last expression is the result.
   * For anything that is asked more than once, {@link query} is the better way: typed, checked, and always on.
   * @throws {BatonError} `REQUEST_INVALID` for what is not code in a string, `EVAL_OFF` when no worker runs code.
   */
  async broadcastEval(code: string, options: AskShardsOptions = {}): Promise<ShardAnswer<unknown>> {
    const answer = await this.#ask('broadcastEval', { kind: 'eval', code: checkedCode(code) }, options);
    if (
      answer.results.length === 0 &&
      answer.missing.length > 0 &&
      answer.missing.every(({ code: why }) => why === 'off')
    ) {
      throw new BatonError(
        'EVAL_OFF',
        'broadcastEval: eval is off on every worker; set BATON_EVAL=sandbox there, or define a query (docs/shard-manager.md)',
      );
    }
    return answer;
  }

  /**
   * The property at `path` of every shard's client, such as `guilds.cache.size`; `null` where it does not exist.
   * @throws {BatonError} `REQUEST_INVALID` for what is no path.
   */
  fetchClientValues(path: string, options: AskShardsOptions = {}): Promise<ShardAnswer<unknown>> {
    return this.#ask('fetchClientValues', { kind: 'fetch', path: checkedPath(path) }, options);
  }

  /**
   * Asks every shard a named query. By its definition the arguments and results are typed and checked here already.
   * @throws {BatonError} `REQUEST_INVALID` for arguments that the schema refuses.
   */
  async query<In, Result>(
    query: QueryDefinition<In, Result>,
    args: In,
    options?: AskShardsOptions,
  ): Promise<ShardAnswer<Result>>;
  async query(query: string, args?: unknown, options?: AskShardsOptions): Promise<ShardAnswer<unknown>>;
  async query(query: AnyQuery | string, args?: unknown, options: AskShardsOptions = {}): Promise<ShardAnswer<unknown>> {
    const name = typeof query === 'string' ? query : query.name;
    // As they were given: defaults and transformations are the worker's to apply, once.
    if (typeof query !== 'string') await parseQueryArguments(query, args);
    return this.#ask('query', { kind: 'query', name, args: args ?? null }, options);
  }

  /**
   * Connects a shard anew: its session is resumed, or with `fresh` a new one is begun.
   * @throws {BatonError} `REQUEST_INVALID` for an id out of range, `REQUEST_FAILED` when it did not come about in time.
   */
  async respawnShard(shardId: number, { fresh = false, timeoutMs }: RespawnOptions = {}): Promise<RespawnedShard> {
    if (typeof fresh !== 'boolean')
      throw new BatonError('REQUEST_INVALID', `respawnShard: fresh=${shown(fresh)} must be true or false`);
    const { results, missing } = await this.#ask(
      'respawnShard',
      { kind: 'respawn', fresh },
      { shards: [shardId], ...(timeoutMs !== undefined && { timeoutMs }) },
    );
    const [result] = results;
    if (result === undefined) throw new BatonError('REQUEST_FAILED', `respawnShard: ${missingLine(missing)}`);
    return { shardId, ...result.value };
  }

  /** Figures of every shard, in order of their ids; `error` for one that cannot answer. */
  async getShardStats({ timeoutMs }: Pick<AskShardsOptions, 'timeoutMs'> = {}): Promise<ShardStats[]> {
    const { results, missing } = await this.#figures('getShardStats', timeoutMs);
    const answered = results.map(({ shard, value }): ShardStats => statsOf(shard, value));
    const silent = missing.map(({ shard, reason }): ShardStats => ({ shardId: shard, error: reason }));
    return [...answered, ...silent].sort(byShard);
  }

  /** Ends what {@link spawnShards} started, sessions kept, or the connection to a deployed fleet. */
  async stop(): Promise<void> {
    if (this.#isStopped) return;
    this.#isStopped = true;
    const parts = this.#parts;
    if ('spawner' in parts) await parts.spawner.stop();
    else parts.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #figures(call: string, timeoutMs: number | undefined): Promise<ShardAnswer<LiveShardFigures>> {
    return this.#ask(call, { kind: 'figures' }, timeoutMs === undefined ? {} : { timeoutMs });
  }

  async #ask<R extends ShardRequest>(
    call: string,
    request: R,
    { shards, timeoutMs, signal }: AskShardsOptions,
  ): Promise<ShardAnswer<ShardResults[R['kind']]>> {
    const fleet = this.#fleetOf(call);
    const own = this.#parts.shardIds;
    if (timeoutMs !== undefined && !(Number.isFinite(timeoutMs) && timeoutMs > 0)) {
      throw new BatonError(
        'REQUEST_INVALID',
        `${call}: timeoutMs=${shown(timeoutMs)} must be a number of milliseconds above 0`,
      );
    }
    try {
      const asked = shards === undefined ? (own ?? 'all') : await this.#checkedShards(fleet, shards);
      const answer = await fleet.askShards(asked, request, {
        ...(timeoutMs !== undefined && { withinMs: timeoutMs }),
        ...(signal !== undefined && { signal }),
      });
      return { results: answer.results, missing: answer.missing.map((shard) => this.#explained(shard)) };
    } catch (error) {
      if (error instanceof BatonError)
        throw new BatonError(error.code, `${call}: ${messageOf(error)}`, { cause: error });
      throw error;
    }
  }

  async #checkedShards(fleet: ShardFleet, shards: unknown): Promise<readonly number[]> {
    if (!Array.isArray(shards))
      throw new BatonError('REQUEST_INVALID', `shards=${shown(shards)} must be an array of shard ids`);
    const ids = checkedIds(shards as number[], await fleet.shardCount());
    const own = this.#parts.shardIds;
    const foreign = own === undefined ? undefined : ids.find((id) => !own.includes(id));
    if (foreign !== undefined)
      throw new BatonError('REQUEST_INVALID', `shard ${foreign} is not this manager's: it has ${own?.join(', ')}`);
    return ids;
  }

  /** A worker that stays down is a better reason than its silence. */
  #explained(missing: MissingShard): MissingShard {
    const parts = this.#parts;
    if (!('spawner' in parts) || missing.worker === undefined) return missing;
    const reason = parts.spawner.downReason(missing.worker);
    return reason === undefined ? missing : { ...missing, reason };
  }

  #fleetOf(call: string): ShardFleet {
    if (this.#isStopped) throw new BatonError('REQUEST_INVALID', `${call}: this manager was stopped; create another`);
    if (this.#fleet === undefined)
      throw new BatonError('REQUEST_INVALID', `${call}: no shards have been spawned yet; call spawnShards first`);
    return this.#fleet;
  }

  #trouble(): string {
    const trouble = 'spawner' in this.#parts ? this.#parts.spawner.lastTrouble() : undefined;
    return trouble === undefined ? '' : ` (${trouble})`;
  }

  /** Empty while the first worker has not written down what fleet it is. */
  async #knownShards(): Promise<ShardInfo[]> {
    try {
      return await this.getShardInfo({ timeoutMs: 2000 });
    } catch (error) {
      if (error instanceof BatonError && ['REQUEST_FAILED', 'STORE_UNREACHABLE'].includes(error.code)) return [];
      throw error;
    }
  }
}

/**
 * The bare values, in order of the shards' ids, for callers that want all or nothing, as with discord.js.
 * @throws {BatonError} `REQUEST_FAILED` naming the shards that gave none.
 */
export function valuesOf<T>({ results, missing }: ShardAnswer<T>): T[] {
  if (missing.length > 0) throw new BatonError('REQUEST_FAILED', missingLine(missing));
  return results.map(({ value }) => value);
}

function notReadyLine(shards: readonly ShardInfo[]): string {
  if (shards.length === 0) return 'no worker has joined the fleet';
  const waiting = shards.filter(({ ready }) => !ready);
  return `shards ${waiting.map(({ shardId }) => shardId).join(', ')} are not ready (${waiting[0]?.error ?? waiting[0]?.status})`;
}

function statsOf(shardId: number, { guildCount, latencyMs, memoryMb, figures, ready }: LiveShardFigures): ShardStats {
  return {
    shardId,
    guildCount,
    userCount: figures?.memberCount ?? 0,
    ping: latencyMs,
    memoryMb,
    uptimeMs: ready ? (figures?.sessionAgeMs ?? 0) : 0,
    ready,
  };
}

function byShard(one: { shardId: number }, other: { shardId: number }): number {
  return one.shardId - other.shardId;
}

/** @throws {BatonError} `REQUEST_INVALID` with advice for functions, which discord.js takes and a fleet cannot. */
function checkedCode(code: unknown): string {
  if (typeof code === 'function') {
    throw new BatonError(
      'REQUEST_INVALID',
      'broadcastEval: a function cannot travel to other machines, and what it closes over even less: give its code as a string, such as "client.guilds.cache.size", or define a query with defineQuery (docs/shard-manager.md)',
    );
  }
  if (typeof code === 'string' && code.trim() !== '') return code;
  throw new BatonError('REQUEST_INVALID', `broadcastEval: code=${shown(code)} must be a string of JavaScript`);
}

function checkedPath(path: unknown): string {
  try {
    return parsePropertyPath(path);
  } catch (error) {
    throw new BatonError('REQUEST_INVALID', `fetchClientValues: ${messageOf(error)}`, { cause: error });
  }
}

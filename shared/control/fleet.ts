import type { FleetState } from '../coordination/model.ts';
import { BatonError } from '../errors.ts';
import { checkedIds, findWorker } from './addressees.ts';
import { missingLine, type ShardAnswer, type WorkerAnswer } from './answers.ts';
import type { FleetOptions } from './fleet-ports.ts';
import {
  type FleetCommand,
  flawOf,
  maxRequestBytes,
  maxWithinMs,
  readTailBatch,
  type ShardRequest,
  type ShardResults,
  type TailBatch,
  type WorkerRequest,
  type WorkerResults,
} from './requests.ts';
import { ShardRound, WorkerRegister } from './shard-round.ts';
import { WorkerRound } from './worker-round.ts';

export interface AskOptions {
  /** Nobody waits longer than this, in milliseconds. @default 5000, for `respawn` 30000 */
  readonly withinMs?: number;
  /** Ends the wait early; what has no answer by then is missing. */
  readonly signal?: AbortSignal;
}

export interface TailOptions {
  /** Dispatch types. @default all */
  readonly types?: readonly string[];
  /** Guild ids. @default all */
  readonly guilds?: readonly string[];
  /** Events a second from each worker; more are counted and left out. @default 100 */
  readonly perSecond?: number;
  readonly signal: AbortSignal;
}

const defaultWithinMs = 5000;
const respawnWithinMs = 30_000;
const fleetStateForMs = 5000;
/** A tail ends by itself this long after its caller last asked for it. */
const tailForMs = 10_000;
const tailLookMs = 250;

/**
 * The workers of a fleet, asked from outside: one shard, some, or all; one worker, or all. A dead or stopped worker
 * makes nobody wait beyond the deadline: whatever gave no answer is in `missing` with the reason.
 */
export class Fleet {
  readonly #options: FleetOptions;
  readonly #register: WorkerRegister;
  /** What is tidied up behind requests, while nobody waits for it. */
  readonly #tidying = new Set<Promise<void>>();
  /** The generation changes with a reshard alone. */
  #state: { readonly fleet: FleetState; readonly readAtMs: number } | undefined;

  constructor(options: FleetOptions) {
    this.#options = options;
    this.#register = new WorkerRegister(options.store, options.clock);
  }

  /**
   * Asks shards, by way of the workers that hold them. A shard on its way to another worker is asked there.
   * @throws {BatonError} `REQUEST_INVALID` for an id that the fleet does not have, or a request that is too large or
   * of a wrong form (nobody was asked then); `STORE_UNREACHABLE` when the leases cannot be read.
   */
  async askShards<R extends ShardRequest>(
    shards: 'all' | readonly number[],
    request: R,
    options: AskOptions = {},
  ): Promise<ShardAnswer<ShardResults[R['kind']]>> {
    refuseFlawed(request, 'shards');
    const { shardCount } = await this.#readFleet();
    const ids = shards === 'all' ? Array.from({ length: shardCount }, (_, id) => id) : checkedIds(shards, shardCount);
    const round = new ShardRound(this.#options, {
      shardCount,
      shards: ids,
      request,
      withinMs: withinMsOf(request, options),
      signal: options.signal,
      register: this.#register,
      tidying: this.#tidying,
    });
    return (await round.run()) as ShardAnswer<ShardResults[R['kind']]>;
  }

  /**
   * Asks workers by name or incarnation.
   * @throws {BatonError} `REQUEST_INVALID` for a name that no worker has; `STORE_UNREACHABLE`.
   */
  async askWorkers<R extends WorkerRequest>(
    workers: 'all' | readonly string[],
    request: R,
    options: AskOptions = {},
  ): Promise<WorkerAnswer<WorkerResults[R['kind']]>> {
    refuseFlawed(request, 'workers');
    const records = await this.#options.store.listWorkers();
    const asked = workers === 'all' ? records : workers.map((name) => findWorker(records, name));
    const round = new WorkerRound(this.#options, {
      asked,
      request,
      withinMs: withinMsOf(request, options),
      signal: options.signal,
      tidying: this.#tidying,
    });
    return (await round.run()) as WorkerAnswer<WorkerResults[R['kind']]>;
  }

  /**
   * Sends a gateway command on a shard, as soon as Discord's send limits allow.
   * @throws {BatonError} `REQUEST_INVALID`, `STORE_UNREACHABLE`, or `REQUEST_FAILED` when the shard gave no answer in time.
   */
  async command(shardId: number, command: FleetCommand, options: AskOptions = {}): Promise<ShardResults['command']> {
    const { results, missing } = await this.askShards([shardId], { kind: 'command', command }, options);
    const [result] = results;
    if (result === undefined) throw new BatonError('REQUEST_FAILED', missingLine(missing));
    return result.value;
  }

  /** Resolves when the replies to past requests are removed. For whoever is about to close the clients. */
  async tidied(): Promise<void> {
    await Promise.all(this.#tidying);
  }

  /** Number of shards of the present generation. @throws {BatonError} `REQUEST_FAILED` before the fleet's first start. */
  async shardCount(): Promise<number> {
    return (await this.#readFleet()).shardCount;
  }

  /**
   * Live events, as summaries, until `signal` aborts. Workers that join are tapped within seconds.
   * @throws {BatonError} `REQUEST_INVALID`, `STORE_UNREACHABLE`, and `REQUEST_FAILED` when no worker takes part.
   */
  async *tail({ types = [], guilds = [], perSecond = 100, signal }: TailOptions): AsyncGenerator<TailBatch> {
    const { clock, random, replies } = this.#options;
    const tail = random.uuid();
    const request: WorkerRequest = {
      kind: 'tail',
      tail,
      types: [...types],
      guilds: [...guilds],
      perSecond,
      forMs: tailForMs,
    };
    refuseFlawed(request, 'workers');
    let extendAtMs = Number.NEGATIVE_INFINITY;
    let extending: Promise<WorkerAnswer<unknown>> | undefined;
    while (!signal.aborted) {
      if (clock.monotonicMs() >= extendAtMs) {
        if (extending !== undefined) refuseIfNobody(await extending);
        extendAtMs = clock.monotonicMs() + tailForMs / 3;
        extending = this.askWorkers('all', request, { withinMs: tailForMs / 5, signal });
        // Events do not wait for workers that say nothing; a fault is thrown at the next turn.
        extending.catch(() => {});
      }
      const found = (await replies.receive(tail)).sort((one, other) => (one.from < other.from ? -1 : 1));
      await replies.forget(tail, found);
      for (const { body } of found) {
        const batch = readTailBatch(body);
        if (batch !== undefined) yield batch;
      }
      await clock.sleep(tailLookMs, signal);
    }
  }

  async #readFleet(): Promise<FleetState> {
    const { store, clock } = this.#options;
    const readAtMs = clock.monotonicMs();
    if (this.#state !== undefined && readAtMs - this.#state.readAtMs < fleetStateForMs) return this.#state.fleet;
    const fleet = await store.readFleet();
    if (fleet === undefined) {
      throw new BatonError('REQUEST_FAILED', 'the fleet has no shards yet: no worker has ever been started');
    }
    this.#state = { fleet, readAtMs };
    return fleet;
  }
}

function refuseFlawed(request: ShardRequest | WorkerRequest, to: 'shards' | 'workers'): void {
  const flaw = flawOf(request, to);
  if (flaw !== undefined) throw new BatonError('REQUEST_INVALID', flaw);
  const bytes = Buffer.byteLength(JSON.stringify(request));
  if (bytes <= maxRequestBytes) return;
  const reason = `${request.kind}: the request has ${bytes} bytes, at most ${maxRequestBytes} are sent`;
  throw new BatonError('REQUEST_INVALID', reason);
}

function refuseIfNobody({ results, missing }: WorkerAnswer<unknown>): void {
  if (results.length > 0) return;
  throw new BatonError('REQUEST_FAILED', missing[0]?.reason ?? 'no live events: no worker is registered');
}

function withinMsOf(request: ShardRequest | WorkerRequest, { withinMs }: AskOptions): number {
  const usualMs = request.kind === 'respawn' ? respawnWithinMs : defaultWithinMs;
  return Math.min(maxWithinMs, withinMs ?? usualMs);
}

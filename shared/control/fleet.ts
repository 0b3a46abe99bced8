import type { Clock } from '../clock.ts';
import type { FleetState, Incarnation, WorkerRecord } from '../coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../coordination/store.ts';
import { BatonError, messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Random } from '../random.ts';
import { parseShardKey, shardKey } from '../sharding.ts';
import type { ControlPlane } from './control-queue.ts';
import type { Replies, Reply } from './replies.ts';
import {
  type FailureCode,
  type FleetCommand,
  flawOf,
  maxRequestBytes,
  type Outcome,
  readTailBatch,
  readWorkerReply,
  type RequestMessage,
  requestVersion,
  type ShardRequest,
  type ShardResults,
  type TailBatch,
  type WorkerRequest,
  type WorkerResults,
} from './requests.ts';

/** What requests are routed by. */
export type FleetReads = Pick<CoordinationStore, 'readFleet' | 'listWorkers' | 'readLeases' | 'listLeases'>;

export interface FleetOptions {
  readonly store: FleetReads;
  readonly control: Pick<ControlPlane, 'send'>;
  readonly replies: Replies;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

export interface AskOptions {
  /** Nobody waits longer than this, in milliseconds. @default 5000, for `respawn` 30000 */
  readonly withinMs?: number;
  /** Ends the wait early; what has no answer by then is missing. */
  readonly signal?: AbortSignal;
}

/** Why there is no result: what the worker said, or what kept the question from it. */
export type MissingCode = Exclude<FailureCode, 'not-mine'> | 'no-answer' | 'unheld' | 'moving' | 'unreachable';

export interface ShardResult<T> {
  readonly shard: number;
  readonly worker: string;
  readonly value: T;
}

export interface MissingShard {
  readonly shard: number;
  /** The one that was asked last; absent when none was. */
  readonly worker?: string;
  readonly code: MissingCode;
  /** One line for people. */
  readonly reason: string;
}

/** Every shard that was asked is in one of the two, in order of their ids. */
export interface ShardAnswer<T> {
  readonly results: readonly ShardResult<T>[];
  readonly missing: readonly MissingShard[];
}

export interface WorkerResult<T> {
  readonly worker: string;
  readonly incarnation: Incarnation;
  readonly value: T;
}

export interface MissingWorker {
  readonly worker: string;
  readonly incarnation: Incarnation;
  readonly code: MissingCode;
  readonly reason: string;
}

/** Every worker that was asked is in one of the two. */
export interface WorkerAnswer<T> {
  readonly results: readonly WorkerResult<T>[];
  readonly missing: readonly MissingWorker[];
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
const maxWithinMs = 10 * 60_000;
/** Replies are looked for this often at first, then, when they do not come, ever less often. */
const firstLookMs = 20;
const eagerForMs = 400;
const longestLookMs = 150;
/** A shard between two owners, or whose owner has not heard of it yet, is asked again after this time. */
const askAgainMs = 100;
/** A silent owner may have lost the shard: its lease is read again this often. */
const rereadLeasesMs = 1000;
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
    this.#register = new WorkerRegister(options.store);
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

/** Workers by incarnation. A record never changes its queue, so only one that is not known is looked for. */
class WorkerRegister {
  readonly #store: FleetReads;
  #records = new Map<Incarnation, WorkerRecord>();

  constructor(store: FleetReads) {
    this.#store = store;
  }

  get(incarnation: Incarnation): WorkerRecord | undefined {
    return this.#records.get(incarnation);
  }

  /** Reads the register again unless it has them all. */
  async know(incarnations: readonly Incarnation[]): Promise<void> {
    if (incarnations.every((incarnation) => this.#records.has(incarnation))) return;
    this.#records = new Map((await this.#store.listWorkers()).map((record) => [record.incarnation, record]));
  }
}

/**
 * The worker of that name, or incarnation. Of several lives of one name the latest counts.
 * @throws {BatonError} `REQUEST_INVALID` with the names there are.
 */
export function findWorker(records: readonly WorkerRecord[], name: string): WorkerRecord {
  const found = records
    .filter(({ workerId, incarnation }) => workerId === name || incarnation === name)
    .reduce<WorkerRecord | undefined>(
      (latest, record) => (latest === undefined || record.joinNumber > latest.joinNumber ? record : latest),
      undefined,
    );
  if (found !== undefined) return found;
  const names = records.length === 0 ? 'no worker is registered' : `there are ${listNames(records)}`;
  throw new BatonError('REQUEST_INVALID', `there is no worker ${JSON.stringify(name)}: ${names}`);
}

/** @throws {BatonError} `REQUEST_INVALID` with the id and what is allowed. */
export function checkedIds(shards: readonly number[], shardCount: number): number[] {
  const wrong = shards.find((id) => !Number.isInteger(id) || id < 0 || id >= shardCount);
  if (wrong !== undefined) {
    const allowed = shardCount === 1 ? '0 alone' : `0 to ${shardCount - 1}`;
    throw new BatonError('REQUEST_INVALID', `there is no shard ${wrong}: the fleet has ${allowed}`);
  }
  return [...new Set(shards)].sort((one, other) => one - other);
}

/** All reasons in one line: what is the same for several shards is said once. */
export function missingLine(missing: readonly MissingShard[]): string {
  const byReason = Map.groupBy(missing, ({ reason }) => reason);
  return [...byReason]
    .map(([reason, shards]) => `shard ${shards.map(({ shard }) => shard).join(', ')}: ${reason}`)
    .join('; ');
}

const maxNamesListed = 20;

function listNames(records: readonly WorkerRecord[]): string {
  const names = [...new Set(records.map(({ workerId }) => workerId))].sort();
  const more = names.length - maxNamesListed;
  return names.slice(0, maxNamesListed).join(', ') + (more > 0 ? ` and ${more} more` : '');
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

/** Repeating these does no harm, so they are asked of a new owner though the old one may have carried them out. */
const isRepeatable: Readonly<Record<ShardRequest['kind'], boolean>> = {
  ping: true,
  figures: true,
  fetch: true,
  query: true,
  eval: true,
  command: false,
  respawn: false,
};

interface Waiting {
  readonly withinMs: number;
  readonly signal: AbortSignal | undefined;
  readonly tidying: Set<Promise<void>>;
}

/** The wait for replies to one request, shared by both kinds of rounds. */
class ReplyWait {
  readonly id: string;
  readonly untilMs: number;
  readonly expiresAtMs: number;
  readonly #options: FleetOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #tidying: Set<Promise<void>>;
  readonly #seen: Reply[] = [];
  readonly #known = new Set<string>();
  readonly #eagerUntilMs: number;
  #lookMs = firstLookMs;
  #sendings = 0;
  trouble: string | undefined;

  constructor(options: FleetOptions, { withinMs, signal, tidying }: Waiting) {
    this.#options = options;
    this.#signal = signal;
    this.#tidying = tidying;
    this.id = options.random.uuid();
    this.untilMs = options.clock.monotonicMs() + withinMs;
    this.#eagerUntilMs = options.clock.monotonicMs() + eagerForMs;
    this.expiresAtMs = Math.round(options.clock.wallClockMs() + withinMs);
  }

  get isOver(): boolean {
    return this.#options.clock.monotonicMs() >= this.untilMs || this.#signal?.aborted === true;
  }

  /** Sends, and returns the number of the sending at once. `onFailure` is told when the queue does not take it. */
  send(
    to: WorkerRecord,
    body: ShardRequest | WorkerRequest,
    shards: RequestMessage['shards'],
    onFailure: (reason: string) => void,
  ): number {
    const sending = this.#sendings;
    this.#sendings += 1;
    const message: RequestMessage = {
      kind: 'request',
      v: requestVersion,
      id: this.id,
      sending,
      expiresAtMs: this.expiresAtMs,
      ...(shards && { shards }),
      body,
    };
    // Nobody waits for a queue: replies of others come meanwhile, and the deadline is for all.
    this.#options.control.send(to.controlQueueUrl, message).catch((error: unknown) => onFailure(messageOf(error)));
    return sending;
  }

  /** Waits a little, then gives the outcomes that have come since. */
  async next(): Promise<{ sending: number; outcomes: readonly Outcome[] }[]> {
    const { replies, clock } = this.#options;
    await clock.sleep(Math.min(this.#lookMs, Math.max(0, this.untilMs - clock.monotonicMs())), this.#signal);
    if (clock.monotonicMs() >= this.#eagerUntilMs) this.#lookMs = Math.min(longestLookMs, this.#lookMs * 1.5);
    let found: Reply[];
    try {
      found = (await replies.receive(this.id)).filter(({ from }) => !this.#known.has(from));
      this.trouble = undefined;
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.trouble = messageOf(error);
      return [];
    }
    this.#seen.push(...found);
    return found.flatMap(({ from, body }) => {
      this.#known.add(from);
      return readWorkerReply(body) ?? [];
    });
  }

  /** Tidies up behind the request, beside whatever comes next. Replies that come later go by the table's time to live. */
  end(): void {
    const { replies, logger } = this.#options;
    const tidying = replies
      .forget(this.id, this.#seen)
      .catch((error: unknown) => {
        logger.debug({ error: messageOf(error) }, 'request.replies_not_forgotten');
      })
      .finally(() => this.#tidying.delete(tidying));
    this.#tidying.add(tidying);
  }

  noAnswer(workerId: string, withinMs: number): string {
    const trouble = this.trouble === undefined ? '' : ` (${this.trouble})`;
    return `no answer from ${workerId} within ${Math.round(withinMs)} ms${trouble}`;
  }
}

/** How far the question to one shard has come. */
type Pending =
  /** To be asked, not before `atMs`; `missing` is what there is to say if it never is. */
  | { readonly kind: 'toAsk'; readonly atMs: number; readonly missing: Omit<MissingShard, 'shard'> }
  | { readonly kind: 'asked'; readonly of: WorkerRecord; readonly sending: number };

interface ShardQuestion extends Waiting {
  readonly shardCount: number;
  readonly shards: readonly number[];
  readonly request: ShardRequest;
  readonly register: WorkerRegister;
}

/** One request to shards. */
class ShardRound {
  readonly #options: FleetOptions;
  readonly #question: ShardQuestion;
  readonly #wait: ReplyWait;
  readonly #pending = new Map<number, Pending>();
  readonly #results: ShardResult<unknown>[] = [];
  readonly #missing: MissingShard[] = [];
  #rereadAtMs: number;

  constructor(options: FleetOptions, question: ShardQuestion) {
    this.#options = options;
    this.#question = question;
    this.#wait = new ReplyWait(options, question);
    this.#rereadAtMs = options.clock.monotonicMs() + rereadLeasesMs;
    const missing = { code: 'unheld', reason: 'it was not asked in time' } as const;
    for (const shard of question.shards)
      this.#pending.set(shard, { kind: 'toAsk', atMs: Number.NEGATIVE_INFINITY, missing });
  }

  async run(): Promise<ShardAnswer<unknown>> {
    try {
      await this.#route();
      while (this.#pending.size > 0 && !this.#wait.isOver) {
        for (const reply of await this.#wait.next()) this.#take(reply);
        await this.#routeAgain();
      }
    } finally {
      this.#wait.end();
    }
    for (const [shard, pending] of this.#pending) this.#giveUp(shard, pending);
    return {
      results: this.#results.sort((one, other) => one.shard - other.shard),
      missing: this.#missing.sort((one, other) => one.shard - other.shard),
    };
  }

  #take({ sending, outcomes }: { sending: number; outcomes: readonly Outcome[] }): void {
    for (const outcome of outcomes) {
      if (outcome.shard === undefined) continue;
      const { shardId } = parseShardKey(outcome.shard);
      const pending = this.#pending.get(shardId);
      if (pending?.kind !== 'asked') continue;
      const worker = pending.of.workerId;
      if (outcome.ok) {
        this.#results.push({ shard: shardId, worker, value: outcome.value });
        this.#pending.delete(shardId);
      } else if (outcome.code === 'not-mine') {
        // Of two that were asked one after the other only the later one's word counts.
        if (sending === pending.sending) this.#askAgain(shardId, pending.of);
      } else {
        this.#missing.push({ shard: shardId, worker, code: outcome.code, reason: outcome.reason });
        this.#pending.delete(shardId);
      }
    }
  }

  #askAgain(shard: number, { workerId }: WorkerRecord): void {
    const missing = {
      worker: workerId,
      code: 'moving' as const,
      reason: `it is changing hands; ${workerId} does not hold it`,
    };
    this.#pending.set(shard, { kind: 'toAsk', atMs: this.#options.clock.monotonicMs() + askAgainMs, missing });
  }

  /** Whether owners that say nothing may have lost their shards by now, and may be passed over. */
  get #isStale(): boolean {
    return isRepeatable[this.#question.request.kind] && this.#options.clock.monotonicMs() >= this.#rereadAtMs;
  }

  /** Routes what is due, if anything is. Trouble with the table is waited out: replies may come meanwhile. */
  async #routeAgain(): Promise<void> {
    const nowMs = this.#options.clock.monotonicMs();
    const isDue = [...this.#pending.values()].some((pending) => pending.kind === 'toAsk' && pending.atMs <= nowMs);
    if (!isDue && !(this.#isStale && this.#pending.size > 0)) return;
    try {
      await this.#route();
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.#wait.trouble = messageOf(error);
    }
  }

  /** Reads the leases of the shards that are to be asked, or whose owner is silent, and asks their owners. */
  async #route(): Promise<void> {
    const { store, clock } = this.#options;
    const { shardCount, register } = this.#question;
    const nowMs = clock.monotonicMs();
    const isStale = this.#isStale;
    if (isStale) this.#rereadAtMs = nowMs + rereadLeasesMs;
    const due = [...this.#pending]
      .filter(([, pending]) => (pending.kind === 'toAsk' ? pending.atMs <= nowMs : isStale))
      .map(([shard]) => shard);
    const leases = await (due.length === shardCount
      ? store.listLeases(shardCount)
      : store.readLeases(due.map((shardId) => ({ shardId, shardCount }))));
    const ownerOf = new Map(leases.map(({ shard, owner }) => [shard.shardId, owner]));
    const owners = due.map((shard) => ownerOf.get(shard)).filter((owner) => owner !== undefined);
    await register.know(owners);
    const questions = new Map<WorkerRecord, number[]>();
    for (const shard of due) {
      const owner = ownerOf.get(shard);
      const record = owner === undefined ? undefined : register.get(owner);
      const pending = this.#pending.get(shard);
      if (record === undefined) this.#postpone(shard, pending, owner);
      else if (pending?.kind !== 'asked' || pending.of.incarnation !== record.incarnation)
        questions.set(record, [...(questions.get(record) ?? []), shard]);
    }
    for (const [record, shards] of questions) this.#ask(record, shards);
  }

  #postpone(shard: number, pending: Pending | undefined, owner: Incarnation | undefined): void {
    // Whoever was asked may still answer.
    if (pending?.kind === 'asked') return;
    const missing =
      owner === undefined
        ? { code: 'unheld' as const, reason: 'no worker holds it' }
        : { code: 'moving' as const, reason: `its owner ${owner} has left the fleet` };
    this.#pending.set(shard, { kind: 'toAsk', atMs: this.#options.clock.monotonicMs() + askAgainMs, missing });
  }

  #ask(record: WorkerRecord, shards: readonly number[]): void {
    const { shardCount, request } = this.#question;
    const keys = shards.map((shardId) => shardKey({ shardId, shardCount }));
    const sending = this.#wait.send(record, request, keys, (failure) => {
      const atMs = this.#options.clock.monotonicMs() + rereadLeasesMs / 2;
      const { workerId: worker } = record;
      for (const shard of shards) {
        const pending = this.#pending.get(shard);
        if (pending?.kind !== 'asked' || pending.sending !== sending) continue;
        const missing = { worker, code: 'unreachable', reason: `${worker}: ${failure}` } as const;
        this.#pending.set(shard, { kind: 'toAsk', atMs, missing });
      }
    });
    for (const shard of shards) this.#pending.set(shard, { kind: 'asked', of: record, sending });
  }

  #giveUp(shard: number, pending: Pending): void {
    if (pending.kind === 'toAsk') {
      this.#missing.push({ shard, ...pending.missing });
      return;
    }
    const { workerId } = pending.of;
    const reason = this.#wait.noAnswer(workerId, this.#question.withinMs);
    this.#missing.push({ shard, worker: workerId, code: 'no-answer', reason });
  }
}

interface WorkerQuestion extends Waiting {
  readonly asked: readonly WorkerRecord[];
  readonly request: WorkerRequest;
}

/** One request to workers. */
class WorkerRound {
  readonly #question: WorkerQuestion;
  readonly #wait: ReplyWait;

  constructor(options: FleetOptions, question: WorkerQuestion) {
    this.#question = question;
    this.#wait = new ReplyWait(options, question);
  }

  async run(): Promise<WorkerAnswer<unknown>> {
    const results: WorkerResult<unknown>[] = [];
    const missing: MissingWorker[] = [];
    const pending = new Map<number, WorkerRecord>();
    const { asked, request, withinMs } = this.#question;
    for (const record of asked) {
      const sending = this.#wait.send(record, request, undefined, (reason) => {
        if (pending.delete(sending)) missing.push({ ...nameOf(record), code: 'unreachable', reason });
      });
      pending.set(sending, record);
    }
    try {
      while (pending.size > 0 && !this.#wait.isOver) {
        for (const { sending, outcomes } of await this.#wait.next()) {
          const record = pending.get(sending);
          const [outcome] = outcomes;
          if (record === undefined || outcome === undefined) continue;
          pending.delete(sending);
          if (outcome.ok) results.push({ ...nameOf(record), value: outcome.value });
          // A worker is never another's.
          else if (outcome.code !== 'not-mine')
            missing.push({ ...nameOf(record), code: outcome.code, reason: outcome.reason });
        }
      }
    } finally {
      this.#wait.end();
    }
    for (const record of pending.values()) {
      const reason = this.#wait.noAnswer(record.workerId, withinMs);
      missing.push({ ...nameOf(record), code: 'no-answer', reason });
    }
    return { results: results.sort(byName), missing: missing.sort(byName) };
  }
}

function nameOf({ workerId, incarnation }: WorkerRecord): { worker: string; incarnation: Incarnation } {
  return { worker: workerId, incarnation };
}

function byName(one: { worker: string }, other: { worker: string }): number {
  return one.worker < other.worker ? -1 : Number(one.worker > other.worker);
}

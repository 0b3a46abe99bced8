import type { Clock } from '../clock.ts';
import type { Incarnation, WorkerRecord } from '../coordination/model.ts';
import { isPassingTrouble } from '../coordination/store.ts';
import { messageOf } from '../errors.ts';
import { parseShardKey, shardKey } from '../sharding.ts';
import type { MissingShard, ShardAnswer, ShardResult } from './answers.ts';
import type { FleetOptions, FleetReads } from './fleet-ports.ts';
import { ReplyWait, type Waiting } from './reply-wait.ts';
import type { Outcome, ShardRequest } from './requests.ts';

/** A shard between two owners, or whose owner has not heard of it yet, is asked again after this time. */
const askAgainMs = 100;
/** A silent owner may have lost the shard: its lease is read again this often. */
const rereadLeasesMs = 1000;

/** Who asks often need not read the leases each time: a shard that has moved since is asked again where it is. */
const ownersForMs = 2000;

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

type Owners = ReadonlyMap<number, Incarnation | undefined>;

/**
 * What is known of workers and owners from one request to the next. A worker's record never changes its queue, so only
 * one that is not known is looked for; owners are remembered for a moment.
 */
export class WorkerRegister {
  readonly #store: FleetReads;
  readonly #clock: Clock;
  #records = new Map<Incarnation, WorkerRecord>();
  #remembered: { readonly shardCount: number; readonly owners: Owners; readonly readAtMs: number } | undefined;

  constructor(store: FleetReads, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Owners as they were read lately, if they were. */
  rememberedOwners(shardCount: number): Owners | undefined {
    const remembered = this.#remembered;
    if (remembered?.shardCount !== shardCount) return undefined;
    return this.#clock.monotonicMs() - remembered.readAtMs < ownersForMs ? remembered.owners : undefined;
  }

  /** Owners of these shards by their leases. */
  async readOwners(shardCount: number, shards: readonly number[]): Promise<Owners> {
    const readAtMs = this.#clock.monotonicMs();
    const isAll = shards.length === shardCount;
    const leases = await (isAll
      ? this.#store.listLeases(shardCount)
      : this.#store.readLeases(shards.map((shardId) => ({ shardId, shardCount }))));
    const owners = new Map(leases.map(({ shard, owner }) => [shard.shardId, owner]));
    if (isAll) this.#remembered = { shardCount, owners, readAtMs };
    return owners;
  }

  /** Somebody was not where he was remembered to be. */
  forgetOwners(): void {
    this.#remembered = undefined;
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

/** How far the question to one shard has come. */
type Pending =
  /** To be asked, not before `atMs`; `missing` is what there is to say if it never is. */
  | { readonly kind: 'toAsk'; readonly atMs: number; readonly missing: Omit<MissingShard, 'shard'> }
  | {
      readonly kind: 'asked';
      readonly of: WorkerRecord;
      readonly sending: number;
      /** Its owner was remembered, not read: it is asked again as soon as that proves wrong. */
      readonly remembered: boolean;
    };

interface ShardQuestion extends Waiting {
  readonly shardCount: number;
  readonly shards: readonly number[];
  readonly request: ShardRequest;
  readonly register: WorkerRegister;
}

/** One request to shards. */
export class ShardRound {
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
      await this.#route({ fromMemory: isRepeatable[this.#question.request.kind] });
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
        if (sending === pending.sending) this.#askAgain(shardId, pending);
      } else {
        this.#missing.push({ shard: shardId, worker, code: outcome.code, reason: outcome.reason });
        this.#pending.delete(shardId);
      }
    }
  }

  #askAgain(shard: number, { of: { workerId }, remembered }: Extract<Pending, { kind: 'asked' }>): void {
    const missing = {
      worker: workerId,
      code: 'moving' as const,
      reason: `it is changing hands; ${workerId} does not hold it`,
    };
    this.#pending.set(shard, { kind: 'toAsk', atMs: this.#againAtMs(remembered, askAgainMs), missing });
  }

  #againAtMs(remembered: boolean, waitMs: number): number {
    if (remembered) this.#question.register.forgetOwners();
    return this.#options.clock.monotonicMs() + (remembered ? 0 : waitMs);
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
      await this.#route({ fromMemory: false });
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.#wait.trouble = messageOf(error);
    }
  }

  /** Finds out who holds the shards that are to be asked, or whose owner is silent, and asks there. */
  async #route({ fromMemory }: { fromMemory: boolean }): Promise<void> {
    const { shardCount, register } = this.#question;
    const nowMs = this.#options.clock.monotonicMs();
    const isStale = this.#isStale;
    if (isStale) this.#rereadAtMs = nowMs + rereadLeasesMs;
    const due = [...this.#pending]
      .filter(([, pending]) => (pending.kind === 'toAsk' ? pending.atMs <= nowMs : isStale))
      .map(([shard]) => shard);
    const known = fromMemory ? register.rememberedOwners(shardCount) : undefined;
    const remembered = known !== undefined;
    const ownerOf = known ?? (await register.readOwners(shardCount, due));
    const owners = due.map((shard) => ownerOf.get(shard)).filter((owner) => owner !== undefined);
    await register.know(owners);
    const questions = new Map<WorkerRecord, number[]>();
    for (const shard of due) {
      const owner = ownerOf.get(shard);
      const record = owner === undefined ? undefined : register.get(owner);
      const pending = this.#pending.get(shard);
      if (record === undefined) this.#postpone(shard, pending, owner, remembered);
      else if (pending?.kind !== 'asked' || pending.of.incarnation !== record.incarnation)
        questions.set(record, [...(questions.get(record) ?? []), shard]);
    }
    for (const [record, shards] of questions) this.#ask(record, shards, remembered);
  }

  #postpone(shard: number, pending: Pending | undefined, owner: Incarnation | undefined, remembered: boolean): void {
    // Whoever was asked may still answer.
    if (pending?.kind === 'asked') return;
    const missing =
      owner === undefined
        ? { code: 'unheld' as const, reason: 'no worker holds it' }
        : { code: 'moving' as const, reason: `its owner ${owner} has left the fleet` };
    this.#pending.set(shard, { kind: 'toAsk', atMs: this.#againAtMs(remembered, askAgainMs), missing });
  }

  #ask(record: WorkerRecord, shards: readonly number[], remembered: boolean): void {
    const { shardCount, request } = this.#question;
    const keys = shards.map((shardId) => shardKey({ shardId, shardCount }));
    const sending = this.#wait.send(record, request, keys, (failure) => {
      const atMs = this.#againAtMs(remembered, rereadLeasesMs / 2);
      const { workerId: worker } = record;
      for (const shard of shards) {
        const pending = this.#pending.get(shard);
        if (pending?.kind !== 'asked' || pending.sending !== sending) continue;
        const missing = { worker, code: 'unreachable', reason: `${worker}: ${failure}` } as const;
        this.#pending.set(shard, { kind: 'toAsk', atMs, missing });
      }
    });
    for (const shard of shards) this.#pending.set(shard, { kind: 'asked', of: record, sending, remembered });
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

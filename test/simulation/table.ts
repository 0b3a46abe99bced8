import type { Checkpoint, CheckpointItem, Incarnation, Lease } from '../../shared/coordination/model.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import {
  type CheckpointOutcome,
  type CoordinationStore,
  type FenceOutcome,
  type LeaseOutcome,
  StoreUnavailable,
} from '../../shared/coordination/store.ts';
import type { Chance } from './chance.ts';
import type { Ledger } from './ledger.ts';
import type { SimProcess } from './machine.ts';
import type { World } from './world.ts';

/** How the whole table fails, for everybody. */
export type TableOutage = 'refuses' | 'refusesWrites' | 'hangs' | 'losesAnswers' | 'throttles';

/** What may go wrong with single requests, each with a probability. */
export interface TableNoise {
  readonly throttled: number;
  /** The request was carried out, its answer is lost. */
  readonly answerLost: number;
  /** Carried out only seconds after the client has given up. */
  readonly late: number;
  /** Carried out, answered, and seconds later carried out once more. */
  readonly repeated: number;
  /** Carried out twice at once; the answer is that of the second time. */
  readonly doubled: number;
  readonly slow: number;
}

export const quietTable: TableNoise = { throttled: 0, answerLost: 0, late: 0, repeated: 0, doubled: 0, slow: 0 };

type Method = keyof CoordinationStore;
const changesLease: ReadonlySet<Method> = new Set<Method>(['release', 'takeOver', 'grant', 'setWant']);

type Fate = 'normal' | 'refused' | 'lost' | 'answerLost' | 'late' | 'repeated' | 'doubled' | 'slow';

/** The client gives up a request after this time (`coordination` in shared/aws-clients.ts), and never repeats it. */
const requestTimeoutMs = 2000;
/** A request that was given up may still be carried out this much later. */
const latestMs = 20_000;

/** DynamoDB: one table, reached by every process through a client of its own that is as unreliable as its network. */
export class SimTable {
  readonly memory = new MemoryStore();
  noise = quietTable;
  outage: TableOutage | undefined;
  /** Told when somebody sets out to fence an incarnation. */
  onFenceSent: (incarnation: Incarnation) => void = () => {};
  /** Told when a shard was released to somebody. */
  onReleased: (lease: Lease, from: Incarnation) => void = () => {};
  /** Told when an incarnation's item is fenced for the first time. */
  onFenced: (incarnation: Incarnation, by: Incarnation) => void = () => {};
  readonly #world: World;
  readonly #chance: Chance;
  readonly #ledger: Ledger;

  constructor(world: World, chance: Chance, ledger: Ledger) {
    this.#world = world;
    this.#chance = chance;
    this.#ledger = ledger;
  }

  /** The table as one process reaches it. */
  clientFor(process: SimProcess): CoordinationStore {
    const methods = new Map<string | symbol, (...args: unknown[]) => Promise<unknown>>();
    return new Proxy({} as CoordinationStore, {
      get: (_, name) => {
        let method = methods.get(name);
        if (method === undefined) {
          method = (...args) => this.#request(process, name as Method, args);
          methods.set(name, method);
        }
        return method;
      },
    });
  }

  #request(process: SimProcess, method: Method, args: unknown[]): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (method === 'writeCheckpoint') this.#checkEntries(process, args[0] as CheckpointItem);
      if (method === 'release' && process.isAlive) {
        this.#ledger.storing((args[1] as { checkpoint: Checkpoint }).checkpoint, process.incarnation);
      }
      if (!process.sends(`table.${method}`)) return;
      if (method === 'fence') this.onFenceSent((args[0] as { incarnation: Incarnation }).incarnation);
      const chance = this.#chance;
      const { time } = this.#world;
      const startedMs = process.monotonicMs();
      const issuedMs = this.#world.nowMs;
      const answer = (delayMs: number, settle: () => void) => {
        time.after(delayMs, () =>
          process.deliver(() => {
            // A process that stood still finds its own deadline passed as well as the answer.
            const isTooLate = process.monotonicMs() - startedMs > requestTimeoutMs && chance.happens(0.5);
            if (isTooLate) reject(new StoreUnavailable(method, 'no answer within 2 s'));
            else settle();
          }),
        );
      };
      const giveUp = () => {
        process.schedule(requestTimeoutMs, () => reject(new StoreUnavailable(method, 'no answer within 2 s')));
      };
      const carryOut = (afterMs: number, then?: (value: unknown) => void) => {
        time.after(afterMs, () => {
          void this.#apply(process, method, args).then(then ?? (() => {}));
        });
      };
      const answerWith = (delayMs: number) => (value: unknown) =>
        answer(delayMs, () => {
          if (method === 'writeCheckpoint' && isWritten(value as CheckpointOutcome, args[0] as CheckpointItem)) {
            this.#ledger.confirmed(process.incarnation, issuedMs);
          }
          resolve(value);
        });
      const travelMs = () => chance.between(1, 12);
      const fate = this.#fate(process, isWrite(method));
      if (fate !== 'normal' && fate !== 'slow') this.#world.note(process.name, () => `table.${method}: ${fate}`);
      switch (fate) {
        case 'refused':
          answer(chance.between(1, 30), () => reject(new StoreUnavailable(method, 'throttled or refused')));
          break;
        case 'lost':
          giveUp();
          break;
        case 'answerLost':
          carryOut(travelMs());
          giveUp();
          break;
        case 'late':
          carryOut(chance.between(0, latestMs));
          giveUp();
          break;
        case 'repeated':
          carryOut(travelMs(), answerWith(travelMs()));
          carryOut(chance.between(20, latestMs));
          break;
        case 'doubled':
          carryOut(travelMs());
          carryOut(chance.between(13, 40), answerWith(travelMs()));
          break;
        case 'slow':
          carryOut(chance.between(10, 900), answerWith(chance.between(10, 900)));
          break;
        case 'normal':
          carryOut(travelMs(), answerWith(travelMs()));
          break;
      }
    });
  }

  #fate(process: SimProcess, isWriting: boolean): Fate {
    const chance = this.#chance;
    const cut = process.machine.cuts.get('table');
    if (cut === 'answers') return 'answerLost';
    if (cut === 'both') return this.#unreachable(isWriting);
    switch (this.outage) {
      case 'refuses':
        return 'refused';
      case 'hangs':
        return this.#unreachable(isWriting);
      case 'refusesWrites':
        if (isWriting) return 'refused';
        break;
      case 'losesAnswers':
        return 'answerLost';
      case 'throttles':
        if (chance.happens(0.6)) return 'refused';
        break;
      case undefined:
        break;
    }
    const { throttled, answerLost, late, repeated, doubled, slow } = this.noise;
    let rest = chance.random.next();
    if ((rest -= throttled) < 0) return 'refused';
    if ((rest -= answerLost) < 0) return 'answerLost';
    if ((rest -= late) < 0) return isWriting ? 'late' : 'lost';
    if ((rest -= repeated) < 0) return isWriting ? 'repeated' : 'normal';
    if ((rest -= doubled) < 0) return isWriting ? 'doubled' : 'normal';
    return rest - slow < 0 ? 'slow' : 'normal';
  }

  #unreachable(isWriting: boolean): Fate {
    const draw = this.#chance.random.next();
    if (draw < 0.3) return 'refused';
    return draw < 0.45 && isWriting ? 'late' : 'lost';
  }

  async #apply(process: SimProcess, method: Method, args: unknown[]): Promise<unknown> {
    const call = () => (this.memory[method] as (...args: unknown[]) => Promise<unknown>)(...args);
    if (method === 'listLeases' && this.#chance.happens(0.15)) {
      // A query is no snapshot: each of its items is as of its own instant.
      const sooner = (await call()) as Lease[];
      await new Promise<void>((resolve) => this.#world.time.after(this.#chance.between(0, 10), resolve));
      const later = (await call()) as Lease[];
      return later.map((lease, place) => (this.#chance.happens(0.5) ? (sooner[place] ?? lease) : lease));
    }
    const value = await call();
    this.#notice(process, method, args, value);
    return value;
  }

  /** Tells the ledger what a request has done. */
  #notice(process: SimProcess, method: Method, args: unknown[], value: unknown): void {
    if (method === 'writeCheckpoint') {
      if ((value as CheckpointOutcome).kind !== 'written') return;
      for (const entry of (args[0] as CheckpointItem).entries.values()) this.#ledger.stored(entry);
    } else if (method === 'fence') {
      const outcome = value as FenceOutcome;
      const { incarnation, by } = args[0] as { incarnation: Incarnation; by: Incarnation };
      this.#world.note(process.name, () => `fence of ${incarnation.slice(0, 8)}: ${outcome.kind}`);
      if (outcome.kind === 'fenced' && outcome.item.fencedBy === by) this.onFenced(incarnation, by);
    } else if (changesLease.has(method)) {
      const outcome = value as LeaseOutcome;
      this.#world.note(process.name, () => `${method}: ${outcome.kind} ${describeLease(outcome.lease)}`);
      if (outcome.kind !== 'done') return;
      this.#ledger.stored(outcome.lease.checkpoint);
      if (method === 'release' && outcome.lease.owner !== undefined) {
        this.onReleased(outcome.lease, (args[1] as { owner: Incarnation }).owner);
      }
    }
  }

  #checkEntries(process: SimProcess, item: CheckpointItem): void {
    if (!process.isAlive) return;
    for (const entry of item.entries.values()) this.#ledger.storing(entry, process.incarnation);
    this.#world.note(process.name, () => {
      const entries = [...item.entries].map(([key, { epoch, acknowledgedSeq, inDoubt }]) => {
        const doubt = inDoubt ? ` d=${inDoubt.first}-${inDoubt.last}${inDoubt.unfenced ? '!' : ''}` : '';
        return `${key}@${epoch} a=${acknowledgedSeq}${doubt}`;
      });
      return `writes v${item.version}: ${entries.join(', ')}`;
    });
  }
}

/** A write that was carried out twice is refused the second time, by itself. */
function isWritten(outcome: CheckpointOutcome, { version }: CheckpointItem): boolean {
  if (outcome.kind === 'written') return true;
  return outcome.item?.version === version && outcome.item.fencedBy === undefined;
}

function isWrite(method: Method): boolean {
  return !/^(list|read)/.test(method);
}

export function describeLease(lease: Lease | undefined): string {
  if (lease === undefined) return 'no lease';
  const { shard, owner, epoch, want, checkpoint } = lease;
  const { acknowledgedSeq, inDoubt } = checkpoint;
  const doubt = inDoubt ? ` d=${inDoubt.first}-${inDoubt.last}` : '';
  return `shard ${shard.shardId} epoch ${epoch} owner ${owner?.slice(0, 8) ?? 'nobody'}${want ? ` want ${want.slice(0, 8)}` : ''} a=${acknowledgedSeq}${doubt}`;
}

import type { Incarnation } from '../coordination/model.ts';
import type { FailureCode } from './requests.ts';

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

/** All reasons in one line: what is the same for several shards is said once. */
export function missingLine(missing: readonly MissingShard[]): string {
  const byReason = Map.groupBy(missing, ({ reason }) => reason);
  return [...byReason]
    .map(([reason, shards]) => `${shards.length === 1 ? 'shard' : 'shards'} ${idRanges(shards)}: ${reason}`)
    .join('; ');
}

/** Such as `0-3, 7`. */
function idRanges(shards: readonly MissingShard[]): string {
  const ids = shards.map(({ shard }) => shard).sort((one, other) => one - other);
  const starts = ids.filter((id, index) => index === 0 || id !== (ids[index - 1] as number) + 1);
  return starts
    .map((first, index) => {
      const next = starts[index + 1];
      const last = ids[next === undefined ? ids.length - 1 : ids.indexOf(next) - 1];
      return first === last ? String(first) : `${first}-${last}`;
    })
    .join(', ');
}

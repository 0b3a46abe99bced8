import type { WorkerRecord } from '../coordination/model.ts';
import { BatonError } from '../errors.ts';

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

const maxNamesListed = 20;

function listNames(records: readonly WorkerRecord[]): string {
  const names = [...new Set(records.map(({ workerId }) => workerId))].sort();
  const more = names.length - maxNamesListed;
  return names.slice(0, maxNamesListed).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

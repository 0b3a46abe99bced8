import { createDynamoDBDocumentClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { readFleetConfig } from '../shared/config.ts';
import { DynamoDbStore } from '../shared/coordination/dynamodb-store.ts';
import {
  type FleetStatus,
  readFleetStatus,
  type ShardStatus,
  watchCounters,
  type WorkerStatus,
} from './fleet-status.ts';
import { renderTable } from './text-table.ts';

/** A heartbeat is at most 5 s apart; a worker whose counter stands for longer is worth a look. */
const watchForMs = 6000;

/** A worker with what watching its counter showed. */
type WatchedWorker = WorkerStatus & { readonly alive: boolean };

/** What `baton status`, `shards` and `workers` print. */
export type StatusPart = 'fleet' | 'shards' | 'workers';

/**
 * Prints the fleet, or a part of it, as the coordination table has it now.
 * @throws {BatonError} `STORE_UNREACHABLE` when the table does not answer, `CONFIG_INVALID` for a wrong environment.
 */
export async function printStatus(part: StatusPart, { json }: { json: boolean }): Promise<void> {
  const config = readFleetConfig(process.env);
  const documents = createDynamoDBDocumentClient('general');
  try {
    const store = new DynamoDbStore(documents, config.table);
    const status = await readFleetStatus(store);
    const alive =
      part === 'shards'
        ? new Set<string>()
        : await watchCounters(store, status.workers, { clock: systemClock, withinMs: watchForMs });
    const workers = status.workers.map((worker) => ({ ...worker, alive: alive.has(worker.incarnation) }));
    const shown = { fleet: { fleet: config.fleet, ...status, workers }, shards: status.shards, workers }[part];
    if (json) console.log(JSON.stringify(shown));
    else for (const line of renderStatus(part, config.fleet, status, workers)) console.log(line);
  } finally {
    documents.destroy();
  }
}

function renderStatus(
  part: StatusPart,
  fleet: string,
  status: FleetStatus,
  workers: readonly WatchedWorker[],
): string[] {
  switch (part) {
    case 'shards':
      return shardLines(status.shards);
    case 'workers':
      return workerLines(workers);
    case 'fleet': {
      const ready = status.shards.filter((shard) => shard.ready).length;
      const budget =
        status.identifiesRemaining === undefined
          ? 'identify budget unknown'
          : `${status.identifiesRemaining} of ${status.identifiesTotal} identifies left`;
      return [
        `Fleet ${fleet}: ${ready} of ${status.shards.length} shards ready, ` +
          `coordinator ${status.coordinator ?? 'none'}, ${budget}`,
        '',
        ...workerLines(workers),
        '',
        ...shardLines(status.shards),
      ];
    }
  }
}

function workerLines(workers: readonly WatchedWorker[]): string[] {
  if (workers.length === 0) return ['No worker is registered.'];
  return renderTable([
    ['WORKER', 'STATE', 'SHARDS', 'CPU', 'RSS', 'EVENTS/S', 'COUNTER', 'INCARNATION'],
    ...workers.map((worker) => [
      `${worker.workerId}${worker.coordinator ? ' *' : ''}`,
      stateOf(worker),
      `${worker.readyShardCount}/${worker.shardIds.length}`,
      figure(worker.cpuPercent, ' %'),
      figure(worker.memoryMb, ' MB'),
      figure(worker.eventsPerSecond),
      String(worker.counter),
      worker.incarnation,
    ]),
  ]);
}

function stateOf(worker: WatchedWorker): string {
  if (worker.fenced) return 'fenced';
  if (!worker.alive) return 'silent';
  return worker.draining ? 'draining' : 'alive';
}

function shardLines(shards: readonly ShardStatus[]): string[] {
  if (shards.length === 0) return ['No shard is known.'];
  return renderTable([
    ['SHARD', 'STATE', 'WORKER', 'EPOCH', 'SEQ', 'GUILDS', 'LATENCY', 'EVENTS/S', 'MOVING TO'],
    ...shards.map((shard) => [
      String(shard.shardId),
      shard.state,
      shard.workerId ?? '-',
      String(shard.epoch),
      figure(shard.seq),
      figure(shard.guildCount),
      figure(shard.latencyMs, ' ms'),
      figure(shard.eventsPerSecond),
      shard.wanted ?? '',
    ]),
  ]);
}

function figure(value: number | undefined, unit = ''): string {
  return value === undefined ? '-' : `${Math.round(value)}${unit}`;
}

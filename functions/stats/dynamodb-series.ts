import { gunzipSync, gzipSync } from 'node:zlib';
import { type DynamoDBDocumentClient, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import * as z from 'zod';
import { BatonError } from '../../shared/errors.ts';
import { timeToLiveAttribute } from '../../shared/fleet-resources.ts';
import type { FleetPoint, ShardPoint, ShardView, WorkerPoint } from '../../shared/stats/fleet-view.ts';
import { decodeShardPoint, encodeShardPoints, shardsPerItem } from './shard-points-codec.ts';

const keptForMs = 24 * 60 * 60 * 1000;
const minuteMs = 60_000;
const fleetPartition = 'STATS#FLEET';
/** So many items are written at a time: the shards of the largest fleets are dozens of them. */
const parallelWrites = 10;

const figure = z.number();
const pointSchema: z.ZodType<FleetPoint> = z.object({
  atMs: figure,
  shards: figure,
  shardsReady: figure,
  shardsSilent: figure,
  workers: figure,
  guilds: figure,
  members: figure,
  eventsPerSecond: figure,
  commandsPerSecond: figure,
  latencyMs: figure,
  latencyMaxMs: figure,
  flushMs: figure,
  workerQueueAgeMs: figure,
  identifiesRemaining: figure.exactOptional(),
  identifies: figure,
  resumes: figure,
  reconnects: figure,
  queueAgeSeconds: figure.exactOptional(),
  queueWaiting: figure.exactOptional(),
  deadLetters: figure.exactOptional(),
});
const workersSchema: z.ZodType<WorkerPoint[]> = z.array(
  z.object({
    incarnation: z.string(),
    workerId: z.string(),
    shards: figure,
    shardsReady: figure,
    cpuPercent: figure,
    memoryMb: figure,
    eventsPerSecond: figure,
    identifies: figure,
    resumes: figure,
    reconnects: figure,
  }),
);

/** A minute as it is kept. */
export interface StoredMinute {
  readonly point: FleetPoint;
  readonly workers: readonly WorkerPoint[];
}

/**
 * Figures of the last day, an item a minute for the fleet with its workers and one for every 256 shards, in the
 * coordination table. A minute that is written twice keeps the later figures. Rejects as the client does.
 */
export class DynamoDbSeries {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(documents: DynamoDBDocumentClient, table: string) {
    this.#documents = documents;
    this.#table = table;
  }

  async write({ point, workers }: StoredMinute, shards: readonly ShardView[]): Promise<void> {
    const { atMs } = point;
    const chunks = Map.groupBy(shards, (shard) => Math.floor(shard.id / shardsPerItem));
    const writes = [
      () => this.#put(fleetPartition, atMs, { point, workers: gzipSync(JSON.stringify(workers)) }),
      ...Array.from(
        chunks,
        ([chunk, members]) =>
          () =>
            this.#put(shardsPartition(point.shards, chunk), atMs, { at: atMs, shards: encodeShardPoints(members) }),
      ),
    ];
    for (let from = 0; from < writes.length; from += parallelWrites) {
      await Promise.all(writes.slice(from, from + parallelWrites).map((write) => write()));
    }
  }

  /** Minutes of the fleet after `sinceMs`, oldest first. @throws {BatonError} `STORE_ITEM_INVALID` for an item of another release. */
  async read(sinceMs: number): Promise<FleetPoint[]> {
    const items = await this.#query(fleetPartition, sinceMs);
    return items.map((item) => parsed(pointSchema, item['point']));
  }

  /** The last minute before `beforeMs`, if there is one in the quarter of an hour before. */
  async lastBefore(beforeMs: number): Promise<StoredMinute | undefined> {
    const items = await this.#query(fleetPartition, beforeMs - 15 * minuteMs);
    const last = items.findLast((item) => Number(item['sk']) < minuteOf(beforeMs));
    if (last === undefined) return undefined;
    const workers: unknown = JSON.parse(gunzipSync(last['workers'] as Uint8Array).toString('utf8'));
    return { point: parsed(pointSchema, last['point']), workers: parsed(workersSchema, workers) };
  }

  /** Minutes of one shard after `sinceMs`, oldest first. */
  async readShard(shard: { shardId: number; shardCount: number }, sinceMs: number): Promise<ShardPoint[]> {
    const chunk = Math.floor(shard.shardId / shardsPerItem);
    const items = await this.#query(shardsPartition(shard.shardCount, chunk), sinceMs);
    return items.flatMap((item) => {
      const point = decodeShardPoint(item['shards'] as Uint8Array, shard.shardId);
      return point === undefined ? [] : { atMs: Number(item['at']), ...point };
    });
  }

  async #put(pk: string, atMs: number, fields: Record<string, unknown>): Promise<void> {
    await this.#documents.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk,
          sk: sortKeyOf(atMs),
          [timeToLiveAttribute]: Math.ceil((atMs + keptForMs) / 1000),
          ...fields,
        },
      }),
    );
  }

  async #query(pk: string, sinceMs: number): Promise<Record<string, unknown>[]> {
    const items: Record<string, unknown>[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const page = await this.#documents.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk AND sk > :since',
          ExpressionAttributeValues: { ':pk': pk, ':since': sortKeyOf(sinceMs) },
          ...(from && { ExclusiveStartKey: from }),
        }),
      );
      items.push(...(page.Items ?? []));
      from = page.LastEvaluatedKey;
    } while (from);
    return items;
  }
}

function shardsPartition(shardCount: number, chunk: number): string {
  return `STATS#SHARDS#${shardCount}#${chunk}`;
}

function minuteOf(atMs: number): number {
  return Math.max(0, Math.floor(atMs / minuteMs));
}

function sortKeyOf(atMs: number): string {
  return String(minuteOf(atMs)).padStart(10, '0');
}

function parsed<T>(schema: z.ZodType<T>, value: unknown): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new BatonError('STORE_ITEM_INVALID', `coordination table: a minute of the stats is not of this release`, {
    cause: result.error,
  });
}

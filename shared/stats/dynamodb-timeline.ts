import { type DynamoDBDocumentClient, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import * as z from 'zod';
import type { Clock } from '../clock.ts';
import { timeToLiveAttribute } from '../fleet-resources.ts';
import type { Random } from '../random.ts';
import { type TimelineEntry, timelineKinds, type TimelineStore } from './timeline.ts';

const partition = 'TIMELINE';
const keptForMs = 24 * 60 * 60 * 1000;
/** Longer than any Unix time in milliseconds for centuries, so that keys sort by time. */
const timeDigits = 14;

const entrySchema: z.ZodType<TimelineEntry> = z.object({
  atMs: z.number(),
  kind: z.enum(timelineKinds),
  shards: z.array(z.number()).exactOptional(),
  from: z.string().exactOptional(),
  to: z.string().exactOptional(),
  name: z.string().exactOptional(),
  reason: z.string().exactOptional(),
  by: z.string().exactOptional(),
});

/** The timeline in the coordination table: small items under one key that expire after a day. Rejects as the client does. */
export class DynamoDbTimeline implements TimelineStore {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock, random: Random) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
    this.#random = random;
  }

  async append(entry: TimelineEntry): Promise<void> {
    await this.#documents.send(
      new PutCommand({
        TableName: this.#table,
        Item: {
          pk: partition,
          sk: `${sortKeyOf(entry.atMs)}#${this.#random.uuid().slice(0, 8)}`,
          [timeToLiveAttribute]: Math.ceil((entry.atMs + keptForMs) / 1000),
          ...entry,
        },
      }),
    );
  }

  async list({ sinceMs, limit }: { sinceMs: number; limit: number }): Promise<TimelineEntry[]> {
    // DynamoDB deletes expired items within days, not at once.
    const fromMs = Math.max(sinceMs, this.#clock.wallClockMs() - keptForMs);
    const items: Record<string, unknown>[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const page = await this.#documents.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: 'pk = :pk AND sk >= :since',
          ExpressionAttributeValues: { ':pk': partition, ':since': sortKeyOf(fromMs) },
          ScanIndexForward: false,
          Limit: limit - items.length,
          ...(from && { ExclusiveStartKey: from }),
        }),
      );
      items.push(...(page.Items ?? []));
      from = page.LastEvaluatedKey;
    } while (from && items.length < limit);
    // An entry of a later release that this one does not know is left out.
    return items.flatMap((item) => entrySchema.safeParse(item).data ?? []).reverse();
  }
}

function sortKeyOf(atMs: number): string {
  return String(Math.max(0, Math.floor(atMs))).padStart(timeDigits, '0');
}

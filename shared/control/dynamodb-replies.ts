import { DeleteCommand, type DynamoDBDocumentClient, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { StoreUnavailable } from '../coordination/store.ts';
import { replyPartitionPrefix } from '../fleet-resources.ts';
import { type Replies, type Reply, replyLifetimeMs } from './replies.ts';

/** An item holds 400 KB, keys and all. */
const maxPartBytes = 350 * 1024;

interface Part {
  readonly sk: string;
  readonly parts: number;
  readonly body: Uint8Array;
}

/**
 * Replies as items of the coordination table: partition `REPLY#<id>`, sort key `<from>#<part>`. A large reply has
 * several, each of which says how many there are. What is not fetched goes by the table's time to live.
 */
export class DynamoDbReplies implements Replies {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
  }

  async send(id: string, from: string, body: unknown): Promise<void> {
    const bytes = Buffer.from(JSON.stringify(body));
    const parts = Math.max(1, Math.ceil(bytes.length / maxPartBytes));
    const expiresAt = Math.ceil((this.#clock.wallClockMs() + replyLifetimeMs) / 1000);
    for (let part = 0; part < parts; part += 1) {
      const Item = {
        pk: partitionOf(id),
        sk: sortKeyOf(from, part),
        parts,
        body: bytes.subarray(part * maxPartBytes, (part + 1) * maxPartBytes),
        expiresAt,
      };
      await this.#ask(this.#documents.send(new PutCommand({ TableName: this.#table, Item })));
    }
  }

  async receive(id: string): Promise<Reply[]> {
    const found = Map.groupBy(await this.#query(id), ({ sk }) => sk.slice(0, sk.lastIndexOf('#')));
    const replies: Reply[] = [];
    for (const [from, parts] of found) {
      if (parts.length < (parts[0] as Part).parts) continue;
      // The sort key ends with the number of the part, so they come in order.
      const text = Buffer.concat(parts.map(({ body }) => body)).toString('utf8');
      replies.push({ from, parts: parts.length, body: JSON.parse(text) as unknown });
    }
    return replies;
  }

  async forget(id: string, replies: readonly Reply[]): Promise<void> {
    const keys = replies.flatMap(({ from, parts }) =>
      Array.from({ length: parts }, (_, part) => ({ pk: partitionOf(id), sk: sortKeyOf(from, part) })),
    );
    await Promise.all(
      keys.map((Key) => this.#ask(this.#documents.send(new DeleteCommand({ TableName: this.#table, Key })))),
    );
  }

  async #query(id: string): Promise<Part[]> {
    const parts: Part[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const page = await this.#ask(
        this.#documents.send(
          new QueryCommand({
            TableName: this.#table,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': partitionOf(id) },
            ConsistentRead: true,
            ...(from && { ExclusiveStartKey: from }),
          }),
        ),
      );
      parts.push(...((page.Items ?? []) as Part[]));
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    return parts;
  }

  async #ask<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw new StoreUnavailable('replies', error);
    }
  }
}

const partitionOf = (id: string): string => `${replyPartitionPrefix}${id}`;
const sortKeyOf = (from: string, part: number): string => `${from}#${String(part).padStart(4, '0')}`;

import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { ShardKey } from '../sharding.ts';
import { itemKey, type ShardItem } from './directory-items.ts';
import { DirectoryReader } from './directory-reader.ts';

/** Sessions of a shard that are remembered, so that a late event of one is known as late. */
const earlierSessions = 30;
/** Sessions that a process keeps in mind. */
const rememberedSessions = 5000;

export interface SessionQuestion {
  /** A session that was never seen is taken for a new one. `false` for what comes long after its time. */
  readonly mayBegin: boolean;
}

/**
 * Numbers sessions in the order in which their first events came out of the queue. A shard's sessions follow one
 * another there, and of a resharding's two generations the new one begins later: so the greater number is the newer
 * session, whichever shard it is of. Two writes a session; everything else is remembered.
 */
export class SessionNumbers {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #reader: DirectoryReader;
  readonly #known = new Map<string, Promise<number | undefined>>();

  constructor(documents: DynamoDBDocumentClient, table: string) {
    this.#documents = documents;
    this.#table = table;
    this.#reader = new DirectoryReader(documents, table);
  }

  /** The session's number; `undefined` when it was never seen and may not begin. Rejects when the table gave no answer. */
  numberOf(shard: ShardKey, session: string, { mayBegin }: SessionQuestion): Promise<number | undefined> {
    const key = `${shard} ${session}`;
    const known = this.#known.get(key);
    if (known) return known;
    const asked = this.#ask(shard, session, mayBegin);
    if (!mayBegin) return asked;
    if (this.#known.size >= rememberedSessions) this.#known.clear();
    this.#known.set(key, asked);
    // The next one asks again.
    asked.catch(() => this.#known.delete(key));
    return asked;
  }

  /** Notes that the guilds of the shard's newest session have been compared with its roster. */
  async markSwept(shard: ShardKey, session: string): Promise<void> {
    try {
      await this.#documents.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: itemKey.shard(shard),
          UpdateExpression: 'SET #swept = :session',
          ConditionExpression: '#session = :session',
          ExpressionAttributeNames: { '#swept': 'sweptSession', '#session': 'session' },
          ExpressionAttributeValues: { ':session': session },
        }),
      );
    } catch (error) {
      // There is a newer session, and a sweep to come.
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
  }

  async #ask(shard: ShardKey, session: string, mayBegin: boolean): Promise<number | undefined> {
    for (;;) {
      const item = await this.#reader.item<ShardItem>(itemKey.shard(shard), { consistent: true });
      if (item?.session === session) return item.sessionNumber;
      const earlier = item?.earlier.find(([each]) => each === session);
      if (earlier) return earlier[1];
      if (!mayBegin) return undefined;
      const sessionNumber = await this.#nextNumber();
      if (await this.#begin(shard, session, sessionNumber, item)) return sessionNumber;
    }
  }

  async #nextNumber(): Promise<number> {
    const { Attributes } = await this.#documents.send(
      new UpdateCommand({
        TableName: this.#table,
        Key: itemKey.sessionCounter,
        UpdateExpression: 'ADD #count :one',
        ExpressionAttributeNames: { '#count': 'count' },
        ExpressionAttributeValues: { ':one': 1 },
        ReturnValues: 'UPDATED_NEW',
      }),
    );
    return Attributes?.['count'] as number;
  }

  /** `false` when somebody else has written meanwhile. */
  async #begin(
    shard: ShardKey,
    session: string,
    sessionNumber: number,
    before: ShardItem | undefined,
  ): Promise<boolean> {
    const item: ShardItem = {
      ...itemKey.shard(shard),
      session,
      sessionNumber,
      earlier: before
        ? [...before.earlier, [before.session, before.sessionNumber] as const].slice(-earlierSessions)
        : [],
      ...(before?.sweptSession !== undefined && { sweptSession: before.sweptSession }),
    };
    try {
      await this.#documents.send(
        new PutCommand({
          TableName: this.#table,
          Item: item,
          ...(before
            ? {
                ConditionExpression: '#number = :before',
                ExpressionAttributeNames: { '#number': 'sessionNumber' },
                ExpressionAttributeValues: { ':before': before.sessionNumber },
              }
            : { ConditionExpression: 'attribute_not_exists(pk)' }),
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }
}

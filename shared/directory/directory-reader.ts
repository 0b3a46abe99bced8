import { BatchGetCommand, type DynamoDBDocumentClient, GetCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import type { ShardKey } from '../sharding.ts';
import { isShardKey } from '../sharding.ts';
import {
  type DirectoryEntityObject,
  guildPartition,
  type HeadItem,
  type ItemKey,
  itemKey,
  type PackedItem,
  type PackedKind,
  packedPrefix,
  type ShardGuildItem,
  type ShardItem,
  shardPartition,
  shardsPartition,
} from './directory-items.ts';
import type { StreamPosition } from './stream-position.ts';
import { unpackText } from './packed-json.ts';

/** Keys of one BatchGetItem (DynamoDB's limit). */
const batchKeys = 100;

export interface ReadChoice {
  /** A strongly consistent read costs twice as much. @default false */
  readonly consistent?: boolean;
}

/** Raw reads of the directory's items. Every method rejects when the table gave no answer. */
export class DirectoryReader {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(documents: DynamoDBDocumentClient, table: string) {
    this.#documents = documents;
    this.#table = table;
  }

  async item<T>(key: ItemKey, { consistent = false }: ReadChoice = {}): Promise<T | undefined> {
    const { Item } = await this.#documents.send(
      new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: consistent }),
    );
    return Item as T | undefined;
  }

  /** The items of a partition whose sort keys begin with `prefix`, page by page, in their order. */
  async *items<T>(
    pk: string,
    {
      prefix = '',
      consistent = false,
      attributes,
    }: ReadChoice & { prefix?: string; attributes?: readonly string[] } = {},
  ): AsyncGenerator<T> {
    let from: Record<string, unknown> | undefined;
    const projection = attributes && {
      ProjectionExpression: attributes.map((_, index) => `#a${index}`).join(', '),
    };
    const projectionNames = Object.fromEntries(attributes?.map((name, index) => [`#a${index}`, name]) ?? []);
    do {
      const { Items = [], LastEvaluatedKey } = await this.#documents.send(
        new QueryCommand({
          TableName: this.#table,
          KeyConditionExpression: prefix === '' ? '#pk = :pk' : '#pk = :pk AND begins_with(#sk, :prefix)',
          ExpressionAttributeNames: { '#pk': 'pk', ...(prefix !== '' && { '#sk': 'sk' }), ...projectionNames },
          ExpressionAttributeValues: { ':pk': pk, ...(prefix !== '' && { ':prefix': prefix }) },
          ConsistentRead: consistent,
          ...projection,
          ...(from && { ExclusiveStartKey: from }),
        }),
      );
      yield* Items as T[];
      from = LastEvaluatedKey;
    } while (from !== undefined);
  }

  /** Items by key, those that exist, in no order. */
  async batch<T>(keys: readonly ItemKey[]): Promise<T[]> {
    const found: T[] = [];
    for (let start = 0; start < keys.length; start += batchKeys) {
      let wanted: Record<string, unknown>[] = keys.slice(start, start + batchKeys).map((key) => ({ ...key }));
      // DynamoDB answers 16 MB at a time, and less when it is throttled.
      while (wanted.length > 0) {
        const { Responses, UnprocessedKeys } = await this.#documents.send(
          new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: wanted } } }),
        );
        found.push(...((Responses?.[this.#table] ?? []) as T[]));
        wanted = UnprocessedKeys?.[this.#table]?.Keys ?? [];
      }
    }
    return found;
  }

  head(guildId: string, choice: ReadChoice = {}): Promise<HeadItem | undefined> {
    return this.item<HeadItem>(itemKey.head(guildId), choice);
  }

  async packed(guildId: string, kind: PackedKind, choice: ReadChoice = {}): Promise<PackedItem[]> {
    return collect(this.items<PackedItem>(guildPartition(guildId), { prefix: packedPrefix(kind), ...choice }));
  }

  /** The position of the last event that changed a guild; `undefined` when it is not known, or was left. */
  async newestPosition(guildId: string): Promise<StreamPosition | undefined> {
    const attributes = ['position', 'left'];
    let newest: StreamPosition | undefined;
    for await (const item of this.items<Pick<HeadItem, 'position'> & { left?: boolean }>(guildPartition(guildId), {
      attributes,
      consistent: true,
    })) {
      if (item.left === true) return undefined;
      if (newest === undefined || item.position > newest) newest = item.position;
    }
    return newest;
  }

  /** Every shard that has had a session, of every generation. */
  async *shards(choice: ReadChoice = {}): AsyncGenerator<ShardItem & { readonly shard: ShardKey }> {
    for await (const item of this.items<ShardItem>(shardsPartition, choice)) {
      if (isShardKey(item.sk)) yield { ...item, shard: item.sk };
    }
  }

  /** The guilds whose events last came through a shard; `sk` is the guild's id. */
  shardGuilds(shard: ShardKey): AsyncGenerator<ShardGuildItem> {
    return this.items<ShardGuildItem>(shardPartition(shard));
  }

  /** Their ids. */
  async *guildIdsOnShard(shard: ShardKey): AsyncGenerator<string> {
    for await (const { sk } of this.items<ItemKey>(shardPartition(shard), { attributes: ['sk'] })) yield sk;
  }
}

/** All of an iteration that is known to be short. */
export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

/**
 * The entities of a kind, by id. Between the writes of one change two items can hold the same entity: the one of the
 * later event counts. @throws {BatonError} `STORE_ITEM_INVALID`.
 */
export function unpackEntities(items: readonly PackedItem[]): Map<string, DirectoryEntityObject> {
  const entities = new Map<string, DirectoryEntityObject>();
  const oldestFirst = [...items].sort((one, other) => (one.position < other.position ? -1 : 1));
  for (const { pk, sk, data } of oldestFirst) {
    for (const entity of JSON.parse(unpackText(data, `${pk}/${sk}`)) as DirectoryEntityObject[]) {
      entities.set(entity.id, entity);
    }
  }
  return entities;
}

/** The guild object of a head. */
export function unpackGuild({ pk, sk, data }: HeadItem): Record<string, unknown> {
  return data === undefined ? {} : (JSON.parse(unpackText(data, `${pk}/${sk}`)) as Record<string, unknown>);
}

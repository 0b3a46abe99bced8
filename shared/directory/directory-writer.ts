import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import {
  BatchWriteCommand,
  DeleteCommand,
  type DynamoDBDocumentClient,
  PutCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../clock.ts';
import { BatonError } from '../errors.ts';
import type { ShardKey } from '../sharding.ts';
import {
  guildPartition,
  type HeadItem,
  type ItemKey,
  itemKey,
  type MemberItem,
  membersPartition,
  type PackedItem,
  type PackedKind,
  packedKinds,
  parsePackedSortKey,
} from './directory-items.ts';
import type { DirectoryEntities } from './directory-options.ts';
import { collect, DirectoryReader } from './directory-reader.ts';
import { type GuildChanges, type GuildEvent, GuildState, kindsTouchedBy, type StoredGuild } from './guild-state.ts';
import { endOfFullList, memberChanges } from './member-fold.ts';
import { type ItemWrite, writeStages } from './packed-entities.ts';
import { streamPosition } from './stream-position.ts';

/** Writes of one guild that are under way at once. */
const writesAtOnce = 25;
/** Requests of one BatchWriteItem (DynamoDB's limit). */
const batchWrites = 25;
/** Somebody else wrote to the same guild: at most a late copy of an invocation, which stops by itself. */
const foldAttempts = 5;

/** What became of events, in numbers. */
export interface FoldTotals {
  folded: number;
  /** Folded before, or overtaken by a newer session. */
  stale: number;
  /** Of guilds whose GUILD_CREATE the directory has not seen. */
  unknownGuild: number;
  invalid: number;
}

/** Somebody has written to an item since it was read. */
class ItemChanged extends Error {}

export interface DirectoryWriterOptions {
  readonly documents: DynamoDBDocumentClient;
  readonly table: string;
  readonly clock: Clock;
  readonly entities: DirectoryEntities;
}

/** Folds events into the stored directory, guild by guild. */
export class DirectoryWriter {
  readonly #options: DirectoryWriterOptions;
  readonly #reader: DirectoryReader;

  constructor(options: DirectoryWriterOptions) {
    this.#options = options;
    this.#reader = new DirectoryReader(options.documents, options.table);
  }

  /**
   * Folds events of one guild, in their order. May be repeated, with any of the events before: what was folded is not
   * folded again, and what is newer stays. Rejects when the table gave no answer.
   */
  async fold(guildId: string, events: readonly GuildEvent[]): Promise<FoldTotals> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.#foldOnce(guildId, events);
      } catch (error) {
        if (!(error instanceof ItemChanged)) throw error;
        if (attempt === foldAttempts) {
          throw new BatonError('STORE_UNREACHABLE', `directory: guild ${guildId} was written to by others meanwhile`);
        }
      }
    }
  }

  /**
   * Takes a guild out that the bot has left while no session was there to say so, unless a session from number
   * `sessionNumber` on has told about it. The answer is whether it was there.
   */
  async removeGuild(guildId: string, sessionNumber: number): Promise<boolean> {
    const head = await this.#reader.head(guildId);
    if (!head || head.left) return false;
    const position = streamPosition(sessionNumber, 0);
    const event = { type: 'GUILD_DELETE', guildId, shard: head.shard, position, data: { id: guildId } };
    return (await this.fold(guildId, [event])).folded === 1;
  }

  /** Notes that a guild's members were asked for at a gateway. `atSeconds`: Unix seconds. */
  noteMembersAsked(shard: ShardKey, guildId: string, atSeconds: number): Promise<void> {
    return this.#noteMembers(shard, guildId, 'membersAskedAt', atSeconds);
  }

  async #foldOnce(guildId: string, events: readonly GuildEvent[]): Promise<FoldTotals> {
    const { entities, clock } = this.#options;
    const nowSeconds = Math.floor(clock.wallClockMs() / 1000);
    const state = new GuildState(guildId, entities, await this.#load(guildId, events), nowSeconds);
    const totals: FoldTotals = { folded: 0, stale: 0, unknownGuild: 0, invalid: 0 };
    for (const event of events) totals[state.apply(event)] += 1;
    const changes = state.changes();
    await this.#write(guildId, changes);
    if (entities.has('members') && !changes.forgetsMembers) await this.#foldMembers(guildId, events, nowSeconds);
    return totals;
  }

  async #load(guildId: string, events: readonly GuildEvent[]): Promise<StoredGuild> {
    const kinds = new Set(events.flatMap(({ type }) => kindsTouchedBy(type)));
    if (kinds.size < packedKinds.length) {
      const [head, ...packed] = await Promise.all([
        this.#reader.head(guildId, { consistent: true }),
        ...[...kinds].map(
          async (kind): Promise<[PackedKind, PackedItem[]]> => [
            kind,
            await this.#reader.packed(guildId, kind, { consistent: true }),
          ],
        ),
      ]);
      return { head, packed: new Map(packed) };
    }
    let head: HeadItem | undefined;
    const packed = new Map<PackedKind, PackedItem[]>(packedKinds.map((kind) => [kind, []]));
    for (const item of await collect(
      this.#reader.items<HeadItem | PackedItem>(guildPartition(guildId), { consistent: true }),
    )) {
      const place = parsePackedSortKey(item.sk);
      if (place) packed.get(place.kind)?.push(item as PackedItem);
      else head = item as HeadItem;
    }
    return { head, packed };
  }

  async #write(guildId: string, changes: GuildChanges): Promise<void> {
    const { packed, joinedShard, leftShard, forgetsMembers, head } = changes;
    for (const stage of writeStages(packed)) await inParallel(stage, (write) => this.#writeItem(write));
    // Joined before left, so that the guild is at no time on no shard.
    if (joinedShard !== undefined) await this.#put(itemKey.shardGuild(joinedShard, guildId));
    if (leftShard !== undefined) await this.#delete(itemKey.shardGuild(leftShard, guildId));
    if (forgetsMembers) await this.#forgetMembers(guildId, () => true);
    if (head) await this.#writeItem(head);
  }

  async #foldMembers(guildId: string, events: readonly GuildEvent[], nowSeconds: number): Promise<void> {
    await inParallel(memberChanges(events, nowSeconds), async (item) => {
      try {
        await this.#options.documents.send(
          new PutCommand({
            TableName: this.#options.table,
            Item: item,
            ConditionExpression: 'attribute_not_exists(#p) OR #p < :p',
            ExpressionAttributeNames: { '#p': 'position' },
            ExpressionAttributeValues: { ':p': item.position },
          }),
        );
      } catch (error) {
        // A later event has told about the member already.
        if (!(error instanceof ConditionalCheckFailedException)) throw error;
      }
    });
    for (const event of events) {
      const sessionNumber = endOfFullList(event);
      if (sessionNumber === undefined) continue;
      const before = streamPosition(sessionNumber, 0);
      await this.#forgetMembers(guildId, ({ position }) => position !== undefined && position < before);
      await this.#noteMembers(event.shard, guildId, 'membersNumber', sessionNumber);
    }
  }

  async #noteMembers(
    shard: ShardKey,
    guildId: string,
    attribute: 'membersNumber' | 'membersAskedAt',
    value: number,
  ): Promise<void> {
    try {
      await this.#options.documents.send(
        new UpdateCommand({
          TableName: this.#options.table,
          Key: itemKey.shardGuild(shard, guildId),
          UpdateExpression: 'SET #attribute = :value',
          ConditionExpression: 'attribute_exists(pk)',
          ExpressionAttributeNames: { '#attribute': attribute },
          ExpressionAttributeValues: { ':value': value },
        }),
      );
    } catch (error) {
      // The guild is on that shard no more.
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
  }

  async #forgetMembers(guildId: string, condition: (item: MemberItem) => boolean): Promise<void> {
    const { documents, table } = this.#options;
    const attributes = ['pk', 'sk', 'position'];
    let keys: ItemKey[] = [];
    const flush = async (): Promise<void> => {
      let requests: unknown[] = keys.map((Key) => ({ DeleteRequest: { Key } }));
      keys = [];
      while (requests.length > 0) {
        const { UnprocessedItems } = await documents.send(
          new BatchWriteCommand({ RequestItems: { [table]: requests as [] } }),
        );
        requests = UnprocessedItems?.[table] ?? [];
      }
    };
    for await (const item of this.#reader.items<MemberItem>(membersPartition(guildId), { attributes })) {
      if (!condition(item)) continue;
      keys.push({ pk: item.pk, sk: item.sk });
      if (keys.length === batchWrites) await flush();
    }
    await flush();
  }

  async #writeItem(write: ItemWrite<HeadItem | PackedItem>): Promise<void> {
    const { documents, table } = this.#options;
    const condition =
      write.expected === undefined
        ? { ConditionExpression: 'attribute_not_exists(pk)' }
        : {
            ConditionExpression: '#p = :expected',
            ExpressionAttributeNames: { '#p': 'position' },
            ExpressionAttributeValues: { ':expected': write.expected },
          };
    try {
      if (write.kind === 'put') {
        await documents.send(new PutCommand({ TableName: table, Item: write.item, ...condition }));
      } else {
        await documents.send(new DeleteCommand({ TableName: table, Key: write.key, ...condition }));
      }
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) throw new ItemChanged();
      throw error;
    }
  }

  async #put(item: ItemKey): Promise<void> {
    await this.#options.documents.send(new PutCommand({ TableName: this.#options.table, Item: item }));
  }

  async #delete(key: ItemKey): Promise<void> {
    await this.#options.documents.send(new DeleteCommand({ TableName: this.#options.table, Key: key }));
  }
}

/** All at once up to a limit; rejects with the first failure, when all that was begun has ended. */
async function inParallel<T>(items: readonly T[], run: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const runNext = async () => {
    for (const item of waiting) await run(item);
  };
  const runs = await Promise.allSettled(Array.from({ length: Math.min(writesAtOnce, items.length) }, runNext));
  const failed = runs.find((each) => each.status === 'rejected');
  if (failed) throw failed.reason;
}

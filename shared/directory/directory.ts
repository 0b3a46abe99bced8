import type { API } from '@discordjs/core';
import { DiscordAPIError } from '@discordjs/rest';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';
import type {
  APIChannel,
  APIDMChannel,
  APIEmoji,
  APIGroupDMChannel,
  APIGuild,
  APIGuildMember,
  APIRole,
  APIThreadChannel,
} from 'discord-api-types/v10';
import type { Clock } from '../clock.ts';
import { parseShardKey, type ShardKey, shardIdOfGuild } from '../sharding.ts';
import {
  type HeadItem,
  itemKey,
  type ItemKey,
  type MemberItem,
  membersPartition,
  type PackedItem,
  type PackedKind,
} from './directory-items.ts';
import { collect, DirectoryReader, unpackEntities, unpackGuild } from './directory-reader.ts';
import { canonicalJson, packText, unpackText } from './packed-json.ts';

/** A guild: Discord's object less its lists, with what the directory adds. */
export type DirectoryGuild = Omit<APIGuild, 'roles' | 'emojis' | 'stickers'> & {
  /** As GUILD_CREATE said; kept up where the fleet has the intent GUILD_MEMBERS. */
  readonly member_count: number;
  /** Discord has an outage that hits this guild: what is known of it is from before. */
  readonly unavailable: boolean;
  /** `<num_shards>.<shard_id>` of the shard that its events come through. */
  readonly shard: ShardKey;
};

/** A channel of a guild; without what a message changes (`last_message_id`, `last_pin_timestamp`). */
export type DirectoryChannel = Exclude<APIChannel, APIDMChannel | APIGroupDMChannel> & { readonly guild_id: string };

/** An active thread; without its counters, which change with every message. */
export type DirectoryThread = APIThreadChannel & { readonly guild_id: string };

export type DirectoryRole = APIRole & { readonly guild_id: string };
export type DirectoryEmoji = APIEmoji & { readonly guild_id: string };
export type DirectoryMember = APIGuildMember & { readonly guild_id: string };

/** How many there are. */
export interface DirectoryCounts {
  readonly guilds: number;
  /** Of the guilds, those in an outage. */
  readonly unavailableGuilds: number;
  /** Sum of the guilds' member counts. */
  readonly members: number;
}

/** Which generation a shard id is meant in. */
export interface ShardChoice {
  /** `num_shards`. @default that of the sessions that began last */
  readonly totalShards?: number;
}

export interface DirectoryOptions {
  readonly documents: DynamoDBDocumentClient;
  /** `BATON_DIRECTORY_TABLE`. */
  readonly table: string;
  readonly clock: Clock;
  /** For what the directory does not know. @default then it is `undefined` */
  readonly api?: Pick<API, 'guilds' | 'channels'>;
  /** Members are folded from events (`BATON_DIRECTORY` names them). @default false */
  readonly keepsMembers?: boolean;
}

/** A member that was fetched is believed this long: nothing tells when it changes. */
const fetchedMemberSeconds = 10 * 60;
/** A channel never changes its guild; this only bounds the table. */
const channelGuildSeconds = 30 * 24 * 3600;
/** Guild heads that are fetched at once. */
const headsAtOnce = 100;

/**
 * Reads of the directory: guilds, channels, active threads, roles, and emojis and members where they are kept. Reads
 * are eventually consistent, and the directory is as fresh as the events function: before a handler sees an event of a
 * guild, the event is in here. Ids are strings, objects are Discord's own.
 * Every method rejects when the table, or Discord, gave no answer, and with `BatonError` `STORE_ITEM_INVALID` for an
 * item that cannot be read.
 */
export class Directory {
  readonly #reader: DirectoryReader;
  readonly #options: DirectoryOptions;

  constructor(options: DirectoryOptions) {
    this.#options = options;
    this.#reader = new DirectoryReader(options.documents, options.table);
  }

  /** `undefined` when the bot is not in the guild, or has left it. */
  async guild(guildId: string): Promise<DirectoryGuild | undefined> {
    const head = await this.#reader.head(guildId);
    return head && guildOf(head);
  }

  /** Channels of a guild, without threads, sorted by id; empty when the guild is not known. */
  channels(guildId: string): Promise<DirectoryChannel[]> {
    return this.#entities<DirectoryChannel>(guildId, 'channels');
  }

  /** Active threads of a guild. */
  threads(guildId: string): Promise<DirectoryThread[]> {
    return this.#entities<DirectoryThread>(guildId, 'threads');
  }

  roles(guildId: string): Promise<DirectoryRole[]> {
    return this.#entities<DirectoryRole>(guildId, 'roles');
  }

  /** Empty unless `BATON_DIRECTORY` names emojis. */
  emojis(guildId: string): Promise<DirectoryEmoji[]> {
    return this.#entities<DirectoryEmoji>(guildId, 'emojis');
  }

  /**
   * A channel or an active thread of any guild. Say its guild where you know it. Without it the directory asks Discord
   * which guild the channel is in, once, and remembers that. `undefined` for channels outside guilds.
   */
  async channel(
    channelId: string,
    { guildId }: { readonly guildId?: string } = {},
  ): Promise<DirectoryChannel | DirectoryThread | undefined> {
    const inGuild = guildId ?? (await this.#guildOfChannel(channelId));
    if (inGuild === undefined) return undefined;
    const find = async <T extends { id: string }>(list: Promise<T[]>): Promise<T | undefined> =>
      (await list).find(({ id }) => id === channelId);
    return (await find(this.channels(inGuild))) ?? (await find(this.threads(inGuild)));
  }

  /**
   * A member: from the directory, else from Discord, and then remembered for ten minutes. `undefined` when there is no
   * such member, or the bot is not in the guild.
   */
  async member(guildId: string, userId: string): Promise<DirectoryMember | undefined> {
    const { clock, keepsMembers = false } = this.#options;
    const item = await this.#reader.item<MemberItem>(itemKey.member(guildId, userId));
    const isKept = item?.position !== undefined && keepsMembers;
    // DynamoDB deletes what has expired when it comes round to it.
    const isFresh = (item?.expiresAt ?? 0) > Math.floor(clock.wallClockMs() / 1000);
    if (item && (isKept || isFresh)) return memberOf(guildId, item);
    return this.#fetchMember(guildId, userId);
  }

  /** Members of a guild that are kept or remembered: all of them once they were preloaded, and only then. */
  async *members(guildId: string): AsyncGenerator<DirectoryMember> {
    for await (const item of this.#reader.items<MemberItem>(membersPartition(guildId))) {
      const member = memberOf(guildId, item);
      if (member) yield member;
    }
  }

  /** All guilds of the fleet. One that changes its shard meanwhile may come twice. */
  async *guilds(): AsyncGenerator<DirectoryGuild> {
    for await (const { shard } of this.#reader.shards()) yield* this.#guildsFrom(this.#reader.guildIdsOnShard(shard));
  }

  async *guildsOnShard(shardId: number, choice: ShardChoice = {}): AsyncGenerator<DirectoryGuild> {
    yield* this.#guildsFrom(this.guildIdsOnShard(shardId, choice));
  }

  /** Ids alone: a tenth of the cost. */
  async *guildIdsOnShard(shardId: number, { totalShards }: ShardChoice = {}): AsyncGenerator<string> {
    const shards = await collect(this.#reader.shards());
    const newest = shards.reduce<(typeof shards)[number] | undefined>(
      (best, each) => (best === undefined || each.sessionNumber > best.sessionNumber ? each : best),
      undefined,
    );
    const total = totalShards ?? (newest && parseShardKey(newest.shard).shardCount);
    if (total === undefined) return;
    for (const { shard } of shards) {
      if (!sharesGuilds(parseShardKey(shard), { shardId, shardCount: total })) continue;
      for await (const guildId of this.#reader.guildIdsOnShard(shard)) {
        if (shardIdOfGuild(guildId, total) === shardId) yield guildId;
      }
    }
  }

  async *channelsOnShard(shardId: number, choice: ShardChoice = {}): AsyncGenerator<DirectoryChannel> {
    for await (const guildId of this.guildIdsOnShard(shardId, choice)) yield* await this.channels(guildId);
  }

  async *rolesOnShard(shardId: number, choice: ShardChoice = {}): AsyncGenerator<DirectoryRole> {
    for await (const guildId of this.guildIdsOnShard(shardId, choice)) yield* await this.roles(guildId);
  }

  /** See {@link members}. */
  async *membersOnShard(shardId: number, choice: ShardChoice = {}): AsyncGenerator<DirectoryMember> {
    for await (const guildId of this.guildIdsOnShard(shardId, choice)) yield* this.members(guildId);
  }

  /** Counts over the fleet, or over one shard. Reads every guild's head: half a read unit a guild. */
  async counts(on?: { readonly shardId: number } & ShardChoice): Promise<DirectoryCounts> {
    let guilds = 0;
    let unavailableGuilds = 0;
    let members = 0;
    for await (const guild of on === undefined ? this.guilds() : this.guildsOnShard(on.shardId, on)) {
      guilds += 1;
      if (guild.unavailable) unavailableGuilds += 1;
      members += guild.member_count;
    }
    return { guilds, unavailableGuilds, members };
  }

  /** How many entities of each kind a guild has. */
  async guildCounts(guildId: string): Promise<Record<PackedKind, number>> {
    const count = async (kind: PackedKind): Promise<number> =>
      (await this.#reader.packed(guildId, kind)).reduce((sum, item) => sum + item.count, 0);
    const [channels, threads, roles, emojis] = await Promise.all([
      count('channels'),
      count('threads'),
      count('roles'),
      count('emojis'),
    ]);
    return { channels, threads, roles, emojis };
  }

  async #entities<T>(guildId: string, kind: PackedKind): Promise<T[]> {
    const items: PackedItem[] = await this.#reader.packed(guildId, kind);
    const entities = [...unpackEntities(items).values()].sort((one, other) => compareIds(one.id, other.id));
    return entities.map((entity) => ({ ...entity, guild_id: guildId })) as T[];
  }

  async *#guildsFrom(guildIds: AsyncIterable<string>): AsyncGenerator<DirectoryGuild> {
    let keys: ItemKey[] = [];
    for await (const guildId of guildIds) {
      keys.push(itemKey.head(guildId));
      if (keys.length < headsAtOnce) continue;
      yield* this.#guildsOf(keys);
      keys = [];
    }
    yield* this.#guildsOf(keys);
  }

  async *#guildsOf(keys: readonly ItemKey[]): AsyncGenerator<DirectoryGuild> {
    for (const head of await this.#reader.batch<HeadItem>(keys)) {
      const guild = guildOf(head);
      if (guild) yield guild;
    }
  }

  async #guildOfChannel(channelId: string): Promise<string | undefined> {
    const known = await this.#reader.item<{ guildId: string }>(itemKey.channelGuild(channelId));
    if (known) return known.guildId;
    const { api, documents, table, clock } = this.#options;
    if (!api) return undefined;
    const channel = await unlessUnknown(api.channels.get(channelId));
    const guildId = channel && 'guild_id' in channel ? channel.guild_id : undefined;
    if (guildId === undefined) return undefined;
    const expiresAt = Math.floor(clock.wallClockMs() / 1000) + channelGuildSeconds;
    await documents.send(
      new PutCommand({ TableName: table, Item: { ...itemKey.channelGuild(channelId), guildId, expiresAt } }),
    );
    return guildId;
  }

  async #fetchMember(guildId: string, userId: string): Promise<DirectoryMember | undefined> {
    const { api, documents, table, clock } = this.#options;
    const member = api && (await unlessUnknown(api.guilds.getMember(guildId, userId)));
    if (!member) return undefined;
    const item: MemberItem = {
      ...itemKey.member(guildId, userId),
      data: packText(canonicalJson(member)),
      expiresAt: Math.floor(clock.wallClockMs() / 1000) + fetchedMemberSeconds,
    };
    try {
      await documents.send(
        new PutCommand({
          TableName: table,
          Item: item,
          // What came in an event stays: it is kept up, and may be newer.
          ...(this.#options.keepsMembers === true && { ConditionExpression: 'attribute_not_exists(#p)' }),
          ...(this.#options.keepsMembers === true && { ExpressionAttributeNames: { '#p': 'position' } }),
        }),
      );
    } catch (error) {
      if (!(error instanceof ConditionalCheckFailedException)) throw error;
    }
    return memberOf(guildId, item);
  }
}

function guildOf(head: HeadItem): DirectoryGuild | undefined {
  if (head.left || head.data === undefined) return undefined;
  const { memberCount, unavailable, shard } = head;
  return { ...unpackGuild(head), member_count: memberCount, unavailable, shard } as DirectoryGuild;
}

function memberOf(guildId: string, { pk, sk, data }: MemberItem): DirectoryMember | undefined {
  if (data === undefined) return undefined;
  const member = JSON.parse(unpackText(data, `${pk}/${sk}`)) as APIGuildMember;
  return { ...member, guild_id: guildId };
}

/** Whether a guild can be on both shards, which may be of different generations. */
function sharesGuilds(
  one: { shardId: number; shardCount: number },
  other: { shardId: number; shardCount: number },
): boolean {
  const divisor = greatestCommonDivisor(one.shardCount, other.shardCount);
  return one.shardId % divisor === other.shardId % divisor;
}

function greatestCommonDivisor(one: number, other: number): number {
  return other === 0 ? one : greatestCommonDivisor(other, one % other);
}

/** Snowflakes by age: shorter ones are older. */
function compareIds(one: string, other: string): number {
  return one.length - other.length || (one < other ? -1 : 1);
}

/** Discord's 403 and 404 say that there is nothing here for the bot. */
async function unlessUnknown<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof DiscordAPIError && (error.status === 404 || error.status === 403)) return undefined;
    throw error;
  }
}

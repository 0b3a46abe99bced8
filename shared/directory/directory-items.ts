import type { ShardKey } from '../sharding.ts';
import type { StreamPosition } from './stream-position.ts';

/** Kinds of entities that are packed, many to an item, in a guild's partition. */
export const packedKinds = ['channels', 'threads', 'roles', 'emojis'] as const;
export type PackedKind = (typeof packedKinds)[number];

/** An entity as the directory keeps it: as Discord sent it, less what changes without an event. */
export interface DirectoryEntityObject {
  readonly id: string;
  readonly [key: string]: unknown;
}

/** Key of an item in the directory table. */
export interface ItemKey {
  readonly pk: string;
  readonly sk: string;
}

/**
 * Keys of the directory's items. A guild's partition has its head and its packed entities, so that one query reads it
 * all; members, of which there may be a million, have a partition of their own.
 */
export const itemKey = {
  head: (guildId: string): ItemKey => ({ pk: guildPartition(guildId), sk: headSortKey }),
  packed: (guildId: string, kind: PackedKind, number: number): ItemKey => ({
    pk: guildPartition(guildId),
    sk: `${packedPrefix(kind)}${String(number).padStart(3, '0')}`,
  }),
  member: (guildId: string, userId: string): ItemKey => ({ pk: membersPartition(guildId), sk: userId }),
  /** That a guild is on a shard. */
  shardGuild: (shard: ShardKey, guildId: string): ItemKey => ({ pk: shardPartition(shard), sk: guildId }),
  /** The sessions of a shard. */
  shard: (shard: ShardKey): ItemKey => ({ pk: shardsPartition, sk: shard }),
  sessionCounter: { pk: 'SESSIONS', sk: 'COUNTER' } as ItemKey,
  /** Which guild a channel that was asked for is in. */
  channelGuild: (channelId: string): ItemKey => ({ pk: `CHANNEL#${channelId}`, sk: 'GUILD' }),
} as const;

export const headSortKey = 'GUILD';
export const shardsPartition = 'SHARDS';
export const guildPartition = (guildId: string): string => `GUILD#${guildId}`;
export const membersPartition = (guildId: string): string => `MEMBERS#${guildId}`;
export const shardPartition = (shard: ShardKey): string => `SHARD#${shard}`;
/** Start of the sort keys of a kind's items. */
export const packedPrefix = (kind: PackedKind): string => `${kind.toUpperCase()}#`;

/** `kind` and number of a packed item; `undefined` for the head. */
export function parsePackedSortKey(sk: string): { kind: PackedKind; number: number } | undefined {
  const match = /^([A-Z]+)#(\d+)$/.exec(sk);
  const kind = packedKinds.find((each) => each.toUpperCase() === match?.[1]);
  return kind === undefined ? undefined : { kind, number: Number(match?.[2]) };
}

/** Head of a guild: everything but its lists. */
export interface HeadItem extends ItemKey {
  /** Of the last event that changed this item. */
  readonly position: StreamPosition;
  /** Of the last event that replaced the guild as a whole: nothing before it counts any more. */
  readonly snapshot: StreamPosition;
  readonly shard: ShardKey;
  readonly memberCount: number;
  readonly unavailable: boolean;
  /** The bot is no longer in the guild. Kept for a while, so that a late copy of an event does not revive it. */
  readonly left: boolean;
  /** Packed guild object; absent when the guild has been left. */
  readonly data?: Uint8Array;
  /** Unix seconds; of a guild that was left. */
  readonly expiresAt?: number;
}

/** Entities of one kind: those of which `hash(id) % of` is the item's number. */
export interface PackedItem extends ItemKey {
  readonly position: StreamPosition;
  readonly of: number;
  readonly count: number;
  /** Packed array of entities, sorted by id. */
  readonly data: Uint8Array;
}

/** One member. */
export interface MemberItem extends ItemKey {
  /** Of the event it came in; absent when it was fetched from Discord. */
  readonly position?: StreamPosition;
  /** Packed member object; absent when the member has left. */
  readonly data?: Uint8Array;
  /** Unix seconds; of a member that was fetched and is not kept up, or has left. */
  readonly expiresAt?: number;
}

/** That a guild is on a shard, and how far its members have been asked for. */
export interface ShardGuildItem extends ItemKey {
  /** Number of the session through which the full list of members has come. */
  readonly membersNumber?: number;
  /** Unix seconds. */
  readonly membersAskedAt?: number;
}

/** What is known of a shard's sessions, newest first in number. */
export interface ShardItem extends ItemKey {
  readonly session: string;
  readonly sessionNumber: number;
  /** Sessions before it, oldest first. */
  readonly earlier: readonly (readonly [session: string, sessionNumber: number])[];
  /** The session whose guilds were last compared with the shard's roster. */
  readonly sweptSession?: string;
}

/** Which of `of` items an entity is in: FNV-1a over its id, because snowflakes made together share their low bits. */
export function packedNumber(id: string, of: number): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < id.length; index += 1) {
    hash = Math.imul(hash ^ id.charCodeAt(index), 0x01000193) >>> 0;
  }
  return hash % of;
}

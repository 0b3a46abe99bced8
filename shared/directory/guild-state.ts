import type { ShardKey } from '../sharding.ts';
import {
  type DirectoryEntityObject,
  type HeadItem,
  itemKey,
  type PackedItem,
  type PackedKind,
  packedKinds,
} from './directory-items.ts';
import type { DirectoryEntities } from './directory-options.ts';
import { unpackGuild } from './directory-reader.ts';
import { type ItemWrite, PackedEntities } from './packed-entities.ts';
import { canonicalJson, packText } from './packed-json.ts';
import { sessionNumberOf, type StreamPosition } from './stream-position.ts';

/** A dispatch about a guild, with its place in the life of the fleet. */
export interface GuildEvent {
  readonly type: string;
  readonly guildId: string;
  readonly shard: ShardKey;
  readonly position: StreamPosition;
  /** The dispatch's `d`. */
  readonly data: unknown;
}

/**
 * `stale`: an event after it has been folded already. `unknownGuild`: the directory has not seen its GUILD_CREATE, or
 * the bot has left. `invalid`: the payload lacks what it must have.
 */
export type FoldOutcome = 'folded' | 'stale' | 'unknownGuild' | 'invalid';

/** What of a guild is stored. */
export interface StoredGuild {
  readonly head: HeadItem | undefined;
  readonly packed: ReadonlyMap<PackedKind, readonly PackedItem[]>;
}

/** What has to be written, in this order: a crash in between is mended when the events come again. */
export interface GuildChanges {
  readonly packed: readonly ItemWrite<PackedItem>[];
  /** The guild has come to a shard, or left it. */
  readonly joinedShard: ShardKey | undefined;
  readonly leftShard: ShardKey | undefined;
  /** Members of the guild are not members any more: the bot is gone. */
  readonly forgetsMembers: boolean;
  /** Last: it says that all of the above is done. */
  readonly head: ItemWrite<HeadItem> | undefined;
}

const allKinds: readonly PackedKind[] = packedKinds;
const noKinds: readonly PackedKind[] = [];
const kindsOf: Readonly<Record<string, readonly PackedKind[]>> = {
  GUILD_CREATE: allKinds,
  GUILD_DELETE: allKinds,
  CHANNEL_CREATE: ['channels'],
  CHANNEL_UPDATE: ['channels'],
  CHANNEL_DELETE: ['channels', 'threads'],
  THREAD_CREATE: ['threads'],
  THREAD_UPDATE: ['threads'],
  THREAD_DELETE: ['threads'],
  THREAD_LIST_SYNC: ['threads'],
  GUILD_ROLE_CREATE: ['roles'],
  GUILD_ROLE_UPDATE: ['roles'],
  GUILD_ROLE_DELETE: ['roles'],
  GUILD_EMOJIS_UPDATE: ['emojis'],
};

/** The packed entities that folding an event of this type needs. */
export function kindsTouchedBy(type: string): readonly PackedKind[] {
  return kindsOf[type] ?? noKinds;
}

/** Lists of GUILD_CREATE, and what of it is a moment's; none of them is part of the guild object. */
const notOfGuild = new Set([
  'activity_instances',
  'approximate_member_count',
  'approximate_presence_count',
  'channels',
  'embedded_activities',
  'emojis',
  'guild_hashes',
  'guild_id',
  'guild_scheduled_events',
  'large',
  'lazy',
  'member_count',
  'members',
  'presences',
  'roles',
  'soundboard_sounds',
  'stage_instances',
  'stickers',
  'threads',
  'unavailable',
  'voice_states',
]);
/** Of channels and threads: known from the partition, or changed by every message. */
const notOfChannel = new Set([
  'guild_id',
  'last_message_id',
  'last_pin_timestamp',
  'member',
  'member_count',
  'message_count',
  'newly_created',
  'total_message_sent',
]);
const nothing: ReadonlySet<string> = new Set();

/** For how long a guild that was left is remembered as such; longer than a message lives. */
const leftSeconds = 14 * 24 * 3600;

/**
 * One guild while events are folded into it, in order of their positions; pure. What it does to the members is not its
 * business: they are items of their own.
 */
export class GuildState {
  readonly #guildId: string;
  readonly #entities: DirectoryEntities;
  readonly #nowSeconds: number;
  readonly #stored: StoredGuild;
  readonly #packed = new Map<PackedKind, PackedEntities>();
  #guild: Record<string, unknown>;
  #position: StreamPosition;
  #snapshot: StreamPosition;
  #shard: ShardKey | undefined;
  #memberCount: number;
  #unavailable: boolean;
  #left: boolean;
  #isChanged = false;
  #forgetsMembers = false;

  /** `stored` needs the packed items of the kinds that the events to come touch. @throws {BatonError} `STORE_ITEM_INVALID`. */
  constructor(guildId: string, entities: DirectoryEntities, stored: StoredGuild, nowSeconds: number) {
    this.#guildId = guildId;
    this.#entities = entities;
    this.#stored = stored;
    this.#nowSeconds = nowSeconds;
    const { head } = stored;
    this.#guild = head ? unpackGuild(head) : {};
    this.#position = head?.position ?? '';
    this.#snapshot = head?.snapshot ?? '';
    this.#shard = head?.shard;
    this.#memberCount = head?.memberCount ?? 0;
    this.#unavailable = head?.unavailable ?? false;
    this.#left = head?.left ?? false;
    for (const [kind, items] of stored.packed) this.#packed.set(kind, new PackedEntities(guildId, kind, items));
  }

  /** Folds an event in. */
  apply({ type, shard, position, data }: GuildEvent): FoldOutcome {
    if (typeof data !== 'object' || data === null) return 'invalid';
    const payload = data as Record<string, unknown>;
    if (position <= this.#snapshot) return 'stale';
    // Two sessions can bring events of one guild: of a shard and its successor. The later has the say.
    if (sessionNumberOf(position) < sessionNumberOf(this.#position)) return 'stale';
    switch (type) {
      case 'GUILD_CREATE':
        return this.#create(payload, shard, position);
      case 'GUILD_DELETE':
        return this.#delete(payload, shard, position);
      default:
        break;
    }
    if (this.#shard === undefined || this.#left) return 'unknownGuild';
    const outcome = this.#change(type, payload, position);
    if (outcome === 'folded') this.#follow(shard, position);
    return outcome;
  }

  changes(): GuildChanges {
    const before = this.#stored.head?.left === true ? undefined : this.#stored.head?.shard;
    const after = this.#left ? undefined : this.#shard;
    const hasMoved = before !== after;
    return {
      packed: this.#left ? this.#deletesOfAll() : [...this.#packed.values()].flatMap((packed) => packed.writes()),
      joinedShard: hasMoved ? after : undefined,
      leftShard: hasMoved ? before : undefined,
      forgetsMembers: this.#forgetsMembers,
      head: this.#isChanged ? { kind: 'put', item: this.#head(), expected: this.#stored.head?.position } : undefined,
    };
  }

  #create(payload: Record<string, unknown>, shard: ShardKey, position: StreamPosition): FoldOutcome {
    // Joined, or announced, in the middle of an outage: there is nothing to know but that.
    if (payload['unavailable'] === true) return this.#delete(payload, shard, position);
    const guild = without(payload, notOfGuild);
    this.#guild = { ...guild, id: this.#guildId };
    const memberCount = payload['member_count'];
    this.#memberCount = typeof memberCount === 'number' ? memberCount : this.#memberCount;
    this.#unavailable = false;
    this.#left = false;
    this.#shard = shard;
    this.#forgetsMembers = false;
    this.#replace('channels', payload['channels'], position);
    this.#replace('threads', payload['threads'], position);
    this.#replace('roles', payload['roles'], position);
    this.#replace('emojis', payload['emojis'], position);
    this.#snapshot = position;
    this.#touch(position);
    return 'folded';
  }

  #delete(payload: Record<string, unknown>, shard: ShardKey, position: StreamPosition): FoldOutcome {
    if (position <= this.#position) return 'stale';
    if (payload['unavailable'] === true) {
      if (this.#shard === undefined || this.#left) return 'unknownGuild';
      this.#unavailable = true;
      this.#follow(shard, position);
      this.#touch(position);
      return 'folded';
    }
    this.#left = true;
    this.#forgetsMembers = true;
    this.#unavailable = false;
    this.#guild = {};
    this.#shard = shard;
    for (const packed of this.#packed.values()) packed.replaceAll([], position);
    this.#snapshot = position;
    this.#touch(position);
    return 'folded';
  }

  #change(type: string, payload: Record<string, unknown>, position: StreamPosition): FoldOutcome {
    switch (type) {
      case 'GUILD_UPDATE': {
        if (position <= this.#position) return 'stale';
        this.#guild = { ...this.#guild, ...without(payload, notOfGuild), id: this.#guildId };
        this.#touch(position);
        return 'folded';
      }
      case 'GUILD_MEMBER_ADD':
      case 'GUILD_MEMBER_REMOVE': {
        if (position <= this.#position) return 'stale';
        this.#memberCount = Math.max(0, this.#memberCount + (type === 'GUILD_MEMBER_ADD' ? 1 : -1));
        this.#touch(position);
        return 'folded';
      }
      case 'CHANNEL_CREATE':
      case 'CHANNEL_UPDATE':
        return this.#upsert('channels', payload, position, notOfChannel);
      case 'CHANNEL_DELETE': {
        const id = idOf(payload);
        if (id === undefined) return 'invalid';
        this.#packed.get('channels')?.remove(id, position);
        this.#removeThreads((thread) => thread['parent_id'] === id, position);
        return 'folded';
      }
      case 'THREAD_CREATE':
        return this.#upsert('threads', payload, position, notOfChannel);
      case 'THREAD_UPDATE': {
        const metadata = payload['thread_metadata'] as { archived?: unknown } | undefined;
        // An archived thread is not active any more; when it is woken up there is an update again.
        if (metadata?.archived === true) return this.#remove('threads', payload['id'], position);
        return this.#upsert('threads', payload, position, notOfChannel);
      }
      case 'THREAD_DELETE':
        return this.#remove('threads', payload['id'], position);
      case 'THREAD_LIST_SYNC': {
        const parents = Array.isArray(payload['channel_ids']) ? new Set<unknown>(payload['channel_ids']) : undefined;
        const synced = entitiesOf(payload['threads'], notOfChannel);
        const active = new Set(synced.map(({ id }) => id));
        this.#removeThreads(
          (thread) => (parents?.has(thread['parent_id']) ?? true) && !active.has(thread.id),
          position,
        );
        for (const thread of synced) this.#packed.get('threads')?.upsert(thread, position);
        return 'folded';
      }
      case 'GUILD_ROLE_CREATE':
      case 'GUILD_ROLE_UPDATE': {
        const role = payload['role'];
        if (typeof role !== 'object' || role === null) return 'invalid';
        return this.#upsert('roles', role as Record<string, unknown>, position, nothing);
      }
      case 'GUILD_ROLE_DELETE':
        return this.#remove('roles', payload['role_id'], position);
      case 'GUILD_EMOJIS_UPDATE':
        if (!Array.isArray(payload['emojis'])) return 'invalid';
        this.#replace('emojis', payload['emojis'], position);
        return 'folded';
      default:
        return 'folded';
    }
  }

  #upsert(
    kind: PackedKind,
    payload: Record<string, unknown>,
    position: StreamPosition,
    omitted: ReadonlySet<string>,
  ): FoldOutcome {
    const id = idOf(payload);
    if (id === undefined) return 'invalid';
    if (this.#entities.has(kind)) this.#packed.get(kind)?.upsert({ ...without(payload, omitted), id }, position);
    return 'folded';
  }

  #remove(kind: PackedKind, id: unknown, position: StreamPosition): FoldOutcome {
    if (typeof id !== 'string') return 'invalid';
    this.#packed.get(kind)?.remove(id, position);
    return 'folded';
  }

  #removeThreads(condition: (thread: DirectoryEntityObject) => boolean, position: StreamPosition): void {
    const threads = this.#packed.get('threads');
    for (const thread of threads?.entities() ?? []) if (condition(thread)) threads?.remove(thread.id, position);
  }

  #replace(kind: PackedKind, list: unknown, position: StreamPosition): void {
    const omitted = kind === 'channels' || kind === 'threads' ? notOfChannel : nothing;
    this.#packed.get(kind)?.replaceAll(this.#entities.has(kind) ? entitiesOf(list, omitted) : [], position);
  }

  /** A guild that another session than before tells about is on that session's shard now. */
  #follow(shard: ShardKey, position: StreamPosition): void {
    const isOfLaterSession = sessionNumberOf(position) > sessionNumberOf(this.#position);
    if (!isOfLaterSession && shard === this.#shard) return;
    this.#shard = shard;
    this.#touch(position);
  }

  #touch(position: StreamPosition): void {
    if (position > this.#position) this.#position = position;
    this.#isChanged = true;
  }

  #head(): HeadItem {
    return {
      ...itemKey.head(this.#guildId),
      position: this.#position,
      snapshot: this.#snapshot,
      shard: this.#shard as ShardKey,
      memberCount: this.#memberCount,
      unavailable: this.#unavailable,
      left: this.#left,
      ...(this.#left ? { expiresAt: this.#nowSeconds + leftSeconds } : { data: packText(canonicalJson(this.#guild)) }),
    };
  }

  #deletesOfAll(): ItemWrite<PackedItem>[] {
    return [...this.#stored.packed.values()].flat().map(({ pk, sk, position }) => ({
      kind: 'delete',
      key: { pk, sk },
      expected: position,
    }));
  }
}

function without(payload: Record<string, unknown>, omitted: ReadonlySet<string>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(payload).filter(([key]) => !omitted.has(key)));
}

function idOf(payload: Record<string, unknown>): string | undefined {
  const { id } = payload;
  return typeof id === 'string' ? id : undefined;
}

/** The entries of a list that have an id; what is no list has none. */
function entitiesOf(list: unknown, omitted: ReadonlySet<string>): DirectoryEntityObject[] {
  if (!Array.isArray(list)) return [];
  return list.flatMap((each: unknown) => {
    if (typeof each !== 'object' || each === null) return [];
    const payload = each as Record<string, unknown>;
    const id = idOf(payload);
    return id === undefined ? [] : [{ ...without(payload, omitted), id }];
  });
}

/** What the directory can keep. `guilds` is the ground of all others. */
export const directoryEntities = ['guilds', 'channels', 'threads', 'roles', 'emojis', 'members'] as const;
export type DirectoryEntity = (typeof directoryEntities)[number];

/** Which entities a fleet keeps. Empty: there is no directory. */
export type DirectoryEntities = ReadonlySet<DirectoryEntity>;

/** Kept unless `BATON_DIRECTORY` says otherwise. Needs no privileged intent. */
export const defaultDirectoryEntities: DirectoryEntities = new Set(['guilds', 'channels', 'threads', 'roles']);

/** Reads `BATON_DIRECTORY`: `off`, or entities such as `guilds,channels`. `undefined` for anything else. */
export function parseDirectoryEntities(text: string): DirectoryEntities | undefined {
  if (text === 'off') return new Set();
  const names = text.split(/\s*,\s*/);
  if (!names.every(isEntity)) return undefined;
  // Everything else is kept under a guild.
  return new Set(['guilds', ...names]);
}

function isEntity(name: string): name is DirectoryEntity {
  return (directoryEntities as readonly string[]).includes(name);
}

/** Words for what {@link parseDirectoryEntities} takes. */
export const directoryEntitiesAllowed = `off or entities such as guilds,channels (there are ${directoryEntities.join(', ')})`;

/**
 * What the directory fetches by itself: `guilds` (with all that is kept of them) that no GUILD_CREATE has told about,
 * and the `members` of all guilds.
 */
export const directoryPreloads = ['guilds', 'members'] as const;
export type DirectoryPreload = (typeof directoryPreloads)[number];

/** Reads `BATON_DIRECTORY_PRELOAD`: `off`, or what to fetch. `undefined` for anything else. */
export function parseDirectoryPreload(text: string): ReadonlySet<DirectoryPreload> | undefined {
  if (text === 'off') return new Set();
  const names = text.split(/\s*,\s*/);
  const isPreload = (name: string): name is DirectoryPreload => (directoryPreloads as readonly string[]).includes(name);
  return names.every(isPreload) ? new Set(names) : undefined;
}

/** Words for what {@link parseDirectoryPreload} takes. */
export const directoryPreloadAllowed = `off or some of ${directoryPreloads.join(',')}`;

const eventTypesOf: Readonly<Record<DirectoryEntity, readonly string[]>> = {
  guilds: ['GUILD_CREATE', 'GUILD_DELETE', 'GUILD_UPDATE'],
  channels: ['CHANNEL_CREATE', 'CHANNEL_DELETE', 'CHANNEL_UPDATE'],
  // A deleted channel takes its threads along, and no other event says so.
  threads: ['CHANNEL_DELETE', 'THREAD_CREATE', 'THREAD_DELETE', 'THREAD_LIST_SYNC', 'THREAD_UPDATE'],
  roles: ['GUILD_ROLE_CREATE', 'GUILD_ROLE_DELETE', 'GUILD_ROLE_UPDATE'],
  emojis: ['GUILD_EMOJIS_UPDATE'],
  members: ['GUILD_MEMBERS_CHUNK', 'GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE', 'GUILD_MEMBER_UPDATE'],
};

/** What keeps member counts up; sent only with the privileged intent GUILD_MEMBERS. */
export const memberCountEventTypes: readonly string[] = ['GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE'];

/** Bits of the intents that carry an entity's events (Discord, "Gateway", List of Intents). */
const intentsOf: Readonly<Record<DirectoryEntity, number>> = {
  guilds: 1 << 0,
  channels: 1 << 0,
  threads: 1 << 0,
  roles: 1 << 0,
  emojis: 1 << 3,
  members: 1 << 1,
};

const guildMembersIntent = 1 << 1;

/**
 * Dispatch types that the edge must forward for the directory, sorted. Where `intents` has GUILD_MEMBERS, those that
 * keep member counts up are among them.
 */
export function directoryEventTypes(entities: DirectoryEntities, intents = 0): readonly string[] {
  const types = new Set([...entities].flatMap((entity) => eventTypesOf[entity]));
  if (entities.size > 0 && (intents & guildMembersIntent) !== 0) {
    for (const type of memberCountEventTypes) types.add(type);
  }
  return [...types].sort();
}

/** Intents, as bits, that the directory needs. GUILD_MEMBERS, for `members`, has to be switched on for the application. */
export function directoryIntents(entities: DirectoryEntities): number {
  return [...entities].reduce((bits, entity) => bits | intentsOf[entity], 0);
}

import { type Random, randomBelow } from '../../shared/random.ts';
import type { JsonObject } from './corpus.ts';
import type { Entity, Guild, Member, World } from './world.ts';

/** An event that changes the world: its type (which may differ from the one asked for) and its `d`. */
export interface GuildChange {
  readonly type: string;
  readonly d: JsonObject;
}

type Change = (guild: Guild, world: World, random: Random, example: JsonObject) => GuildChange;

/** Things that traffic made in a guild are taken away again by traffic; what the guild began with stays. */
const madeByTraffic = new WeakSet<Entity | Member>();

function anyOf<T>(items: readonly T[], random: Random): T | undefined {
  return items[randomBelow(random, items.length)];
}

const createChannel: Change = (guild, world, random, example) => {
  const channel: Entity = {
    ...example,
    id: world.snowflakes.next(),
    guild_id: guild.id,
    type: 0,
    name: `channel-${randomBelow(random, 1000)}`,
    parent_id: null,
  };
  madeByTraffic.add(channel);
  world.addChannel(guild, channel);
  return { type: 'CHANNEL_CREATE', d: channel };
};

const createThread: Change = (guild, world, _random, example) => {
  const thread: Entity = {
    ...example,
    id: world.snowflakes.next(),
    guild_id: guild.id,
    type: 11,
    parent_id: guild.textChannelIds[0],
    owner_id: world.botUser.id,
  };
  guild.threads.push(thread);
  return { type: 'THREAD_CREATE', d: { ...thread, newly_created: true } };
};

const createRole: Change = (guild, world, random, example) => {
  const role = {
    ...(example.role as JsonObject),
    id: world.snowflakes.next(),
    name: `role ${randomBelow(random, 1000)}`,
  };
  madeByTraffic.add(role);
  guild.roles.push(role);
  return { type: 'GUILD_ROLE_CREATE', d: { guild_id: guild.id, role } };
};

const addMember: Change = (guild, world, random) => {
  const member = world.addMember(guild, random);
  madeByTraffic.add(member);
  return { type: 'GUILD_MEMBER_ADD', d: { guild_id: guild.id, ...member } };
};

/** The events that tell how guilds, channels, threads, roles and members change: what they say is what the world then holds. */
const changes: Readonly<Record<string, Change>> = {
  CHANNEL_CREATE: createChannel,
  CHANNEL_UPDATE(guild, _world, random) {
    const channel = anyOf(guild.channels, random) as Entity;
    channel.topic = `topic ${randomBelow(random, 1_000_000)} — “今日の予定”`;
    return { type: 'CHANNEL_UPDATE', d: channel };
  },
  CHANNEL_DELETE(guild, world, random, example) {
    const channel = guild.channels.find((each) => madeByTraffic.has(each));
    if (!channel) return createChannel(guild, world, random, example);
    world.removeChannel(guild, channel.id);
    return { type: 'CHANNEL_DELETE', d: channel };
  },
  THREAD_CREATE: createThread,
  THREAD_UPDATE(guild, world, random, example) {
    const thread = anyOf(guild.threads, random);
    if (!thread) return createThread(guild, world, random, example);
    thread.name = `thread ${randomBelow(random, 1_000_000)}`;
    return { type: 'THREAD_UPDATE', d: thread };
  },
  THREAD_DELETE(guild, world, random, example) {
    const thread = guild.threads.shift();
    if (!thread) return createThread(guild, world, random, example);
    const { id, guild_id, parent_id, type } = thread;
    return { type: 'THREAD_DELETE', d: { id, guild_id, parent_id, type } };
  },
  GUILD_ROLE_CREATE: createRole,
  GUILD_ROLE_UPDATE(guild, _world, random) {
    const role = anyOf(guild.roles, random) as Entity;
    role.color = randomBelow(random, 1 << 24);
    return { type: 'GUILD_ROLE_UPDATE', d: { guild_id: guild.id, role } };
  },
  GUILD_ROLE_DELETE(guild, world, random, example) {
    const role = guild.roles.find((each) => madeByTraffic.has(each));
    if (!role) return createRole(guild, world, random, example);
    guild.roles = guild.roles.filter((each) => each !== role);
    return { type: 'GUILD_ROLE_DELETE', d: { guild_id: guild.id, role_id: role.id } };
  },
  GUILD_MEMBER_ADD: addMember,
  GUILD_MEMBER_REMOVE(guild, world, random, example) {
    const member = guild.members.find((each) => madeByTraffic.has(each));
    if (!member) return addMember(guild, world, random, example);
    guild.members = guild.members.filter((each) => each !== member);
    return { type: 'GUILD_MEMBER_REMOVE', d: { guild_id: guild.id, user: member.user } };
  },
  GUILD_UPDATE(guild, _world, random) {
    guild.properties = { ...guild.properties, description: `description ${randomBelow(random, 1_000_000)}` };
    return { type: 'GUILD_UPDATE', d: { ...guild.properties, id: guild.id, roles: guild.roles } };
  },
};

/** Event types that {@link changeGuild} makes. */
export const guildChangeTypes: ReadonlySet<string> = new Set(Object.keys(changes));

/**
 * Changes `guild` the way `type` says and returns the event that tells about it. A deletion with nothing to delete
 * makes the thing instead. `example` is a payload of the thing's CREATE event, for the keys that do not matter.
 */
export function changeGuild(
  type: string,
  guild: Guild,
  { world, random, example }: { world: World; random: Random; example: JsonObject },
): GuildChange {
  return (changes[type] as Change)(guild, world, random, example);
}

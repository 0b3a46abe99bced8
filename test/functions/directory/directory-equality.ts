import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type AnyThreadChannel,
  type Channel,
  ChannelType,
  Client,
  GatewayIntentBits,
  type Guild,
  type NonThreadGuildBasedChannel,
  Options,
} from 'discord.js';
import { type ChaosDone, planChaos, runChaos } from '../../../local/chaos.ts';
import { type EventIdentity, readIdentity } from '../../../local/discord/event-identity.ts';
import type { Guild as WorldGuild } from '../../../local/discord/world.ts';
import { startFleet } from '../../../local/fleet.ts';
import { chaosTargets } from '../../../local/fleet-chaos.ts';
import type { SimulatedDiscord } from '../../../local/simulated-discord.ts';
import { systemClock } from '../../../shared/clock.ts';
import type { Directory, DirectoryChannel } from '../../../shared/directory/directory.ts';
import { messageOf } from '../../../shared/errors.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { randomBelow, seededRandom } from '../../../shared/random.ts';

export interface EqualityOptions {
  /** Events of the traffic, at least. */
  readonly events: number;
  readonly eventsPerSecond: number;
  readonly shards: number;
  readonly workers: number;
  readonly chaosMix: 'mild' | 'harsh';
  readonly seed: number;
  /**
   * From the last event to the last word of the directory: a dead worker may have to be noticed first, and a message that
   * was handed back because DynamoDB gave no answer stays hidden for three minutes.
   */
  readonly settleWithinMs: number;
  /** Times that a shard's session is thrown away and the bot leaves a guild before there is another. */
  readonly lostSessions: number;
}

export interface EqualityResult {
  /** What the directory and discord.js do not agree on, a line each. */
  readonly differences: readonly string[];
  readonly guilds: number;
  readonly channels: number;
  readonly threads: number;
  readonly roles: number;
  readonly members: number;
  readonly events: number;
  readonly left: number;
  readonly rejoined: number;
  readonly leftWhileAway: number;
  readonly identifies: number;
  readonly chaos: readonly ChaosDone[];
}

/** Every second event changes what the directory holds. */
const mix = {
  MESSAGE_CREATE: 40,
  TYPING_START: 10,
  CHANNEL_CREATE: 5,
  CHANNEL_UPDATE: 6,
  CHANNEL_DELETE: 4,
  THREAD_CREATE: 5,
  THREAD_UPDATE: 4,
  THREAD_DELETE: 4,
  GUILD_ROLE_CREATE: 4,
  GUILD_ROLE_UPDATE: 4,
  GUILD_ROLE_DELETE: 3,
  GUILD_UPDATE: 3,
  GUILD_MEMBER_ADD: 5,
  GUILD_MEMBER_REMOVE: 4,
  GUILD_DELETE: 0.6,
  GUILD_CREATE: 0.6,
};

/** From time to time the bot leaves a guild, and joins one that it has left. */
const moveEveryMs = 400;

/**
 * A fleet of real processes and discord.js, side by side on one simulated Discord. The fleet's workers are killed,
 * drained and stopped, its connections cut, its sessions thrown away; discord.js, with a connection of its own, is left
 * in peace. In the end what discord.js has in its caches is compared with what the fleet's directory says.
 */
export async function compareWithDiscordJs(options: EqualityOptions): Promise<EqualityResult> {
  const { events, eventsPerSecond, shards, workers, chaosMix, seed, settleWithinMs } = options;
  const logDirectory = mkdtempSync(join(tmpdir(), 'baton-directory-'));
  const over = new AbortController();
  const fleet = await startFleet({
    environment: {},
    shards,
    workers,
    dataDirectory: undefined,
    faultProxies: chaosMix === 'harsh',
    logDirectory,
    clock: systemClock,
    random: seededRandom(seed),
    logger: silentLogger,
  });
  const discord = fleet.discord as SimulatedDiscord;
  const watching = fleet.watch(over.signal);
  const reader = new IndependentReader(discord);
  try {
    await fleet.untilReady(120_000, over.signal);
    await fleet.untilAnnounced(over.signal);
    await reader.login();
    const durationMs = (events / eventsPerSecond) * 1000;
    const chaos: ChaosDone[] = [];
    const disturbing = new AbortController();
    const disturbed = Promise.all([
      runChaos(
        planChaos(durationMs, seededRandom(seed), { mix: chaosMix, replayMs: discord.replayMs(eventsPerSecond) }),
        chaosTargets(fleet, { clock: systemClock, signal: disturbing.signal }),
        { clock: systemClock, signal: disturbing.signal, onDone: (done) => chaos.push(done) },
      ),
      moveBetweenGuilds(discord, seed, disturbing.signal),
      loseSessions(discord, { ...options, durationMs }, disturbing.signal),
    ]);
    discord.simulator.traffic.start({ eventsPerSecond, interactionsPerSecond: 0, mix });
    const { stats, world } = discord.simulator;
    await until(() => stats.emitted >= events, 'the events are sent', 10 * durationMs + 60_000);
    discord.simulator.traffic.stop();
    disturbing.abort();
    const [, moves, leftWhileAway] = await disturbed;
    // The last event of each guild, by which everybody knows that nothing is under way any more.
    const present = world.guilds.filter((guild) => !guild.left);
    for (const guild of present) if (guild.unavailable) discord.simulator.traffic.send('GUILD_CREATE', guild);
    await until(() => discord.connectedShards().size >= shards, 'all shards are connected', 90_000);
    const markers = present.map((guild) => discord.simulator.traffic.send('GUILD_UPDATE', guild) as EventIdentity);
    await reader.untilSeen(markers);
    const expected = reader.guilds();
    // Nothing changes any more, and every guild's last event says what no event before it said: so the directory is
    // compared until it agrees, or has had its time.
    const compareAllGuilds = async (): Promise<string[]> => {
      try {
        return await compareOnce();
      } catch (error) {
        // A loaded machine's DynamoDB may give no answer in time.
        return [`the directory could not be read: ${messageOf(error)}`];
      }
    };
    const compareOnce = async (): Promise<string[]> => {
      const found: string[] = [];
      for (const guild of expected) {
        found.push(...(await differencesOf(fleet.directory, guild, reader.threads(guild))));
      }
      const known = new Set(expected.map(({ id }) => id));
      for await (const { id } of fleet.directory.guilds()) {
        if (!known.has(id)) found.push(`guild ${id}: discord.js does not know it`);
      }
      return found;
    };
    const deadlineMs = systemClock.monotonicMs() + settleWithinMs;
    let differences = await compareAllGuilds();
    while (differences.length > 0 && systemClock.monotonicMs() < deadlineMs) {
      await systemClock.sleep(1000);
      differences = await compareAllGuilds();
    }
    const sum = (count: (guild: Guild) => number): number => expected.reduce((total, guild) => total + count(guild), 0);
    return {
      differences,
      guilds: expected.length,
      channels: sum((guild) => channelsOf(guild).length),
      threads: sum((guild) => reader.threads(guild).length),
      roles: sum((guild) => guild.roles.cache.size),
      members: sum((guild) => guild.memberCount),
      events: stats.emitted,
      ...moves,
      leftWhileAway,
      identifies: discord.identifies,
      chaos,
    };
  } finally {
    over.abort();
    await reader.close();
    await watching;
    await fleet.close();
    rmSync(logDirectory, { recursive: true });
  }
}

/** discord.js, unmodified, as a second listener to the same bot's events, with a shard count of its own. */
class IndependentReader {
  readonly #client: Client;
  readonly #token: string;
  readonly #last = new Map<string, number>();
  readonly #threadsOfMessages = new Set<string>();

  constructor(discord: SimulatedDiscord) {
    this.#token = discord.simulator.token as string;
    this.#client = new Client({
      intents: [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMembers, GatewayIntentBits.GuildMessages],
      shards: [0],
      shardCount: 1,
      rest: { api: discord.simulator.apiBaseUrl },
      makeCache: Options.cacheWithLimits({ ...Options.DefaultMakeCacheSettings, MessageManager: 0 }),
    });
    this.#client.on('raw', ({ d }: { d: unknown }) => {
      const identity = readIdentity(d);
      if (identity) this.#last.set(identity.stream, identity.n);
      const { id } = (d as { thread?: { id?: string } } | null)?.thread ?? {};
      if (id !== undefined) this.#threadsOfMessages.add(id);
    });
    // Without a listener it would end the process; what it missed shows in the comparison.
    this.#client.on('error', () => undefined);
  }

  async login(): Promise<void> {
    const ready = new Promise((resolve) => this.#client.once('clientReady', resolve));
    await this.#client.login(this.#token);
    await ready;
  }

  /** Guilds that it is in, and that are in no outage. */
  guilds(): Guild[] {
    return [...this.#client.guilds.cache.values()].filter(({ available }) => available);
  }

  /**
   * Active threads of a guild. discord.js keeps archived ones, too, for some hours; and those that a message says it has
   * begun: Discord announces them with an event of their own as well, the simulator's made-up messages have none.
   */
  threads(guild: Guild): AnyThreadChannel[] {
    return [...guild.channels.cache.values()]
      .filter((channel) => channel.isThread())
      .filter(({ id, archived }) => archived !== true && !this.#threadsOfMessages.has(id));
  }

  async untilSeen(events: readonly EventIdentity[]): Promise<void> {
    await until(
      () => events.every(({ stream, n }) => (this.#last.get(stream) ?? 0) >= n),
      'discord.js has seen all',
      90_000,
    );
  }

  async close(): Promise<void> {
    await this.#client.destroy();
  }
}

async function moveBetweenGuilds(discord: SimulatedDiscord, seed: number, signal: AbortSignal) {
  const random = seededRandom(seed + 1);
  const { world, traffic } = discord.simulator;
  const away: WorldGuild[] = [];
  let left = 0;
  let rejoined = 0;
  while (!signal.aborted) {
    await systemClock.sleep(moveEveryMs, signal);
    if (away.length > 5 || (away.length > 0 && random.next() < 0.4)) {
      const guild = away.shift() as WorldGuild;
      guild.left = false;
      traffic.send('GUILD_CREATE', guild);
      rejoined += 1;
    } else {
      const guild = world.guilds[randomBelow(random, world.guilds.length)] as WorldGuild;
      if (guild.unavailable) continue;
      guild.left = true;
      traffic.send('GUILD_DELETE', guild);
      away.push(guild);
      left += 1;
    }
  }
  return { left, rejoined };
}

/** Discord throws a session away, and before the shard has another the bot is thrown out of one of its guilds. */
async function loseSessions(
  discord: SimulatedDiscord,
  { lostSessions, durationMs, shards }: EqualityOptions & { durationMs: number },
  signal: AbortSignal,
): Promise<number> {
  const { world, traffic, faults } = discord.simulator;
  let leftWhileAway = 0;
  for (let number = 0; number < lostSessions; number += 1) {
    await systemClock.sleep((0.6 * durationMs) / lostSessions, signal);
    if (signal.aborted) break;
    const shardId = number % shards;
    faults.invalidateSessions({ shards: [shardId], shardCount: shards }, false);
    const guild = world.guildsOn({ shardId, shardCount: shards }).find(({ unavailable }) => !unavailable);
    if (!guild) continue;
    guild.left = true;
    traffic.send('GUILD_DELETE', guild);
    leftWhileAway += 1;
  }
  return leftWhileAway;
}

async function differencesOf(
  directory: Directory,
  expected: Guild,
  expectedThreads: readonly AnyThreadChannel[],
): Promise<string[]> {
  const [guild, channels, threads, roles] = await Promise.all([
    directory.guild(expected.id),
    directory.channels(expected.id),
    directory.threads(expected.id),
    directory.roles(expected.id),
  ]);
  if (!guild) return [`guild ${expected.id}: the directory does not know it`];
  const { name, owner_id, description, system_channel_id, member_count, unavailable } = guild;
  return [
    ...compare(
      `guild ${expected.id}`,
      { name, owner_id, description, system_channel_id, member_count, unavailable },
      {
        name: expected.name,
        owner_id: expected.ownerId,
        description: expected.description,
        system_channel_id: expected.systemChannelId,
        member_count: expected.memberCount,
        unavailable: !expected.available,
      },
    ),
    ...compareAll(`guild ${expected.id}: channel`, channels, channelsOf(expected), seenChannel, channelView),
    ...compareAll(
      `guild ${expected.id}: thread`,
      threads,
      expectedThreads,
      ({ id, name: called, parent_id }) => ({ id, name: called, parent_id }),
      (thread) => ({ id: thread.id, name: thread.name, parent_id: thread.parentId }),
    ),
    ...compareAll(
      `guild ${expected.id}: role`,
      roles,
      [...expected.roles.cache.values()],
      ({ id, name: called, color, permissions, position, hoist, mentionable }) => ({
        id,
        name: called,
        color,
        permissions,
        position,
        hoist,
        mentionable,
      }),
      (role) => ({
        id: role.id,
        name: role.name,
        color: role.color,
        permissions: role.permissions.bitfield.toString(),
        position: role.rawPosition,
        hoist: role.hoist,
        mentionable: role.mentionable,
      }),
    ),
  ];
}

/** What is compared of a channel, whatever its type has of it. */
interface PlainChannel {
  readonly id: string;
  readonly type: ChannelType;
  readonly name: string;
  readonly parent_id?: string | null;
  readonly position: number;
  readonly topic?: string | null;
  readonly nsfw?: boolean;
  readonly permission_overwrites: readonly { readonly id: string; readonly allow: string; readonly deny: string }[];
}

function seenChannel(channel: DirectoryChannel): object {
  const { id, type, name, parent_id, position, topic, nsfw, permission_overwrites } = channel as PlainChannel;
  return {
    id,
    type,
    name,
    parent_id: parent_id ?? null,
    position,
    topic: hasTopic(type) ? (topic ?? null) : null,
    nsfw: nsfw ?? false,
    overwrites: permission_overwrites.map((overwrite) => `${overwrite.id} ${overwrite.allow} ${overwrite.deny}`).sort(),
  };
}

/** discord.js reads it of these alone; the simulator writes it into all. */
function hasTopic(type: ChannelType): boolean {
  return type === ChannelType.GuildText || type === ChannelType.GuildAnnouncement || type === ChannelType.GuildForum;
}

function channelView(channel: NonThreadGuildBasedChannel): object {
  return {
    id: channel.id,
    type: channel.type,
    name: channel.name,
    parent_id: channel.parentId,
    position: channel.rawPosition,
    topic: hasTopic(channel.type) && 'topic' in channel ? (channel.topic ?? null) : null,
    nsfw: 'nsfw' in channel ? (channel.nsfw ?? false) : false,
    overwrites: [...channel.permissionOverwrites.cache.values()]
      .map(({ id, allow, deny }) => `${id} ${allow.bitfield} ${deny.bitfield}`)
      .sort(),
  };
}

function channelsOf(guild: Guild): NonThreadGuildBasedChannel[] {
  return [...guild.channels.cache.values()].filter(
    (channel): channel is NonThreadGuildBasedChannel => !(channel as Channel).isThread(),
  );
}

function compareAll<A extends { id: string }, B extends { id: string }>(
  what: string,
  seen: readonly A[],
  expected: readonly B[],
  seenView: (entity: A) => object,
  expectedView: (entity: B) => object,
): string[] {
  const byId = new Map(seen.map((entity) => [entity.id, entity]));
  const wanted = new Map(expected.map((entity) => [entity.id, entity]));
  return [...new Set([...byId.keys(), ...wanted.keys()])].flatMap((id) => {
    const one = byId.get(id);
    const other = wanted.get(id);
    if (!one) return [`${what} ${id}: only discord.js knows it`];
    if (!other) return [`${what} ${id}: only the directory knows it`];
    return compare(`${what} ${id}`, seenView(one), expectedView(other));
  });
}

function compare(what: string, seen: object, expected: object): string[] {
  const [one, other] = [JSON.stringify(seen), JSON.stringify(expected)];
  return one === other ? [] : [`${what}: the directory says ${one}, discord.js ${other}`];
}

async function until(holds: () => boolean, what: string, withinMs: number): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + withinMs;
  while (!holds()) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`not so after ${withinMs} ms: ${what}`);
    await systemClock.sleep(20);
  }
}

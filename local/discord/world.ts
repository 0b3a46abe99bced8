import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { Clock } from '../../shared/clock.ts';
import { type Random, randomBelow } from '../../shared/random.ts';
import type { ShardAddress } from '../../shared/sharding.ts';
import type { Corpus, JsonObject } from './corpus.ts';
import { intentBits } from './intents.ts';
import { Snowflakes, snowflakeAt } from './snowflakes.ts';

/** An object of Discord with an id; the other keys are as in the API. */
export interface Entity extends JsonObject {
  id: string;
}

/** One guild of the world: what GUILD_CREATE tells about it, and what changes while traffic runs. */
export interface Guild {
  readonly id: string;
  /** `id >> 22`, which decides the shard; below 2^42, so a number holds it. */
  readonly routingNumber: number;
  /** Guild keys of GUILD_CREATE and GUILD_UPDATE other than the lists below. */
  properties: JsonObject;
  channels: Entity[];
  threads: Entity[];
  roles: Entity[];
  members: Member[];
  readonly voiceStates: Map<string, JsonObject>;
  readonly textChannelIds: string[];
  readonly voiceChannelId: string;
  lastMessageId: string;
  /** In an outage: announced as unavailable, and nothing happens in it. */
  unavailable: boolean;
  /** The bot is not in it any more: nothing happens in it, and no READY names it. Then it is `unavailable`, too. */
  left: boolean;
}

export interface Member extends JsonObject {
  readonly user: Entity;
}

/** How the world is laid out. */
export interface WorldOptions {
  /** Shard count over which the guilds are spread evenly. */
  readonly shards: number;
  readonly guildsPerShard: number;
  /** Members of each guild, the bot among them. */
  readonly membersPerGuild: number;
}

const applicationId = '817003442997264680';

/** Everything that exists: guilds, the bot's user, the application and its keys, one DM. */
export class World {
  readonly guilds: readonly Guild[];
  readonly applicationId = applicationId;
  readonly botUser: Entity = {
    id: applicationId,
    username: 'Lanternfish',
    discriminator: '4096',
    global_name: null,
    avatar: '1c05dff7b9c8f9a4cbd787f6c813ebe5',
    bot: true,
    verified: true,
    mfa_enabled: true,
    email: null,
    flags: 0,
    public_flags: 0,
  };
  /** The person at the other end of the bot's one DM. */
  readonly dmUser: Entity;
  readonly dmChannelId: string;
  /** The application's Ed25519 public key, 64 hex digits. */
  readonly publicKey: string;
  readonly snowflakes: Snowflakes;
  readonly #clock: Clock;
  readonly #privateKey: KeyObject;
  readonly #byId: ReadonlyMap<string, Guild>;
  readonly #byShardCount = new Map<number, Guild[][]>();
  readonly #guildOfChannel = new Map<string, Guild>();

  constructor(options: WorldOptions, corpus: Corpus, clock: Clock, random: Random) {
    this.#clock = clock;
    this.snowflakes = new Snowflakes(clock);
    const keys = generateKeyPairSync('ed25519');
    this.#privateKey = keys.privateKey;
    // The last 32 bytes of the SPKI form are the key itself.
    this.publicKey = keys.publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    this.dmUser = person(random, 0);
    this.dmChannelId = oldSnowflake(random);
    // The example in which every documented list is filled.
    const base = corpus.items.get('GUILD_CREATE')?.[2]?.d ?? {};
    const guilds: Guild[] = [];
    for (let shardId = 0; shardId < options.shards; shardId++) {
      for (let i = 0; i < options.guildsPerShard; i++) {
        guilds.push(this.#makeGuild(shardId, guilds.length, options, base, random));
      }
    }
    this.guilds = guilds;
    this.#byId = new Map(guilds.map((guild) => [guild.id, guild]));
    for (const guild of guilds) for (const channel of guild.channels) this.#guildOfChannel.set(channel.id, guild);
  }

  guild(id: string): Guild | undefined {
    return this.#byId.get(id);
  }

  guildOfChannel(channelId: string): Guild | undefined {
    return this.#guildOfChannel.get(channelId);
  }

  /** The guilds that `(guild_id >> 22) % shardCount` puts on a shard. */
  guildsOn({ shardId, shardCount }: ShardAddress): readonly Guild[] {
    let shards = this.#byShardCount.get(shardCount);
    if (!shards) {
      shards = Array.from({ length: shardCount }, () => []);
      for (const guild of this.guilds) shards[guild.routingNumber % shardCount]?.push(guild);
      this.#byShardCount.set(shardCount, shards);
    }
    return shards[shardId] ?? [];
  }

  /** `d` of READY as live payloads have it. */
  ready(session: { id: string; shard: ShardAddress | undefined; resumeGatewayUrl: string }): string {
    const guilds = this.guildsOn(session.shard ?? { shardId: 0, shardCount: 1 }).filter(({ left }) => !left);
    return JSON.stringify({
      v: 10,
      user_settings: {},
      user: this.botUser,
      ...(session.shard && { shard: [session.shard.shardId, session.shard.shardCount] }),
      session_type: 'normal',
      session_id: session.id,
      resume_gateway_url: session.resumeGatewayUrl,
      relationships: [],
      private_channels: [],
      presences: [],
      guilds: guilds.map((guild) => ({ unavailable: true, id: guild.id })),
      guild_join_requests: [],
      geo_ordered_rtc_regions: ['milan', 'rotterdam', 'madrid', 'bucharest', 'stockholm'],
      application: { id: this.applicationId, flags: 565248, flags_new: '565248' },
      _trace: ['["gateway-sim",{"micros":0.0}]'],
    });
  }

  /** `d` of GUILD_CREATE for a session with `intents`: without GUILD_PRESENCES of the members only the bot and those in voice. */
  guildCreate(guild: Guild, intents: number): string {
    const everybody = (intents & intentBits.GUILD_PRESENCES) !== 0;
    const members = everybody
      ? guild.members
      : guild.members.filter(({ user }) => user.id === this.botUser.id || guild.voiceStates.has(user.id));
    return JSON.stringify({
      ...guild.properties,
      id: guild.id,
      unavailable: false,
      large: guild.members.length > 50,
      member_count: guild.members.length,
      joined_at: '2024-03-01T10:00:00.000000+00:00',
      channels: guild.channels,
      threads: guild.threads,
      roles: guild.roles,
      members,
      voice_states: [...guild.voiceStates.values()],
      presences: [],
    });
  }

  addChannel(guild: Guild, channel: Entity): void {
    guild.channels.push(channel);
    this.#guildOfChannel.set(channel.id, guild);
  }

  removeChannel(guild: Guild, channelId: string): void {
    guild.channels = guild.channels.filter(({ id }) => id !== channelId);
    this.#guildOfChannel.delete(channelId);
  }

  /** Somebody joins. The answer is who. */
  addMember(guild: Guild, random: Random): Member {
    const user = person(random, guild.members.length);
    const member = membership({ ...user, id: this.snowflakes.next() }, []);
    guild.members.push(member);
    return member;
  }

  /** A message object that the bot posts in a channel. */
  message(channelId: string, data: JsonObject): JsonObject {
    const { id, username, discriminator, avatar, bot, public_flags, global_name } = this.botUser;
    return {
      type: 0,
      content: '',
      embeds: [],
      components: [],
      attachments: [],
      ...Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined && value !== null)),
      id: this.snowflakes.next(),
      channel_id: channelId,
      author: { id, username, discriminator, avatar, bot, public_flags, global_name },
      timestamp: new Date(this.#clock.wallClockMs()).toISOString(),
      edited_timestamp: null,
      tts: false,
      mention_everyone: false,
      mentions: [],
      mention_roles: [],
      pinned: false,
    };
  }

  /** The signature headers that Discord puts on a request to the interactions endpoint. */
  signatureHeaders(body: string, timestamp: string): Record<string, string> {
    return {
      'X-Signature-Ed25519': sign(null, Buffer.from(timestamp + body), this.#privateKey).toString('hex'),
      'X-Signature-Timestamp': timestamp,
    };
  }

  #makeGuild(shardId: number, index: number, options: WorldOptions, base: JsonObject, random: Random): Guild {
    // One guild every other minute since 2020, moved by less than `shards` milliseconds to the shard it is meant for;
    // made at any moment within a minute, so that other shard counts spread the guilds, too.
    const aboutMs = 1_577_836_800_000 + index * 120_000 + randomBelow(random, 60_000) - discordEpoch;
    const routingNumber = aboutMs - (aboutMs % options.shards) + shardId;
    const id = snowflakeAt(routingNumber + discordEpoch, randomBelow(random, 1 << 22));
    const members: Member[] = [
      membership(this.botUser, []),
      ...Array.from({ length: options.membersPerGuild - 1 }, (_, i) => membership(person(random, i + 1), [])),
    ];
    const category = channel(oldSnowflake(random), id, 4, 'text channels', null);
    const text = ['general', '雑談', 'bot-commands'].map((name) =>
      channel(oldSnowflake(random), id, 0, name, category.id),
    );
    const voice = channel(oldSnowflake(random), id, 2, 'Voice 🔊', null);
    const everyone = role(id, '@everyone', 0, '1071698660929');
    return {
      id,
      routingNumber,
      properties: {
        ...Object.fromEntries(Object.entries(base).filter(([key]) => !listsOfGuildCreate.has(key))),
        name: `Guild ${index} · 深海`,
        owner_id: (members[1] ?? members[0])?.user.id,
        system_channel_id: text[0]?.id,
        rules_channel_id: null,
        public_updates_channel_id: null,
        afk_channel_id: null,
        stage_instances: [],
        guild_scheduled_events: [],
        soundboard_sounds: [],
      },
      channels: [category, ...text, voice],
      threads: [],
      roles: [everyone, role(oldSnowflake(random), 'moderators', 1, '8')],
      members,
      voiceStates: new Map(),
      textChannelIds: text.map((c) => c.id),
      voiceChannelId: voice.id,
      lastMessageId: oldSnowflake(random),
      unavailable: false,
      left: false,
    };
  }
}

/** Keys that only GUILD_CREATE has: GUILD_UPDATE is a guild without them. */
const listsOfGuildCreate = new Set([
  'channels',
  'joined_at',
  'large',
  'member_count',
  'members',
  'presences',
  'roles',
  'threads',
  'unavailable',
  'voice_states',
]);

const discordEpoch = 1_420_070_400_000;

/** An id made some time in 2021 to 2024. */
function oldSnowflake(random: Random): string {
  return snowflakeAt(1_609_459_200_000 + randomBelow(random, 94_608_000_000), randomBelow(random, 1 << 22));
}

function person(random: Random, i: number): Entity {
  const names = ['dmitri_', 'b1rdie', '水無月', 'nocturne13', 'مُحَمَّد', 'ada', '🦊fox'];
  return {
    id: oldSnowflake(random),
    username: names[i % names.length],
    discriminator: '0',
    global_name: null,
    avatar: null,
    public_flags: 0,
    bot: false,
  };
}

function membership(user: Entity, roles: string[]): Member {
  return {
    user,
    roles,
    nick: null,
    avatar: null,
    banner: null,
    joined_at: '2024-03-01T10:00:00.000000+00:00',
    premium_since: null,
    pending: false,
    flags: 0,
    deaf: false,
    mute: false,
    communication_disabled_until: null,
  };
}

/** A channel of `type` (0 text, 2 voice, 4 category) as GUILD_CREATE holds it. */
function channel(id: string, guildId: string, type: number, name: string, parentId: string | null): Entity {
  return {
    id,
    guild_id: guildId,
    type,
    name,
    parent_id: parentId,
    position: 0,
    permission_overwrites: [],
    flags: 0,
    ...(type === 0 && { topic: null, nsfw: false, rate_limit_per_user: 0, last_message_id: null }),
    ...(type === 2 && { bitrate: 64_000, user_limit: 0, rtc_region: null, nsfw: false, rate_limit_per_user: 0 }),
  };
}

function role(id: string, name: string, position: number, permissions: string): Entity {
  return {
    id,
    name,
    position,
    permissions,
    color: 0,
    colors: { primary_color: 0, secondary_color: null, tertiary_color: null },
    hoist: false,
    icon: null,
    unicode_emoji: null,
    managed: false,
    mentionable: false,
    flags: 0,
  };
}

import type { Clock } from '../../shared/clock.ts';
import { type Random, randomBelow } from '../../shared/random.ts';
import type { Corpus, CorpusItem, JsonObject } from './corpus.ts';
import { EventTemplate, type TemplateValues, withoutContent } from './event-template.ts';
import { changeGuild, guildChangeTypes } from './guild-changes.ts';
import type { InteractionRecord } from './interactions.ts';
import type { OutgoingEvent } from './sessions.ts';
import type { Guild, World } from './world.ts';

interface TemplatePair {
  readonly full: EventTemplate;
  readonly hidden: EventTemplate | undefined;
}

/** Dispatches that Discord sends on shard 0 whatever guild they name. */
const onShardZero = /^(ENTITLEMENT|SUBSCRIPTION)_/;
/** Dispatches that are no traffic: they answer something, or are made elsewhere. */
const notTraffic = new Set([
  'READY',
  'RESUMED',
  'INTERACTION_CREATE',
  'GUILD_CREATE',
  'GUILD_DELETE',
  'GUILD_MEMBERS_CHUNK',
  'RATE_LIMITED',
  'SOUNDBOARD_SOUNDS',
  'CHANNEL_INFO',
  'VOICE_SERVER_UPDATE',
]);

/** Makes the events of the traffic: corpus payloads moved into the world, and changes of the world. */
export class EventFactory {
  readonly #world: World;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #guildTemplates = new Map<string, TemplatePair[]>();
  readonly #directTemplates = new Map<string, TemplatePair[]>();
  readonly #examples: ReadonlyMap<string, JsonObject>;
  readonly #interaction: JsonObject;
  readonly #values: TemplateValues = { guild: '', channel: '', fresh: '', recent: '', time: '' };
  #timeOfMs = 0;

  constructor(deps: { corpus: Corpus; world: World; clock: Clock; random: Random }) {
    const { corpus, world } = deps;
    this.#world = world;
    this.#clock = deps.clock;
    this.#random = deps.random;
    this.#examples = new Map([...corpus.items].map(([type, items]) => [type, (items.at(-1) as CorpusItem).d]));
    this.#interaction = (corpus.items.get('INTERACTION_CREATE') ?? [])
      .map(({ d }) => d)
      .find((d) => (d.data as JsonObject | undefined)?.name === 'ping' && d.guild_id !== undefined) as JsonObject;
    for (const [type, items] of corpus.items) {
      if (notTraffic.has(type) || guildChangeTypes.has(type)) continue;
      for (const item of items) {
        const direct = onShardZero.test(type) || item.d.guild_id === undefined;
        const hidden = type.startsWith('MESSAGE_') ? withoutContent(item, world.botUser.id) : undefined;
        const pair = {
          full: new EventTemplate(item, type),
          hidden: hidden && new EventTemplate(hidden, type),
        };
        const templates = direct ? this.#directTemplates : this.#guildTemplates;
        templates.set(type, [...(templates.get(type) ?? []), pair]);
      }
    }
  }

  /** Whether events of `type` can be made in guilds. */
  makesInGuild(type: string): boolean {
    return (
      this.#guildTemplates.has(type) || guildChangeTypes.has(type) || type === 'GUILD_CREATE' || type === 'GUILD_DELETE'
    );
  }

  /** Whether events of `type` can be made outside guilds (shard 0). */
  makesDirect(type: string): boolean {
    return this.#directTemplates.has(type);
  }

  /** An event of `type` in `guild`, or outside guilds. Only for types that {@link makesInGuild} or {@link makesDirect} knows. */
  make(type: string, guild: Guild | undefined): OutgoingEvent {
    if (guild) {
      if (type === 'GUILD_CREATE') return this.#endOutage(guild);
      if (type === 'GUILD_DELETE') return announceGone(guild);
      if (guildChangeTypes.has(type)) return this.#change(type, guild);
    }
    const pairs = (guild ? this.#guildTemplates : this.#directTemplates).get(type) as TemplatePair[];
    const { full, hidden } = pairs[randomBelow(this.#random, pairs.length)] as TemplatePair;
    const values = this.#fillIn(type, guild);
    return { type, body: full.fill(values), bodyWithoutContent: hidden?.fill(values) };
  }

  /** INTERACTION_CREATE of a slash command without options. */
  makeCommand(interaction: InteractionRecord, guild: Guild): OutgoingEvent {
    const { id, token, channelId, command } = interaction;
    const d = {
      ...this.#interaction,
      id,
      token,
      application_id: this.#world.applicationId,
      data: { ...(this.#interaction.data as JsonObject), name: command },
      guild_id: guild.id,
      guild: { ...(this.#interaction.guild as JsonObject), id: guild.id },
      channel_id: channelId,
      channel: { ...(this.#interaction.channel as JsonObject), id: channelId, guild_id: guild.id },
      authorizing_integration_owners: { 0: guild.id },
    };
    return { type: 'INTERACTION_CREATE', body: JSON.stringify(d) };
  }

  #fillIn(type: string, guild: Guild | undefined): TemplateValues {
    const values = this.#values;
    const nowMs = Math.floor(this.#clock.wallClockMs());
    if (nowMs !== this.#timeOfMs) {
      this.#timeOfMs = nowMs;
      values.time = new Date(nowMs).toISOString().replace('Z', '000+00:00');
    }
    values.fresh = this.#world.snowflakes.next();
    if (guild) {
      values.guild = guild.id;
      values.recent = guild.lastMessageId;
      values.channel = type.startsWith('VOICE_')
        ? guild.voiceChannelId
        : (guild.textChannelIds[randomBelow(this.#random, guild.textChannelIds.length)] as string);
      if (type === 'MESSAGE_CREATE') guild.lastMessageId = values.fresh;
    } else {
      values.guild = '0';
      values.recent = values.fresh;
      values.channel = this.#world.dmChannelId;
    }
    return values;
  }

  #change(type: string, guild: Guild): OutgoingEvent {
    const example = this.#examples.get(type.replace(/_(UPDATE|DELETE)$/, '_CREATE')) ?? {};
    const change = changeGuild(type, guild, { world: this.#world, random: this.#random, example });
    return { type: change.type, body: JSON.stringify(change.d) };
  }

  #endOutage(guild: Guild): OutgoingEvent {
    guild.unavailable = false;
    guild.left = false;
    // The short member list, which is right for most sessions: the event is made once for all.
    return { type: 'GUILD_CREATE', body: this.#world.guildCreate(guild, 0) };
  }
}

/** GUILD_DELETE as Discord sends it in an outage, when the guild is not gone; without `unavailable` when the bot left it. */
function announceGone(guild: Guild): OutgoingEvent {
  guild.unavailable = true;
  return { type: 'GUILD_DELETE', body: JSON.stringify({ id: guild.id, ...(!guild.left && { unavailable: true }) }) };
}

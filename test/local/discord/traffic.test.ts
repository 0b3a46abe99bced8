import { beforeEach, describe, expect, test } from 'vitest';
import { loadCorpus } from '../../../local/discord/corpus.ts';
import { EventFactory } from '../../../local/discord/event-factory.ts';
import { readIdentity } from '../../../local/discord/event-identity.ts';
import { allIntents, intentBits } from '../../../local/discord/intents.ts';
import { InteractionsEndpoint } from '../../../local/discord/interactions-endpoint.ts';
import { Interactions } from '../../../local/discord/interactions.ts';
import { Sessions } from '../../../local/discord/sessions.ts';
import { newStats, type SimulatorStats } from '../../../local/discord/simulator-stats.ts';
import { Traffic } from '../../../local/discord/traffic.ts';
import { type Guild, World } from '../../../local/discord/world.ts';
import { seededRandom } from '../../../shared/random.ts';
import { shardIdOfGuild, snowflakeTimeMs } from '../../../shared/sharding.ts';
import { ManualClock } from '../../manual-clock.ts';

interface Received {
  readonly shardId: number;
  readonly t: string;
  // Payloads of every event type.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly d: any;
  readonly raw: string;
}

const corpus = loadCorpus();
const shardCount = 4;
const rates = {
  eventsPerSecond: 0,
  interactionsPerSecond: 0,
  mix: 'no_privileged',
  directMessageShare: 0.1,
} as const;

/** A clock that can jump past its timers, as time does for a process that was stopped. */
class JumpingClock extends ManualClock {
  #jumpedMs = 0;
  jump(durationMs: number): void {
    this.#jumpedMs += durationMs;
  }
  override monotonicMs(): number {
    return super.monotonicMs() + this.#jumpedMs;
  }
}

let clock: JumpingClock;
let world: World;
let sessions: Sessions;
let traffic: Traffic;
let interactions: Interactions;
let stats: SimulatorStats;
let received: Received[];

function connect(shardId: number, intents: number = allIntents): void {
  sessions.start(
    { shard: { shardId, shardCount }, intents, presence: undefined },
    {
      deliver(_seq, frame) {
        const raw = frame.toString();
        const { t, d } = JSON.parse(raw);
        received.push({ shardId, t, d, raw });
      },
      close() {},
    },
  );
}

beforeEach(() => {
  clock = new JumpingClock();
  stats = newStats();
  received = [];
  const random = seededRandom(11);
  world = new World({ shards: shardCount, guildsPerShard: 10, membersPerGuild: 2 }, corpus, clock, random);
  const deps = { world, clock, random, stats };
  sessions = new Sessions({
    ...deps,
    options: { resumeWindowMs: 120_000, replayMaxEvents: () => 100, replayMinAgeMs: 0 },
    resumeGatewayUrl: () => '',
    onEmit() {},
    onUndeliverable() {},
  });
  interactions = new Interactions({ ...deps, options: { interactionDeadlineMs: 3000, interactionTokenMs: 900_000 } });
  const factory = new EventFactory({ ...deps, corpus });
  const endpoint = new InteractionsEndpoint({
    world,
    interactions,
    clock,
    interactionDeadlineMs: 3000,
    probeEvery: 50,
  });
  traffic = new Traffic({ ...deps, sessions, factory, interactions, endpoint, mixes: corpus.mixes }, rates);
});

const trafficOnly = () => received.filter(({ d }) => readIdentity(d));

describe('Traffic', () => {
  test('keeps its rate and its mix', async () => {
    for (let shardId = 0; shardId < shardCount; shardId += 1) connect(shardId);
    traffic.start({ eventsPerSecond: 2000 });
    await clock.advance(10_000);
    traffic.stop();
    expect(clock.pendingTimers).toBe(0);
    expect(stats.emitted).toBe(20_000);
    const share = (type: string) => (stats.emittedByType[type] ?? 0) / stats.emitted;
    // Shares of mix.json without its 2 % interactions; four standard deviations of 20,000 draws are below 1.5 %.
    expect(share('MESSAGE_CREATE')).toBeCloseTo(0.4695 / 0.98, 1);
    expect(Math.abs(share('TYPING_START') - 0.24 / 0.98)).toBeLessThan(0.015);
    expect(Math.abs(share('VOICE_STATE_UPDATE') - 0.085 / 0.98)).toBeLessThan(0.01);
    expect(share('INTERACTION_CREATE')).toBe(0);
  });

  test('numbers the events of each stream without holes, on the right shard', async () => {
    for (let shardId = 0; shardId < shardCount; shardId += 1) connect(shardId);
    traffic.start({ eventsPerSecond: 1000 });
    await clock.advance(3000);
    const next = new Map<string, number>();
    for (const { d, shardId } of trafficOnly()) {
      const { stream, n } = readIdentity(d) as { stream: string; n: number };
      expect(n).toBe((next.get(stream) ?? 0) + 1);
      next.set(stream, n);
      expect(shardId).toBe(stream === 'dm' ? 0 : shardIdOfGuild(stream, shardCount));
      if (stream !== 'dm') expect(d.guild_id ?? d.id).toBe(stream);
    }
    expect(next.size).toBe(41);
  });

  test('a shard without a session costs its share and no more', async () => {
    for (const shardId of [0, 1, 2]) connect(shardId);
    traffic.start({ eventsPerSecond: 1000, directMessageShare: 0 });
    await clock.advance(4000);
    expect(stats.emitted + stats.skipped).toBe(4000);
    expect(stats.skipped / 4000).toBeCloseTo(0.25, 1);
    expect(trafficOnly()).toHaveLength(stats.emitted);
  });

  test('makes up for a stall without a burst', async () => {
    connect(0);
    traffic.start({ eventsPerSecond: 1000 });
    await clock.advance(10);
    const before = stats.emitted + stats.skipped;
    clock.jump(1000);
    await clock.advance(10);
    expect(stats.emitted + stats.skipped - before).toBeLessThanOrEqual(60);
    await clock.advance(1000);
    expect(stats.emitted + stats.skipped).toBe(2020);
  });

  test('messages have fresh ids of their time, and later events name one of them', async () => {
    connect(0);
    const guild = world.guildsOn({ shardId: 0, shardCount })[0] as Guild;
    traffic.send('MESSAGE_CREATE', guild);
    traffic.send('MESSAGE_CREATE', guild);
    traffic.send('MESSAGE_REACTION_ADD', guild);
    const [first, second, reaction] = trafficOnly().map(({ d }) => d);
    expect(first.id).not.toBe(second.id);
    expect(snowflakeTimeMs(first.id)).toBe(clock.wallClockMs());
    expect(Date.parse(first.timestamp)).toBe(clock.wallClockMs());
    expect(reaction.message_id).toBe(second.id);
    expect(guild.textChannelIds).toContain(reaction.channel_id);
  });

  test('payloads that were written with escapes stay so', () => {
    connect(0);
    const guild = world.guildsOn({ shardId: 0, shardCount })[0] as Guild;
    for (let i = 0; i < 300; i += 1) traffic.send('MESSAGE_CREATE', guild);
    const raws = trafficOnly().map(({ raw }) => raw);
    // A lone surrogate, and a whole payload in ASCII.
    expect(raws.some((raw) => /\\ud83d(?!\\u)/.test(raw))).toBe(true);
    const isAscii = (text: string) => Buffer.byteLength(text) === text.length;
    expect(raws.some((raw) => isAscii(raw) && raw.includes('\\u2028'))).toBe(true);
  });

  test('without MESSAGE_CONTENT only own, mentioning and direct messages have content', () => {
    connect(0, allIntents & ~intentBits.MESSAGE_CONTENT);
    const guild = world.guildsOn({ shardId: 0, shardCount })[0] as Guild;
    for (let i = 0; i < 300; i += 1) traffic.send('MESSAGE_CREATE', guild);
    for (let i = 0; i < 20; i += 1) traffic.send('MESSAGE_CREATE', undefined);
    const messages = trafficOnly();
    const bot = world.botUser.id;
    for (const { d } of messages) {
      const mayRead =
        !d.guild_id || d.author.id === bot || d.mentions.some((mention: { id: string }) => mention.id === bot);
      if (mayRead) continue;
      expect([d.content, d.embeds, d.attachments, d.components ?? []]).toEqual(['', [], [], []]);
      expect(d.poll).toBeUndefined();
    }
    expect(messages.filter(({ d }) => !d.guild_id && d.content !== '').length).toBeGreaterThan(0);
  });

  test('structural events tell what the world then holds', async () => {
    for (let shardId = 0; shardId < shardCount; shardId += 1) connect(shardId);
    traffic.start({ eventsPerSecond: 1000, mix: 'guilds_only' });
    await clock.advance(10_000);
    traffic.stop();
    // What a reader of the stream believes, against what a new session would be told.
    const channels = new Map<string, Map<string, unknown>>();
    const roles = new Map<string, Map<string, unknown>>();
    for (const { t, d } of received) {
      if (t === 'GUILD_CREATE') {
        channels.set(d.id, new Map(d.channels.map((each: { id: string }) => [each.id, each])));
        roles.set(d.id, new Map(d.roles.map((each: { id: string }) => [each.id, each])));
      } else if (t === 'CHANNEL_DELETE') channels.get(d.guild_id)?.delete(d.id);
      else if (t === 'CHANNEL_CREATE' || t === 'CHANNEL_UPDATE') {
        const { baton_seq: _, ...channel } = d;
        channels.get(d.guild_id)?.set(d.id, channel);
      } else if (t === 'GUILD_ROLE_DELETE') roles.get(d.guild_id)?.delete(d.role_id);
      else if (t === 'GUILD_ROLE_CREATE' || t === 'GUILD_ROLE_UPDATE') roles.get(d.guild_id)?.set(d.role.id, d.role);
    }
    expect(stats.emittedByType.CHANNEL_DELETE).toBeGreaterThan(10);
    expect(stats.emittedByType.GUILD_ROLE_DELETE).toBeGreaterThan(1);
    const byId = (list: { id: string }[]) => Object.fromEntries(list.map((each) => [each.id, each]));
    for (const guild of world.guilds) {
      const truth = JSON.parse(world.guildCreate(guild, allIntents));
      expect(Object.fromEntries(channels.get(guild.id) as Map<string, unknown>)).toEqual(byId(truth.channels));
      expect(Object.fromEntries(roles.get(guild.id) as Map<string, unknown>)).toEqual(byId(truth.roles));
    }
  });

  test('a guild in an outage is silent until it is back', async () => {
    for (let shardId = 0; shardId < shardCount; shardId += 1) connect(shardId);
    traffic.start({ eventsPerSecond: 1000, mix: { GUILD_DELETE: 5, GUILD_CREATE: 1, TYPING_START: 94 } });
    await clock.advance(5000);
    const out = new Set<string>();
    let outages = 0;
    for (const { t, d } of trafficOnly()) {
      if (t === 'GUILD_DELETE') {
        expect(d.unavailable).toBe(true);
        out.add(d.id);
        outages += 1;
      } else if (t === 'GUILD_CREATE') out.delete(d.id);
      else expect(out).not.toContain(d.guild_id);
    }
    expect(outages).toBeGreaterThan(5);
    expect(out.size).toBeLessThanOrEqual(2);
  });

  test('slash commands come at their own rate, with fresh ids, as a stream of their own', async () => {
    for (let shardId = 0; shardId < shardCount; shardId += 1) connect(shardId);
    traffic.start({ interactionsPerSecond: 5 });
    await clock.advance(4000);
    const commands = trafficOnly();
    expect(commands).toHaveLength(20);
    expect(commands.map(({ d }) => readIdentity(d))).toEqual(
      Array.from({ length: 20 }, (_, i) => ({ stream: 'interactions', n: i + 1 })),
    );
    expect(new Set(commands.map(({ d }) => d.data.name))).toEqual(new Set(['ping', 'shard']));
    for (const { t, d, shardId } of commands) {
      expect(t).toBe('INTERACTION_CREATE');
      expect(interactions.record(d.id)).toMatchObject({ token: d.token, guildId: d.guild_id });
      expect(shardIdOfGuild(d.guild_id, shardCount)).toBe(shardId);
    }
  });

  test('a mix without any known type is refused', () => {
    expect(() => traffic.start({ mix: { NO_SUCH_EVENT: 1 } })).toThrow(RangeError);
    expect(() => traffic.send('READY', world.guilds[0])).toThrow(RangeError);
  });
});

import { beforeEach, describe, expect, test } from 'vitest';
import { loadCorpus } from '../../../local/discord/corpus.ts';
import { allIntents, intentBits, intentsFor } from '../../../local/discord/intents.ts';
import type { SessionConnection } from '../../../local/discord/session.ts';
import { Sessions } from '../../../local/discord/sessions.ts';
import { newStats } from '../../../local/discord/simulator-stats.ts';
import { type Guild, World } from '../../../local/discord/world.ts';
import { seededRandom } from '../../../shared/random.ts';
import { shardIdOfGuild } from '../../../shared/sharding.ts';
import { ManualClock } from '../../manual-clock.ts';

const corpus = loadCorpus();

class FakeConnection implements SessionConnection {
  readonly delivered: { seq: number; t: string; d: Record<string, unknown> }[] = [];
  deliver(seq: number, frame: Buffer): void {
    const { t, s, d } = JSON.parse(frame.toString());
    expect(s).toBe(seq);
    this.delivered.push({ seq, t, d });
  }
  close(): void {
    throw new Error('not expected');
  }
  get types(): string[] {
    return this.delivered.map(({ t }) => t);
  }
}

let clock: ManualClock;
let world: World;
let sessions: Sessions;
let undeliverable: string[];
let emitted: string[];

function makeSessions(options: { replayMaxEvents?: number; guildsPerShard?: number } = {}): void {
  const { replayMaxEvents = 100, guildsPerShard = 3 } = options;
  clock = new ManualClock();
  const random = seededRandom(7);
  world = new World({ shards: 4, guildsPerShard, membersPerGuild: 3 }, corpus, clock, random);
  undeliverable = [];
  emitted = [];
  sessions = new Sessions({
    options: { resumeWindowMs: 120_000, replayMaxEvents: () => replayMaxEvents, replayMinAgeMs: 0 },
    world,
    clock,
    random,
    stats: newStats(),
    resumeGatewayUrl: () => 'ws://resume',
    onEmit: (stream, n, type) => emitted.push(`${stream}:${n} ${type}`),
    onUndeliverable: (stream, n, reason) => undeliverable.push(`${stream}:${n} ${reason}`),
  });
}

beforeEach(() => makeSessions());

async function start(shardId: number, shardCount: number, intents: number = allIntents) {
  const connection = new FakeConnection();
  const session = sessions.start({ shard: { shardId, shardCount }, intents, presence: undefined }, connection);
  await clock.advance(0);
  return { connection, session };
}

function send(guild: Guild | undefined, type = 'TYPING_START', bodyWithoutContent?: string): void {
  const targets = sessions.targets(guild, intentsFor(type, guild ? 'guild' : 'direct'));
  if (targets.length > 0) sessions.emit(targets, { type, body: '{"full":true}', bodyWithoutContent }, guild);
}

const guildOn = (shardId: number, shardCount = 4) => world.guildsOn({ shardId, shardCount })[0] as Guild;

describe('the world', () => {
  test('spreads its guilds evenly over the shards by the formula', () => {
    const counts = [0, 0, 0, 0];
    for (const { id } of world.guilds) counts[shardIdOfGuild(id, 4)]! += 1;
    expect(counts).toEqual([3, 3, 3, 3]);
    expect(new Set(world.guilds.map(({ id }) => id)).size).toBe(12);
  });
});

describe('starting', () => {
  test('READY names the guilds of the shard as unavailable, then each comes as GUILD_CREATE', async () => {
    const { connection, session } = await start(2, 4);
    const ids = world.guildsOn({ shardId: 2, shardCount: 4 }).map(({ id }) => id);
    expect(connection.delivered[0]).toMatchObject({
      seq: 1,
      t: 'READY',
      d: {
        v: 10,
        session_id: session.id,
        resume_gateway_url: 'ws://resume',
        shard: [2, 4],
        guilds: ids.map((id) => ({ id, unavailable: true })),
        application: { id: world.applicationId },
      },
    });
    expect(session.id).toMatch(/^[0-9a-f]{32}$/);
    expect(connection.types.slice(1)).toEqual(['GUILD_CREATE', 'GUILD_CREATE', 'GUILD_CREATE']);
    expect(new Set(connection.delivered.slice(1).map(({ d }) => d.id))).toEqual(new Set(ids));
  });

  test('without the GUILDS intent no guild follows', async () => {
    const { connection } = await start(2, 4, intentBits.GUILD_MESSAGES);
    expect(connection.types).toEqual(['READY']);
  });

  test('without GUILD_PRESENCES a guild lists the bot alone', async () => {
    const all = await start(0, 4);
    const few = await start(0, 4, intentBits.GUILDS);
    const members = (each: typeof all) => (each.connection.delivered[1]?.d.members as unknown[] | undefined)?.length;
    expect([members(all), members(few)]).toEqual([3, 1]);
  });

  test('an event of a guild comes after its GUILD_CREATE, also amid the burst', async () => {
    makeSessions({ guildsPerShard: 60 });
    const connection = new FakeConnection();
    sessions.start({ shard: { shardId: 0, shardCount: 4 }, intents: allIntents, presence: undefined }, connection);
    for (const guild of world.guildsOn({ shardId: 0, shardCount: 4 }).slice(0, 5)) send(guild);
    await clock.advance(0);
    const created = connection.delivered.filter(({ t }) => t === 'GUILD_CREATE');
    expect(created).toHaveLength(60);
    expect(connection.types.slice(0, 5)).toEqual([
      'READY',
      'GUILD_CREATE',
      'TYPING_START',
      'GUILD_CREATE',
      'TYPING_START',
    ]);
  });
});

describe('routing', () => {
  test('an event goes to the session of its guild alone, and is numbered per guild', async () => {
    const [a, b] = [await start(1, 4), await start(2, 4)];
    send(guildOn(1));
    send(guildOn(1));
    send(guildOn(2));
    expect(a.connection.types.filter((t) => t === 'TYPING_START')).toHaveLength(2);
    expect(b.connection.types.filter((t) => t === 'TYPING_START')).toHaveLength(1);
    expect(emitted).toEqual([
      `${guildOn(1).id}:1 TYPING_START`,
      `${guildOn(1).id}:2 TYPING_START`,
      `${guildOn(2).id}:1 TYPING_START`,
    ]);
    expect(a.connection.delivered.at(-1)?.d).toEqual({ baton_seq: `${guildOn(1).id}:2`, full: true });
  });

  test('without a session an event is not emitted', async () => {
    await start(1, 4);
    send(guildOn(3));
    expect(emitted).toEqual([]);
  });

  test('without the intent it is not emitted either', async () => {
    await start(1, 4, intentBits.GUILDS);
    send(guildOn(1));
    expect(emitted).toEqual([]);
  });

  test('two sessions of one shard both get it, and so do sets of different sizes', async () => {
    const [a, b, c] = [await start(1, 4), await start(1, 4), await start(5, 8)];
    send(world.guilds.find(({ id }) => shardIdOfGuild(id, 8) === 5));
    for (const { connection } of [a, b, c]) expect(connection.types.at(-1)).toBe('TYPING_START');
    expect(emitted).toHaveLength(1);
  });

  test('what has no guild goes to shard 0', async () => {
    const [zero, one] = [await start(0, 4), await start(1, 4)];
    send(undefined);
    expect(emitted).toEqual(['dm:1 TYPING_START']);
    expect(zero.connection.types).toContain('TYPING_START');
    expect(one.connection.types).not.toContain('TYPING_START');
  });

  test('without MESSAGE_CONTENT a session gets the other body', async () => {
    const full = await start(1, 4);
    const hidden = await start(1, 4, allIntents & ~intentBits.MESSAGE_CONTENT);
    send(guildOn(1), 'MESSAGE_CREATE', '{"full":false}');
    expect(full.connection.delivered.at(-1)?.d).toMatchObject({ full: true });
    expect(hidden.connection.delivered.at(-1)?.d).toMatchObject({ full: false });
  });
});

describe('resuming', () => {
  test('replays what was missed, in order, then RESUMED with its own sequence number', async () => {
    const { session, connection } = await start(1, 4);
    sessions.detach(session);
    for (let i = 0; i < 3; i += 1) send(guildOn(1));
    const next = new FakeConnection();
    const last = connection.delivered.at(-1)?.seq as number;
    expect(sessions.resume(session.id, last, next)).toMatchObject({ kind: 'resumed', replayed: 3 });
    expect(next.delivered.map(({ seq, t }) => `${seq - last} ${t}`)).toEqual([
      '1 TYPING_START',
      '2 TYPING_START',
      '3 TYPING_START',
      '4 RESUMED',
    ]);
    expect(undeliverable).toEqual([]);
  });

  test('a sequence number ahead is told apart', async () => {
    const { session } = await start(1, 4);
    expect(sessions.resume(session.id, 5, new FakeConnection()).kind).toBe('seqAhead');
    expect(sessions.resume('nobody', 5, new FakeConnection()).kind).toBe('unknownSession');
  });

  test('older than the buffer: the session ends, and what the client lacks is reported', async () => {
    makeSessions({ replayMaxEvents: 5 });
    const { session } = await start(1, 4);
    sessions.detach(session);
    for (let i = 0; i < 7; i += 1) send(guildOn(1));
    const id = guildOn(1).id;
    // READY and 3 guilds are 1 to 4, so the client has the first of the seven.
    expect(sessions.resume(session.id, 5, new FakeConnection()).kind).toBe('tooOld');
    expect(undeliverable).toEqual([2, 3, 4, 5, 6, 7].map((n) => `${id}:${n} bufferOverflow`));
    send(guildOn(1));
    expect(emitted).toHaveLength(7);
  });

  test('not resumed in time: the session ends, and what was not acknowledged is reported', async () => {
    const { session } = await start(1, 4);
    send(guildOn(1));
    send(guildOn(1));
    session.acknowledgedSeq = 5;
    sessions.detach(session);
    send(guildOn(1));
    await clock.advance(119_999);
    sessions.sweep();
    expect(undeliverable).toEqual([]);
    await clock.advance(1);
    sessions.sweep();
    const id = guildOn(1).id;
    expect(undeliverable).toEqual([`${id}:2 windowExpired`, `${id}:3 windowExpired`]);
    expect(sessions.resume(session.id, 4, new FakeConnection()).kind).toBe('unknownSession');
    // The refused RESUME shows that the client has even less; nothing is reported twice.
    expect(undeliverable).toHaveLength(3);
    expect(undeliverable.at(-1)).toBe(`${id}:1 windowExpired`);
  });

  test('a session that ends under an open connection has delivered everything', async () => {
    const { session } = await start(1, 4);
    send(guildOn(1));
    sessions.end(session, 'invalidated');
    expect(undeliverable).toEqual([]);
    send(guildOn(1));
    expect(emitted).toHaveLength(1);
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import type { SimulatorOptions } from '../../../local/discord/simulator-options.ts';
import type { Guild } from '../../../local/discord/world.ts';
import { ManualClock } from '../../manual-clock.ts';
import { allIntentBits, GatewayClient, identified, identifyData, resuming } from './gateway-client.ts';

let clock: ManualClock;
let simulator: DiscordSimulator;
let undeliverable: string[];

async function restart(options: Partial<SimulatorOptions> = {}): Promise<void> {
  await simulator?.stop();
  clock = new ManualClock();
  undeliverable = [];
  simulator = await startSimulator({
    clock,
    shards: 2,
    guildsPerShard: 2,
    onUndeliverable: (stream, n, reason) => undeliverable.push(`${stream}:${n} ${reason}`),
    ...options,
  });
}

beforeEach(() => restart());
afterEach(async () => {
  await simulator.stop();
  // Nothing is left to run once the simulator has stopped.
  expect(clock.pendingTimers).toBe(0);
});

async function greeted(url = simulator.gatewayUrl): Promise<GatewayClient> {
  const client = new GatewayClient(url);
  await client.op(10);
  return client;
}

/** Identified and told about all its guilds. */
async function ready(shard: [number, number] = [0, 2], changes: object = {}) {
  const session = await identified(simulator, shard, { changes });
  await clock.advance(0);
  await session.client.settle();
  return session;
}

const guildOn = (shardId: number, shardCount = 2) => simulator.world.guildsOn({ shardId, shardCount })[0] as Guild;
const type = (shardId: number) => simulator.traffic.send('TYPING_START', guildOn(shardId));

describe('handshake', () => {
  test('HELLO, heartbeat before IDENTIFY, READY, guilds', async () => {
    const client = await greeted();
    expect((await client.op(10)).d.heartbeat_interval).toBe(41_250);
    await client.settle();
    client.send(2, identifyData(simulator, [1, 2]));
    const { d, s } = await client.dispatch('READY');
    expect([s, d.shard, d.guilds.length]).toEqual([1, [1, 2], 2]);
    expect(d.resume_gateway_url).toBe(simulator.resumeGatewayUrl);
    expect(d.resume_gateway_url).not.toBe(simulator.gatewayUrl);
    await clock.advance(0);
    await client.settle();
    expect(client.seqs).toEqual([1, 2, 3]);
    expect(simulator.stats.identifies).toMatchObject([{ shardId: 1, shardCount: 2, key: 0, outcome: 'ready' }]);
  });

  test.each([
    ['/?v=10&encoding=etf', 4002],
    ['/?v=10&encoding=json&compress=br', 4002],
    ['/?v=5&encoding=json', 4012],
    ['/?encoding=json', 4012],
  ])('%s is closed with %i', async (path, code) => {
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(simulator.gatewayUrl + path);
    expect(await new Promise((resolve) => socket.on('close', resolve))).toBe(code);
  });

  test.each<[string, string, number]>([
    ['text that is no JSON', 'hello', 4002],
    ['JSON that is no frame', '[1]', 4002],
    ['a frame of 4097 bytes', JSON.stringify({ op: 1, d: 'x'.repeat(4097 - 15) }), 4002],
    ['op 3 before IDENTIFY', '{"op":3,"d":{}}', 4003],
    ['an unknown op before IDENTIFY', '{"op":77,"d":{}}', 4003],
    ['RESUME without seq', '{"op":6,"d":{"token":"t","session_id":"s"}}', 4001],
    ['IDENTIFY with a wrong token', '{"op":2,"d":{"token":"x","properties":{},"intents":1}}', 4004],
    ['RESUME with a wrong token', '{"op":6,"d":{"token":"x","session_id":"s","seq":1}}', 4004],
  ])('%s is closed with its code', async (_name, text, code) => {
    const client = await greeted();
    client.sendText(text);
    expect((await client.closed).code).toBe(code);
  });

  test('a frame of exactly 4096 bytes is taken', async () => {
    const client = await greeted();
    const frame = JSON.stringify({ op: 1, d: 'x'.repeat(4096 - JSON.stringify({ op: 1, d: '' }).length) });
    expect(Buffer.byteLength(frame)).toBe(4096);
    client.sendText(frame);
    await client.op(11);
  });

  test.each([
    ['shard', { shard: [2, 2] }, 4010],
    ['intents', { intents: 1 << 18 }, 4013],
  ])('a wrong %s in IDENTIFY', async (_name, change, code) => {
    const client = await greeted();
    client.send(2, identifyData(simulator, [0, 2], change));
    expect((await client.closed).code).toBe(code);
    expect(simulator.stats.identifies).toMatchObject([{ outcome: code }]);
    expect(simulator.identifyLimits.remaining).toBe(1000);
  });

  test('a privileged intent that is not enabled', async () => {
    await restart({ privilegedIntents: 0 });
    const client = await greeted();
    client.send(2, identifyData(simulator, [0, 2]));
    expect(await client.closed).toEqual({ code: 4014, reason: 'Disallowed intent(s).' });
  });

  test('too many guilds for one session', async () => {
    await restart({ shards: 2, guildsPerShard: 1251, membersPerGuild: 1 });
    const client = await greeted();
    client.send(2, identifyData(simulator, [0, 1]));
    expect((await client.closed).code).toBe(4011);
  });

  test('after READY: IDENTIFY and RESUME again, unknown ops, bad payloads', async () => {
    for (const [op, d, code] of [
      [2, identifyData(simulator, [0, 2]), 4005],
      [6, {}, 4005],
      [77, {}, 4001],
      [8, { guild_id: 'x' }, 4001],
    ] as const) {
      const { client } = await ready();
      client.send(op, d);
      expect((await client.closed).code).toBe(code);
      await clock.advance(5000);
    }
  });

  test('the token may be written with "Bot "', async () => {
    const { client } = await identified(simulator, [0, 2], { changes: { token: `Bot ${simulator.token}` } });
    expect(client.frames.some(({ t }) => t === 'READY')).toBe(true);
  });

  test('a client that never identifies is closed', async () => {
    const client = await greeted();
    await clock.advance(29_000);
    await client.settle();
    await clock.advance(1000);
    expect((await client.closed).code).toBe(4009);
  });

  test('a client without heartbeats is closed after one and a half intervals, and may resume', async () => {
    const { client, sessionId } = await ready();
    await clock.advance(60_000);
    await client.settle();
    await clock.advance(61_000);
    await client.settle();
    await clock.advance(63_000);
    expect((await client.closed).code).toBe(4009);
    await (await resuming(simulator, sessionId, 3)).dispatch('RESUMED');
  });

  test('more than 120 frames in a minute', async () => {
    const { client } = await ready();
    // Two frames went out already: IDENTIFY and one heartbeat.
    for (let i = 0; i < 118; i += 1) client.send(1, null);
    await clock.advance(0);
    await client.frame(() => client.frames.filter(({ op }) => op === 11).length === 119);
    client.send(1, null);
    expect(await client.closed).toEqual({ code: 4008, reason: 'Rate limited.' });
  });

  test('the count of frames starts anew after a minute', async () => {
    const { client } = await ready();
    for (let i = 0; i < 117; i += 1) client.send(1, null);
    await client.settle();
    await clock.advance(60_000);
    for (let i = 0; i < 100; i += 1) client.send(1, null);
    await client.settle();
  });
});

describe('limits of IDENTIFY', () => {
  test('a second IDENTIFY of the key within five seconds gets op 9 and may try again on the same socket', async () => {
    await ready([0, 2]);
    const client = await greeted();
    client.send(2, identifyData(simulator, [1, 2]));
    await client.settle();
    expect(client.frames.some(({ op }) => op === 9)).toBe(false);
    await clock.advance(1000);
    expect((await client.op(9)).d).toBe(false);
    expect(simulator.stats.identifyViolations).toBe(1);
    expect(simulator.identifyLimits.remaining).toBe(998);
    await clock.advance(4000);
    client.send(2, identifyData(simulator, [1, 2]));
    await client.dispatch('READY');
  });

  test('other keys are free', async () => {
    await restart({ shards: 16, maxConcurrency: 16, guildsPerShard: 1 });
    for (let shardId = 0; shardId < 16; shardId += 1) await identified(simulator, [shardId, 16]);
    expect(simulator.stats.identifyViolations).toBe(0);
  });

  test('overrunning the budget ends every session and voids the token', async () => {
    await restart({ maxConcurrency: 2, sessionStartRemaining: 1 });
    const { client: first, sessionId } = await ready([0, 2]);
    const second = await greeted();
    second.send(2, identifyData(simulator, [1, 2]));
    expect((await first.closed).code).toBe(4004);
    expect((await second.closed).code).toBe(4004);
    expect(simulator.token).toBeUndefined();
    const answer = await fetch(`${simulator.apiUrl}/gateway/bot`, { headers: { Authorization: 'Bot old' } });
    expect(answer.status).toBe(401);
    const token = simulator.issueToken();
    const third = await greeted();
    third.send(6, { token, session_id: sessionId, seq: 1 });
    expect((await third.op(9)).d).toBe(false);
  });
});

describe('resuming', () => {
  test.each(['cut', 4000, 3000, 4900] as const)(
    'after %s the missed events come in order, then RESUMED',
    async (how) => {
      const { client, sessionId } = await ready();
      type(0);
      await client.settle();
      client.close(how);
      await client.closed;
      await clock.advance(1000);
      for (let i = 0; i < 3; i += 1) type(0);
      const next = await resuming(simulator, sessionId, 4);
      await next.dispatch('RESUMED');
      expect(next.frames.filter(({ op }) => op === 0).map(({ s, t }) => `${s} ${t}`)).toEqual([
        '5 TYPING_START',
        '6 TYPING_START',
        '7 TYPING_START',
        '8 RESUMED',
      ]);
      type(0);
      await next.settle();
      expect(next.seqs.at(-1)).toBe(9);
      expect(simulator.stats.resumes).toMatchObject([{ outcome: 'resumed', replayed: 3, seq: 4 }]);
      expect(simulator.stats.identifies).toHaveLength(1);
      expect(simulator.stats.resumesAtMainUrl).toBe(0);
    },
  );

  test('events that the client had not stored are sent again', async () => {
    const { client, sessionId } = await ready();
    for (let i = 0; i < 3; i += 1) type(0);
    await client.settle();
    client.close('cut');
    const next = await resuming(simulator, sessionId, 4);
    await next.dispatch('RESUMED');
    expect(next.seqs).toEqual([5, 6, 7]);
  });

  test.each([1000, 1001])('a client that closes with %i has ended its session', async (code) => {
    const { client, sessionId } = await ready();
    client.close(code);
    await client.closed;
    const next = await resuming(simulator, sessionId, 3);
    expect((await next.op(9)).d).toBe(false);
    expect(type(0)).toBeUndefined();
    // The socket may be used for IDENTIFY.
    await clock.advance(5000);
    next.send(2, identifyData(simulator, [0, 2]));
    await next.dispatch('READY');
  });

  test('a sequence number ahead of the stream', async () => {
    const { client, sessionId } = await ready();
    client.close('cut');
    const next = await resuming(simulator, sessionId, 99);
    expect((await next.closed).code).toBe(4007);
  });

  test('older than the buffer', async () => {
    await restart({ replayMaxEvents: () => 4 });
    const { client, sessionId } = await ready();
    client.close('cut');
    await client.closed;
    await clock.advance(0);
    for (let i = 0; i < 6; i += 1) type(0);
    const next = await resuming(simulator, sessionId, 3);
    expect((await next.op(9)).d).toBe(false);
    expect(simulator.stats.resumes).toMatchObject([{ outcome: 'tooOld' }]);
    expect(undeliverable).toHaveLength(6);
    expect(simulator.stats.undeliverable.bufferOverflow).toBe(6);
  });

  test('a busy shard keeps its young events beyond the number', async () => {
    await restart({ replayMaxEvents: () => 4, replayMinAgeMs: 20_000 });
    const { client, sessionId } = await ready();
    client.close('cut');
    await client.closed;
    for (let i = 0; i < 200; i += 1) {
      type(0);
      await clock.advance(100);
    }
    const next = await resuming(simulator, sessionId, 3);
    await next.dispatch('RESUMED');
    // The 200 events of the last 20 s, and RESUMED.
    expect(next.seqs).toHaveLength(201);
  });

  test('too late', async () => {
    const { client, sessionId } = await ready();
    client.close('cut');
    await client.closed;
    await clock.advance(0);
    type(0);
    await clock.advance(121_000);
    const next = await resuming(simulator, sessionId, 3);
    expect((await next.op(9)).d).toBe(false);
    expect(undeliverable).toEqual([`${guildOn(0).id}:1 windowExpired`]);
  });

  test('two connections resume one session: the older one is closed', async () => {
    const { client, sessionId } = await ready();
    const next = await resuming(simulator, sessionId, 3);
    await next.dispatch('RESUMED');
    expect((await client.closed).code).toBe(4006);
    type(0);
    await next.settle();
    expect(next.seqs).toEqual([4, 5]);
    const third = await resuming(simulator, sessionId, 5);
    await third.dispatch('RESUMED');
    expect((await next.closed).code).toBe(4006);
  });

  test('two sessions of one shard both receive', async () => {
    const a = await ready();
    await clock.advance(5000);
    const b = await ready();
    type(0);
    await Promise.all([a.client.settle(), b.client.settle()]);
    expect(a.client.frames.find(({ t }) => t === 'TYPING_START')?.d).toEqual(
      b.client.frames.find(({ t }) => t === 'TYPING_START')?.d,
    );
  });

  test('op 9 may close the socket, when asked to', async () => {
    await restart({ invalidSessionCloses: true });
    const client = await resuming(simulator, 'nobody', 1);
    expect((await client.op(9)).d).toBe(false);
    expect((await client.closed).code).toBe(4000);
  });

  test('RESUME at the main URL works and is counted', async () => {
    const { client, sessionId } = await ready();
    client.close('cut');
    await (await resuming(simulator, sessionId, 3, simulator.gatewayUrl)).dispatch('RESUMED');
    expect(simulator.stats.resumesAtMainUrl).toBe(1);
  });

  test('a client that does not read is cut, and may resume', async () => {
    await restart({ maxBufferedBytes: 256 * 1024, replayMaxEvents: () => 100_000 });
    const { client, sessionId } = await ready();
    client.pause();
    let sent = 0;
    while (simulator.stats.slowReaders === 0) {
      simulator.traffic.send('MESSAGE_CREATE', guildOn(0));
      sent += 1;
      if (sent % 100 === 0) await clock.settle();
    }
    client.resumeReading();
    await client.closed;
    const next = await resuming(simulator, sessionId, client.seqs.at(-1) as number);
    await next.dispatch('RESUMED').catch(() => next.closed);
    const all = [...client.seqs, ...next.seqs];
    expect(all.slice(0, sent)).toEqual(Array.from({ length: sent }, (_, i) => i + 1));
  });
});

describe('commands', () => {
  test('op 8 by prefix, by id, and for everybody', async () => {
    await restart({ membersPerGuild: 2301 });
    const { client } = await ready();
    const guild = guildOn(0);
    const known = guild.members[5]?.user.id as string;
    client.send(8, { guild_id: guild.id, query: 'dmi', limit: 2, nonce: 'a' });
    client.send(8, { guild_id: guild.id, user_ids: [known, '123123'], nonce: 'b', presences: true });
    client.send(8, { guild_id: guild.id, query: '', limit: 0, nonce: 'c' });
    client.send(8, { guild_id: guild.id, query: '', limit: 0, nonce: 'd' });
    const limited = await client.dispatch('RATE_LIMITED');
    const chunks = (nonce: string) =>
      client.frames.filter(({ t, d }) => t === 'GUILD_MEMBERS_CHUNK' && d.nonce === nonce);
    expect(chunks('a').map(({ d }) => d.members.length)).toEqual([2]);
    expect(chunks('b')[0]?.d).toMatchObject({ not_found: [123123], members: [{ user: { id: known } }] });
    expect(chunks('b')[0]?.d.presences).toHaveLength(1);
    expect(chunks('c').map(({ d }) => [d.chunk_index, d.chunk_count, d.members.length])).toEqual([
      [0, 3, 1000],
      [1, 3, 1000],
      [2, 3, 301],
    ]);
    expect(limited.d).toEqual({ opcode: 8, retry_after: 30, meta: { guild_id: guild.id, nonce: 'd' } });
  });

  test('op 3 is taken, op 4 is answered with voice events', async () => {
    const { client } = await ready();
    const guild = guildOn(0);
    const presence = { since: null, activities: [], status: 'idle', afk: false };
    client.send(3, presence);
    client.send(4, { guild_id: guild.id, channel_id: guild.voiceChannelId, self_mute: true, self_deaf: false });
    const server = await client.dispatch('VOICE_SERVER_UPDATE');
    expect(server.d.guild_id).toBe(guild.id);
    expect((await client.dispatch('VOICE_STATE_UPDATE')).d).toMatchObject({
      channel_id: guild.voiceChannelId,
      self_mute: true,
      user_id: simulator.world.botUser.id,
    });
    expect(simulator.state().sessions[0]?.presence).toEqual(presence);
  });

  test('ops 31 and 43 are answered, for guilds of the shard only', async () => {
    const { client } = await ready();
    client.send(31, { guild_ids: [guildOn(1).id, guildOn(0).id] });
    client.send(43, { guild_id: guildOn(0).id, fields: ['status'] });
    expect((await client.dispatch('CHANNEL_INFO')).d.channels).toEqual([
      { id: guildOn(0).voiceChannelId, status: null },
    ]);
    const sounds = client.frames.filter(({ t }) => t === 'SOUNDBOARD_SOUNDS');
    expect(sounds.map(({ d }) => d.guild_id)).toEqual([guildOn(0).id]);
  });
});

test('intents decide what a session gets', async () => {
  const { client } = await ready([0, 2], { intents: allIntentBits & ~(1 << 11) });
  expect(type(0)).toBeUndefined();
  simulator.traffic.send('MESSAGE_CREATE', guildOn(0));
  await client.dispatch('MESSAGE_CREATE');
});

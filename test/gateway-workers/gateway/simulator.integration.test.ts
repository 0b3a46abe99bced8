import { afterEach, describe, expect, test } from 'vitest';
import { GatewayConnection } from '../../../gateway-workers/gateway/connection.ts';
import { readFrameIdentity } from '../../../local/discord/event-identity.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import type { SimulatorOptions } from '../../../local/discord/simulator-options.ts';
import { systemClock } from '../../../shared/clock.ts';
import { type GatewayCompression, gatewayCompressions } from '../../../shared/config.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { NotingListener } from './connection-rig.ts';

/** Bits of all intents that Discord documents. */
const allIntents = 53_608_447;
const shardCount = 4;

let simulator: DiscordSimulator;
let shards: { connection: GatewayConnection; listener: NotingListener }[];
/** Emitted per stream. */
let emitted: Map<string, number[]>;
let undeliverable: string[];

const until = (condition: () => boolean, timeout = 30_000) =>
  expect.poll(condition, { interval: 5, timeout }).toBe(true);

async function start(compress: GatewayCompression, options: Partial<SimulatorOptions> = {}): Promise<void> {
  emitted = new Map();
  undeliverable = [];
  simulator = await startSimulator({
    shards: shardCount,
    guildsPerShard: 4,
    maxConcurrency: shardCount,
    heartbeatIntervalMs: 400,
    heartbeatGrace: 5,
    onEmit: (stream, n) => {
      const numbers = emitted.get(stream) ?? [];
      emitted.set(stream, [...numbers, n]);
    },
    onUndeliverable: (stream, n, reason) => undeliverable.push(`${stream}:${n} ${reason}`),
    ...options,
  });
  shards = Array.from({ length: shardCount }, (_, shardId) => {
    const listener = new NotingListener();
    const connection = new GatewayConnection({
      shard: { shardId, shardCount },
      token: simulator.token as string,
      intents: allIntents,
      gatewayUrl: simulator.gatewayUrl,
      compress,
      clock: systemClock,
      random: seededRandom(shardId + 1),
      logger: silentLogger,
      listener,
      // One IDENTIFY per rate limit key is all that these tests need.
      identifyGate: {
        approach: async () => undefined,
        win: async () => ({ sendBeforeMs: Infinity, settle: () => undefined }),
      },
      confirmBeforeResume: async () => undefined,
    });
    return { connection, listener };
  });
  for (const { connection } of shards) connection.connect();
  await until(allReady);
  simulator.traffic.start({ eventsPerSecond: 800, interactionsPerSecond: 5 });
}

afterEach(async () => {
  await Promise.all(shards.map(({ connection }) => connection.close()));
  await simulator.stop();
});

const allReady = () => shards.every(({ connection }) => connection.state === 'ready');
const frames = () => shards.flatMap(({ listener }) => listener.frames);
const received = () => frames().filter((frame) => readFrameIdentity(frame) !== undefined).length;
const sent = () => [...emitted.values()].reduce((sum, numbers) => sum + numbers.length, 0);

async function moreEvents(count = 200): Promise<void> {
  const before = received();
  await until(() => received() >= before + count);
}

/** Every event that a session took has come once, and each stream in its order. */
async function expectNothingLostDoubledOrReordered(): Promise<void> {
  simulator.traffic.stop();
  await until(() => received() >= sent());
  const perStream = new Map<string, number[]>();
  for (const frame of frames()) {
    const identity = readFrameIdentity(frame);
    if (identity) perStream.set(identity.stream, [...(perStream.get(identity.stream) ?? []), identity.n]);
  }
  // Interactions of several shards share one stream, so their order is that of each shard alone.
  for (const numbers of [perStream, emitted]) numbers.get('interactions')?.sort((a, b) => a - b);
  expect(undeliverable).toEqual([]);
  expect(Object.fromEntries(perStream)).toEqual(Object.fromEntries(emitted));
}

describe.each(gatewayCompressions)('%s', (compress) => {
  test('every fault that leaves the session leaves the stream whole, without a single further IDENTIFY', async () => {
    await start(compress);
    const faults: [string, () => void][] = [
      ['op 7', () => simulator.faults.reconnect({})],
      ['cut', () => simulator.faults.cut({ shards: [0, 2] })],
      ['op 9 true', () => simulator.faults.invalidateSessions({ shards: [1] }, true)],
      ['close 1000', () => simulator.faults.close({ shards: [3] }, { code: 1000, endSession: false })],
      ['close 4000', () => simulator.faults.close({}, { code: 4000 })],
      ['close 4009', () => simulator.faults.close({ shards: [0] }, { code: 4009 })],
      ['not JSON', () => simulator.faults.sendMalformed({ shards: [1] }, 'notJson')],
      ['cut off', () => simulator.faults.sendMalformed({ shards: [2] }, 'truncated')],
      ['empty', () => simulator.faults.sendMalformed({ shards: [3] }, 'empty')],
      ['garbage bytes', () => simulator.faults.sendMalformed({}, 'binary')],
      ['huge', () => simulator.faults.sendMalformed({ shards: [0] }, 'huge')],
      ['unknown op', () => simulator.faults.sendMalformed({}, 'unknownOp')],
      ['unknown event', () => simulator.faults.sendMalformed({}, 'unknownEvent')],
      ['no op', () => simulator.faults.sendMalformed({ shards: [2] }, 'missingOp')],
      ['wrong types', () => simulator.faults.sendMalformed({ shards: [3] }, 'wrongTypes')],
      ['heartbeat request', () => simulator.faults.requestHeartbeat({})],
    ];
    for (const [, strike] of faults) {
      strike();
      await moreEvents(60);
      await until(allReady);
    }
    await expectNothingLostDoubledOrReordered();
    expect(shards.map(({ connection }) => connection.stats.identifies)).toEqual([1, 1, 1, 1]);
    expect(simulator.stats.identifyViolations).toBe(0);
    expect(shards.every(({ connection }) => connection.stats.resumes > 3)).toBe(true);
    expect(shards.flatMap(({ listener }) => listener.notes).filter((note) => note === 'lost')).toEqual([]);
  });
});

test('a silent peer and unacknowledged heartbeats are noticed', async () => {
  await start('zlib-stream');
  simulator.faults.silence({ shards: [0] }, true);
  simulator.faults.ignoreHeartbeats({ shards: [1] }, true);
  await until(() => shards[0]?.connection.stats.zombies === 1 && shards[1]?.connection.stats.zombies === 1);
  await until(allReady);
  await moreEvents();
  await expectNothingLostDoubledOrReordered();
});

test('a resume URL that refuses: the main URL serves, and nothing is lost', async () => {
  await start('zstd-stream');
  await simulator.faults.resumeUrl('refused');
  simulator.faults.cut({});
  await until(() => shards.every(({ connection }) => connection.stats.resumes === 1));
  await until(allReady);
  await simulator.faults.clear();
  await moreEvents();
  await expectNothingLostDoubledOrReordered();
});

test('a session that Discord has dropped is replaced, once', async () => {
  await start('none', { identifyIntervalMs: 100 });
  simulator.faults.invalidateSessions({ shards: [2] }, false);
  await until(() => shards[2]?.listener.notes.includes('lost') === true);
  await until(() => shards[2]?.connection.stats.identifies === 2 && allReady());
  const before = shards[2]?.listener.frames.length as number;
  await until(() => (shards[2]?.listener.frames.length as number) > before + 50);
  expect(shards.map(({ connection }) => connection.stats.identifies)).toEqual([1, 1, 2, 1]);
});

test('a planned close keeps the session for another owner, who misses nothing', async () => {
  await start('zstd-stream');
  await moreEvents();
  const first = shards[1] as (typeof shards)[number];
  await first.connection.close();
  const { session } = first.connection;
  // The other end sees the close a moment later.
  await until(() => simulator.state().sessions.find(({ id }) => id === session?.sessionId)?.state === 'disconnected');
  await moreEvents();
  // The same shard, as if in another process.
  first.connection.connect(session, { holdAtHello: true });
  await until(() => first.connection.state === 'holding');
  first.connection.proceed(session);
  await moreEvents();
  await expectNothingLostDoubledOrReordered();
  expect(first.connection.stats.identifies).toBe(1);
});

test('backpressure for longer than several heartbeats costs nothing', async () => {
  await start('zstd-stream');
  const { connection, listener } = shards[0] as (typeof shards)[number];
  connection.pauseReading();
  const before = listener.frames.length;
  await moreEvents(1_500);
  expect(connection.stats.zombies).toBe(0);
  expect(listener.frames.length - before).toBeLessThan(50);
  connection.resumeReading();
  await expectNothingLostDoubledOrReordered();
  expect(connection.stats).toMatchObject({ reconnects: 0, zombies: 0 });
});

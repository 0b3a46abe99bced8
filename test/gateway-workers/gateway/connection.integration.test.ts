import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { GatewayConnection, type GatewayConnectionOptions } from '../../../gateway-workers/gateway/connection.ts';
import type { GatewaySession } from '../../../gateway-workers/gateway/gateway-session.ts';
import { dialWebSocket } from '../../../gateway-workers/gateway/gateway-socket.ts';
import { systemClock } from '../../../shared/clock.ts';
import { gatewayCompressions } from '../../../shared/config.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';
import { NotingListener, token } from './connection-rig.ts';
import { ScriptedGateway, type ServedConnection, deadUrl, silentServer } from './scripted-gateway.ts';

const resume = 6;

let main: ScriptedGateway;
let second: ScriptedGateway;
let session: GatewaySession;
const connections: GatewayConnection[] = [];

beforeEach(async () => {
  [main, second] = await Promise.all([ScriptedGateway.start(), ScriptedGateway.start()]);
  session = { sessionId: 'session-1', resumeGatewayUrl: second.url, seq: 10 };
});

afterEach(async () => {
  await Promise.all(connections.splice(0).map((connection) => connection.close()));
  await until(() => main.openSockets + second.openSockets === 0);
  await Promise.all([main.stop(), second.stop()]);
});

const until = (condition: () => boolean) => expect.poll(condition, { interval: 2, timeout: 15_000 }).toBe(true);

function connect(options: Partial<GatewayConnectionOptions> = {}) {
  const listener = new NotingListener();
  const connection = new GatewayConnection({
    shard: { shardId: 0, shardCount: 1 },
    token,
    intents: 1,
    gatewayUrl: main.url,
    compress: 'none',
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
    listener,
    identifyGate: {
      approach: async () => undefined,
      win: async () => ({ sendBeforeMs: Infinity, settle: () => undefined }),
    },
    confirmBeforeResume: async () => undefined,
    dial: dialWebSocket,
    ...options,
  });
  connections.push(connection);
  return { connection, listener };
}

async function served(gateway: ScriptedGateway, index = 0): Promise<ServedConnection> {
  await until(() => gateway.connections.length > index);
  return gateway.connections[index] as ServedConnection;
}

/** Serves the next socket up to RESUMED and gives it back. */
async function serveResume(gateway: ScriptedGateway, index: number, resumedSeq: number): Promise<ServedConnection> {
  const server = await served(gateway, index);
  await server.hello();
  await until(() => server.ops().includes(resume));
  await server.dispatch(resumedSeq, 'RESUMED', {});
  return server;
}

describe.each(gatewayCompressions)('%s', (compress) => {
  test('identify, events, a cut, and a resume in a fresh context', async () => {
    const { connection, listener } = connect({ compress });
    connection.connect();
    const first = await served(main);
    await first.hello();
    await until(() => first.ops().includes(2));
    await first.dispatch(1, 'READY', {
      session_id: 'session-1',
      resume_gateway_url: second.url,
      user: { id: '1' },
      application: { id: '2' },
      guilds: [],
    });
    const content = '語 "}} \u2028 🔧'.repeat(30_000);
    for (let s = 2; s <= 50; s++) await first.dispatch(s, 'MESSAGE_CREATE', { content: s === 30 ? content : `m${s}` });
    await until(() => listener.frames.length === 50);
    first.raw.destroy();

    const resumed = await served(second);
    await resumed.hello();
    await until(() => resumed.ops().includes(resume));
    expect(resumed.received.find(({ op }) => op === resume)?.d).toEqual({ token, session_id: 'session-1', seq: 50 });
    await resumed.dispatch(51);
    await resumed.dispatch(52, 'RESUMED', {});
    await until(() => listener.frames.length === 52);
    expect(listener.frames.map((frame) => (JSON.parse(frame) as { s: number }).s)).toEqual(
      Array.from({ length: 52 }, (_, index) => index + 1),
    );
    expect(listener.frames[29]).toBe(JSON.stringify({ t: 'MESSAGE_CREATE', s: 30, op: 0, d: { content } }));
    expect(connection.stats).toMatchObject({ identifies: 1, resumes: 1, reconnects: 1, badFrames: {} });

    await connection.close();
    await until(() => resumed.closeCode !== undefined);
    expect(resumed.closeCode).toBe(4000);
  });

  test('backpressure: nothing is read, heartbeats go out, and afterwards everything is there in order', async () => {
    const clock = new ManualClock();
    const { connection, listener } = connect({ compress, clock });
    connection.connect(session);
    const server = await served(second);
    await server.hello();
    await until(() => server.ops().includes(resume));
    await server.dispatch(11, 'RESUMED', {});
    await until(() => listener.frames.length === 1);
    connection.pauseReading();
    const incompressible = () => Array.from({ length: 3_000 }, () => Math.random().toString(36).slice(2)).join('');
    const count = 300;
    for (let s = 12; s < 12 + count; s++) await server.dispatch(s, 'MESSAGE_CREATE', { content: incompressible() });
    await clock.advance(4 * 40_000);
    await until(() => server.ops().filter((op) => op === 1).length === 4);
    // No ACK could be read, yet nobody is called a zombie; most frames wait in the kernel and at the server.
    expect(connection.stats.zombies).toBe(0);
    expect(listener.frames.length).toBeLessThan(count / 2);
    expect(server.socket.bufferedAmount).toBeGreaterThan(0);
    connection.resumeReading();
    await until(() => listener.frames.length === 1 + count);
    expect(connection.session?.seq).toBe(11 + count);
    const closing = connection.close();
    await until(() => server.closeCode !== undefined);
    await closing;
  });
});

test('zlib: a message cut anywhere, as Discord may, is put together', async () => {
  const { connection, listener } = connect({ compress: 'zlib-stream' });
  connection.connect(session);
  const server = await serveResume(second, 0, 11);
  for (let s = 12; s < 32; s++) {
    const message = (await server.encode({ t: 'MESSAGE_CREATE', s, op: 0, d: { content: `number ${s}` } })) as Buffer;
    const cut = s % 2 === 0 ? message.length - (1 + (s % 4)) : s % message.length;
    server.socket.send(message.subarray(0, cut));
    server.socket.send(message.subarray(cut));
  }
  await until(() => listener.frames.length === 21);
  expect(connection.stats.badFrames).toEqual({});
});

test.each([
  ['invalid UTF-8', Buffer.from([0x81, 0x02, 0xc3, 0x28])],
  ['a reserved opcode', Buffer.from([0x83, 0x00])],
  ['compression that was not agreed on', Buffer.from([0xc1, 0x01, 0x41])],
  ['a message of 4 GiB', Buffer.from([0x81, 0x7f, 0, 0, 0, 1, 0, 0, 0, 0])],
  ['no WebSocket at all', Buffer.from('HTTP/1.1 500 Internal Server Error\r\n\r\n')],
])('on the wire, %s: counted, and resumed', async (_name, bytes) => {
  const { connection, listener } = connect();
  connection.connect(session);
  const first = await serveResume(second, 0, 11);
  await first.dispatch(12);
  await until(() => listener.frames.length === 2);
  first.raw.write(bytes);
  const next = await serveResume(second, 1, 13);
  expect(next.received[0]?.d).toMatchObject({ seq: 12 });
  expect(connection.stats.badFrames).toEqual({ protocol: 1 });
  await until(() => listener.notes.at(-1) === 'RESUMED 13');
});

test('a dead resume URL: the main URL takes over', async () => {
  const { connection } = connect();
  connection.connect({ ...session, resumeGatewayUrl: await deadUrl() });
  await serveResume(main, 0, 11);
  await until(() => connection.state === 'ready');
});

test('a refused upgrade is a failed dial, not a lost session', async () => {
  const { connection } = connect();
  second.refuseWith = 503;
  connection.connect(session);
  await serveResume(main, 0, 11);
  await until(() => connection.state === 'ready');
  expect(connection.session).toMatchObject({ sessionId: 'session-1' });
});

test('a host that accepts and stays silent is given up by the clock', async () => {
  const silent = await silentServer();
  const clock = new ManualClock();
  const { connection } = connect({ clock });
  connection.connect({ ...session, resumeGatewayUrl: silent.url });
  await until(() => silent.accepted() === 1);
  await clock.advance(10_000);
  expect(connection.state).toBe('backingOff');
  await clock.advance(1_000);
  await serveResume(main, 0, 11);
  await until(() => connection.state === 'ready');
  await connection.close();
  expect(clock.pendingTimers).toBe(0);
  await silent.stop();
});

test('a peer that never answers the close is cut after 2 s', async () => {
  const clock = new ManualClock();
  const { connection } = connect({ clock });
  connection.connect(session);
  const server = await serveResume(second, 0, 11);
  await until(() => connection.state === 'ready');
  server.socket.pause();
  const closing = connection.close();
  await clock.advance(1_999);
  expect(second.openSockets).toBe(1);
  await clock.advance(1);
  await closing;
  server.socket.resume();
  await until(() => second.openSockets === 0);
});

test('two sockets: what the old one still sends is not heard', async () => {
  const { connection, listener } = connect();
  connection.connect(session);
  const first = await serveResume(second, 0, 11);
  await until(() => connection.state === 'ready');
  await first.send({ op: 7, d: null });
  await first.dispatch(12, 'MESSAGE_CREATE', { from: 'old' });
  const next = await served(second, 1);
  await next.hello();
  await until(() => next.ops().includes(resume));
  await next.dispatch(12, 'MESSAGE_CREATE', { from: 'new' });
  await next.dispatch(13, 'RESUMED', {});
  await until(() => listener.notes.at(-1) === 'RESUMED 13');
  expect(listener.frames[1]).toContain('"from":"new"');
  expect(listener.frames.length).toBe(3);
});

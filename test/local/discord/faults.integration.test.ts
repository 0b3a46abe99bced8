import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { malformedFrames } from '../../../local/discord/faults.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import { ManualClock } from '../../manual-clock.ts';
import { GatewayClient, identified, resuming } from './gateway-client.ts';

let clock: ManualClock;
let simulator: DiscordSimulator;

beforeEach(async () => {
  clock = new ManualClock();
  simulator = await startSimulator({ clock, shards: 2, guildsPerShard: 1, maxConcurrency: 2 });
});
afterEach(() => simulator.stop());

async function ready(shardId: number) {
  const session = await identified(simulator, [shardId, 2]);
  await clock.advance(0);
  await session.client.settle();
  return session;
}

const type = (shardId: number) =>
  simulator.traffic.send('TYPING_START', simulator.world.guildsOn({ shardId, shardCount: 2 })[0]);

interface ControlAnswer {
  status: number;
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

/** Calls the control API. */
async function control(command: string, body?: unknown): Promise<ControlAnswer> {
  const response = await fetch(`${simulator.controlUrl}/${command}`, {
    method: 'POST',
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.status, body: await response.json() };
}

describe('faults of the gateway', () => {
  test('op 7 to one shard; the connection is closed if the client stays, and can be resumed', async () => {
    const [a, b] = [await ready(0), await ready(1)];
    expect((await control('reconnect', { shards: [1] })).body).toEqual({ result: 1 });
    await b.client.op(7);
    await clock.advance(5000);
    expect((await b.client.closed).code).toBe(4000);
    await a.client.settle();
    expect(a.client.frames.some(({ op }) => op === 7)).toBe(false);
    await (await resuming(simulator, b.sessionId, 2)).dispatch('RESUMED');
  });

  test('op 9 true keeps the session, op 9 false ends it', async () => {
    const [a, b] = [await ready(0), await ready(1)];
    await control('invalidate-sessions', { shards: [0], resumable: true });
    await control('invalidate-sessions', { shards: [1], resumable: false });
    expect([(await a.client.op(9)).d, (await b.client.op(9)).d]).toEqual([true, false]);
    await (await resuming(simulator, a.sessionId, 2)).dispatch('RESUMED');
    expect((await (await resuming(simulator, b.sessionId, 2)).op(9)).d).toBe(false);
  });

  test('sessions without a connection can be ended, too', async () => {
    const { client, sessionId } = await ready(0);
    client.close('cut');
    await client.closed;
    await clock.settle();
    expect((await control('invalidate-sessions', { resumable: false })).body).toEqual({ result: 1 });
    expect((await (await resuming(simulator, sessionId, 2)).op(9)).d).toBe(false);
  });

  test('cut', async () => {
    const { client, sessionId } = await ready(0);
    expect((await control('cut')).body).toEqual({ result: 1 });
    expect((await client.closed).code).toBe(1006);
    type(0);
    const next = await resuming(simulator, sessionId, 2);
    await next.dispatch('RESUMED');
    expect(next.seqs).toEqual([3, 4]);
  });

  test.each([
    [4000, true],
    [1001, true],
    [4009, true],
    [4003, false],
    [4004, false],
  ])('close with %i; the session lives on: %s', async (code, lives) => {
    const { client, sessionId } = await ready(0);
    await control('close', { code, reason: 'test' });
    expect(await client.closed).toEqual({ code, reason: 'test' });
    const next = await resuming(simulator, sessionId, 2);
    if (lives) await next.dispatch('RESUMED');
    else expect((await next.op(9)).d).toBe(false);
  });

  test('a silent peer sends nothing and later all that it owes', async () => {
    const { client } = await ready(0);
    await control('silence', { shards: [0] });
    type(0);
    type(0);
    client.send(1, 2);
    await clock.advance(200_000);
    expect(client.seqs).toEqual([1, 2]);
    await control('silence', { on: false });
    await client.settle();
    expect(client.seqs).toEqual([1, 2, 3, 4]);
  });

  test('heartbeats without acknowledgement', async () => {
    const { client } = await ready(0);
    const acks = () => client.frames.filter(({ op }) => op === 11).length;
    const before = acks();
    await control('ignore-heartbeats', {});
    client.send(1, 2);
    // The heartbeat was taken once a later event is here.
    await client.frame(() => simulator.stats.heartbeats === 2 || type(0) === undefined);
    expect(acks()).toBe(before);
    await control('ignore-heartbeats', { on: false });
    await client.settle();
  });

  test('asks for a heartbeat', async () => {
    const { client } = await ready(0);
    await control('request-heartbeat');
    expect((await client.op(1)).d).toBeNull();
  });

  test('late HELLO', async () => {
    await control('new-connections', { helloDelayMs: 30_000 });
    const client = new GatewayClient(simulator.gatewayUrl);
    while (simulator.stats.connections === 0) await clock.settle();
    await clock.advance(29_999);
    expect(client.messages).toHaveLength(0);
    await clock.advance(1);
    await client.op(10);
  });

  test('no HELLO at all', async () => {
    simulator.faults.newConnections({ silent: true });
    const client = new GatewayClient(simulator.gatewayUrl);
    while (simulator.stats.connections === 0) await clock.settle();
    await clock.advance(100_000);
    expect(client.messages).toHaveLength(0);
    await simulator.faults.clear();
    await client.op(10);
  });

  test('the resume URL refused, hanging, and back at the same address', async () => {
    const { client, sessionId, resumeUrl } = await ready(0);
    await control('resume-url', { state: 'refused' });
    client.close('cut');
    const refused = new GatewayClient(resumeUrl);
    expect((await refused.closed).code).toBe(1006);
    expect(refused.messages).toHaveLength(0);

    await control('resume-url', { state: 'hanging' });
    const hanging = new GatewayClient(resumeUrl);
    await control('resume-url', { state: 'alive' });
    expect((await hanging.closed).code).toBe(1006);
    await (await resuming(simulator, sessionId, 2, resumeUrl)).dispatch('RESUMED');
  });

  test.each(malformedFrames)('the frame %s goes out and harms no stream', async (frame) => {
    const { client } = await ready(0);
    const messages = client.messages.length;
    if (frame === 'binary') client.pause();
    expect((await control('send-malformed', { frame, ...(frame === 'huge' && { bytes: 100_000 }) })).body.result).toBe(
      1,
    );
    if (frame === 'binary') return;
    type(0);
    await client.dispatch('TYPING_START');
    const sent = client.messages[messages]?.data as Buffer;
    if (frame === 'huge') expect(sent.length).toBeGreaterThan(100_000);
    else expect(sent.length).toBeLessThan(2000);
    expect(client.seqs.at(-1)).toBe(3);
  });
});

describe('faults of REST', () => {
  const get = (path: string) =>
    fetch(simulator.apiUrl + path, { headers: { Authorization: `Bot ${simulator.token}` } });

  test('a status for one route, a number of times', async () => {
    await control('rest', { path: '/gateway/bot', action: { kind: 'status', status: 503 }, times: 2 });
    const statuses = [];
    for (const path of ['/users/@me', '/gateway/bot', '/gateway/bot', '/gateway/bot'])
      statuses.push((await get(path)).status);
    expect(statuses).toEqual([200, 503, 503, 200]);
  });

  test('429', async () => {
    await control('rest', { action: { kind: 'rateLimit', retryAfterMs: 1500, scope: 'shared' }, times: 1 });
    const answer = await get('/users/@me');
    expect(answer.status).toBe(429);
    expect(answer.headers.get('x-ratelimit-scope')).toBe('shared');
    expect(await answer.json()).toMatchObject({ retry_after: 1.5, global: false });
  });

  test('a dropped connection', async () => {
    await control('rest', { method: 'GET', action: { kind: 'reset' }, times: 1 });
    await expect(get('/users/@me')).rejects.toThrow('fetch failed');
    expect((await get('/users/@me')).status).toBe(200);
  });

  test('a late answer, and none', async () => {
    await control('rest', { action: { kind: 'delay', delayMs: 4000 }, times: 1 });
    const answers: number[] = [];
    const late = get('/users/@me').then(({ status }) => answers.push(status));
    // The request has arrived when its delay is a timer of the clock, beside the sweep.
    while (clock.pendingTimers < 2) await clock.settle();
    await clock.advance(3999);
    expect(answers).toEqual([]);
    await clock.advance(1);
    await late;
    expect(answers).toEqual([200]);

    await control('rest', { action: { kind: 'hang' }, times: 1 });
    const hanging = get('/users/@me');
    await simulator.stop();
    await expect(hanging).rejects.toThrow('fetch failed');
  });

  test('clear ends every lasting fault', async () => {
    await control('rest', { action: { kind: 'status', status: 500 } });
    await control('new-connections', { helloDelayMs: 1000 });
    await control('clear');
    expect((await get('/users/@me')).status).toBe(200);
    expect(simulator.state().faults).toEqual({
      newConnections: { helloDelayMs: 0, silent: false, ignoreHeartbeats: false },
      resumeUrl: 'alive',
      rest: [],
    });
  });
});

describe('the control API', () => {
  test('shows the state', async () => {
    const { client } = await ready(1);
    client.send(1, 2);
    await client.settle();
    const state = await (await fetch(`${simulator.controlUrl}/state`)).json();
    expect(state).toMatchObject({
      sessions: [{ shard: [1, 2], state: 'connected', seq: 2, acknowledgedSeq: 2 }],
      connectionsByShard: { '2.1': 1 },
      sessionStartLimit: { remaining: 999 },
      traffic: { running: false },
      stats: { identifies: [{ shardId: 1, outcome: 'ready' }], identifyViolations: 0 },
    });
  });

  test('starts, changes and stops traffic', async () => {
    await ready(0);
    await control('traffic', { eventsPerSecond: 100 });
    await clock.advance(1000);
    await control('traffic', { running: false });
    const { emitted, skipped } = simulator.stats;
    expect(emitted + skipped).toBe(100);
    await clock.advance(1000);
    expect(simulator.stats.emitted).toBe(emitted);
  });

  test('sets the session start limit, and issues a token', async () => {
    await control('session-start-limit', { remaining: 5, maxConcurrency: 16, shards: 32 });
    const before = simulator.token;
    const answer = await fetch(`${simulator.apiUrl}/gateway/bot`, { headers: { Authorization: `Bot ${before}` } });
    expect(await answer.json()).toMatchObject({
      shards: 32,
      session_start_limit: { remaining: 5, max_concurrency: 16 },
    });
    expect((await control('issue-token')).body.result).toBe(simulator.token);
    expect(simulator.token).not.toBe(before);
  });

  test.each<[string, unknown, string]>([
    ['close', {}, 'code'],
    ['close', { code: 1005 }, 'code'],
    ['cut', { shards: [] }, 'shards'],
    ['cut', { shard: 0 }, 'shard'],
    ['silence', { on: 'yes' }, 'on'],
    ['send-malformed', { frame: 'odd' }, 'frame'],
    ['rest', { action: { kind: 'status', status: 200 } }, 'action.status'],
    ['rest', { path: 'gateway', action: { kind: 'hang' } }, 'path'],
    ['traffic', { eventsPerSecond: -1 }, 'eventsPerSecond'],
    ['traffic', { mix: { NO_SUCH_EVENT: 1 } }, 'mix'],
    ['cut', '{"shards":', 'JSON'],
  ])('%s with %j is a 400 that names %s', async (command, body, named) => {
    const answer = await control(command, body);
    expect(answer.status).toBe(400);
    expect(answer.body.error).toContain(named);
  });

  test('unknown commands and wrong methods', async () => {
    const unknown = await control('explode');
    expect(unknown.status).toBe(404);
    expect(unknown.body.post).toContain('cut');
    expect((await control('toString')).status).toBe(404);
    expect((await control('state')).status).toBe(405);
    expect((await fetch(`${simulator.controlUrl}/cut`)).status).toBe(405);
  });
});

test('a port in use and bad options are told in one line', async () => {
  const port = Number(new URL(simulator.gatewayUrl).port);
  await expect(startSimulator({ port })).rejects.toMatchObject({ code: 'PORT_IN_USE' });
  await expect(startSimulator({ shards: 0, membersPerGuild: 0 })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(/shards.*membersPerGuild/),
  });
});

import { verify } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import type { SimulatorOptions } from '../../../local/discord/simulator-options.ts';
import type { Guild } from '../../../local/discord/world.ts';
import { ManualClock } from '../../manual-clock.ts';
import { identified } from './gateway-client.ts';

let clock: ManualClock;
let simulator: DiscordSimulator;

async function restart(options: Partial<SimulatorOptions> = {}): Promise<void> {
  await simulator?.stop();
  clock = new ManualClock();
  simulator = await startSimulator({ clock, shards: 2, guildsPerShard: 2, maxConcurrency: 4, ...options });
}
beforeEach(() => restart());
afterEach(() => simulator.stop());

interface Answer {
  status: number;
  headers: Headers;
  // Bodies of every route.
  // oxlint-disable-next-line typescript/no-explicit-any
  body: any;
}

async function call(
  method: string,
  path: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await fetch(simulator.apiUrl + path, {
    method,
    headers: {
      Authorization: `Bot ${simulator.token}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  return { status: response.status, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) };
}

describe('bootstrap', () => {
  test('GET /gateway needs no token', async () => {
    const { status, body } = await call('GET', '/gateway', undefined, { Authorization: '' });
    expect([status, body]).toEqual([200, { url: simulator.gatewayUrl }]);
  });

  test('GET /gateway/bot tells shards and the session start limit, which IDENTIFY uses up', async () => {
    expect((await call('GET', '/gateway/bot')).body).toEqual({
      url: simulator.gatewayUrl,
      shards: 2,
      session_start_limit: { total: 1000, remaining: 1000, reset_after: 86_400_000, max_concurrency: 4 },
    });
    await identified(simulator, [0, 2]);
    await clock.advance(1000);
    expect((await call('GET', '/gateway/bot')).body.session_start_limit).toMatchObject({
      remaining: 999,
      reset_after: 86_399_000,
    });
  });

  test('who the bot and its application are', async () => {
    expect((await call('GET', '/users/@me')).body).toMatchObject({ id: simulator.world.botUser.id, bot: true });
    for (const path of ['/applications/@me', '/oauth2/applications/@me']) {
      expect((await call('GET', path)).body).toMatchObject({
        id: simulator.world.applicationId,
        verify_key: simulator.publicKey,
      });
    }
  });

  test.each([
    ['Bot wrong', 401],
    ['Bearer x', 401],
    ['', 401],
  ])('authorization %j', async (Authorization, status) => {
    const answer = await call('GET', '/gateway/bot', undefined, { Authorization });
    expect([answer.status, answer.body]).toEqual([status, { message: '401: Unauthorized', code: 0 }]);
    expect(simulator.stats.invalidRequests).toBe(1);
  });

  test('unknown routes, wrong methods, broken JSON', async () => {
    expect(await call('GET', '/nowhere')).toMatchObject({ status: 404, body: { code: 0 } });
    expect(await call('DELETE', '/gateway/bot')).toMatchObject({ status: 405 });
    const channel = (simulator.world.guilds[0] as Guild).textChannelIds[0];
    expect(await call('POST', `/channels/${channel}/messages`, '{"content":')).toMatchObject({
      status: 400,
      body: { code: 50109 },
    });
  });

  test('the public key fits the signatures', () => {
    const headers = simulator.world.signatureHeaders('{"type":1}', '1760000000');
    const key = {
      key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), Buffer.from(simulator.publicKey, 'hex')]),
      format: 'der',
      type: 'spki',
    } as const;
    const signature = Buffer.from(headers['X-Signature-Ed25519'] as string, 'hex');
    expect(verify(null, Buffer.from('1760000000{"type":1}'), key, signature)).toBe(true);
    expect(verify(null, Buffer.from('1760000001{"type":1}'), key, signature)).toBe(false);
  });
});

describe('rate limits', () => {
  test('a bucket tells its state in headers and refuses with 429', async () => {
    await restart({ restBucket: { requests: 2, perMs: 4000 } });
    const first = await call('GET', '/users/@me');
    expect(first.headers.get('x-ratelimit-remaining')).toBe('1');
    await call('GET', '/users/@me');
    const refused = await call('GET', '/users/@me');
    expect(refused).toMatchObject({ status: 429, body: { retry_after: 4, global: false } });
    expect(refused.headers.get('retry-after')).toBe('4');
    expect(refused.headers.get('x-ratelimit-scope')).toBe('user');
    expect((await call('GET', '/applications/@me')).status).toBe(200);
    await clock.advance(4000);
    expect((await call('GET', '/users/@me')).status).toBe(200);
  });

  test('the global limit is shared by all routes but not by interactions', async () => {
    await restart({ restGlobalPerSecond: 1 });
    await call('GET', '/users/@me');
    const refused = await call('GET', '/applications/@me');
    expect(refused).toMatchObject({ status: 429, body: { global: true } });
    expect(refused.headers.get('x-ratelimit-global')).toBe('true');
    expect((await call('POST', '/interactions/1/x/callback', { type: 4 })).body.code).toBe(10062);
  });
});

describe('interactions', () => {
  test('a command travels over the gateway and is answered over REST', async () => {
    const guild = simulator.world.guildsOn({ shardId: 0, shardCount: 2 })[0] as Guild;
    expect(simulator.traffic.sendCommand('ping', guild)).toBeUndefined();
    const { client } = await identified(simulator, [0, 2]);
    simulator.traffic.sendCommand('ping', guild);
    const { d } = await client.dispatch('INTERACTION_CREATE');
    expect(d).toMatchObject({
      type: 2,
      data: { name: 'ping' },
      guild_id: guild.id,
      application_id: simulator.world.applicationId,
    });
    await clock.advance(120);
    const none = { Authorization: '' };
    const callback = `/interactions/${d.id}/${d.token}/callback`;
    const answer = await call('POST', `${callback}?with_response=true`, { type: 4, data: { content: 'pong' } }, none);
    expect(answer).toMatchObject({ status: 200, body: { resource: { type: 4 } } });
    expect(await call('POST', callback, { type: 4 }, none)).toMatchObject({ status: 400, body: { code: 40060 } });
    const webhook = `/webhooks/${d.application_id}/${d.token}`;
    expect((await call('PATCH', `${webhook}/messages/@original`, { content: 'pong!' }, none)).body.content).toBe(
      'pong!',
    );
    expect((await call('POST', webhook, { content: 'more' }, none)).status).toBe(200);
    expect((await call('DELETE', `${webhook}/messages/@original`, undefined, none)).status).toBe(204);
    expect(simulator.interactions.record(d.id)).toMatchObject({
      command: 'ping',
      callbackAfterMs: 120,
      answers: [
        { kind: 'callback' },
        { kind: 'callback', status: 400 },
        { kind: 'editOriginal' },
        { kind: 'followUp' },
        { kind: 'deleteOriginal' },
      ],
    });
    expect(simulator.stats.restCalls['POST /interactions/{interaction}/{token}/callback 200']).toBe(1);
  });

  test('an answer with files is read, too', async () => {
    const guild = simulator.world.guildsOn({ shardId: 0, shardCount: 2 })[0] as Guild;
    await identified(simulator, [0, 2]);
    const interaction = simulator.traffic.sendCommand('ping', guild);
    const form = new FormData();
    form.set('payload_json', JSON.stringify({ type: 4, data: { content: 'see file' } }));
    form.set('files[0]', new Blob(['x']), 'x.txt');
    const url = `${simulator.apiUrl}/interactions/${interaction?.id}/${interaction?.token}/callback`;
    expect((await fetch(url, { method: 'POST', body: form })).status).toBe(204);
    expect(interaction?.answers[0]?.content).toBe('see file');
  });
});

describe('commands', () => {
  const ping = { name: 'ping', description: 'answers' };
  const scope = () => `/applications/${simulator.world.applicationId}/commands`;

  test('bulk overwrite replaces, keeps ids of same names, and is listed', async () => {
    const [first] = (await call('PUT', scope(), [ping, { name: 'shard', description: 'x' }])).body;
    const second = (await call('PUT', scope(), [{ ...ping, description: 'changed' }])).body;
    expect(second).toMatchObject([{ id: first.id, description: 'changed', type: 1, contexts: [0, 1, 2] }]);
    expect((await call('GET', scope())).body).toEqual(second);
    expect(simulator.commands.list()).toHaveLength(1);
  });

  test('create, replace, change, delete', async () => {
    const created = await call('POST', scope(), ping);
    expect(created.status).toBe(201);
    expect(await call('POST', scope(), ping)).toMatchObject({ status: 200, body: { id: created.body.id } });
    const one = `${scope()}/${created.body.id}`;
    expect((await call('PATCH', one, { description: 'new' })).body.description).toBe('new');
    expect((await call('DELETE', one)).status).toBe(204);
    expect(await call('GET', one)).toMatchObject({ status: 404, body: { code: 10063 } });
  });

  test('a guild has its own', async () => {
    const guild = (simulator.world.guilds[0] as Guild).id;
    const path = `/applications/${simulator.world.applicationId}/guilds/${guild}/commands`;
    expect((await call('PUT', path, [ping])).body).toMatchObject([{ guild_id: guild }]);
    expect(simulator.commands.list()).toEqual([]);
    expect((await call('PUT', path.replace(guild, '1'), [ping])).status).toBe(404);
  });

  test.each([
    [[{ name: 'Ping', description: 'upper case' }]],
    [[{ name: 'two words', description: 'x' }]],
    [[{ name: 'ping' }]],
    [[{ name: 'x'.repeat(33), description: 'x' }]],
    [{ name: 'no list' }],
  ])('%j is refused', async (body) => {
    expect(await call('PUT', scope(), body)).toMatchObject({ status: 400, body: { code: 50035 } });
  });

  test('there is a most of each type', async () => {
    const many = Array.from({ length: 101 }, (_, i) => ({ name: `c${i}`, description: 'x' }));
    expect(await call('PUT', scope(), many)).toMatchObject({ status: 400, body: { code: 30032 } });
    expect((await call('PUT', scope(), many.slice(0, 100))).status).toBe(200);
  });
});

describe('messages', () => {
  test('what the bot posts comes back over the gateway', async () => {
    const guild = simulator.world.guildsOn({ shardId: 0, shardCount: 2 })[0] as Guild;
    const { client } = await identified(simulator, [0, 2]);
    const answer = await call('POST', `/channels/${guild.textChannelIds[0]}/messages`, { content: 'héllo' });
    expect(answer).toMatchObject({
      status: 200,
      body: { content: 'héllo', author: { id: simulator.world.botUser.id } },
    });
    const { d } = await client.dispatch('MESSAGE_CREATE');
    expect(d).toMatchObject({ id: answer.body.id, content: 'héllo', guild_id: guild.id, baton_seq: `${guild.id}:1` });
  });

  test.each([
    ['1', { content: 'x' }, 404],
    [undefined, { content: 'x'.repeat(2001) }, 400],
    [undefined, {}, 400],
  ])('channel %s with %j', async (channel, body, status) => {
    const id = channel ?? (simulator.world.guilds[0] as Guild).textChannelIds[0];
    expect((await call('POST', `/channels/${id}/messages`, body)).status).toBe(status);
  });
});

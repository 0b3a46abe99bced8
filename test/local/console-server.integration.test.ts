import { request } from 'node:http';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ConsoleServer } from '../../local/console-server.ts';
import { SyntheticFleet } from '../console/synthetic-fleet.ts';

const snapshot = { phase: 'running', elapsedMs: 5 };
const migrate = JSON.stringify({ kind: 'migrate', shard: 3, to: 'worker-2' });
let server: ConsoleServer;
let fleet: SyntheticFleet;

beforeEach(async () => {
  fleet = new SyntheticFleet({ shards: 4, workers: 2 });
  server = await ConsoleServer.start({ port: 0, state: () => snapshot });
});

afterEach(async () => {
  await server.stop();
  await fleet[Symbol.asyncDispose]();
});

/** `fetch` does not let anybody choose these headers. */
function statusOf(
  path: string,
  { method = 'GET', headers = {}, body = '' }: { method?: string; headers?: Record<string, string>; body?: string },
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request(`${server.url}${path}`, { method, headers }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

test('serves the page under a strict policy, small and for good', async () => {
  const page = await fetch(server.url);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(page.headers.get('content-security-policy')).toContain("default-src 'none'; script-src 'self'");
  const html = await page.text();
  expect(html).toContain('<title>Baton</title>');
  expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
  const script = /src="(\/assets\/[^"]+\.js)"/.exec(html)?.[1];
  const asset = await fetch(`${server.url}${script}`);
  expect(asset.headers.get('content-encoding')).toBe('gzip');
  expect(asset.headers.get('cache-control')).toContain('immutable');
  expect(await asset.text()).toContain('Shard');
}, 60_000);

test('tells the state of the run from the start, and of the fleet once there is one', async () => {
  expect(await (await fetch(`${server.url}/state`)).json()).toEqual(snapshot);
  const early = await fetch(`${server.url}/api/fleet`);
  expect([early.status, await early.json()]).toEqual([
    503,
    { error: { code: 'STARTING', message: 'the fleet is starting' } },
  ]);
  server.attach(fleet);
  expect(await (await fetch(`${server.url}/api/console`)).json()).toEqual({
    updates: 'events',
    mayAct: true,
    hasTail: true,
  });
  expect(await (await fetch(`${server.url}/api/fleet`)).json()).toMatchObject({ shardCount: 4 });
});

test('answers nothing else', async () => {
  server.attach(fleet);
  expect((await fetch(`${server.url}/other`)).status).toBe(404);
  expect((await fetch(`${server.url}/../../package.json`)).status).toBe(404);
  expect((await fetch(`${server.url}/api/secrets`)).status).toBe(404);
  expect((await fetch(`${server.url}/state`, { method: 'POST' })).status).toBe(405);
  expect((await fetch(`${server.url}/api/fleet`, { method: 'DELETE' })).status).toBe(405);
});

test('a link on another site opens the page, and reads nothing else', async () => {
  server.attach(fleet);
  const link = { 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate', 'sec-fetch-dest': 'document' };
  expect(await statusOf('/', { headers: link })).toBe(200);
  expect(await statusOf('/api/fleet', { headers: link })).toBe(403);
  expect(await statusOf('/', { headers: { ...link, 'sec-fetch-dest': 'iframe' } })).toBe(403);
  expect(await statusOf('//', {})).toBe(400);
});

test('a fleet that cannot be read is the typed error', async () => {
  server.attach(fleet);
  fleet.outage = 'coordination table: no answer';
  const answer = await fetch(`${server.url}/api/fleet`).catch(() => undefined);
  expect(answer?.status).toBe(503);
  expect(await answer?.json()).toEqual({
    error: { code: 'STORE_UNREACHABLE', message: 'coordination table: no answer' },
  });
});

test('streams the whole fleet first, then what is new', async () => {
  server.attach(fleet);
  const gone = new AbortController();
  const response = await fetch(`${server.url}/api/events`, { signal: gone.signal });
  const reader = (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  const updates: { shards: { id: number }[] }[] = [];
  let text = '';
  while (updates.length < 3) {
    const { value } = await reader.read();
    text += value ?? '';
    const blocks = text.split('\n\n');
    text = blocks.pop() ?? '';
    for (const block of blocks) {
      if (block.startsWith('event: fleet')) updates.push(JSON.parse(block.slice(block.indexOf('data: ') + 6)) as never);
    }
  }
  gone.abort();
  expect(updates[0]?.shards.map(({ id }) => id)).toEqual([0, 1, 2, 3]);
  expect((updates.at(-1)?.shards.length ?? 9) < 4).toBe(true);
});

describe('actions', () => {
  test('run with the token of this run, and tell how far they have come', async () => {
    server.attach(fleet);
    fleet.answer = [{ progress: 'shard 3: worker-2 opens a connection' }, { done: {}, summary: 'Done' }];
    const answer = await fetch(`${server.url}/api/actions`, {
      method: 'POST',
      headers: { 'x-baton-token': server.token },
      body: migrate,
    });
    expect(answer.status).toBe(200);
    const lines = (await answer.text()).trim().split('\n');
    expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual(fleet.answer);
    expect(fleet.actions).toEqual([{ kind: 'migrate', shard: 3, to: 'worker-2' }]);
  });

  test.each<{ what: string; headers: Record<string, string>; withToken?: boolean; status: number }>([
    { what: 'without a token', headers: {}, status: 401 },
    { what: 'with another token', headers: { 'x-baton-token': 'x'.repeat(43) }, status: 401 },
    { what: 'of another site', headers: { origin: 'https://evil.example' }, withToken: true, status: 403 },
    {
      what: 'of another site in the same browser',
      headers: { 'sec-fetch-site': 'cross-site' },
      withToken: true,
      status: 403,
    },
    {
      what: 'of another port of this machine',
      headers: { origin: 'http://127.0.0.1:1' },
      withToken: true,
      status: 403,
    },
    { what: 'under another name', headers: { host: 'evil.example' }, withToken: true, status: 403 },
  ])('are refused $what, and nothing is done', async ({ headers, withToken, status }) => {
    server.attach(fleet);
    const all: Record<string, string> = { ...(withToken && { 'x-baton-token': server.token }), ...headers };
    const sent = { method: 'POST', headers: all, body: migrate };
    expect(await statusOf('/api/actions', sent)).toBe(status);
    expect(fleet.actions).toEqual([]);
  });

  test('are refused where the console only shows the fleet', async () => {
    server.attach(fleet);
    fleet.mayAct = false;
    const headers = { 'x-baton-token': server.token };
    expect(await statusOf('/api/actions', { method: 'POST', headers, body: migrate })).toBe(403);
  });

  test.each([
    ['no JSON', 'migrate 3', /an action is a JSON object/],
    ['an unknown kind', '{"kind":"explode"}', /not an action/],
    ['a shard that is no number', '{"kind":"migrate","shard":"3","to":"worker-2"}', /shard/],
    ['something more', '{"kind":"drain","worker":"worker-1","force":true}', /force/],
    ['far too much', JSON.stringify({ kind: 'drain', worker: 'x'.repeat(20_000) }), /at most/],
  ])('that are %s are told what is wrong', async (_, body, message) => {
    server.attach(fleet);
    const answer = await fetch(`${server.url}/api/actions`, {
      method: 'POST',
      headers: { 'x-baton-token': server.token },
      body,
    });
    expect(answer.status).toBe(400);
    const { error } = (await answer.json()) as { error: { code: string; message: string } };
    expect(error.code).toBe('REQUEST_INVALID');
    expect(error.message).toMatch(message);
    expect(fleet.actions).toEqual([]);
  });
});

test('refuses a page that another name brought here', async () => {
  expect(await statusOf('/state', { headers: { host: 'evil.example' } })).toBe(403);
  expect(await statusOf('/', { headers: { host: 'evil.example' } })).toBe(403);
});

test('a port that was asked for and is taken is an error; otherwise any will do', async () => {
  const port = Number(new URL(server.url).port);
  await expect(ConsoleServer.start({ port, state: () => snapshot })).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: `port ${port} is in use: choose another with --port, or 0 for any`,
  });
  const first = await ConsoleServer.start({ port: undefined, state: () => snapshot });
  const second = await ConsoleServer.start({ port: undefined, state: () => snapshot });
  expect(first.url).not.toBe(second.url);
  await Promise.all([first.stop(), second.stop()]);
});

import { request } from 'node:http';
import { afterEach, expect, test } from 'vitest';
import { ConsoleServer } from '../../local/console-server.ts';
import type { FleetSnapshot } from '../../local/fleet-snapshot.ts';

const snapshot = { phase: 'running', elapsedMs: 5 } as FleetSnapshot;
let server: ConsoleServer | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

test('serves a page and the state as JSON', async () => {
  server = await ConsoleServer.start(0, () => snapshot);
  const page = await fetch(server.url);
  expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
  expect(await page.text()).toContain('<title>Baton</title>');
  const state = await fetch(`${server.url}/state`);
  expect(state.headers.get('content-type')).toBe('application/json; charset=utf-8');
  expect(await state.json()).toEqual(snapshot);
});

test('answers nothing else', async () => {
  server = await ConsoleServer.start(0, () => snapshot);
  expect((await fetch(`${server.url}/other`)).status).toBe(404);
  expect((await fetch(`${server.url}/state`, { method: 'POST' })).status).toBe(405);
});

test('refuses a page that another name brought here', async () => {
  server = await ConsoleServer.start(0, () => snapshot);
  const { url } = server;
  const status = await new Promise<number | undefined>((resolve, reject) => {
    request(`${url}/state`, { headers: { host: 'evil.example' } }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on('error', reject)
      .end();
  });
  expect(status).toBe(403);
});

test('a port that was asked for and is taken is an error; otherwise any will do', async () => {
  server = await ConsoleServer.start(0, () => snapshot);
  const port = Number(new URL(server.url).port);
  await expect(ConsoleServer.start(port, () => snapshot)).rejects.toMatchObject({
    code: 'PORT_IN_USE',
    message: `port ${port} is in use: choose another with --port, or 0 for any`,
  });
  const first = await ConsoleServer.start(undefined, () => snapshot);
  const second = await ConsoleServer.start(undefined, () => snapshot);
  expect(first.url).not.toBe(second.url);
  await Promise.all([first.stop(), second.stop()]);
});

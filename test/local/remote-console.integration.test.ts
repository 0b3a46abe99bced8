import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ConsoleServer } from '../../local/console-server.ts';
import { RemoteConsole } from '../../local/remote-console.ts';
import { systemClock } from '../../shared/clock.ts';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' };
const received: IncomingMessage[] = [];
let functionUrl: Server;
let url: URL;
let server: ConsoleServer;
let answer: { status: number; body: string };

beforeEach(async () => {
  received.length = 0;
  functionUrl = createServer((request, response) => {
    received.push(request);
    request.resume();
    // As IAM does, before the function sees anything.
    const isSigned = request.headers.authorization?.startsWith('AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/') === true;
    response.writeHead(isSigned ? answer.status : 403, { 'content-type': 'application/json' });
    response.end(isSigned ? answer.body : '{"Message":"Forbidden"}');
  });
  functionUrl.listen(0, '127.0.0.1');
  await once(functionUrl, 'listening');
  url = new URL(`http://127.0.0.1:${(functionUrl.address() as AddressInfo).port}`);
  server = await ConsoleServer.start({ port: 0, state: () => ({}) });
});

afterEach(async () => {
  await server.stop();
  functionUrl.close();
  functionUrl.closeAllConnections();
});

function attach({ operatorUrl, who = credentials }: { operatorUrl?: URL; who?: typeof credentials } = {}): void {
  const signing = { region: 'us-east-1', credentials: () => Promise.resolve(who), clock: systemClock };
  server.attach(new RemoteConsole({ url, operatorUrl, ...signing }));
}

test('what the page asks for goes to the function, signed', async () => {
  attach();
  answer = { status: 200, body: '{"shardCount":16}' };
  expect(await (await fetch(`${server.url}/api/console`)).json()).toEqual({
    updates: 'polling',
    mayAct: false,
    hasTail: false,
  });
  const response = await fetch(`${server.url}/api/series?since=5`);
  expect(await response.json()).toEqual({ shardCount: 16 });
  expect(received.map((request) => request.url)).toEqual(['/api/series?since=5']);
  // The page's own token and cookies stay here.
  expect(received[0]?.headers).not.toHaveProperty('x-baton-token');
});

test('credentials that may not look are told so, and nothing else', async () => {
  attach({ who: { accessKeyId: 'OTHER', secretAccessKey: 'secret' } });
  answer = { status: 200, body: '{"secret":true}' };
  const response = await fetch(`${server.url}/api/fleet`);
  expect(response.status).toBe(503);
  const { error } = (await response.json()) as { error: { code: string; message: string } };
  expect(error.code).toBe('REQUEST_FAILED');
  expect(error.message).toMatch(/refuses these credentials \(403\).*console-reader/);
});

test('actions go to the function of operators alone, and only where there is one', async () => {
  attach();
  const act = () =>
    fetch(`${server.url}/api/actions`, {
      method: 'POST',
      headers: { 'x-baton-token': server.token },
      body: '{"kind":"drain","worker":"worker-1"}',
    });
  expect((await act()).status).toBe(403);
  expect(received).toEqual([]);

  attach({ operatorUrl: url });
  answer = { status: 200, body: '{"progress":"half"}\n{"done":{},"summary":"Done"}\n' };
  expect(await (await act()).text()).toBe(answer.body);
  expect(received.map(({ method, url: path }) => [method, path])).toEqual([['POST', '/api/actions']]);

  answer = { status: 400, body: '{"error":{"code":"REQUEST_INVALID","message":"not an action"}}' };
  expect(await (await act()).text()).toBe('{"error":{"code":"REQUEST_FAILED","message":"not an action"}}\n');
});

test('a function that is not there is an error with its name', async () => {
  attach();
  functionUrl.close();
  functionUrl.closeAllConnections();
  const response = await fetch(`${server.url}/api/fleet`);
  expect(response.status).toBe(503);
  expect(await response.text()).toContain('gives no answer');
});

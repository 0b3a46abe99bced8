import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { afterEach, expect, test, vi } from 'vitest';
import { FunctionUrl, type FunctionUrlOptions, type StreamingHandler } from '../../../local/cloud/function-url.ts';

const ok = { statusCode: 200, headers: { 'content-type': 'text/plain' }, body: 'ok' };

let cleanUp = new AsyncDisposableStack();
afterEach(async () => {
  await cleanUp.disposeAsync();
  cleanUp = new AsyncDisposableStack();
});

async function serve(handler: StreamingHandler, options: Partial<FunctionUrlOptions> = {}): Promise<FunctionUrl> {
  const served = await FunctionUrl.start({ functionName: 'test', handler, ...options });
  cleanUp.defer(() => served.stop());
  return served;
}

test('requests become events: text as it is, everything else in base64, headers in lower case', async () => {
  const events: LambdaFunctionURLEvent[] = [];
  const { url } = await serve(async (event, respond) => {
    events.push(event);
    respond(ok);
  });
  const bytes = Buffer.from([0, 255, 1]);
  await fetch(`${url}a/b?c=d`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', 'X-Own': '1' },
    body: '{"ä":1}',
  });
  await fetch(url, { method: 'PUT', headers: { 'Content-Type': 'application/octet-stream' }, body: bytes });
  await fetch(url);
  expect(events).toMatchObject([
    {
      version: '2.0',
      rawPath: '/a/b',
      rawQueryString: 'c=d',
      headers: { 'x-own': '1' },
      body: '{"ä":1}',
      isBase64Encoded: false,
    },
    { requestContext: { http: { method: 'PUT' } }, body: bytes.toString('base64'), isBase64Encoded: true },
    { requestContext: { http: { method: 'GET' } }, isBase64Encoded: false },
  ]);
  expect(events[2]).not.toHaveProperty('body');
});

test('the response is out while the function goes on, and the end waits for it', async () => {
  const goOn = Promise.withResolvers<void>();
  let ended = false;
  const served = await serve(async (_, respond) => {
    respond(ok);
    await goOn.promise;
    ended = true;
  });
  expect(await (await fetch(served.url)).text()).toBe('ok');
  expect({ ended, running: served.stats.concurrentExecutions }).toEqual({ ended: false, running: 1 });
  const stopped = served.stop();
  goOn.resolve();
  await stopped;
  expect(ended).toBe(true);
});

test('a function that throws before its response is a 502, after it nobody hears of it', async () => {
  let respondsFirst = false;
  const served = await serve(async (_, respond) => {
    if (respondsFirst) respond(ok);
    throw new Error('no');
  });
  expect((await fetch(served.url)).status).toBe(502);
  respondsFirst = true;
  expect((await fetch(served.url)).status).toBe(200);
  await vi.waitFor(() => expect(served.stats).toMatchObject({ invocations: 2, errors: 2 }));
});

test('beyond its concurrency requests are refused', async () => {
  const goOn = Promise.withResolvers<void>();
  const served = await serve(
    async (_, respond) => {
      await goOn.promise;
      respond(ok);
    },
    { maximumConcurrency: 1 },
  );
  const first = fetch(served.url);
  await vi.waitFor(() => expect(served.stats.concurrentExecutions).toBe(1));
  expect((await fetch(served.url)).status).toBe(429);
  goOn.resolve();
  expect((await first).status).toBe(200);
});

test('a port that is taken is named', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  await expect(serve(async () => {}, { port })).rejects.toThrow(`port ${port} is in use`);
  taken.close();
});

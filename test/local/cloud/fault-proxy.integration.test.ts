import { once } from 'node:events';
import { Agent, createServer, type IncomingMessage, request as startRequest } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { CreateTableCommand, GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type AwsService, FaultProxy } from '../../../local/cloud/fault-proxy.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';
import { emulatorSettings, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';

interface Seen {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly body: string;
}

let upstream: { url: string; seen: Seen[]; sockets: Set<Socket>; hold: Promise<void> | undefined };
let clock: ManualClock;
let proxy: FaultProxy;
let agent: Agent;

beforeEach(async () => {
  const seen: Seen[] = [];
  const sockets = new Set<Socket>();
  upstream = { url: '', seen, sockets, hold: undefined };
  const server = createServer((request, response) => {
    void buffer(request).then(async (body) => {
      const { method = '', url = '', headers } = request;
      seen.push({ method, path: url, host: headers.host ?? '', body: body.toString() });
      response.writeHead(201, { 'x-said': 'by the service' });
      response.write('first;');
      await upstream.hold;
      response.end(`echo of ${body.toString()}`);
    });
  });
  server.on('connection', (socket: Socket) => sockets.add(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  upstream.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  clock = new ManualClock();
  proxy = await startProxy('dynamodb', upstream.url);
  agent = new Agent({ keepAlive: true });
  onTestFinished(() => {
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });
});

afterEach(() => {
  expect(clock.pendingTimers).toBeLessThanOrEqual(1);
});

async function startProxy(service: AwsService, url: string): Promise<FaultProxy> {
  const started = await FaultProxy.start({ service, upstream: url, clock, random: seededRandom(1) });
  onTestFinished(() => started.stop());
  return started;
}

function send(body: string, operation = 'PutItem'): { answer: Promise<IncomingMessage>; abort: () => void } {
  const request = startRequest(`${proxy.url}/path?query`, {
    method: 'POST',
    agent,
    headers: { 'x-amz-target': `DynamoDB_20120810.${operation}` },
  });
  const answer = once(request, 'response').then(([response]) => response as IncomingMessage);
  // Whoever is interested awaits it.
  answer.catch(() => {});
  request.end(body);
  return { answer, abort: () => request.destroy() };
}

/** `<status> <body>` or the code of the failure. */
async function outcome({ answer }: { answer: Promise<IncomingMessage> }): Promise<string> {
  try {
    const response = await answer;
    return `${response.statusCode} ${(await buffer(response)).toString()}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}

const passed = (body: string) => `201 first;echo of ${body}`;
const bodies = () => upstream.seen.map(({ body }) => body);

describe('without a fault', () => {
  test('requests and answers pass as they are, over connections that are kept', async () => {
    expect(await outcome(send('one'))).toBe(passed('one'));
    expect(await outcome(send('two'))).toBe(passed('two'));
    const { answer } = send('three');
    expect((await answer).headers).toMatchObject({ 'x-said': 'by the service' });
    await buffer(await answer);
    expect(upstream.seen[0]).toEqual({
      method: 'POST',
      path: '/path?query',
      host: new URL(upstream.url).host,
      body: 'one',
    });
    expect(upstream.sockets.size).toBe(1);
    expect(Object.values(agent.freeSockets).flat()).toHaveLength(1);
  });

  test('an answer streams: its first part is there before its last', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    upstream.hold = promise;
    const response = await send('long').answer;
    const [first] = (await once(response, 'data')) as [Buffer];
    expect(first.toString()).toBe('first;');
    resolve();
    expect((await buffer(response)).toString()).toBe('echo of long');
  });

  test('an upstream that is gone is a connection that ends', async () => {
    proxy = await startProxy('sqs', 'http://127.0.0.1:1');
    expect(await outcome(send('lost'))).toBe('ECONNRESET');
  });
});

describe('faults', () => {
  test('error: 500 and nothing carried out, until it is lifted', async () => {
    const fault = proxy.impose({ kind: 'error' });
    expect(await outcome(send('one'))).toMatch(/^500 .*InternalServerError/);
    expect(bodies()).toEqual([]);
    fault.lift();
    fault.lift();
    expect(await outcome(send('two'))).toBe(passed('two'));
    expect(proxy.struck).toEqual(new Map([['error', 1]]));
  });

  test('throttle: what the service says then, for as long as was asked', async () => {
    proxy.impose({ kind: 'throttle' }, { forMs: 1000 });
    await clock.advance(999);
    expect(await outcome(send('one'))).toMatch(/^400 .*ProvisionedThroughputExceededException/);
    await clock.advance(1);
    expect(await outcome(send('two'))).toBe(passed('two'));
  });

  test('hang: no answer, nothing carried out, and the connection cut at the end', async () => {
    const fault = proxy.impose({ kind: 'hang' });
    const sent = send('one');
    await vi.waitFor(() => expect(proxy.struck.get('hang')).toBe(1));
    expect(await Promise.race([outcome(sent), outcome(send('two', 'Other')), systemClock.sleep(50)])).toBeUndefined();
    fault.lift();
    expect(await outcome(sent)).toBe('ECONNRESET');
    expect(bodies()).toEqual([]);
  });

  test.each(['reset', 'silence'] as const)('lost answer (%s): carried out, not answered', async (how) => {
    const fault = proxy.impose({ kind: 'loseAnswer', how });
    const sent = send('one');
    if (how === 'silence') {
      await vi.waitFor(() => expect(bodies()).toEqual(['one']));
      expect(await Promise.race([outcome(sent), systemClock.sleep(50)])).toBeUndefined();
      fault.lift();
    }
    expect(await outcome(sent)).toBe('ECONNRESET');
    expect(bodies()).toEqual(['one']);
  });

  test('delay: carried out late', async () => {
    proxy.impose({ kind: 'delay', byMs: 500 });
    const sent = send('one');
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(1));
    await clock.advance(499);
    expect(bodies()).toEqual([]);
    await clock.advance(1);
    expect(await outcome(sent)).toBe(passed('one'));
  });

  test('delay: carried out even when the sender has given up', async () => {
    proxy.impose({ kind: 'delay', byMs: 500 });
    const sent = send('given up');
    await vi.waitFor(() => expect(clock.pendingTimers).toBe(1));
    sent.abort();
    await clock.advance(500);
    await vi.waitFor(() => expect(bodies()).toEqual(['given up']));
  });

  test('duplicate: answered once, carried out twice', async () => {
    proxy.impose({ kind: 'duplicate', afterMs: 500 });
    expect(await outcome(send('one'))).toBe(passed('one'));
    expect(bodies()).toEqual(['one']);
    await clock.advance(500);
    await vi.waitFor(() => expect(bodies()).toEqual(['one', 'one']));
  });

  test('refused connections: open ones end, new ones are refused, later they are taken again', async () => {
    expect(await outcome(send('one'))).toBe(passed('one'));
    proxy.refuseConnections({ forMs: 1000 });
    await vi.waitFor(async () => expect(await outcome(send('two'))).toBe('ECONNREFUSED'));
    await clock.advance(1000);
    await vi.waitFor(async () => expect(await outcome(send('three'))).toBe(passed('three')));
    expect(bodies()).toEqual(['one', 'three']);
  });

  test('strike only the operations named, and only the share asked for', async () => {
    proxy.impose({ kind: 'error' }, { operations: ['UpdateItem'], probability: 0.5 });
    for (let n = 0; n < 20; n += 1) expect(await outcome(send('get', 'GetItem'))).toBe(passed('get'));
    for (let n = 0; n < 100; n += 1) await outcome(send('update', 'UpdateItem'));
    expect(proxy.struck.get('error')).toBeGreaterThan(25);
    expect(proxy.struck.get('error')).toBeLessThan(75);
    expect(bodies().filter((body) => body === 'update')).toHaveLength(100 - (proxy.struck.get('error') as number));
  });

  test('stopping cuts what hangs and drops what was to come', async () => {
    const hanging = proxy.impose({ kind: 'hang' }, { operations: ['Hang'] });
    proxy.impose({ kind: 'duplicate', afterMs: 500 });
    const hung = send('hung', 'Hang');
    expect(await outcome(send('one'))).toBe(passed('one'));
    await vi.waitFor(() => expect(proxy.struck.get('hang')).toBe(1));
    await proxy.stop();
    expect(await outcome(hung)).toBe('ECONNRESET');
    hanging.lift();
    expect(bodies()).toEqual(['one']);
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('before the emulators, with the AWS SDK', () => {
  test('DynamoDB: a write whose answer is lost has happened; errors have the names that the SDK knows', async () => {
    await using dynalite = await startDynalite();
    proxy = await startProxy('dynamodb', dynalite.settings.endpoint as string);
    const client = createDynamoDBClient('coordination', emulatorSettings(proxy.url));
    onTestFinished(() => client.destroy());
    await client.send(
      new CreateTableCommand({
        TableName: 'things',
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    const put = (id: string) => client.send(new PutItemCommand({ TableName: 'things', Item: { id: { S: id } } }));
    const lost = proxy.impose({ kind: 'loseAnswer', how: 'reset' }, { operations: ['PutItem'] });
    await expect(put('a')).rejects.toThrow();
    lost.lift();
    const get = new GetItemCommand({ TableName: 'things', Key: { id: { S: 'a' } }, ConsistentRead: true });
    expect((await client.send(get)).Item).toEqual({ id: { S: 'a' } });

    const throttle = proxy.impose({ kind: 'throttle' });
    await expect(put('b')).rejects.toMatchObject({ name: 'ProvisionedThroughputExceededException' });
    throttle.lift();
    const error = proxy.impose({ kind: 'error' });
    await expect(put('b')).rejects.toMatchObject({ name: 'InternalServerError' });
    error.lift();
    proxy.impose({ kind: 'hang' });
    const startedAtMs = systemClock.monotonicMs();
    await expect(put('b')).rejects.toMatchObject({ name: 'TimeoutError' });
    expect(systemClock.monotonicMs() - startedAtMs).toBeGreaterThan(1500);
  });

  test('SQS: queue URLs work on every way to the queue; throttling and errors are told apart', async () => {
    await using fauxqs = await startFauxqs();
    proxy = await startProxy('sqs', fauxqs.settings.endpoint as string);
    const other = await startProxy('sqs', fauxqs.settings.endpoint as string);
    const [one, two] = [proxy, other].map(({ url }) => createSqsClient('publishing', emulatorSettings(url)));
    onTestFinished(() => {
      one?.destroy();
      two?.destroy();
    });
    const { QueueUrl } = (await one?.send(new CreateQueueCommand({ QueueName: 'letters' }))) ?? {};
    const message = new SendMessageCommand({ QueueUrl, MessageBody: 'hello' });
    expect((await two?.send(message))?.MessageId).toBeDefined();
    other.impose({ kind: 'throttle' });
    await expect(two?.send(message)).rejects.toMatchObject({ name: 'RequestThrottled' });
    expect((await one?.send(message))?.MessageId).toBeDefined();
    proxy.impose({ kind: 'error' });
    await expect(one?.send(message)).rejects.toMatchObject({ $metadata: { httpStatusCode: 500 } });
  });
});

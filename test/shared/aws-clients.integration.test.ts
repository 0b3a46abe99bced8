import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { GetItemCommand } from '@aws-sdk/client-dynamodb';
import { GetQueueAttributesCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type AwsClientSettings, createDynamoDBClient, createSqsClient } from '../../shared/aws-clients.ts';

/** A server that counts requests and knows its sockets. */
class Endpoint implements AsyncDisposable {
  readonly sockets = new Set<Socket>();
  requests = 0;
  connections = 0;
  readonly #server: Server;

  static async start(answer: RequestListener): Promise<Endpoint> {
    const endpoint = new Endpoint(answer);
    endpoint.#server.listen(0, '127.0.0.1');
    await once(endpoint.#server, 'listening');
    return endpoint;
  }

  private constructor(answer: RequestListener) {
    this.#server = createServer((request, response) => {
      this.requests += 1;
      answer(request, response);
    });
    this.#server.on('connection', (socket) => {
      this.connections += 1;
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get settings(): AwsClientSettings {
    return {
      endpoint: this.url,
      region: 'us-east-1',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

const neverAnswers: RequestListener = () => {};
const stallsInsideTheBody: RequestListener = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0', 'content-length': 1000 });
  response.write('{');
};
const isBroken: RequestListener = (_request, response) => {
  response.writeHead(500, { 'content-type': 'application/x-amz-json-1.0' });
  response.end('{"__type":"InternalServerError"}');
};

const send = new SendMessageCommand({ QueueUrl: 'http://queues.invalid/000000000000/events', MessageBody: 'x' });
const ask = new GetQueueAttributesCommand({ QueueUrl: 'http://queues.invalid/000000000000/events' });
const get = new GetItemCommand({ TableName: 'table', Key: { pk: { S: 'a' } } });
const givenUp = /timed out|requestTimeout|aborted/;

async function durationMs(run: () => Promise<unknown>): Promise<number> {
  const startedAtMs = performance.now();
  await run();
  return performance.now() - startedAtMs;
}

afterEach(() => vi.unstubAllEnvs());

describe.concurrent('an endpoint that hangs', () => {
  for (const [words, answer] of [
    ['never answers', neverAnswers],
    ['stalls inside the body', stallsInsideTheBody],
  ] as const) {
    test(`publishing gives up after 5 s, once, and destroys the socket when the endpoint ${words}`, async () => {
      await using endpoint = await Endpoint.start(answer);
      const sqs = createSqsClient('publishing', endpoint.settings);
      const tookMs = await durationMs(() => expect(sqs.send(send)).rejects.toThrow(givenUp));
      expect(tookMs).toBeGreaterThan(4900);
      expect(tookMs).toBeLessThan(6000);
      expect(endpoint.requests).toBe(1);
      await vi.waitUntil(() => endpoint.sockets.size === 0, 1000);
      sqs.destroy();
    });

    test(`coordination gives up after 2 s, once, and destroys the socket when the endpoint ${words}`, async () => {
      await using endpoint = await Endpoint.start(answer);
      const dynamodb = createDynamoDBClient('coordination', endpoint.settings);
      const tookMs = await durationMs(() => expect(dynamodb.send(get)).rejects.toThrow(givenUp));
      expect(tookMs).toBeGreaterThan(1900);
      expect(tookMs).toBeLessThan(3000);
      expect(endpoint.requests).toBe(1);
      await vi.waitUntil(() => endpoint.sockets.size === 0, 1000);
      dynamodb.destroy();
    });
  }

  test('an aborted request destroys its socket at once', async () => {
    await using endpoint = await Endpoint.start(neverAnswers);
    const sqs = createSqsClient('receiving', endpoint.settings);
    const abort = new AbortController();
    const rejected = expect(sqs.send(ask, { abortSignal: abort.signal })).rejects.toThrow('aborted');
    await vi.waitUntil(() => endpoint.requests === 1);
    abort.abort();
    await rejected;
    await vi.waitUntil(() => endpoint.sockets.size === 0, 1000);
    sqs.destroy();
  });

  test('a long poll of more than 5 s is waited for', async () => {
    await using endpoint = await Endpoint.start((_request, response) => {
      setTimeout(() => response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}'), 5500);
    });
    const sqs = createSqsClient('receiving', endpoint.settings);
    await sqs.send(ask);
    expect(endpoint.requests).toBe(1);
    sqs.destroy();
  });
});

test('retries of sends and of coordination are the caller’s', async () => {
  await using endpoint = await Endpoint.start(isBroken);
  const sqs = createSqsClient('publishing', endpoint.settings);
  const dynamodb = createDynamoDBClient('coordination', endpoint.settings);
  await expect(sqs.send(send)).rejects.toThrow();
  await expect(dynamodb.send(get)).rejects.toThrow();
  expect(endpoint.requests).toBe(2);
  sqs.destroy();
  dynamodb.destroy();
});

test('endpoints come from the SDK’s environment, whatever host a queue URL names; sockets are used again', async () => {
  await using endpoint = await Endpoint.start((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}');
  });
  vi.stubEnv('AWS_ENDPOINT_URL_SQS', endpoint.url);
  vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', endpoint.url);
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'test');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'test');
  const sqs = createSqsClient('publishing');
  const dynamodb = createDynamoDBClient('coordination');
  await sqs.send(ask);
  await sqs.send(ask);
  await dynamodb.send(get);
  await dynamodb.send(get);
  expect(endpoint.requests).toBe(4);
  expect(endpoint.connections).toBe(2);
  sqs.destroy();
  dynamodb.destroy();
});

test('no request is held back before its time limit begins, whatever AWS_RETRY_MODE says', async () => {
  vi.stubEnv('AWS_RETRY_MODE', 'adaptive');
  const clients = [createDynamoDBClient('coordination'), createSqsClient('publishing')];
  for (const client of clients) {
    expect(await client.config.retryStrategy()).toMatchObject({ mode: 'standard' });
    client.destroy();
  }
});

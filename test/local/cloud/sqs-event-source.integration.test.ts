import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import {
  CreateQueueCommand,
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  type MessageAttributeValue,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { Context, SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../../local/cloud/embedded-cloud.ts';
import { type EventSource, type EventSourceOptions, startEventSource } from '../../../local/cloud/sqs-event-source.ts';
import { createSqsClient } from '../../../shared/aws-clients.ts';
import { type LogLine, RecordingLogger } from '../../shared/recording-logger.ts';

let cloud: EmbeddedCloud;
let sqs: SQSClient;
const sources: EventSource[] = [];

beforeAll(async () => {
  cloud = await startEmbeddedCloud();
  for (const [name, value] of Object.entries(cloud.environment)) vi.stubEnv(name, value);
  sqs = createSqsClient('general');
});

afterEach(async () => {
  await Promise.all(sources.splice(0).map((source) => source.stop({ withinMs: 3000 })));
});

afterAll(async () => {
  sqs.destroy();
  vi.unstubAllEnvs();
  await cloud.stop();
});

let queueCount = 0;

interface Queue {
  readonly url: string;
  readonly deadLettersUrl: string;
  readonly arn: string;
}

async function newQueue({
  fifo = true,
  visibilitySeconds = 30,
  maxReceiveCount = 100,
}: {
  fifo?: boolean;
  visibilitySeconds?: number;
  maxReceiveCount?: number;
} = {}): Promise<Queue> {
  queueCount += 1;
  const suffix = fifo ? '.fifo' : '';
  const create = async (name: string, attributes: Record<string, string>): Promise<string> => {
    const { QueueUrl } = await sqs.send(
      new CreateQueueCommand({
        QueueName: `${name}${suffix}`,
        Attributes: { ...(fifo && { FifoQueue: 'true' }), ...attributes },
      }),
    );
    return QueueUrl as string;
  };
  const deadLettersUrl = await create(`dead${queueCount}`, {});
  const deadLetterTargetArn = await arnOf(deadLettersUrl);
  const url = await create(`queue${queueCount}`, {
    VisibilityTimeout: String(visibilitySeconds),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount }),
  });
  return { url, deadLettersUrl, arn: await arnOf(url) };
}

async function arnOf(queueUrl: string): Promise<string> {
  const { Attributes } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['QueueArn'] }),
  );
  return Attributes?.['QueueArn'] as string;
}

/** Sends bodies such as `a1` in order: what comes before the number is the group of a FIFO queue. */
async function send(
  { url }: Queue,
  bodies: readonly string[],
  attributes?: Record<string, MessageAttributeValue>,
): Promise<void> {
  for (let from = 0; from < bodies.length; from += 10) {
    const { Failed } = await sqs.send(
      new SendMessageBatchCommand({
        QueueUrl: url,
        Entries: bodies.slice(from, from + 10).map((body, index) => ({
          Id: String(index),
          MessageBody: body,
          ...(url.endsWith('.fifo') && { MessageGroupId: groupOf(body), MessageDeduplicationId: body }),
          ...(attributes && { MessageAttributes: attributes }),
        })),
      }),
    );
    expect(Failed ?? []).toEqual([]);
  }
}

const groupOf = (body: string) => body.replace(/\d+$/, '');
const bodiesOf = ({ Records }: SQSEvent) => Records.map(({ body }) => body);
const failures = (records: readonly SQSRecord[]): SQSBatchResponse => ({
  batchItemFailures: records.map(({ messageId }) => ({ itemIdentifier: messageId })),
});

async function start(
  queue: Queue,
  handler: EventSourceOptions['handler'],
  options: Partial<EventSourceOptions> = {},
): Promise<EventSource> {
  const source = await startEventSource({ sqs, queueUrl: queue.url, functionName: 'events', handler, ...options });
  sources.push(source);
  return source;
}

function until(condition: () => unknown, timeout = 10_000): Promise<unknown> {
  return vi.waitUntil(condition, { timeout, interval: 10 });
}

describe('an invocation', () => {
  test('gets the message as Lambda shows it', async () => {
    const queue = await newQueue();
    const seen: { event: SQSEvent; context: Context; remainingMs: number }[] = [];
    await start(queue, async (event, context) => {
      seen.push({ event, context, remainingMs: context.getRemainingTimeInMillis() });
    });
    const binary = Uint8Array.of(0, 1, 254, 255);
    const sentAtMs = Date.now();
    await send(queue, ['16.3-1'], {
      events: { DataType: 'Binary', BinaryValue: binary },
      kind: { DataType: 'String', StringValue: 'test' },
    });
    await until(() => seen.length === 1);
    const record = seen[0]?.event.Records[0] as SQSRecord;
    expect(record).toMatchObject({
      body: '16.3-1',
      eventSource: 'aws:sqs',
      eventSourceARN: queue.arn,
      awsRegion: 'us-east-1',
      attributes: {
        ApproximateReceiveCount: '1',
        MessageGroupId: '16.3-',
        MessageDeduplicationId: '16.3-1',
        SequenceNumber: expect.stringMatching(/^\d{20}$/),
        SenderId: expect.any(String),
      },
      messageAttributes: {
        events: { dataType: 'Binary', binaryValue: Buffer.from(binary).toString('base64') },
        kind: { dataType: 'String', stringValue: 'test', stringListValues: [], binaryListValues: [] },
      },
      md5OfBody: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    expect(Math.abs(Number(record.attributes.SentTimestamp) - sentAtMs)).toBeLessThan(5000);
    expect(seen[0]?.remainingMs).toBeGreaterThan(29_000);
    expect(seen[0]?.context.functionName).toBe('events');
  });

  test('gets up to ten messages, and no more than asked for', async () => {
    const queue = await newQueue({ fifo: false });
    const bodies = Array.from({ length: 40 }, (_, index) => `m${index}`);
    await send(queue, bodies);
    const sizes: number[] = [];
    const source = await start(queue, async ({ Records }) => void sizes.push(Records.length), { batchSize: 4 });
    await until(() => source.stats.messagesDeleted === 40);
    expect(Math.max(...sizes)).toBe(4);
  });
});

describe('a FIFO queue', () => {
  test('keeps the order of each group over many batches, runs groups in parallel, and one group never twice', async () => {
    const queue = await newQueue();
    const groups = Array.from({ length: 12 }, (_, index) => `g${index}-`);
    const received = new Map<string, string[]>(groups.map((group) => [group, []]));
    const running = new Set<string>();
    const overlaps: string[] = [];
    const source = await start(
      queue,
      async (event) => {
        const groupsOfBatch = new Set(bodiesOf(event).map(groupOf));
        for (const group of groupsOfBatch) {
          if (running.has(group)) overlaps.push(group);
          running.add(group);
        }
        await new Promise((resolve) => setTimeout(resolve, event.Records.length));
        for (const body of bodiesOf(event)) received.get(groupOf(body))?.push(body);
        for (const group of groupsOfBatch) running.delete(group);
      },
      { pollerCount: 3 },
    );
    for (let index = 0; index < 40; index += 1)
      await send(
        queue,
        groups.map((group) => `${group}${index}`),
      );
    await until(() => source.stats.messagesDeleted === 480, 30_000);
    for (const group of groups) {
      expect(received.get(group)).toEqual(Array.from({ length: 40 }, (_, index) => `${group}${index}`));
    }
    expect(overlaps).toEqual([]);
    expect(source.stats.maxConcurrentExecutions).toBeGreaterThan(1);
    expect(source.stats.invocations).toBeGreaterThan(48);
  });

  test('gives failed messages and what follows them in their group again, in order; the rest is done', async () => {
    const queue = await newQueue({ visibilitySeconds: 1 });
    const calls: string[][] = [];
    let broken = true;
    const source = await start(
      queue,
      async (event) => {
        calls.push(bodiesOf(event));
        if (!broken) return undefined;
        broken = false;
        return failures(event.Records.filter(({ body }) => body === 'a2' || body === 'a3'));
      },
      { functionTimeoutMs: 1000 },
    );
    await send(queue, ['a1', 'a2', 'a3', 'b1']);
    await until(() => source.stats.messagesDeleted === 2);
    await send(queue, ['a4', 'b2']);
    await until(() => source.stats.messagesDeleted === 6);
    expect(calls[0]).toEqual(['a1', 'a2', 'a3', 'b1']);
    expect(
      calls
        .slice(1)
        .flat()
        .filter((body) => groupOf(body) === 'a'),
    ).toEqual(['a2', 'a3', 'a4']);
    expect(
      calls
        .slice(1)
        .flat()
        .filter((body) => groupOf(body) === 'b'),
    ).toEqual(['b2']);
    expect(source.stats).toMatchObject({ messagesFailed: 2, messagesOutOfOrder: 0, errors: 0 });
  });

  test('loses its order when the function does not report what follows a failed message, and that is said', async () => {
    const queue = await newQueue({ visibilitySeconds: 1 });
    const lines: LogLine[] = [];
    const calls: string[][] = [];
    const source = await start(
      queue,
      async (event) => {
        calls.push(bodiesOf(event));
        return calls.length === 1 ? failures(event.Records.filter(({ body }) => body === 'a1')) : undefined;
      },
      { functionTimeoutMs: 1000, logger: new RecordingLogger(lines) },
    );
    await send(queue, ['a1', 'a2']);
    await until(() => source.stats.messagesDeleted === 2);
    expect(calls).toEqual([['a1', 'a2'], ['a1']]);
    expect(source.stats.messagesOutOfOrder).toBe(1);
    expect(lines.map(({ message }) => message).join()).toMatch(/done after a failed one of their group/);
  });

  test('moves a poison message to the dead-letter queue after so many receives, and the group goes on', async () => {
    const queue = await newQueue({ visibilitySeconds: 1, maxReceiveCount: 3 });
    const receiveCounts: string[] = [];
    const done: string[] = [];
    const source = await start(
      queue,
      async ({ Records }) => {
        const from = Records.findIndex(({ body }) => body === 'a1');
        if (from >= 0) receiveCounts.push(Records[from]?.attributes.ApproximateReceiveCount ?? '');
        const kept = from < 0 ? [] : Records.slice(from);
        done.push(...Records.slice(0, Records.length - kept.length).map(({ body }) => body));
        return failures(kept);
      },
      { functionTimeoutMs: 1000, batchSize: 1 },
    );
    await send(queue, ['a1', 'a2', 'a3']);
    await until(() => source.stats.messagesDeleted === 2);
    expect(receiveCounts).toEqual(['1', '2', '3']);
    expect(done).toEqual(['a2', 'a3']);
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue.deadLettersUrl }));
    expect(Messages?.map(({ Body }) => Body)).toEqual(['a1']);
  });
});

describe('a batch fails as a whole, and comes back, when the function', () => {
  const wrongAnswers: [string, EventSourceOptions['handler']][] = [
    ['throws', () => Promise.reject(new Error('broken'))],
    ['takes too long', () => new Promise(() => {})],
    ['names a message of another batch', async () => ({ batchItemFailures: [{ itemIdentifier: 'x' }] })],
    ['names nothing', async () => ({ batchItemFailures: [{ itemIdentifier: '' }] })],
  ];
  test.each(wrongAnswers)('%s', async (_words, answer) => {
    const queue = await newQueue({ fifo: false, visibilitySeconds: 1 });
    const seen: string[] = [];
    let broken = true;
    const source = await start(
      queue,
      (event, context) => {
        seen.push(...event.Records.map(({ body, attributes }) => `${body}:${attributes.ApproximateReceiveCount}`));
        if (!broken) return Promise.resolve();
        broken = false;
        return answer(event, context);
      },
      { functionTimeoutMs: 200 },
    );
    await send(queue, ['m1', 'm2']);
    await until(() => source.stats.messagesDeleted === 2);
    expect(seen.toSorted()).toEqual(['m1:1', 'm1:2', 'm2:1', 'm2:2']);
    expect(source.stats.messagesFailed).toBe(2);
  });
});

test('never runs more invocations than allowed', async () => {
  const queue = await newQueue({ fifo: false });
  await send(
    queue,
    Array.from({ length: 30 }, (_, index) => `m${index}`),
  );
  let concurrent = 0;
  let most = 0;
  const source = await start(
    queue,
    async () => {
      concurrent += 1;
      most = Math.max(most, concurrent);
      await new Promise((resolve) => setTimeout(resolve, 20));
      concurrent -= 1;
    },
    { batchSize: 1, maximumConcurrency: 3, pollerCount: 5 },
  );
  await until(() => source.stats.messagesDeleted === 30);
  expect(most).toBe(3);
});

test('deletes again what SQS did not take, so that the function does not get it twice', async () => {
  const queue = await newQueue({ visibilitySeconds: 2 });
  const client = createSqsClient('general');
  let refused = 0;
  client.middlewareStack.add(
    (next, context) => async (args) => {
      if (context.commandName === 'DeleteMessageBatchCommand' && refused < 1) {
        refused += 1;
        throw new Error('connection reset');
      }
      return next(args);
    },
    { step: 'initialize' },
  );
  const seen: string[] = [];
  const source = await start(queue, async (event) => void seen.push(...bodiesOf(event)), {
    sqs: client,
    functionTimeoutMs: 1000,
  });
  await send(queue, ['a1']);
  await until(() => source.stats.messagesDeleted === 1);
  expect([refused, seen]).toEqual([1, ['a1']]);
  await source.stop();
  client.destroy();
});

test('goes on when the queue is back after an outage, without a storm of requests', async () => {
  const queue = await newQueue();
  const lines: LogLine[] = [];
  const seen: string[] = [];
  const source = await start(queue, async (event) => void seen.push(...bodiesOf(event)), {
    pollerCount: 1,
    logger: new RecordingLogger(lines),
  });
  await sqs.send(new DeleteQueueCommand({ QueueUrl: queue.url }));
  await until(() => source.stats.receiveErrors >= 3);
  expect(lines.filter(({ message }) => message.startsWith('cannot receive'))).toHaveLength(1);
  const name = new URL(queue.url).pathname.split('/').at(-1) as string;
  await sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: { FifoQueue: 'true' } }));
  await send(queue, ['a1']);
  await until(() => seen.length === 1);
  expect(source.stats.receiveErrors).toBeLessThan(20);
});

test('carries the load of a fleet without spinning', async () => {
  const queue = await newQueue();
  const source = await start(queue, async () => {});
  const idle = source.stats.receives;
  const groups = Array.from({ length: 16 }, (_, index) => `g${index}-`);
  const startedAtMs = performance.now();
  let sends = 0;
  for (let round = 0; round < 100; round += 1) {
    await send(
      queue,
      groups.map((group) => `${group}${round}`),
    );
    sends += 2;
  }
  await until(() => source.stats.messagesDeleted === 1600, 30_000);
  // 64 envelopes a second is what 2,000 events a second come to.
  expect(1600 / ((performance.now() - startedAtMs) / 1000)).toBeGreaterThan(200);
  // Every send and every deletion may wake both polls, and one of them in vain.
  expect(source.stats.receives - idle).toBeLessThan(2 * (sends + source.stats.invocations) + 20);
});

describe('stopping', () => {
  test('waits for running invocations, deletes what they did and takes nothing more', async () => {
    const queue = await newQueue();
    const gate = Promise.withResolvers<void>();
    const source = await start(queue, () => gate.promise, { maximumConcurrency: 1 });
    await send(queue, ['a1']);
    await until(() => source.stats.concurrentExecutions === 1);
    let stopped = false;
    const stopping = source.stop().then(() => (stopped = true));
    await send(queue, ['b1']);
    expect(stopped).toBe(false);
    gate.resolve();
    await stopping;
    expect(source.stats).toMatchObject({ messagesDeleted: 1, concurrentExecutions: 0 });
    const { Messages } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue.url, MaxNumberOfMessages: 10 }));
    expect(Messages?.map(({ Body }) => Body)).toEqual(['b1']);
  });

  test('loses no message to a poll under way: it is still handled, or still there', async () => {
    const queue = await newQueue();
    const seen: string[] = [];
    const source = await start(queue, async (event) => void seen.push(...bodiesOf(event)));
    await until(() => source.stats.receives === 2);
    const stopping = source.stop();
    await send(queue, ['a1']);
    await stopping;
    const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue.url }));
    expect([...seen, ...Messages.map(({ Body }) => Body)]).toEqual(['a1']);
  });

  test('does not wait longer than it is told, and says what it gave up', async () => {
    const queue = await newQueue();
    const lines: LogLine[] = [];
    const source = await start(queue, () => new Promise(() => {}), { logger: new RecordingLogger(lines) });
    await send(queue, ['a1']);
    await until(() => source.stats.concurrentExecutions === 1);
    const startedAtMs = performance.now();
    await source.stop({ withinMs: 300 });
    await source.stop({ withinMs: 300 });
    expect(performance.now() - startedAtMs).toBeLessThan(2000);
    expect(lines.map(({ message }) => message).join()).toMatch(/still running at the end of the stop/);
  });

  test('leaves nothing behind that keeps a process alive', async () => {
    const program = spawn(process.execPath, [join(import.meta.dirname, 'event-source-program.ts')]);
    const [output, errors, [code]] = await Promise.all([
      text(program.stdout),
      text(program.stderr),
      once(program, 'exit') as Promise<[number]>,
    ]);
    expect([output, errors, code]).toEqual(['stopped', '', 0]);
  });
});

describe('what Lambda would refuse is refused', () => {
  const handler = async () => {};

  test('a visibility timeout shorter than the function’s', async () => {
    const { url } = await newQueue({ visibilitySeconds: 5 });
    await expect(
      startEventSource({ sqs, queueUrl: url, functionName: 'events', handler, functionTimeoutMs: 6000 }),
    ).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining('visibility timeout') });
  });

  test('a queue that is not there', async () => {
    const queueUrl = 'http://127.0.0.1/000000000000/nowhere';
    await expect(startEventSource({ sqs, queueUrl, functionName: 'events', handler })).rejects.toMatchObject({
      code: 'QUEUE_UNREACHABLE',
    });
  });

  test.each([
    { batchSize: 11 },
    { batchSize: 0 },
    { maximumConcurrency: 0 },
    { pollerCount: 0.5 },
    { waitSeconds: 21 },
  ])('%j', async (options) => {
    const { url } = await newQueue();
    await expect(startEventSource({ sqs, queueUrl: url, functionName: 'events', handler, ...options })).rejects.toThrow(
      RangeError,
    );
  });
});

import { GetQueueAttributesCommand, ListQueueTagsCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createSqsClient } from '../../../shared/aws-clients.ts';
import { SqsControlPlane } from '../../../shared/control/sqs-control-queue.ts';
import { controlPlaneContract } from './control-queue-contract.ts';
import { type Emulator, emulatorSettings, startFauxqs } from '../in-process-emulators.ts';
import { RecordingLogger } from '../recording-logger.ts';

const never = new AbortController().signal;
const logger = new RecordingLogger();

let emulator: Emulator;
let client: ReturnType<typeof createSqsClient>;
let pollingClient: ReturnType<typeof createSqsClient>;
let plane: SqsControlPlane;

beforeAll(async () => {
  emulator = await startFauxqs();
  client = createSqsClient('general', emulator.settings);
  pollingClient = createSqsClient('receiving', emulator.settings);
  plane = new SqsControlPlane({ client, pollingClient, fleet: 'baton-test', logger });
});

afterAll(async () => {
  client.destroy();
  pollingClient.destroy();
  await emulator[Symbol.asyncDispose]();
});

controlPlaneContract(async () => plane);

test('the queue carries the names of fleet and incarnation and forgets messages soon', async () => {
  const incarnation = '0a1b2c3d-0000-4000-8000-000000000009';
  const url = await plane.open(incarnation);
  expect(url).toMatch(/\/baton-test-control-0a1b2c3d000040008000000000000009$/);
  const { Attributes: attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['MessageRetentionPeriod', 'FifoQueue'] }),
  );
  expect(attributes).toEqual({ MessageRetentionPeriod: '120' });
  const { Tags: tags } = await client.send(new ListQueueTagsCommand({ QueueUrl: url }));
  expect(tags).toEqual({ 'baton:fleet': 'baton-test', 'baton:incarnation': incarnation });
  await plane.close(url);
});

test('what is no control message is dropped with a warning, and its neighbours are delivered', async () => {
  const url = await plane.open('0a1b2c3d-0000-4000-8000-00000000000a');
  await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: 'hello' }));
  await plane.send(url, { kind: 'tick' });
  await client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: '{"kind":"explode"}' }));
  logger.lines.length = 0;
  const received = [];
  while (logger.lines.length < 2 || received.length < 1) {
    received.push(...(await plane.receive(url, { waitMs: 1000, signal: never })));
  }
  expect(received).toEqual([{ kind: 'tick' }]);
  expect(logger.lines).toMatchObject([
    { level: 'warn', fields: { queue: url, reason: expect.stringContaining('JSON') } },
    { level: 'warn', fields: { queue: url, reason: expect.stringContaining('kind') } },
  ]);
  const { Attributes: attributes } = await client.send(
    new GetQueueAttributesCommand({
      QueueUrl: url,
      AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
    }),
  );
  expect(attributes).toEqual({ ApproximateNumberOfMessages: '0', ApproximateNumberOfMessagesNotVisible: '0' });
  await plane.close(url);
});

test('an SQS that does not answer is told to everybody', async () => {
  const deaf = createSqsClient('receiving', emulatorSettings('http://127.0.0.1:1'));
  const cut = new SqsControlPlane({ client: deaf, pollingClient: deaf, fleet: 'baton-test', logger });
  const unreachable = { code: 'QUEUE_UNREACHABLE', message: expect.stringContaining('ECONNREFUSED') };
  const url = 'http://127.0.0.1:1/000000000000/baton-test-control-x';
  await expect(cut.open('x')).rejects.toMatchObject(unreachable);
  await expect(cut.receive(url, { waitMs: 0, signal: never })).rejects.toMatchObject(unreachable);
  await expect(cut.send(url, { kind: 'tick' })).rejects.toMatchObject(unreachable);
  await expect(cut.close(url)).rejects.toMatchObject(unreachable);
  deaf.destroy();
});

import {
  ChangeMessageVisibilityCommand,
  CreateQueueCommand,
  DeleteMessageCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../../local/cloud/embedded-cloud.ts';
import { createSqsClient } from '../../../shared/aws-clients.ts';

let cloud: EmbeddedCloud;
let sqs: SQSClient;

beforeAll(async () => {
  cloud = await startEmbeddedCloud();
  for (const [name, value] of Object.entries(cloud.environment)) vi.stubEnv(name, value);
  sqs = createSqsClient('general');
});

afterAll(async () => {
  sqs.destroy();
  vi.unstubAllEnvs();
  await cloud.stop();
});

let queues = 0;
async function newQueue(visibilitySeconds = 30): Promise<string> {
  queues += 1;
  const { QueueUrl } = await sqs.send(
    new CreateQueueCommand({
      QueueName: `queue${queues}.fifo`,
      Attributes: { FifoQueue: 'true', VisibilityTimeout: String(visibilitySeconds) },
    }),
  );
  return QueueUrl as string;
}

/** Bodies such as `a1`: the letter is the group, the whole the deduplication id. */
async function send(queueUrl: string, ...bodies: string[]): Promise<void> {
  await sqs.send(
    new SendMessageBatchCommand({
      QueueUrl: queueUrl,
      Entries: bodies.map((body, index) => ({
        Id: String(index),
        MessageBody: body,
        MessageGroupId: body.slice(0, 1),
        MessageDeduplicationId: body,
      })),
    }),
  );
}

async function receive(queueUrl: string, count = 10): Promise<Message[]> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: count, WaitTimeSeconds: 0 }),
  );
  return Messages;
}

const bodies = (messages: Message[]) => messages.map(({ Body }) => Body);

async function remove(queueUrl: string, { ReceiptHandle }: Message): Promise<void> {
  await sqs.send(new DeleteMessageCommand({ QueueUrl: queueUrl, ReceiptHandle }));
}

describe('a FIFO queue of the embedded cloud', () => {
  test('fills a receive with messages of one group, then of the next', async () => {
    const queueUrl = await newQueue();
    await send(queueUrl, 'a1', 'b1', 'a2', 'b2', 'a3');
    expect(bodies(await receive(queueUrl, 4))).toEqual(['a1', 'a2', 'a3', 'b1']);
    expect(await receive(queueUrl)).toEqual([]);
  });

  test('hands out nothing of a group until the last of its messages in flight is gone', async () => {
    const queueUrl = await newQueue();
    await send(queueUrl, 'a1', 'a2', 'a3');
    const [first, second] = await receive(queueUrl, 2);
    await remove(queueUrl, first as Message);
    await send(queueUrl, 'a4', 'b1');
    expect(bodies(await receive(queueUrl))).toEqual(['b1']);
    await remove(queueUrl, second as Message);
    expect(bodies(await receive(queueUrl))).toEqual(['a3', 'a4']);
  });

  test('gives messages back in their order when their visibility ends', async () => {
    const queueUrl = await newQueue(1);
    await send(queueUrl, 'a1', 'a2', 'a3');
    expect(bodies(await receive(queueUrl, 2))).toEqual(['a1', 'a2']);
    const again = await vi.waitUntil(async () => {
      const messages = await receive(queueUrl);
      return messages.length > 0 && messages;
    }, 3000);
    expect(bodies(again)).toEqual(['a1', 'a2', 'a3']);
  });

  test('gives messages back in their order when a receiver lets go of them', async () => {
    const queueUrl = await newQueue();
    await send(queueUrl, 'a1', 'a2', 'a3');
    for (const { ReceiptHandle } of await receive(queueUrl, 2)) {
      await sqs.send(new ChangeMessageVisibilityCommand({ QueueUrl: queueUrl, ReceiptHandle, VisibilityTimeout: 0 }));
    }
    expect(bodies(await receive(queueUrl))).toEqual(['a1', 'a2', 'a3']);
  });

  test('knows a deduplication id after 10,000 others, as five minutes of a small fleet bring', async () => {
    const queueUrl = await newQueue();
    await send(queueUrl, 'a-first');
    for (let sent = 0; sent < 10_050; sent += 10) {
      await send(queueUrl, ...Array.from({ length: 10 }, (_, index) => `b${sent + index}`));
    }
    await send(queueUrl, 'a-first', 'a-last');
    expect(bodies(await receive(queueUrl, 2))).toEqual(['a-first', 'a-last']);
  });
});

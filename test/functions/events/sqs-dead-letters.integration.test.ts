import { ReceiveMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { deadLetterOfEvent, deadLetterOfMessage } from '../../../functions/events/dead-letter.ts';
import { SqsDeadLetters } from '../../../functions/events/sqs-dead-letters.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { decodeEnvelope, decodeHeader } from '../../../shared/envelope.ts';
import { provision } from '../../../shared/provision.ts';
import { type Emulator, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { frameOf, recordOf, sqsRecord } from './events-fixture.ts';

const emulators: Emulator[] = [];
let queueUrl = '';

beforeAll(async () => {
  emulators.push(await startDynalite(), await startFauxqs());
  const dynamodb = createDynamoDBClient('general', emulators[0]?.settings);
  queueUrl = (await provision(readFleetConfig({}), { dynamodb, sqs: sqs() })).eventsDeadLetterQueueUrl;
});
afterAll(async () => {
  for (const emulator of emulators) await emulator[Symbol.asyncDispose]();
});

const sqs = () => createSqsClient('general', emulators[1]?.settings);

async function receive() {
  const { Messages } = await sqs().send(
    new ReceiveMessageCommand({
      QueueUrl: queueUrl,
      MessageAttributeNames: ['All'],
      MessageSystemAttributeNames: ['MessageGroupId'],
      MaxNumberOfMessages: 10,
    }),
  );
  return Messages ?? [];
}

test('a dead event arrives by queue name, once, with what happened to it', async () => {
  const { header } = { header: decodeHeader(recordOf({ events: [{ seq: 5 }] }).body) };
  const letter = deadLetterOfEvent({
    reason: 'handler-failed',
    error: `\u0000 nicht möglich ${'x'.repeat(5000)}`,
    handler: 'functions/handlers/a.ts#b',
    attempts: 3,
    type: 'MESSAGE_CREATE',
    guildId: '41771983423143937',
    seq: 5,
    index: 0,
    frame: frameOf({ seq: 5 }),
    header,
    group: '64.3',
    messageId: 'message',
  });
  const deadLetters = new SqsDeadLetters(sqs(), 'baton-events-dlq.fifo');
  await deadLetters.send(letter);
  await deadLetters.send(letter);
  const messages = await receive();
  expect(messages).toHaveLength(1);
  const [message] = messages;
  expect(message?.Attributes).toMatchObject({ MessageGroupId: '64.3' });
  expect(message?.MessageAttributes).toMatchObject({
    reason: { StringValue: 'handler-failed' },
    guild: { StringValue: '41771983423143937' },
    handler: { StringValue: 'functions/handlers/a.ts#b' },
  });
  const events = Buffer.from(message?.MessageAttributes?.['events']?.BinaryValue ?? []);
  expect(decodeEnvelope(message?.Body ?? '', events).frames).toEqual([frameOf({ seq: 5 })]);
});

test('a message that is no envelope arrives by queue URL, as it was', async () => {
  const record = sqsRecord({ body: 'no envelope', group: '64.4' });
  await new SqsDeadLetters(sqs(), queueUrl).send(deadLetterOfMessage(record, 'header is not JSON'));
  expect(await receive()).toMatchObject([
    { Body: 'no envelope', MessageAttributes: { reason: { StringValue: 'envelope-undecodable' } } },
  ]);
});

test('a queue that is not there is an error with a name', async () => {
  const letter = deadLetterOfMessage(sqsRecord({ body: 'x' }), 'y');
  await expect(new SqsDeadLetters(sqs(), 'no-such-queue.fifo').send(letter)).rejects.toMatchObject({
    code: 'QUEUE_UNREACHABLE',
    message: expect.stringContaining('no-such-queue.fifo') as string,
  });
});

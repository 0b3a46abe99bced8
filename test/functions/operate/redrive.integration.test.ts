import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { deadLetterOfEvent } from '../../../functions/events/dead-letter.ts';
import { readDelivery } from '../../../functions/events/delivery.ts';
import { SqsDeadLetters } from '../../../functions/events/sqs-dead-letters.ts';
import { redrive } from '../../../functions/operate/redrive.ts';
import { sqsRecord } from '../../../local/cloud/sqs-event.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { decodeHeader } from '../../../shared/envelope.ts';
import { type ProvisionedFleet, provision } from '../../../shared/provision.ts';
import { type Emulator, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { frameOf, recordOf } from '../events/events-fixture.ts';

let emulators: Emulator[];
let queues: ProvisionedFleet;

beforeEach(async () => {
  emulators = [await startDynalite(), await startFauxqs()];
  const dynamodb = createDynamoDBClient('general', emulators[0]?.settings);
  queues = await provision(readFleetConfig({}), { dynamodb, sqs: sqs() });
});
afterEach(async () => {
  for (const emulator of emulators) await emulator[Symbol.asyncDispose]();
});

const sqs = () => createSqsClient('general', emulators[1]?.settings);
const whatToMove = () => ({
  sqs: sqs(),
  deadLetters: 'baton-events-dlq.fifo',
  queue: 'baton-events.fifo',
  clock: systemClock,
});
const move = (dryRun = false, withinMs = 60_000) => redrive(whatToMove(), { dryRun, withinMs });

/** The dead letter of one event, as the events function sends it. */
async function bury(group: string, seq: number): Promise<void> {
  const deadLetters = new SqsDeadLetters(sqs(), 'baton-events-dlq.fifo');
  await deadLetters.send(
    deadLetterOfEvent({
      reason: 'handler-failed',
      error: 'not today',
      handler: 'functions/handlers/a.ts#b',
      attempts: 3,
      type: 'MESSAGE_CREATE',
      guildId: undefined,
      seq,
      index: 0,
      frame: frameOf({ seq }),
      header: decodeHeader(recordOf({ events: [{ seq }] }).body),
      group,
      messageId: `message-${group}-${seq}`,
    }),
  );
}

/** Takes everything from the events queue, as Lambda would show it to the function. */
async function delivered() {
  const taken: ReturnType<typeof readDelivery>[] = [];
  for (;;) {
    const { Messages = [] } = await sqs().send(
      new ReceiveMessageCommand({
        QueueUrl: queues.eventsQueueUrl,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (Messages.length === 0) return taken;
    for (const message of Messages) {
      taken.push(readDelivery(sqsRecord(message, 'arn:aws:sqs:us-east-1:000000000000:events.fifo')));
      await sqs().send(
        new DeleteMessageCommand({ QueueUrl: queues.eventsQueueUrl, ReceiptHandle: message.ReceiptHandle }),
      );
    }
  }
}

test('dead letters come back in the order of their group, in a form that the events function takes', async () => {
  for (const seq of [5, 7, 6]) await bury('16.3', seq);
  await bury('16.4', 1);
  expect(await move(true)).toEqual({ moved: 0, left: 4, reasons: { 'handler-failed': expect.any(Number) } });
  expect(await move()).toEqual({ moved: 4, left: 0, reasons: { 'handler-failed': 4 } });
  const deliveries = await delivered();
  const found = deliveries.map((read) =>
    read.kind === 'envelope'
      ? {
          group: read.delivery.group,
          seqs: read.delivery.events.map(({ seq }) => seq),
          redriven: read.delivery.redriven,
        }
      : read,
  );
  expect(found.filter((each) => 'group' in each && each.group === '16.3')).toEqual(
    [5, 7, 6].map((seq) => ({ group: '16.3', seqs: [seq], redriven: true })),
  );
  expect(found).toHaveLength(4);
  expect(await move()).toEqual({ moved: 0, left: 0, reasons: {} });
});

test('a whole envelope that SQS gave up itself is marked as late, too', async () => {
  const { body, messageAttributes } = recordOf({ events: [{ seq: 8 }, { seq: 9 }] });
  const events = Buffer.from(messageAttributes['events']?.binaryValue ?? '', 'base64');
  await sqs().send(
    new SendMessageCommand({
      QueueUrl: queues.eventsDeadLetterQueueUrl,
      MessageBody: body,
      MessageGroupId: '16.3',
      MessageDeduplicationId: 'given-up',
      MessageAttributes: { events: { DataType: 'Binary', BinaryValue: events } },
    }),
  );
  expect(await move()).toEqual({ moved: 1, left: 0, reasons: { 'receives-exhausted': 1 } });
  expect(await delivered()).toMatchObject([{ kind: 'envelope', delivery: { redriven: true, events: [{}, {}] } }]);
});

test('when time is over, what is left is told', async () => {
  await bury('16.3', 5);
  expect(await move(false, 0)).toMatchObject({ moved: 0, left: 1 });
});

test('a queue that is not there is named', async () => {
  const missing = redrive({ ...whatToMove(), deadLetters: 'other-dlq.fifo' }, { dryRun: true, withinMs: 1000 });
  await expect(missing).rejects.toMatchObject({ message: expect.stringContaining('other-dlq.fifo') });
});

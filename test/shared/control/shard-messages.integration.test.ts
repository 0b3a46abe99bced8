import { DeleteMessageCommand, ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import type { SQSRecord } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { sqsRecord } from '../../../local/cloud/sqs-event.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ShardMessages } from '../../../shared/control/shard-messages.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import {
  decodeEnvelope,
  encodeFrames,
  encodeHeader,
  eventsAttribute,
  maxEnvelopeBytes,
  messageDeduplicationId,
} from '../../../shared/envelope.ts';
import { seededRandom } from '../../../shared/random.ts';
import { shardIdOfGuild } from '../../../shared/sharding.ts';
import { EventsBench } from '../../functions/events/events-fixture.ts';
import { type EmulatedFleet, emulatedFleet } from './emulated-fleet.ts';

const shardCount = 12;
let fleet: EmulatedFleet;
let store: MemoryStore;
let messages: ShardMessages;

beforeAll(async () => {
  fleet = await emulatedFleet('messages');
});

afterAll(() => fleet[Symbol.asyncDispose]());

beforeEach(async () => {
  store = new MemoryStore(systemClock);
  await store.swapFleet(undefined, { shardCount, maxConcurrency: 1, gatewayUrl: 'wss://gateway.test' });
  messages = new ShardMessages({
    store,
    sqs: fleet.sqs,
    eventsQueueUrl: fleet.provisioned.eventsQueueUrl,
    clock: systemClock,
    random: seededRandom(performance.now()),
  });
});

afterEach(async () => {
  await received();
});

/** Empties the queue; records as Lambda would hand them over, in order of the queue. */
async function received(): Promise<SQSRecord[]> {
  const records: SQSRecord[] = [];
  const QueueUrl = fleet.provisioned.eventsQueueUrl;
  for (;;) {
    const { Messages: found = [] } = await fleet.sqs.send(
      new ReceiveMessageCommand({
        QueueUrl,
        MaxNumberOfMessages: 10,
        MessageAttributeNames: ['All'],
        MessageSystemAttributeNames: ['All'],
      }),
    );
    if (found.length === 0) return records;
    for (const message of found) {
      records.push(sqsRecord(message, 'arn:aws:sqs:us-east-1:000000000000:messages-events.fifo'));
      await fleet.sqs.send(new DeleteMessageCommand({ QueueUrl, ReceiptHandle: message.ReceiptHandle }));
    }
  }
}

function envelopeOf({ body, messageAttributes }: SQSRecord) {
  return decodeEnvelope(body, Buffer.from(messageAttributes[eventsAttribute]?.binaryValue ?? '', 'base64'));
}

async function publish(seq: number, guild: string): Promise<void> {
  const frame = JSON.stringify({ t: 'MESSAGE_CREATE', s: seq, op: 0, d: { id: `m${seq}`, guild_id: guild } });
  const header = {
    v: 1 as const,
    shard: [3, shardCount] as [number, number],
    epoch: 7,
    session: 'discord-session',
    after: seq - 1,
    first: seq,
    last: seq,
    count: 1,
    types: { MESSAGE_CREATE: 1 },
    encoding: 'none' as const,
    at: 1,
  };
  await fleet.sqs.send(
    new SendMessageCommand({
      QueueUrl: fleet.provisioned.eventsQueueUrl,
      MessageGroupId: `${shardCount}.3`,
      MessageDeduplicationId: messageDeduplicationId('discord-session', seq, seq),
      MessageBody: encodeHeader(header),
      MessageAttributes: {
        [eventsAttribute]: { DataType: 'Binary', BinaryValue: encodeFrames([Buffer.from(frame)], 'none') },
      },
    }),
  );
}

describe('a message to a shard', () => {
  test('is an envelope of a session of its own, on the group of the shard', async () => {
    const { id } = await messages.send(3, { name: 'greet', data: { text: 'a\nb ü☃', n: [1, null] } });
    const [record, ...more] = await received();
    expect(more).toEqual([]);
    expect(record?.attributes.MessageGroupId).toBe('12.3');
    const { header, frames } = envelopeOf(record as SQSRecord);
    expect(header).toMatchObject({
      v: 1,
      shard: [3, shardCount],
      session: `message:${id}:3`,
      after: 0,
      first: 1,
      last: 1,
      count: 1,
      types: { BATON_MESSAGE: 1 },
    });
    expect(frames.map((frame) => JSON.parse(frame) as unknown)).toEqual([
      { t: 'BATON_MESSAGE', s: 1, op: 0, d: { id, name: 'greet', data: { text: 'a\nb ü☃', n: [1, null] } } },
    ]);
  });

  test('reaches handlers once and in order with the events of its guild, with the consumer guard too', async () => {
    const guild = String((262_144_000_011n * 12n + 3n) << 22n);
    expect(shardIdOfGuild(guild, shardCount)).toBe(3);
    await publish(1, guild);
    await messages.sendToGuild(guild, { name: 'between', data: null });
    await publish(2, guild);
    await messages.sendToGuild(guild, { name: 'after', data: null });
    const records = await received();
    const bench = new EventsBench([], { consumerGuard: true });
    expect(await bench.invoke(records)).toEqual([]);
    const told = bench.observed.map(({ type, data }) => (data as { name?: string }).name ?? type);
    expect(told).toEqual(['MESSAGE_CREATE', 'between', 'MESSAGE_CREATE', 'after']);
    expect(bench.summaries).toMatchObject([{ handled: 4, holes: 0, skippedByGuard: 0, deadLettered: 0 }]);
    // Delivered again after all was done, nothing runs twice.
    expect(await bench.invoke(records)).toEqual([]);
    expect(bench.observed).toHaveLength(4);
    expect(bench.summaries[1]).toMatchObject({ handled: 0, skippedByGuard: 4 });
  });

  test.each<[string, number, { name: string; data: unknown }, RegExp]>([
    ['of another generation', shardCount, { name: 'x', data: 1 }, /^there is no shard 12: the fleet has 0 to 11$/],
    ['without a name', 0, { name: '', data: 1 }, /^message name "" must be 1 to 64 letters/],
    ['that is no JSON', 0, { name: 'x', data: () => 1 }, /^message "x": its data is no JSON, but a function$/],
    ['with a bigint', 0, { name: 'x', data: { n: 1n } }, /^message "x": its data is no JSON: /],
    ['that is too large', 0, { name: 'x', data: 'y'.repeat(maxEnvelopeBytes) }, /at most 262144 are sent/],
  ])('%s is refused, and nothing is sent', async (_, shardId, message, reason) => {
    await expect(messages.send(shardId, message)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringMatching(reason),
    });
    expect(await received()).toEqual([]);
  });

  test('to what is no guild id, or a fleet that was never started, is refused', async () => {
    await expect(messages.sendToGuild('nonsense', { name: 'x', data: 1 })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
    const nobody = new ShardMessages({
      store: new MemoryStore(systemClock),
      sqs: fleet.sqs,
      eventsQueueUrl: fleet.provisioned.eventsQueueUrl,
      clock: systemClock,
      random: seededRandom(1),
    });
    await expect(nobody.send(0, { name: 'x', data: 1 })).rejects.toMatchObject({ code: 'REQUEST_FAILED' });
  });
});

describe('a broadcast', () => {
  test('reaches every shard once, under one id, large ones in smaller batches', async () => {
    for (const data of ['small', 'x'.repeat(200_000)]) {
      const { id, sent, missing } = await messages.broadcast({ name: 'all', data });
      expect(missing).toEqual([]);
      expect(sent).toEqual(Array.from({ length: shardCount }, (_, shardId) => shardId));
      const reached = (await received()).map((record) => {
        const { session, shard } = envelopeOf(record).header;
        expect(session).toBe(`message:${id}:${shard[0]}`);
        expect(record.attributes.MessageGroupId).toBe(`${shardCount}.${shard[0]}`);
        return shard[0];
      });
      expect(reached.toSorted((one, other) => one - other)).toEqual(sent);
    }
  });

  test('to a queue that is gone tells which shards it did not reach', async () => {
    const lost = new ShardMessages({
      store,
      sqs: fleet.sqs,
      eventsQueueUrl: fleet.provisioned.eventsQueueUrl.replace('messages-', 'no-such-'),
      clock: systemClock,
      random: seededRandom(2),
    });
    const { sent, missing } = await lost.broadcast({ name: 'all', data: 1 });
    expect(sent).toEqual([]);
    expect(missing).toHaveLength(shardCount);
    await expect(lost.send(0, { name: 'one', data: 1 })).rejects.toMatchObject({ code: 'QUEUE_UNREACHABLE' });
  });
});

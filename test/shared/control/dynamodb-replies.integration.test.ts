import { PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { systemClock } from '../../../shared/clock.ts';
import { DynamoDbControlQueueNotes } from '../../../shared/control/dynamodb-control-queue-notes.ts';
import { DynamoDbReplies } from '../../../shared/control/dynamodb-replies.ts';
import { replyLifetimeMs } from '../../../shared/control/replies.ts';
import { SqsControlPlane } from '../../../shared/control/sqs-control-queue.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { ManualClock } from '../../manual-clock.ts';
import { type EmulatedFleet, emulatedFleet } from './emulated-fleet.ts';
import { repliesContract } from './replies-contract.ts';

let fleet: EmulatedFleet;
let table: string;

beforeAll(async () => {
  fleet = await emulatedFleet('replies');
  ({ table } = fleet.provisioned);
});

afterAll(() => fleet[Symbol.asyncDispose]());

describe('replies in the coordination table', () => {
  repliesContract(async () => new DynamoDbReplies(fleet.documents, table, systemClock));

  test('expire by themselves, and one of which a part is missing is not given', async () => {
    const clock = new ManualClock();
    const replies = new DynamoDbReplies(fleet.documents, table, clock);
    await replies.send('expiring', 'alpha.0', 1);
    const Item = { pk: 'REPLY#expiring', sk: 'beta.0#0000', parts: 2, body: Buffer.from('{}'), expiresAt: 1 };
    await fleet.documents.send(new PutCommand({ TableName: table, Item }));
    expect((await replies.receive('expiring')).map(({ from }) => from)).toEqual(['alpha.0']);
    const { Items = [] } = await fleet.documents.send(
      new QueryCommand({
        TableName: table,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': 'REPLY#expiring' },
      }),
    );
    expect(Items[0]?.['expiresAt']).toBe(Math.ceil((clock.wallClockMs() + replyLifetimeMs) / 1000));
  });

  test('a table that is not there is told as the store that does not answer', async () => {
    const replies = new DynamoDbReplies(fleet.documents, 'no-such-table', systemClock);
    const unreachable = { code: 'STORE_UNREACHABLE' };
    await expect(replies.send('id', 'alpha', 1)).rejects.toMatchObject(unreachable);
    await expect(replies.receive('id')).rejects.toMatchObject(unreachable);
    await expect(replies.forget('id', [{ from: 'alpha', parts: 1, body: 1 }])).rejects.toMatchObject(unreachable);
  });
});

describe('notes of control queues', () => {
  test('are there before the queue is used, tell its URL, and go with it', async () => {
    const notes = new DynamoDbControlQueueNotes(fleet.documents, table);
    const plane = new SqsControlPlane({
      client: fleet.sqs,
      pollingClient: fleet.receivingSqs,
      fleet: fleet.fleet,
      logger: silentLogger,
      notes,
    });
    const incarnation = '0a1b2c3d-0000-4000-8000-000000000001';
    const url = await plane.open(incarnation);
    await notes.note({ incarnation: 'dead-before-it-knew' });
    expect(await notes.list()).toEqual(
      expect.arrayContaining([{ incarnation, url }, { incarnation: 'dead-before-it-knew' }]),
    );
    await plane.close(url);
    await notes.forget('dead-before-it-knew');
    expect(await notes.list()).toEqual([]);
  });

  test('a table that is out of reach keeps no worker from its queue', async () => {
    const notes = new DynamoDbControlQueueNotes(fleet.documents, 'no-such-table');
    const plane = new SqsControlPlane({
      client: fleet.sqs,
      pollingClient: fleet.receivingSqs,
      fleet: fleet.fleet,
      logger: silentLogger,
      notes,
    });
    const url = await plane.open('0a1b2c3d-0000-4000-8000-000000000002');
    await plane.send(url, { kind: 'tick' });
    await plane.close(url);
    await expect(notes.list()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
  });
});

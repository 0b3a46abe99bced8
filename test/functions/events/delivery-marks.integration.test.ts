import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import type { DeliveryMarks } from '../../../functions/events/delivery-marks.ts';
import { DynamoDBDeliveryMarks } from '../../../functions/events/dynamodb-delivery-marks.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { provision } from '../../../shared/provision.ts';
import { ManualClock } from '../../manual-clock.ts';
import { type Emulator, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { MemoryDeliveryMarks } from './memory-delivery-marks.ts';

const fleet = readFleetConfig({});
const emulators: Emulator[] = [];

beforeAll(async () => {
  emulators.push(await startDynalite(), await startFauxqs());
  await provision(fleet, {
    dynamodb: createDynamoDBClient('general', emulators[0]?.settings),
    sqs: createSqsClient('general', emulators[1]?.settings),
  });
});
afterAll(async () => {
  for (const emulator of emulators) await emulator[Symbol.asyncDispose]();
});

const documents = () => createDynamoDBDocumentClient('general', emulators[0]?.settings);

describe.each<{ name: string; create: () => DeliveryMarks }>([
  {
    name: 'in the table',
    create: () => new DynamoDBDeliveryMarks(documents(), fleet.directoryTable, new ManualClock()),
  },
  { name: 'in memory', create: () => new MemoryDeliveryMarks() },
])('marks $name', ({ name, create }) => {
  const idle = { running: new Set<number>(), alone: false };

  test('progress comes back as it was saved', async () => {
    const marks = create();
    expect(await marks.loadProgress(`${name} 1`)).toBeUndefined();
    const progress = { done: new Set([0, 7, 8, 300]), running: new Set([9, 12]), alone: true };
    expect(await marks.saveProgress(`${name} 1`, 2, progress)).toEqual({ kind: 'saved' });
    const stored = await marks.loadProgress(`${name} 1`);
    expect({ done: stored?.done, running: stored?.running, alone: stored?.alone }).toEqual(progress);
  });

  test('progress without any event is progress', async () => {
    const marks = create();
    await marks.saveProgress(`${name} 2`, 1, { done: new Set(), ...idle });
    expect(await marks.loadProgress(`${name} 2`)).toMatchObject({ done: new Set(), running: new Set() });
  });

  test('a delivery writes as often as it likes, until a later one has written', async () => {
    const marks = create();
    const saved = { kind: 'saved' };
    expect(await marks.saveProgress(`${name} 3`, 2, { done: new Set([1]), ...idle })).toEqual(saved);
    expect(await marks.saveProgress(`${name} 3`, 2, { done: new Set([1, 2]), ...idle })).toEqual(saved);
    expect(await marks.saveProgress(`${name} 3`, 3, { done: new Set([1, 2, 3]), ...idle })).toEqual(saved);
    expect(await marks.saveProgress(`${name} 3`, 2, { done: new Set([9]), ...idle })).toEqual({ kind: 'superseded' });
    expect((await marks.loadProgress(`${name} 3`))?.done).toEqual(new Set([1, 2, 3]));
  });

  test('the guard goes up only, and tells where it stood', async () => {
    const marks = create();
    expect(await marks.raiseGuard(`64.3 ${name}`, 'session', 10)).toEqual({ kind: 'raised', previous: undefined });
    expect(await marks.raiseGuard(`64.3 ${name}`, 'session', 10)).toEqual({ kind: 'behind' });
    expect(await marks.raiseGuard(`64.3 ${name}`, 'session', 9)).toEqual({ kind: 'behind' });
    expect(await marks.raiseGuard(`64.3 ${name}`, 'session', 12)).toEqual({ kind: 'raised', previous: 10 });
    expect(await marks.raiseGuard(`64.3 ${name}`, 'other session', 1)).toMatchObject({ kind: 'raised' });
    expect(await marks.raiseGuard(`64.4 ${name}`, 'session', 1)).toMatchObject({ kind: 'raised' });
  });
});

test('items of the table expire', async () => {
  const clock = new ManualClock();
  const marks = new DynamoDBDeliveryMarks(documents(), fleet.directoryTable, clock);
  await marks.saveProgress('expiring', 1, { done: new Set(), running: new Set(), alone: false });
  await marks.raiseGuard('64.9', 'expiring', 1);
  for (const Key of [
    { pk: 'DELIVERY#expiring', sk: 'PROGRESS' },
    { pk: 'GUARD#64.9', sk: 'expiring' },
  ]) {
    const { Item } = await documents().send(new GetCommand({ TableName: fleet.directoryTable, Key }));
    expect(Item?.['expiresAt']).toBe(Math.floor(clock.wallClockMs() / 1000) + 14 * 24 * 3600);
  }
});

import { expect, test } from 'vitest';
import { DeliveryProgress } from '../../../functions/events/delivery-progress.ts';
import { MemoryDeliveryMarks } from './memory-delivery-marks.ts';

test('what is said while a write is under way goes into one more write', async () => {
  const marks = new MemoryDeliveryMarks();
  const progress = new DeliveryProgress(marks, 'message', 2, new Set([0]));
  await Promise.all([1, 2, 3, 4, 5, 6].map((index) => progress.start(index)));
  expect(marks.writes).toBe(1);
  for (const index of [1, 2, 3]) progress.finish(index);
  await progress.flush();
  expect(marks.writes).toBe(2);
  expect(await marks.loadProgress('message')).toMatchObject({
    done: new Set([0, 1, 2, 3]),
    running: new Set([4, 5, 6]),
  });
});

test('an event has started only when that is stored', async () => {
  const marks = new MemoryDeliveryMarks();
  const progress = new DeliveryProgress(marks, 'message', 2, new Set());
  const first = progress.start(1);
  await new Promise((resolve) => setImmediate(resolve));
  const second = progress.start(2);
  await first;
  expect((await marks.loadProgress('message'))?.running).toContain(1);
  await second;
  expect((await marks.loadProgress('message'))?.running).toEqual(new Set([1, 2]));
});

test('what could not be stored is stored by the next flush', async () => {
  const marks = new MemoryDeliveryMarks();
  const progress = new DeliveryProgress(marks, 'message', 2, new Set());
  await progress.start(1);
  marks.outage = new Error('no table');
  progress.finish(1);
  await expect(progress.flush()).rejects.toThrow('no table');
  await expect(progress.start(2)).rejects.toThrow('no table');
  marks.outage = undefined;
  expect(await progress.flush()).toEqual({ kind: 'saved' });
  expect((await marks.loadProgress('message'))?.done).toEqual(new Set([1]));
});

test('nothing new to say, nothing to write', async () => {
  const marks = new MemoryDeliveryMarks();
  const progress = new DeliveryProgress(marks, 'message', 2, new Set([1]));
  await progress.flush();
  expect(marks.writes).toBe(0);
});

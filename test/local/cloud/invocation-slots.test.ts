import { expect, test } from 'vitest';
import { InvocationSlots } from '../../../local/cloud/invocation-slots.ts';

test('gives out so many places, then makes callers wait in turn', async () => {
  const { signal } = new AbortController();
  const slots = new InvocationSlots(2);
  expect(await Promise.all([slots.take(signal), slots.take(signal)])).toEqual([true, true]);
  const order: string[] = [];
  const third = slots.take(signal).then(() => order.push('third'));
  const fourth = slots.take(signal).then(() => order.push('fourth'));
  slots.release();
  await third;
  expect(order).toEqual(['third']);
  slots.release();
  await fourth;
  expect(order).toEqual(['third', 'fourth']);
});

test('a caller that gives up takes no place', async () => {
  const slots = new InvocationSlots(1);
  const patient = new AbortController();
  const hasty = new AbortController();
  await slots.take(patient.signal);
  const givenUp = slots.take(hasty.signal);
  hasty.abort();
  expect(await givenUp).toBe(false);
  expect(await slots.take(hasty.signal)).toBe(false);
  slots.release();
  expect(await slots.take(patient.signal)).toBe(true);
});

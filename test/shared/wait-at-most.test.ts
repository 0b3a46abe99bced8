import { expect, test } from 'vitest';
import { waitAtMost } from '../../shared/wait-at-most.ts';
import { ManualClock } from '../manual-clock.ts';

test('ends with the task and leaves no timer', async () => {
  const clock = new ManualClock();
  const task = Promise.withResolvers<void>();
  const waiting = waitAtMost(1000, task.promise, clock);
  task.resolve();
  await waiting;
  await clock.settle();
  expect(clock.pendingTimers).toBe(0);
});

test('gives up waiting for a task that does not end', async () => {
  const clock = new ManualClock();
  let isOver = false;
  const waiting = waitAtMost(1000, new Promise<void>(() => {}), clock).then(() => {
    isOver = true;
  });
  await clock.advance(999);
  expect(isOver).toBe(false);
  await clock.advance(1);
  await waiting;
  expect(isOver).toBe(true);
});

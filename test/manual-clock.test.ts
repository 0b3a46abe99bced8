import { expect, test } from 'vitest';
import { ManualClock } from './manual-clock.ts';

test('timers run in the order they are due, at their own time', async () => {
  const clock = new ManualClock({ monotonicMs: 0, wallClockMs: 500 });
  const ran: string[] = [];
  const note = (name: string) => () => ran.push(`${name}@${clock.monotonicMs()}/${clock.wallClockMs()}`);
  clock.schedule(20, note('late'));
  clock.schedule(10, () => {
    note('early')();
    clock.schedule(5, note('nested'));
  });
  clock.schedule(10, note('second'));
  clock.schedule(12, note('cancelled')).cancel();
  await clock.advance(15);
  expect(ran).toEqual(['early@10/510', 'second@10/510', 'nested@15/515']);
  expect(clock.nextTimerMs).toBe(5);
  await clock.advance(5);
  expect(ran.at(-1)).toBe('late@20/520');
  expect(clock.pendingTimers).toBe(0);
});

test('what awaits a sleep goes on before the next timer runs', async () => {
  const clock = new ManualClock({ monotonicMs: 0 });
  const ran: number[] = [];
  const loop = async () => {
    for (let turn = 0; turn < 3; turn++) {
      await clock.sleep(10);
      ran.push(clock.monotonicMs());
    }
  };
  const looping = loop();
  await clock.advance(100);
  await looping;
  expect(ran).toEqual([10, 20, 30]);
});

test('a sleep ends when its signal aborts and leaves no timer', async () => {
  const clock = new ManualClock();
  const controller = new AbortController();
  const slept = clock.sleep(1_000, controller.signal);
  controller.abort();
  await slept;
  await clock.sleep(1_000, controller.signal);
  expect(clock.pendingTimers).toBe(0);
});

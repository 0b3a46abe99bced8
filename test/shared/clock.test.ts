import { expect, test } from 'vitest';
import { systemClock } from '../../shared/clock.ts';

test('a sleep takes its time', async () => {
  const startMs = systemClock.monotonicMs();
  await systemClock.sleep(20);
  // Node's timers may run a millisecond early by this clock.
  expect(systemClock.monotonicMs() - startMs).toBeGreaterThanOrEqual(19);
});

test('a sleep ends at once when its signal aborts, before or meanwhile, and never rejects', async () => {
  const controller = new AbortController();
  const sleep = systemClock.sleep(60_000, controller.signal);
  controller.abort();
  expect(await sleep).toBeUndefined();
  expect(await systemClock.sleep(60_000, controller.signal)).toBeUndefined();
});

test('a scheduled call runs once; a cancelled one does not', async () => {
  const ran: string[] = [];
  systemClock.schedule(1, () => ran.push('cancelled')).cancel();
  await new Promise<void>((resolve) => {
    const timer = systemClock.schedule(2, () => {
      ran.push('ran');
      timer.cancel();
      resolve();
    });
  });
  expect(ran).toEqual(['ran']);
});

test('the wall clock counts from 1970', () => {
  expect(new Date(systemClock.wallClockMs()).getUTCFullYear()).toBeGreaterThanOrEqual(2026);
});

import { expect, test } from 'vitest';
import { RestartBackoff } from '../../local/restart-backoff.ts';

test('a process that keeps crashing waits ever longer, up to half a minute', () => {
  const backoff = new RestartBackoff();
  let nowMs = 0;
  const pauses = Array.from({ length: 7 }, () => {
    const pauseMs = backoff.pauseMs('worker-1', nowMs);
    nowMs += pauseMs + 100;
    return pauseMs;
  });
  expect(pauses).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
  expect(backoff.pauseMs('worker-2', nowMs)).toBe(1000);
});

test('one that has run for a minute is forgiven', () => {
  const backoff = new RestartBackoff();
  backoff.pauseMs('worker-1', 0);
  expect(backoff.pauseMs('worker-1', 30_000)).toBe(2000);
  expect(backoff.pauseMs('worker-1', 30_000 + 2000 + 60_001)).toBe(1000);
});

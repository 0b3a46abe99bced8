import { expect, test } from 'vitest';
import { happeningsOf } from '../../../functions/stats/happenings.ts';
import type { TimelineEntry } from '../../../shared/stats/timeline.ts';

const names = new Map([
  ['inc-1', 'worker-1'],
  ['inc-2', 'worker-2'],
]);
const minuteMs = 60_000;

test('a handoff says why somebody wished it', () => {
  const entries: TimelineEntry[] = [
    { atMs: 0, kind: 'wish', shards: [3, 4], from: 'inc-1', to: 'inc-2', reason: 'cpu' },
    { atMs: 100, kind: 'operator', shards: [5], to: 'worker-2', reason: 'migrate', by: 'ada' },
    { atMs: 900, kind: 'handoff', shards: [3, 4, 5], from: 'inc-1', to: 'inc-2' },
  ];
  expect(happeningsOf(entries, names).at(-1)).toEqual({
    atMs: 900,
    kind: 'handoff',
    shards: [3, 4, 5],
    from: 'worker-1',
    to: 'worker-2',
    reason: 'cpu, migrate',
  });
});

test.each([
  { what: 'for another worker', wish: { atMs: 0, to: 'inc-1' } },
  { what: 'long ago', wish: { atMs: -6 * minuteMs, to: 'inc-2' } },
])('a wish $what is no reason', ({ wish }) => {
  const entries: TimelineEntry[] = [
    { kind: 'wish', shards: [3], from: 'inc-1', reason: 'cpu', ...wish },
    { atMs: 100, kind: 'handoff', shards: [3], from: 'inc-1', to: 'inc-2' },
  ];
  expect(happeningsOf(entries, names)[1]).not.toHaveProperty('reason');
});

test('a worker that is gone keeps the name it had, and its shards were taken because it was silent', () => {
  const entries: TimelineEntry[] = [
    { atMs: 0, kind: 'join', to: 'inc-9', name: 'worker-9' },
    { atMs: 10, kind: 'fence', from: 'inc-9', name: 'worker-9', reason: 'silent' },
    { atMs: 20, kind: 'takeover', shards: [1], from: 'inc-9', to: 'inc-2' },
    { atMs: 30, kind: 'takeover', shards: [2], from: '0a1b2c3d-4e5f-4000-8000-000000000000', to: 'inc-2' },
    { atMs: 40, kind: 'operator', shards: [], from: 'worker-1234567', reason: 'drain', by: 'ada' },
  ];
  expect(happeningsOf(entries, names).slice(2)).toEqual([
    { atMs: 20, kind: 'takeover', shards: [1], from: 'worker-9', to: 'worker-2', reason: 'silent' },
    { atMs: 30, kind: 'takeover', shards: [2], from: '0a1b2c3d', to: 'worker-2', reason: 'gone' },
    { atMs: 40, kind: 'operator', shards: [], from: 'worker-1234567', reason: 'drain', by: 'ada' },
  ]);
});

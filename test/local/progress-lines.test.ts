import { expect, test } from 'vitest';
import type { FleetSnapshot } from '../../local/fleet-snapshot.ts';
import { ProgressLines, renderProgress } from '../../local/progress-lines.ts';

const snapshot: FleetSnapshot = {
  phase: 'running',
  elapsedMs: 61_000,
  remainingMs: 30_000,
  discord: 'simulator',
  workers: [],
  shards: [],
  guildCount: 0,
  emittedPerSecond: 0,
  deliveredPerSecond: 0,
  latencyMs: { p50: 100, p99: 300 },
  totals: {
    emitted: 20,
    delivered: 17,
    undeliverable: 0,
    lost: 1,
    pending: 2,
    duplicated: 3,
    duplicatedUnfenced: 0,
    reordered: 4,
    unknown: 0,
  },
  identifies: 8,
  resumes: 9,
  handoffs: 10,
  takeovers: 11,
  happenings: [],
};

test('tells everything that matters in one line', () => {
  expect(renderProgress(snapshot)).toBe(
    '  61 s running; 20 emitted, 17 delivered, 2 under way; lost 1, duplicated 3, reordered 4; 0/0 workers, 0/0 shards; ' +
      '8 identifies, 9 resumes, 10 handoffs, 11 takeovers; p99 300 ms; 30 s left',
  );
});

test('writes every ten seconds, and when the phase changes', () => {
  const lines: string[] = [];
  const progress = new ProgressLines({ write: (text) => lines.push(text) });
  for (const elapsedMs of [0, 500, 9999, 10_000, 10_500]) progress.update({ ...snapshot, elapsedMs });
  progress.update({ ...snapshot, elapsedMs: 10_600, phase: 'settling' });
  progress.note('seed 7');
  expect(lines.map((line) => line.slice(0, 14))).toEqual([
    '   0 s running',
    '  10 s running',
    '  11 s settlin',
    'seed 7\n',
  ]);
});

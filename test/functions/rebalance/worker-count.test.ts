import { describe, expect, test } from 'vitest';
import { adviseWorkerCount } from '../../../functions/rebalance/worker-count.ts';
import type { RebalancePlan, SkippedWorker, SmoothedLoad } from '../../../shared/coordination/rebalance.ts';

function load(cpuPercent: number, observedMs = 600_000): SmoothedLoad {
  return { cpuPercent, latencyMs: 40, weight: 100, shardCount: 10, observedMs, isHot: false, isFilling: false };
}

function plan(loads: readonly SmoothedLoad[], changes: Partial<RebalancePlan> = {}): RebalancePlan {
  const workers = new Map(loads.map((of, index) => [`worker-${index}`, of]));
  return {
    moves: [],
    skipped: [],
    held: undefined,
    state: { atMs: 0, shardCount: 30, workers, movedAtMs: new Map() },
    ...changes,
  };
}

const unlimited = [undefined, undefined, undefined];
const busy = (changes: Partial<SkippedWorker>): Partial<RebalancePlan> => ({
  skipped: [{ worker: 'worker-0', reason: 'cpu', why: 'everybody-busy', ...changes }],
});
const move = {
  shard: { shardId: 0, shardCount: 30 },
  epoch: 1,
  from: 'worker-0',
  to: 'worker-1',
  reason: 'cpu',
  gain: 5,
} as const;

describe('the advice', () => {
  test.each([
    { name: 'all is well', cpu: [55, 55, 55], expected: { kind: 'keep' } },
    { name: 'CPU asks for two more', cpu: [90, 90, 90], expected: { kind: 'atLeast', count: 5, because: 'cpu' } },
    { name: 'two would be idle enough', cpu: [30, 30, 30], expected: { kind: 'atMost', count: 2, because: 'idle' } },
    { name: 'two would not be', cpu: [31, 31, 31], expected: { kind: 'keep' } },
    {
      name: 'one of three is not known for long',
      cpu: [1, 1, 1],
      observedMs: 599_999,
      expected: { kind: 'keep' },
    },
    { name: 'shards are still being moved', cpu: [1, 1, 1], changes: { moves: [move] }, expected: { kind: 'keep' } },
    {
      name: 'a busy worker finds nobody',
      cpu: [50, 50, 50],
      changes: busy({}),
      expected: { kind: 'atLeast', count: 4, because: 'no-relief' },
    },
    {
      name: 'a draining worker finds no room',
      cpu: [1, 1, 1],
      changes: busy({ reason: 'draining', why: 'no-room' }),
      expected: { kind: 'atLeast', count: 4, because: 'no-relief' },
    },
    {
      name: 'only events are uneven',
      cpu: [50, 50, 50],
      changes: busy({ reason: 'event-rate' }),
      expected: { kind: 'keep' },
    },
    {
      name: 'no shard would help, nor would another worker',
      cpu: [50, 50, 50],
      changes: busy({ why: 'no-shard-helps' }),
      expected: { kind: 'keep' },
    },
  ])('when $name', ({ cpu, observedMs, changes, expected }) => {
    const loads = cpu.map((cpuPercent) => load(cpuPercent, observedMs));
    const advice = adviseWorkerCount({ capacities: unlimited, shardCount: 30, plan: plan(loads, changes) });
    expect(advice).toEqual(expected);
  });

  test('counts capacity', () => {
    const view = { shardCount: 30, plan: plan([load(1), load(1), load(1)]) };
    expect(adviseWorkerCount({ ...view, capacities: [8, 8, 8] })).toEqual({
      kind: 'atLeast',
      count: 4,
      because: 'capacity',
    });
    expect(adviseWorkerCount({ ...view, capacities: [14, 14, 14] })).toEqual({ kind: 'keep' });
    expect(adviseWorkerCount({ ...view, capacities: [15, 15, 15] })).toMatchObject({ kind: 'atMost', count: 2 });
  });

  test('never asks for none, and says nothing of a fleet of which nobody lives', () => {
    expect(adviseWorkerCount({ capacities: [undefined], shardCount: 30, plan: plan([load(0)]) })).toEqual({
      kind: 'keep',
    });
    expect(adviseWorkerCount({ capacities: [], shardCount: 30, plan: plan([load(99)]) })).toEqual({ kind: 'keep' });
  });
});

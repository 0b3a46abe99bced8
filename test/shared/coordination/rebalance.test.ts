import { describe, expect, test } from 'vitest';
import { rebalanceRules } from '../../../shared/coordination/rebalance.ts';
import { type ModelShard, ModelFleet } from './rebalance-fleet.ts';

const [a, b, c, d] = ['worker-a', 'worker-b', 'worker-c', 'worker-d'] as const;
const repeat = (count: number, rate: number): number[] => Array.from({ length: count }, () => rate);

/** `a` has twelve of 24 equal shards, 7 % CPU each; `b` and `c` have six. */
function hotFleet(): ModelFleet {
  const fleet = new ModelFleet({ cpuPerEvent: 0.14 });
  fleet.add(a, repeat(12, 50));
  fleet.add(b, repeat(6, 50));
  fleet.add(c, repeat(6, 50));
  return fleet;
}

describe('a worker with too much', () => {
  test('CPU gives away as many shards as bring it below the low mark, and no more', () => {
    const fleet = hotFleet();
    fleet.observe();
    const { moves } = fleet.round();
    expect(moves).toMatchObject([
      { from: a, to: b, reason: 'cpu', epoch: 1 },
      { from: a, to: c, reason: 'cpu', epoch: 1 },
      { from: a, to: b, reason: 'cpu', epoch: 1 },
    ]);
    // From 84 % of a core to 77 %, of a limit of 80 %.
    expect(moves[0]?.gain).toBe(8.8);
    expect(fleet.round().moves).toEqual([]);
  });

  test('events gives shards away while its CPU is idle', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(9, 100));
    fleet.add(b, repeat(2, 100));
    fleet.observe();
    const { moves } = fleet.round();
    expect(moves.every((move) => move.reason === 'event-rate' && move.from === a && move.to === b)).toBe(true);
    expect(fleet.countOf(a)).toBe(6);
    expect(fleet.round().moves).toEqual([]);
  });

  test('latency on most of its shards gives shards away', () => {
    const fleet = new ModelFleet();
    for (const worker of [a, b, c]) fleet.add(worker, repeat(8, 100));
    for (const shard of fleet.shardsOf(a)) shard.latencyMs = 700;
    fleet.observe();
    const { moves } = fleet.plan();
    expect(moves.length).toBeGreaterThan(0);
    expect(moves.every((move) => move.from === a && move.reason === 'latency')).toBe(true);
  });

  test('latency on one shard keeps it: that one is slow wherever it is', () => {
    const fleet = new ModelFleet();
    for (const worker of [a, b, c]) fleet.add(worker, repeat(8, 100));
    (fleet.shards[0] as ModelShard).latencyMs = 30_000;
    fleet.observe();
    expect(fleet.plan()).toMatchObject({ moves: [], skipped: [] });
  });

  test('latency on its only shard keeps it', () => {
    const fleet = new ModelFleet();
    fleet.add(a, [0]);
    for (const worker of [b, c]) fleet.add(worker, repeat(10, 0));
    fleet.add(d, repeat(6, 0));
    (fleet.shards[0] as ModelShard).latencyMs = 2000;
    fleet.observe();
    expect(fleet.plan().moves).toEqual([]);
  });

  test('latency that everybody has keeps it: Discord is slow', () => {
    const fleet = new ModelFleet();
    for (const worker of [a, b, c]) fleet.add(worker, repeat(8, 100));
    for (const shard of fleet.shards) shard.latencyMs = shard.owner === a ? 2000 : 900;
    fleet.observe();
    expect(fleet.plan()).toMatchObject({ moves: [], skipped: [] });
  });

  test('at once is left alone until that has lasted', () => {
    const fleet = hotFleet();
    expect(fleet.round().moves).toEqual([]);
    expect(fleet.round().moves).toHaveLength(3);
  });

  test('for a moment is left alone', () => {
    const fleet = hotFleet();
    fleet.cpuPerEvent = 0.09;
    fleet.observe(5);
    fleet.cpuPerEvent = 0.18;
    expect(fleet.round().moves).toEqual([]);
    fleet.cpuPerEvent = 0.09;
    expect(fleet.round().moves).toEqual([]);
  });

  test('keeps what it has when everybody is as busy, and says so', () => {
    const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
    for (const worker of [a, b, c]) fleet.add(worker, repeat(9, 100));
    fleet.observe();
    const { moves, skipped } = fleet.plan();
    expect(moves).toEqual([]);
    expect(skipped).toContainEqual({ worker: a, reason: 'cpu', why: 'everybody-busy' });
  });

  test('because of one shard gives the small ones away, not the one', () => {
    const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
    fleet.add(a, [600, ...repeat(40, 10)]);
    fleet.add(b, repeat(2, 100));
    fleet.observe();
    const moved = new Set<number>();
    for (let round = 0; round < 20; round += 1) {
      for (const move of fleet.round().moves) moved.add(fleet.shards[move.shard.shardId]?.eventsPerSecond as number);
    }
    expect([...moved]).toEqual([10]);
    expect(fleet.rateOf(a) * fleet.cpuPerEvent).toBeLessThan(80);
  });

  test('of one shard alone keeps it', () => {
    const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
    fleet.add(a, [1000, 0, 0, 0]);
    fleet.add(b, repeat(4, 10));
    fleet.observe();
    const { moves, skipped } = fleet.plan();
    expect(moves).toEqual([]);
    expect(skipped).toEqual([{ worker: a, reason: 'event-rate', why: 'no-shard-helps' }]);
  });

  test('is relieved until it is below the low mark, not only until it is below the limit', () => {
    const fleet = hotFleet();
    const rules = { ...rebalanceRules, minMovesPerRound: 1 };
    fleet.observe();
    expect(fleet.round(rules).moves).toHaveLength(1);
    expect(fleet.state?.workers.get(a)?.cpuPercent).toBeCloseTo(77, 6);
    expect(fleet.round(rules).moves).toHaveLength(1);
    expect(fleet.round(rules).moves).toHaveLength(1);
    expect(fleet.round(rules).moves).toEqual([]);
  });
});

describe('an empty worker', () => {
  test('gets its even part from those who have most', () => {
    const fleet = new ModelFleet();
    for (const worker of [a, b, c]) fleet.add(worker, repeat(12, 50));
    fleet.add(d, []);
    for (let round = 0; round < 4; round += 1) {
      for (const move of fleet.round().moves) expect(move).toMatchObject({ to: d, reason: 'empty-worker' });
    }
    expect(fleet.countOf(d)).toBeGreaterThanOrEqual(8);
    expect(fleet.countOf(d)).toBeLessThanOrEqual(9);
    expect([a, b, c].map((worker) => fleet.countOf(worker)).every((count) => count >= 9 && count <= 10)).toBe(true);
    expect(fleet.round().moves).toEqual([]);
  });

  test('gets its part of shards without any events', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(8, 0));
    fleet.add(b, []);
    fleet.round();
    expect(fleet.countOf(b)).toBe(4);
  });

  test('stays empty when there are no more shards than workers', () => {
    const fleet = new ModelFleet();
    for (const worker of [a, b, c]) fleet.add(worker, [100]);
    fleet.add(d, []);
    expect(fleet.round().moves).toEqual([]);
  });

  test('is left to the coordinator while shards have no owner', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(8, 10));
    fleet.add(b, []);
    (fleet.shards[0] as ModelShard).owner = undefined;
    expect(fleet.plan().moves).toEqual([]);
  });

  test('of an older release stays empty while the newer one has room', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(8, 10), { release: '2' });
    fleet.add(b, [], { release: '1' });
    const { moves, skipped } = fleet.plan();
    expect(moves).toEqual([]);
    expect(skipped).toEqual([{ worker: b, reason: 'empty-worker', why: 'older-release' }]);
    fleet.change(a, { maxShards: 8 });
    expect(fleet.plan().moves).toHaveLength(4);
  });
});

describe('a draining worker', () => {
  test('gives everything away to whoever has least, and gets nothing', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(4, 100), { draining: true });
    fleet.add(b, repeat(6, 100));
    fleet.add(c, repeat(2, 100));
    const { moves } = fleet.round();
    expect(moves).toHaveLength(4);
    for (const move of moves) expect(move).toMatchObject({ from: a, to: c, reason: 'draining' });
    fleet.observe();
    expect(fleet.round().moves).toEqual([]);
  });

  test('keeps what nobody has room for', () => {
    const fleet = new ModelFleet();
    fleet.add(a, repeat(3, 100), { draining: true });
    fleet.add(b, repeat(6, 100), { maxShards: 8 });
    const { moves, skipped } = fleet.plan();
    expect(moves).toHaveLength(2);
    expect(skipped).toEqual([{ worker: a, reason: 'draining', why: 'no-room' }]);
  });
});

describe('a target', () => {
  test.each([
    { name: 'that is dead', spoil: (fleet: ModelFleet) => fleet.dead.add(b) },
    { name: 'that is full', spoil: (fleet: ModelFleet) => fleet.change(b, { maxShards: 6 }) },
    { name: 'that runs its own list', spoil: (fleet: ModelFleet) => fleet.change(b, { assignable: false }) },
    { name: 'that tells nothing of the shards it has', spoil: (fleet: ModelFleet) => fleet.silent.add(b) },
    {
      name: 'of an older release',
      spoil: (fleet: ModelFleet) => {
        fleet.change(a, { release: '2' });
        fleet.change(c, { release: '2' });
      },
    },
  ])('$name is passed over', ({ spoil }) => {
    const fleet = hotFleet();
    fleet.change(b, { release: '1' });
    fleet.change(a, { release: '1' });
    fleet.change(c, { release: '1' });
    spoil(fleet);
    fleet.observe();
    const moves = fleet.plan().moves.filter((move) => move.from === a);
    expect(moves.length).toBeGreaterThan(0);
    expect(moves.every((move) => move.to === c)).toBe(true);
  });

  test('has no room for what it is about to get, nor for what it has not let go', () => {
    const fleet = hotFleet();
    fleet.change(b, { maxShards: 7 });
    fleet.change(c, { maxShards: 7 });
    const [onItsWay] = fleet.shardsOf(a) as [ModelShard];
    const [leaving] = fleet.shardsOf(c) as [ModelShard];
    onItsWay.want = b;
    leaving.want = a;
    fleet.observe();
    expect(fleet.plan().moves).toMatchObject([{ from: a, to: c }]);
  });
});

describe('a shard', () => {
  test.each([
    { name: 'on its way already', spoil: (shard: ModelShard) => Object.assign(shard, { want: c }) },
    { name: 'that is not ready', spoil: (shard: ModelShard) => Object.assign(shard, { ready: false }) },
  ])('$name is not moved', ({ spoil }) => {
    const fleet = hotFleet();
    for (const shard of fleet.shardsOf(a)) spoil(shard);
    fleet.cpuPerEvent = 0.3;
    fleet.observe();
    const { moves, skipped } = fleet.plan();
    expect(moves.filter((move) => move.from === a)).toEqual([]);
    expect(skipped).toContainEqual(expect.objectContaining({ worker: a, why: 'no-movable-shard' }));
  });

  test('whose figures are of an earlier epoch is not moved', () => {
    const fleet = hotFleet();
    fleet.observe();
    const view = fleet.view();
    for (const shard of fleet.shards) shard.epoch += 1;
    const stale = { ...fleet.view(), reports: view.reports };
    fleet.view = () => stale;
    expect(fleet.plan().moves).toEqual([]);
  });
});

test('that an earlier owner still reports is moved by the figures of the present one', () => {
  const fleet = hotFleet();
  for (const shard of fleet.shards) shard.epoch = 5;
  fleet.observe();
  const view = fleet.view();
  const [present] = view.reports;
  if (present === undefined) throw new Error('no report');
  const gone = { ...present, incarnation: d, shards: present.shards.map((row) => ({ ...row, epoch: 4 })) };
  const { moves } = fleet.plan();
  for (const reports of [
    [gone, ...view.reports],
    [...view.reports, gone],
  ]) {
    fleet.view = () => ({ ...view, reports });
    expect(fleet.plan().moves).toEqual(moves);
  }
  expect(moves).toHaveLength(3);
});

describe('the identify budget', () => {
  test.each([
    { budget: undefined, held: 'identify-budget-unknown' },
    { budget: { total: 1000, remaining: 100, version: 1 }, held: 'identify-budget-low' },
    { budget: { total: 1000, remaining: 0, version: 1 }, held: 'identify-budget-low' },
  ])('of $budget.remaining holds every move, and figures are smoothed on', ({ budget, held }) => {
    const fleet = hotFleet();
    fleet.observe();
    fleet.budget = budget;
    const plan = fleet.round();
    expect(plan).toMatchObject({ moves: [], held });
    expect(plan.state.workers.get(a)?.observedMs).toBe(180_000);
  });

  test('allows as many moves as it is above its reserve', () => {
    const fleet = hotFleet();
    fleet.observe();
    fleet.budget = { total: 1000, remaining: 101, version: 1 };
    const { moves, skipped } = fleet.plan();
    expect(moves).toHaveLength(1);
    expect(skipped).toEqual([{ worker: a, reason: 'cpu', why: 'moves-spent' }]);
  });
});

describe('smoothing', () => {
  test('takes a change in by elapsed time: 1 − e^(−Δt/τ) of it', () => {
    const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
    fleet.add(a, [100]);
    fleet.round();
    fleet.cpuPerEvent = 0.2;
    fleet.round();
    const part = 1 - Math.exp(-60_000 / rebalanceRules.smoothingMs);
    expect(fleet.state?.workers.get(a)?.cpuPercent).toBeCloseTo(10 + 10 * part, 9);
  });

  test('starts anew when the worker has another number of shards than planned', () => {
    const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
    fleet.add(a, [100, 100]);
    fleet.add(b, [100]);
    fleet.observe();
    (fleet.shards[0] as ModelShard).owner = b;
    fleet.round();
    expect(fleet.state?.workers.get(a)).toMatchObject({ cpuPercent: 10, observedMs: 0, shardCount: 1 });
    expect(fleet.state?.workers.get(b)).toMatchObject({ cpuPercent: 20, observedMs: 0, shardCount: 2 });
  });

  test('does not mind a clock that was set back', () => {
    const fleet = hotFleet();
    fleet.observe();
    fleet.nowMs -= 3_600_000;
    fleet.cpuPerEvent = 0.05;
    fleet.budget = undefined;
    expect(fleet.plan().state.workers.get(a)?.cpuPercent).toBeCloseTo(84, 6);
  });
});

test('of another number of shards the cooldowns are forgotten', () => {
  const fleet = hotFleet();
  fleet.observe();
  fleet.round();
  expect(fleet.state?.movedAtMs.size).toBe(3);
  fleet.shards.push({ eventsPerSecond: 1, owner: a, epoch: 1, ready: true, latencyMs: 40 });
  expect(fleet.plan().state.movedAtMs.size).toBe(0);
});

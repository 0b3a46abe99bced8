import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Incarnation } from '../../../shared/coordination/model.ts';
import {
  planRebalance,
  type RebalancePlan,
  type RebalanceState,
  rebalanceRules,
  type SmoothedLoad,
} from '../../../shared/coordination/rebalance.ts';
import { type Random, randomBelow, seededRandom } from '../../../shared/random.ts';
import { type ModelShard, ModelFleet } from './rebalance-fleet.ts';

const seeds = fc.integer({ min: 0, max: 2 ** 31 });
const runs = { numRuns: 300 };
const maxMoves = (shardCount: number) => Math.max(4, Math.floor(shardCount * 0.02));

/** Any fleet: lopsided, with dead, draining, silent, full and older workers, wishes, shards without owner. */
function anyFleet(random: Random): ModelFleet {
  const chance = (probability: number) => random.next() < probability;
  const fleet = new ModelFleet({ cpuPerEvent: 0.02 + 0.2 * random.next() });
  const count = 1 + randomBelow(random, 8);
  const releases = chance(0.3) ? ['1', '2'] : ['1'];
  for (let number = 0; number < count; number += 1) {
    const shards = chance(0.2) ? 0 : randomBelow(random, chance(0.3) ? 30 : 10);
    const rates = Array.from({ length: shards }, () => (chance(0.1) ? 0 : 100 * random.next() ** 3));
    fleet.add(`worker-${number}`, rates, {
      release: releases[randomBelow(random, releases.length)] as string,
      draining: chance(0.08),
      assignable: !chance(0.05),
      ...(chance(0.3) && { maxShards: randomBelow(random, 15) + 1 }),
    });
    if (chance(0.05)) fleet.dead.add(`worker-${number}`);
    if (chance(0.05)) fleet.silent.add(`worker-${number}`);
  }
  for (const shard of fleet.shards) {
    if (chance(0.02)) shard.owner = undefined;
    else if (chance(0.03)) shard.want = `worker-${randomBelow(random, count)}`;
    if (chance(0.05)) shard.ready = false;
  }
  return fleet;
}

/** The same figures and rules as the planner's, written down apart from it. */
function loads(state: RebalanceState, eligible: ReadonlySet<Incarnation>): Map<Incarnation, number> {
  const total = [...state.workers.values()].reduce((sum, { weight }) => sum + weight, 0);
  const even = Math.max(1, total / eligible.size);
  const loadOf = ({ cpuPercent, latencyMs, weight }: SmoothedLoad) =>
    Math.max(cpuPercent / 80, latencyMs / 500, weight / (1.5 * even));
  return new Map([...state.workers].filter(([id]) => eligible.has(id)).map(([id, load]) => [id, loadOf(load)]));
}

function eligibleIn(fleet: ModelFleet): Set<Incarnation> {
  const owners = new Set(fleet.shards.flatMap(({ owner, want }) => [owner, want]));
  return new Set(
    [...fleet.workers.values()]
      .filter(
        ({ incarnation, assignable, draining }) =>
          assignable &&
          !draining &&
          !fleet.dead.has(incarnation) &&
          !(fleet.silent.has(incarnation) && owners.has(incarnation)),
      )
      .map(({ incarnation }) => incarnation),
  );
}

function anyPlan(seed: number): { fleet: ModelFleet; plan: RebalancePlan; before: RebalanceState } {
  const fleet = anyFleet(seededRandom(seed));
  fleet.observe(3);
  fleet.nowMs += 60_000;
  const before = planRebalance({ ...fleet.view(), budget: undefined }, fleet.state).state;
  return { fleet, before, plan: fleet.plan() };
}

test('a balanced fleet gets no moves', () => {
  const fleets = fc.record({
    seed: seeds,
    workers: fc.integer({ min: 1, max: 12 }),
    shards: fc.integer({ min: 0, max: 200 }),
    rate: fc.double({ min: 0, max: 200, noNaN: true }),
  });
  fc.assert(
    fc.property(fleets, ({ seed, workers, shards, rate }) => {
      const random = seededRandom(seed);
      const fleet = new ModelFleet({ cpuPerEvent: 70 / Math.max(1, rate * Math.ceil(shards / workers) * 1.2) });
      for (let number = 0; number < workers; number += 1) {
        const own = Math.floor(shards / workers) + (number < shards % workers ? 1 : 0);
        fleet.add(
          `worker-${number}`,
          Array.from({ length: own }, () => rate * (0.9 + 0.2 * random.next())),
        );
      }
      fleet.noise = (figure) => figure * (0.9 + 0.2 * random.next());
      for (let round = 0; round < 6; round += 1) expect(fleet.round().moves).toEqual([]);
    }),
    runs,
  );
});

test('every plan lowers the highest load of those it concerns, and raises nobody to a limit', () => {
  let plans = 0;
  fc.assert(
    fc.property(seeds, (seed) => {
      const { fleet, plan, before } = anyPlan(seed);
      const moves = plan.moves.filter((move) => move.reason !== 'draining');
      if (moves.length === 0 || moves.length < plan.moves.length) return;
      plans += 1;
      const touched = new Set(moves.flatMap(({ from, to }) => [from, to]));
      const eligible = eligibleIn(fleet);
      const [was, is] = [loads(before, eligible), loads(plan.state, eligible)];
      const highest = (of: ReadonlyMap<Incarnation, number>, among: Iterable<Incarnation>) =>
        Math.max(...[...among].map((id) => of.get(id) as number));
      expect(highest(is, touched)).toBeLessThan(highest(was, touched));
      expect(highest(is, eligible)).toBeLessThanOrEqual(highest(was, eligible) + 1e-9);
      for (const { to, gain } of moves) {
        expect(is.get(to)).toBeLessThanOrEqual(0.9 + 1e-9);
        expect(gain).toBeGreaterThanOrEqual(0);
      }
    }),
    { numRuns: 1000 },
  );
  expect(plans).toBeGreaterThan(100);
});

test('targets can take what they are given: alive, not draining, of the newest release, with room', () => {
  let moved = 0;
  fc.assert(
    fc.property(seeds, (seed) => {
      const { fleet, plan } = anyPlan(seed);
      const occupied = new Map<Incarnation, number>();
      const occupy = (id: Incarnation | undefined) => {
        if (id !== undefined) occupied.set(id, (occupied.get(id) ?? 0) + 1);
      };
      for (const { owner, want } of fleet.shards) for (const id of new Set([owner, want])) occupy(id);
      for (const { to } of plan.moves) occupy(to);
      const present = [...fleet.workers.values()].filter(
        ({ incarnation, assignable, draining }) => assignable && !draining && !fleet.dead.has(incarnation),
      );
      for (const { shard, from, to, epoch } of plan.moves) {
        moved += 1;
        const target = present.find(({ incarnation }) => incarnation === to);
        expect(target).toBeDefined();
        expect(occupied.get(to)).toBeLessThanOrEqual(target?.maxShards ?? Number.POSITIVE_INFINITY);
        const newerWithRoom = present.filter(
          ({ incarnation, release, maxShards = Number.POSITIVE_INFINITY }) =>
            release > (target?.release as string) && (occupied.get(incarnation) ?? 0) < maxShards,
        );
        expect(newerWithRoom).toEqual([]);
        expect(fleet.shards[shard.shardId]).toMatchObject({ owner: from, epoch, ready: true });
        expect(fleet.shards[shard.shardId]?.want).toBeUndefined();
        expect(to).not.toBe(from);
      }
      expect(new Set(plan.moves.map(({ shard }) => shard.shardId)).size).toBe(plan.moves.length);
      expect(plan.moves.length).toBeLessThanOrEqual(maxMoves(fleet.shards.length));
    }),
    { numRuns: 1000 },
  );
  expect(moved).toBeGreaterThan(500);
});

test('no move while the identify budget is at its reserve, and no more moves than it is above', () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 1, max: 3000 }), fc.integer({ min: -5, max: 6 }), (seed, total, above) => {
      const fleet = anyFleet(seededRandom(seed));
      fleet.observe(3);
      fleet.budget = { total, remaining: Math.ceil(total / 10) + above, version: 1 };
      const { moves, held } = fleet.plan();
      expect(moves.length).toBeLessThanOrEqual(Math.max(0, above));
      expect(held).toBe(above <= 0 ? 'identify-budget-low' : undefined);
    }),
    runs,
  );
});

test('the same view gives the same plan', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      const { fleet, plan } = anyPlan(seed);
      expect(fleet.plan()).toEqual(plan);
    }),
    runs,
  );
});

/** A fleet whose load wanders, that loses workers and gets others, for `rounds` minutes. */
function restlessFleet(random: Random): { fleet: ModelFleet; disturb: () => void } {
  const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
  let added = 0;
  const add = () => {
    added += 1;
    fleet.add(`worker-${added}`, []);
  };
  for (let number = 0; number < 2 + randomBelow(random, 5); number += 1) add();
  const owners = [...fleet.workers.keys()];
  for (let shard = 0; shard < 30; shard += 1) {
    const owner = owners[randomBelow(random, owners.length)];
    fleet.shards.push({ eventsPerSecond: 30 * random.next(), owner, epoch: 1, ready: true, latencyMs: 40 });
  }
  const disturb = () => {
    for (const shard of fleet.shards) shard.eventsPerSecond *= 0.5 + random.next();
    if (random.next() < 0.2) add();
    if (random.next() < 0.1 && fleet.workers.size > 2) {
      const [gone, heir] = [...fleet.workers.keys()] as [Incarnation, Incarnation];
      fleet.workers.delete(gone);
      for (const shard of fleet.shardsOf(gone)) Object.assign(shard, { owner: heir, epoch: shard.epoch + 1 });
    }
  };
  return { fleet, disturb };
}

test('no shard moves twice within its cooldown, whatever happens to the fleet', () => {
  let again = 0;
  fc.assert(
    fc.property(seeds, (seed) => {
      const { fleet, disturb } = restlessFleet(seededRandom(seed));
      const movedAtMs = new Map<number, number>();
      for (let round = 0; round < 60; round += 1) {
        for (const { shard } of fleet.round().moves) {
          const before = movedAtMs.get(shard.shardId);
          if (before !== undefined) {
            again += 1;
            expect(fleet.nowMs - before).toBeGreaterThanOrEqual(rebalanceRules.cooldownMs);
          }
          movedAtMs.set(shard.shardId, fleet.nowMs);
        }
        disturb();
      }
    }),
    { numRuns: 100 },
  );
  expect(again).toBeGreaterThan(100);
});

/** A lopsided fleet whose true load stands still; `noise` is what its reports are off by. */
function steadyFleet(random: Random, noise: number): ModelFleet {
  const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
  const workers = 2 + randomBelow(random, 7);
  for (let number = 0; number < workers; number += 1) {
    const shards = random.next() < 0.2 ? 0 : 1 + randomBelow(random, 25);
    fleet.add(
      `worker-${number}`,
      Array.from({ length: shards }, () => 100 * random.next() ** 2),
    );
  }
  const total = fleet.shards.reduce((sum, { eventsPerSecond }) => sum + eventsPerSecond, 0);
  // On average 20 to 75 % CPU a worker.
  fleet.cpuPerEvent = ((20 + 55 * random.next()) * workers) / total;
  fleet.noise = (figure) => figure * (1 - noise + 2 * noise * random.next());
  return fleet;
}

/** Two hours of a fleet: moves in the second one, and moves of a shard to where it had been. */
function twoHours(fleet: ModelFleet): { lateMoves: number; returns: number } {
  const seen = fleet.shards.map((shard: ModelShard) => new Set([shard.owner]));
  let lateMoves = 0;
  let returns = 0;
  for (let round = 0; round < 120; round += 1) {
    const { moves } = fleet.round();
    for (const { shard, to } of moves) {
      if (seen[shard.shardId]?.has(to)) returns += 1;
      seen[shard.shardId]?.add(to);
    }
    if (round >= 60) lateMoves += moves.length;
  }
  return { lateMoves, returns };
}

test('a fleet whose load stands still comes to rest, and no shard goes back where it was', () => {
  fc.assert(
    fc.property(seeds, (seed) => {
      expect(twoHours(steadyFleet(seededRandom(seed), 0))).toEqual({ lateMoves: 0, returns: 0 });
    }),
    { numRuns: 100 },
  );
});

// The same hundred fleets every time: what noise does is a matter of probability.
test.each([
  { noise: 0.05, maxLateMoves: 5, maxReturns: 0 },
  { noise: 0.2, maxLateMoves: 100, maxReturns: 20 },
])(
  'with reports off by up to $noise a hundred fleets, some at 75 % CPU, make at most $maxLateMoves moves in their second hour',
  ({ noise, maxLateMoves, maxReturns }) => {
    const runsOf = Array.from({ length: 100 }, (_, seed) => twoHours(steadyFleet(seededRandom(seed + 1), noise)));
    const sum = (figure: 'lateMoves' | 'returns') => runsOf.reduce((total, run) => total + run[figure], 0);
    expect(sum('lateMoves')).toBeLessThanOrEqual(maxLateMoves);
    expect(sum('returns')).toBeLessThanOrEqual(maxReturns);
  },
);

test('a fleet that can be relieved is: nobody stays above a limit', () => {
  fc.assert(
    fc.property(seeds, fc.integer({ min: 2, max: 8 }), (seed, workers) => {
      const random = seededRandom(seed);
      const fleet = new ModelFleet({ cpuPerEvent: 0.1 });
      for (let number = 0; number < workers; number += 1) fleet.add(`worker-${number}`, []);
      for (let shard = 0; shard < workers * 10; shard += 1) {
        const owner = `worker-${Math.floor(workers * random.next() ** 2)}`;
        fleet.shards.push({ eventsPerSecond: 20 + 40 * random.next(), owner, epoch: 1, ready: true, latencyMs: 40 });
      }
      const cpu = (id: Incarnation) => fleet.rateOf(id) * fleet.cpuPerEvent;
      for (let round = 0; round < 60; round += 1) fleet.round();
      // A shard counts for an event per second even when it has none.
      const weight = (id: Incarnation) => fleet.rateOf(id) + fleet.countOf(id);
      const even = [...fleet.workers.keys()].reduce((sum, id) => sum + weight(id), 0) / workers;
      for (const id of fleet.workers.keys()) {
        expect(cpu(id)).toBeLessThanOrEqual(80);
        expect(weight(id) / even).toBeLessThanOrEqual(1.5 + 1e-9);
      }
    }),
    { numRuns: 100 },
  );
});

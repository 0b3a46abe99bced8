import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ChaosDone, type ChaosTargets, planChaos, runChaos } from '../../local/chaos.ts';
import { seededRandom } from '../../shared/random.ts';
import { ManualClock } from '../manual-clock.ts';

const seeds = fc.integer({ min: 0, max: 1_000_000 });

describe('planChaos', () => {
  test('the same seed gives the same plan, another seed another', () => {
    expect(planChaos(60_000, seededRandom(1))).toEqual(planChaos(60_000, seededRandom(1)));
    expect(planChaos(60_000, seededRandom(1))).not.toEqual(planChaos(60_000, seededRandom(2)));
  });

  test.each([8000, 20_000, 60_000, 600_000])('%i ms hold a kill, a drain and a quiet end, in order', (durationMs) => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const plan = planChaos(durationMs, seededRandom(seed));
        const kinds = plan.map((action) => action.kind);
        expect(kinds).toContain('killWorker');
        expect(kinds).toContain('drainWorker');
        const times = plan.map((action) => action.atMs);
        expect(times).toEqual(times.toSorted((one, other) => one - other));
        expect(times[0]).toBeGreaterThanOrEqual(0);
        expect(times.at(-1)).toBeLessThanOrEqual(durationMs - Math.min(15_000, durationMs / 4));
      }),
    );
  });

  test('a kill and a drain finish within 60 s', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const plan = planChaos(60_000, seededRandom(seed));
        expect(plan.find((action) => action.kind === 'killWorker')?.atMs).toBeLessThan(60_000 - 20_000);
        expect(plan.find((action) => action.kind === 'drainWorker')?.atMs).toBeLessThan(60_000 - 20_000);
      }),
    );
  });

  test('no worker is disturbed before the fleet has got over a kill or a pause', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        const plan = planChaos(600_000, seededRandom(seed)).filter((action) => action.kind.endsWith('Worker'));
        expect(plan.length).toBeGreaterThan(20);
        for (const [index, action] of plan.slice(1).entries()) {
          const before = plan[index] as (typeof plan)[number];
          expect(action.atMs - before.atMs).toBeGreaterThanOrEqual(before.kind === 'drainWorker' ? 6000 : 18_000);
        }
      }),
    );
  });

  test('a run too short for a takeover is left alone by kills', () => {
    expect(planChaos(3000, seededRandom(1)).map((action) => action.kind)).not.toContain('killWorker');
  });
});

describe('the harsh mix', () => {
  const harsh = (seed: number, replayMs: number) => planChaos(600_000, seededRandom(seed), { mix: 'harsh', replayMs });
  const outages = (seed: number, replayMs: number) =>
    harsh(seed, replayMs).filter((action) => action.kind === 'awsOutage');

  test('has everything that the mild one has, outages of AWS and planned moves', () => {
    const plan = [1, 2, 3].flatMap((seed) => harsh(seed, 60_000));
    expect([...new Set(plan.map(({ kind }) => kind))].sort()).toEqual(Object.keys(targets).sort());
    const resumeUrls = plan.flatMap((action) => (action.kind === 'deadResumeUrl' ? [action.state] : []));
    expect(new Set(resumeUrls).size).toBe(2);
    expect(planChaos(600_000, seededRandom(1)).map(({ kind }) => kind)).not.toContain('awsOutage');
  });

  test('strikes single workers and all of them, both services, in every way', () => {
    const all = [1, 2, 3].flatMap((seed) => outages(seed, 60_000));
    expect(new Set(all.map(({ outage }) => outage.kind)).size).toBe(7);
    expect(new Set(all.map(({ services }) => services.join())).size).toBe(3);
    expect(all.some(({ worker }) => worker === 'all') && all.some(({ worker }) => worker !== 'all')).toBe(true);
  });

  test('outages do not overlap, last 20 s at most, and end before the quiet end', () => {
    fc.assert(
      fc.property(seeds, (seed) => {
        let freeAtMs = 0;
        for (const { atMs, forMs } of outages(seed, 60_000)) {
          expect(atMs).toBeGreaterThanOrEqual(freeAtMs);
          expect(forMs).toBeGreaterThanOrEqual(2000);
          expect(forMs).toBeLessThanOrEqual(20_000);
          freeAtMs = atMs + forMs + 18_000;
          expect(atMs + forMs).toBeLessThanOrEqual(585_000);
        }
      }),
    );
  });

  test('where Discord keeps little, outages are short: a takeover must fit in as well', () => {
    expect(Math.max(...outages(1, 45_000).map(({ forMs }) => forMs))).toBeLessThanOrEqual(10_000);
    expect(Math.max(...outages(1, 20_000).map(({ forMs }) => forMs))).toBeLessThanOrEqual(2000);
  });
});

const nothing = () => Promise.resolve(undefined);
const targets: ChaosTargets = {
  killWorker: (action) => Promise.resolve(`worker ${action.worker}`),
  drainWorker: () => Promise.reject(new Error('no such worker')),
  pauseWorker: nothing,
  requestReconnect: nothing,
  cutSocket: nothing,
  invalidateResumable: nothing,
  silenceSocket: nothing,
  deadResumeUrl: nothing,
  awsOutage: nothing,
  moveShards: nothing,
};

describe('runChaos', () => {
  test('does each thing at its time and reports what came of it, failures included', async () => {
    const clock = new ManualClock();
    const done: ChaosDone[] = [];
    const running = runChaos(
      [
        { kind: 'killWorker', atMs: 100, worker: 2, restartAfterMs: 0 },
        { kind: 'drainWorker', atMs: 250.4, worker: 0 },
        { kind: 'cutSocket', atMs: 300, shard: 0 },
      ],
      targets,
      { clock, signal: new AbortController().signal, onDone: (each) => done.push(each) },
    );
    await clock.advance(99);
    expect(done).toEqual([]);
    await clock.advance(1);
    expect(done).toEqual([{ atMs: 100, kind: 'killWorker', what: 'worker 2' }]);
    await clock.advance(200);
    await running;
    expect(done.slice(1)).toEqual([
      { atMs: 250, kind: 'drainWorker', what: 'failed: no such worker' },
      { atMs: 300, kind: 'cutSocket', what: 'nothing to do it to' },
    ]);
  });

  test('stops at once when told to', async () => {
    const clock = new ManualClock();
    const stop = new AbortController();
    const done: ChaosDone[] = [];
    const running = runChaos([{ kind: 'killWorker', atMs: 100, worker: 2, restartAfterMs: 0 }], targets, {
      clock,
      signal: stop.signal,
      onDone: (each) => done.push(each),
    });
    stop.abort();
    await running;
    expect(done).toEqual([]);
    expect(clock.pendingTimers).toBe(0);
  });
});

import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { IdentifyPermit } from '../../gateway-workers/gateway/gateway-session.ts';
import { IdentifyLimiter } from '../../gateway-workers/identify-limiter.ts';
import type { Clock } from '../../shared/clock.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import { silentLogger } from '../../shared/logger.ts';
import { ManualClock } from '../manual-clock.ts';

const shardCount = 64;
let clock: ManualClock;
let store: MemoryStore;
let stop: AbortController;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  stop = new AbortController();
  await store.refreshBudget(undefined, { total: 1000, remaining: 1000 });
});

afterEach(async () => {
  stop.abort();
  await clock.advance(60_000);
  expect(clock.pendingTimers).toBe(0);
});

function limiter(incarnation: string, maxConcurrency = 1): IdentifyLimiter {
  return new IdentifyLimiter({ store, incarnation, maxConcurrency, clock, logger: silentLogger });
}

/** Runs one shard through the gate; calls `identified` with the time at which it would send IDENTIFY. */
async function identify(
  gate: IdentifyLimiter,
  shardId: number,
  identified: (atMs: number, permit: IdentifyPermit) => void,
): Promise<void> {
  const shard = { shardId, shardCount };
  await gate.approach(shard, stop.signal);
  const permit = await gate.win(shard, stop.signal).catch(() => undefined);
  if (permit) identified(clock.monotonicMs(), permit);
}

/** READY comes 20 ms after IDENTIFY. */
function readyIn20Ms(times: number[]) {
  return (atMs: number, permit: IdentifyPermit) => {
    times.push(atMs);
    clock.schedule(20, () => permit.settle('ready'));
  };
}

describe('the identify gate', () => {
  test('lets one shard of a bucket through every five seconds after READY, over all workers', async () => {
    const times: number[] = [];
    const gates = [limiter('a'), limiter('b'), limiter('c')];
    const running = Array.from({ length: 9 }, (_, shardId) =>
      identify(gates[shardId % 3] as IdentifyLimiter, shardId, readyIn20Ms(times)),
    );
    await clock.advance(60_000);
    await Promise.all(running);
    expect(times).toHaveLength(9);
    const gaps = times.slice(1).map((time, index) => time - (times[index] as number));
    expect(Math.min(...gaps)).toBeGreaterThanOrEqual(5020);
    expect(Math.max(...gaps)).toBeLessThan(5250);
    expect(await store.readBudget()).toMatchObject({ remaining: 991 });
  });

  test('lets buckets go side by side', async () => {
    const times: number[] = [];
    const gate = limiter('a', 16);
    const running = Array.from({ length: 16 }, (_, shardId) => identify(gate, shardId, readyIn20Ms(times)));
    await clock.advance(100);
    expect(times).toHaveLength(16);
    await clock.advance(6000);
    await Promise.all(running);
  });

  test('holds the token as long as READY takes', async () => {
    const times: number[] = [];
    const first = identify(limiter('a'), 0, (atMs, permit) => {
      times.push(atMs);
      clock.schedule(30_000, () => permit.settle('ready'));
    });
    await clock.advance(10);
    const second = identify(limiter('b'), 1, readyIn20Ms(times));
    await clock.advance(45_000);
    await Promise.all([first, second]);
    expect((times[1] as number) - (times[0] as number)).toBeGreaterThanOrEqual(35_000);
  });

  test('lets go of the token though its timer rings a part of a millisecond early', async () => {
    const hasty: Clock = {
      monotonicMs: () => clock.monotonicMs(),
      wallClockMs: () => clock.wallClockMs(),
      sleep: (durationMs, signal) => clock.sleep(durationMs, signal),
      schedule: (durationMs, run) => clock.schedule(durationMs > 1 ? durationMs - 0.5 : durationMs, run),
    };
    const times: number[] = [];
    const early = new IdentifyLimiter({
      store,
      incarnation: 'a',
      maxConcurrency: 1,
      clock: hasty,
      logger: silentLogger,
    });
    const first = identify(early, 0, readyIn20Ms(times));
    await clock.advance(10);
    const second = identify(limiter('b'), 1, readyIn20Ms(times));
    await clock.advance(20_000);
    await Promise.all([first, second]);
    expect((times[1] as number) - (times[0] as number)).toBeLessThan(5250);
  });

  test('outwaits a token whose holder has died', async () => {
    await store.swapGate(0, undefined, 'dead');
    const times: number[] = [];
    const startedMs = clock.monotonicMs();
    const running = identify(limiter('a'), 0, readyIn20Ms(times));
    await clock.advance(30_000);
    await running;
    expect((times[0] as number) - startedMs).toBeGreaterThanOrEqual(9000);
    expect((times[0] as number) - startedMs).toBeLessThan(9500);
  });

  test('gives a permit that runs out two seconds after the winning write was started', async () => {
    const startedMs = clock.monotonicMs();
    const gate = limiter('a');
    const running = identify(gate, 0, (_, permit) => {
      expect(permit.sendBeforeMs).toBe(startedMs + 2000);
      permit.settle('unused');
    });
    await clock.advance(100);
    await running;
  });

  test('spends the budget once for a permit that had to be won again', async () => {
    const gate = limiter('a');
    const shard = { shardId: 0, shardCount };
    await gate.approach(shard, stop.signal);
    (await gate.win(shard, stop.signal)).settle('unused');
    const permit = await gate.win(shard, stop.signal);
    permit.settle('ready');
    expect(await store.readBudget()).toMatchObject({ remaining: 999 });
    await clock.advance(6000);
    expect(await store.readGate(0)).not.toHaveProperty('holder');
  });

  test('waits while the budget is spent, and goes on when it is there again', async () => {
    const { version } = (await store.readBudget()) ?? { version: 0 };
    await store.refreshBudget(version, { total: 1000, remaining: 0 });
    const times: number[] = [];
    const running = identify(limiter('a'), 0, readyIn20Ms(times));
    await clock.advance(60_000);
    expect(times).toEqual([]);
    const spent = await store.readBudget();
    await store.refreshBudget(spent?.version, { total: 1000, remaining: 1000 });
    await clock.advance(12_000);
    await running;
    expect(times).toHaveLength(1);
  });

  test('makes a shard wait longer each time when its IDENTIFYs keep failing', async () => {
    const gate = limiter('a');
    const times: number[] = [];
    const running = (async () => {
      while (!stop.signal.aborted && times.length < 7) {
        await identify(gate, 0, (atMs, permit) => {
          times.push(atMs);
          permit.settle('invalidSession');
        });
      }
    })();
    await clock.advance(40 * 60_000);
    await running;
    const gaps = times.slice(1).map((time, index) => Math.round((time - (times[index] as number)) / 1000));
    expect(gaps).toEqual([5, 5, 15, 30, 60, 120]);
  });

  test('keeps the last tenth of the budget from a shard whose IDENTIFYs keep failing', async () => {
    const { version } = (await store.readBudget()) ?? { version: 0 };
    await store.refreshBudget(version, { total: 1000, remaining: 104 });
    const failing: number[] = [];
    const gate = limiter('a');
    const running = (async () => {
      while (!stop.signal.aborted) {
        await identify(gate, 0, (atMs, permit) => {
          failing.push(atMs);
          permit.settle('invalidSession');
        });
      }
    })();
    await clock.advance(60 * 60_000);
    expect(failing).toHaveLength(4);
    expect(await store.readBudget()).toMatchObject({ remaining: 100 });
    const times: number[] = [];
    const other = identify(limiter('b'), 1, readyIn20Ms(times));
    await clock.advance(20_000);
    await other;
    expect(times).toHaveLength(1);
    stop.abort();
    await clock.advance(10_000);
    await running;
  });

  test('lets the next in line go when the first one leaves', async () => {
    const gate = limiter('a');
    const leaving = new AbortController();
    await gate.approach({ shardId: 0, shardCount }, leaving.signal);
    const times: number[] = [];
    const running = identify(gate, 1, readyIn20Ms(times));
    await clock.advance(20_000);
    expect(times).toEqual([]);
    const winning = expect(gate.win({ shardId: 0, shardCount }, leaving.signal)).rejects.toThrow('aborted');
    leaving.abort();
    await winning;
    await clock.advance(20_000);
    await running;
    expect(times).toHaveLength(1);
  });
});

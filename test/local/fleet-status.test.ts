import { beforeEach, describe, expect, test } from 'vitest';
import { readFleetStatus, watchCounters } from '../../local/fleet-status.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import type { WorkerReport } from '../../shared/coordination/model.ts';
import { ManualClock } from '../manual-clock.ts';

const first = { shardId: 0, shardCount: 2 };
const second = { shardId: 1, shardCount: 2 };

function report(incarnation: string, epoch: number): WorkerReport {
  return {
    incarnation,
    workerId: 'one',
    cpuPercent: 12,
    memoryMb: 90,
    eventsPerSecond: 5,
    coordinator: true,
    shards: [
      {
        shard: '2.0',
        epoch,
        state: 'ready',
        ready: true,
        seq: 7,
        guildCount: 3,
        latencyMs: 40,
        eventsPerSecond: 5,
        bufferedEvents: 0,
      },
    ],
  };
}

let clock: ManualClock;
let store: MemoryStore;

async function join(incarnation: string, workerId: string): Promise<void> {
  await store.join({
    incarnation,
    workerId,
    release: 'r1',
    chunkCount: 1,
    controlQueueUrl: 'http://queue',
    originalCoordinator: false,
    assignable: true,
    draining: false,
  });
}

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
});

describe('readFleetStatus', () => {
  test('an empty table is a fleet without anything', async () => {
    expect(await readFleetStatus(store)).toMatchObject({ shardCount: undefined, workers: [], shards: [] });
  });

  test('puts leases, records, reports, role and budget together', async () => {
    await join('inc-2', 'two');
    await join('inc-1', 'one');
    await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 16, gatewayUrl: 'wss://gateway' });
    await store.createLeases(2, [0, 1]);
    await store.grant(first, { epoch: 0, to: 'inc-1' });
    await store.setWant(first, { owner: 'inc-1', epoch: 1, want: 'inc-2' });
    await store.swapRole(undefined, { holder: 'inc-1', term: 1, counter: 1 });
    await store.refreshBudget(undefined, { total: 1000, remaining: 990 });
    await store.writeReport(report('inc-1', 1));
    await store.writeCheckpoint({ incarnation: 'inc-1', chunk: 0, version: 4, entries: new Map() });

    const status = await readFleetStatus(store);
    expect(status).toMatchObject({
      shardCount: 2,
      coordinator: 'one',
      identifiesRemaining: 990,
      identifiesTotal: 1000,
    });
    expect(status.workers).toMatchObject([
      { workerId: 'two', coordinator: false, shardIds: [], cpuPercent: undefined },
      { workerId: 'one', coordinator: true, shardIds: [0], readyShardCount: 1, counter: 4, cpuPercent: 12 },
    ]);
    expect(status.shards).toMatchObject([
      { shardId: 0, state: 'ready', ready: true, workerId: 'one', wanted: 'two', epoch: 1, guildCount: 3 },
      { shardId: 1, state: 'unheld', ready: false, workerId: undefined },
    ]);
  });

  test('a report from before the last change of hands says nothing about the shard', async () => {
    await join('inc-1', 'one');
    await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 16, gatewayUrl: 'wss://gateway' });
    await store.createLeases(2, [0, 1]);
    await store.grant(first, { epoch: 0, to: 'inc-1' });
    await store.grant(second, { epoch: 0, to: 'inc-1' });
    await store.writeReport(report('inc-1', 0));
    const { shards } = await readFleetStatus(store);
    expect(shards.map(({ state, ready }) => ({ state, ready }))).toEqual([
      { state: 'unknown', ready: false },
      { state: 'unknown', ready: false },
    ]);
  });
});

describe('watchCounters', () => {
  test('a worker lives when its counter moves; a silent one costs the whole wait, a fenced one nothing', async () => {
    for (const name of ['moving', 'silent', 'fenced']) await join(name, name);
    await store.fence({ incarnation: 'fenced', chunk: 0, seenVersion: 0, by: 'moving' });
    const { workers } = await readFleetStatus(store);
    const watching = watchCounters(store, workers, { clock, withinMs: 3000 });
    await clock.advance(1000);
    await store.writeCheckpoint({ incarnation: 'moving', chunk: 0, version: 1, entries: new Map() });
    await clock.advance(2200);
    expect([...(await watching)]).toEqual(['moving']);
    expect(clock.pendingTimers).toBe(0);
  });
});

import { beforeEach, expect, test } from 'vitest';
import { NamesakeWatch } from '../../gateway-workers/namesake-watch.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import type { WorkerRecord } from '../../shared/coordination/model.ts';
import { silentLogger } from '../../shared/logger.ts';
import { ManualClock } from '../manual-clock.ts';

const heartbeatMs = 3000;
let clock: ManualClock;
let store: MemoryStore;
let stop: AbortController;

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  stop = new AbortController();
});

function join(incarnation: string, workerId = 'worker-1'): Promise<WorkerRecord> {
  return store.join({
    incarnation,
    workerId,
    release: '',
    chunkCount: 1,
    controlQueueUrl: `memory:${incarnation}`,
    originalCoordinator: false,
    assignable: true,
    draining: false,
  });
}

const beat = (incarnation: string, version: number) =>
  store.writeCheckpoint({ incarnation, chunk: 0, version, entries: new Map() });

/** What the watch of `me` has found: an incarnation, `nobody`, or nothing yet. */
function watch(me: WorkerRecord): { found: string | undefined } {
  const result: { found: string | undefined } = { found: undefined };
  const running = new NamesakeWatch({ store, me, heartbeatMs, clock, logger: silentLogger }).run(stop.signal);
  void running.then((living) => {
    result.found = living?.incarnation ?? 'nobody';
  });
  return result;
}

test('an earlier worker of the name whose counter goes on moving is found within a period of silence', async () => {
  await join('elder');
  const result = watch(await join('younger'));
  await clock.advance(100);
  for (const version of [1, 2, 3]) {
    expect(result.found).toBeUndefined();
    await beat('elder', version);
    await clock.advance(heartbeatMs);
  }
  expect(result.found).toBe('elder');
});

test('a record that a dead worker left is not found, whatever was still on its way; the watch ends with its fence', async () => {
  await join('elder');
  await beat('elder', 1);
  const result = watch(await join('younger'));
  for (const version of [2, 3, 4, 5]) {
    await clock.advance(1000);
    await beat('elder', version);
  }
  await clock.advance(60_000);
  expect(result.found).toBeUndefined();
  await store.fence({ incarnation: 'elder', chunk: 0, seenVersion: 5, by: 'other' });
  await clock.advance(heartbeatMs);
  expect(result.found).toBe('nobody');
});

test('later namesakes, other names and those about to leave are no concern', async () => {
  await join('leaving');
  await store.markDraining('leaving');
  await join('other', 'worker-2');
  const result = watch(await join('me'));
  await join('younger');
  for (const version of [1, 2, 3]) {
    for (const incarnation of ['leaving', 'other', 'younger']) await beat(incarnation, version);
    await clock.advance(heartbeatMs);
  }
  expect(result.found).toBe('nobody');
});

test('ends with the worker, and leaves no timer', async () => {
  await join('elder');
  const result = watch(await join('younger'));
  await clock.advance(500);
  stop.abort();
  await clock.advance(0);
  expect([result.found, clock.pendingTimers]).toEqual(['nobody', 0]);
});

import { expect, test } from 'vitest';
import { ControlQueueSweep } from '../../../gateway-workers/requests/control-queue-sweep.ts';
import { MemoryControlPlane } from '../../../shared/control/memory-control-queue.ts';
import { MemoryControlQueueNotes } from '../../../shared/control/memory-control-queue-notes.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import { ManualClock } from '../../manual-clock.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';
import { RecordingLogger } from '../../shared/recording-logger.ts';

const minuteMs = 60_000;

async function rig() {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const control = new MemoryControlPlane(clock);
  const notes = new MemoryControlQueueNotes();
  const role = { isMine: true };
  const sweep = new ControlQueueSweep({
    store,
    control,
    notes,
    isResponsible: () => role.isMine,
    clock,
    logger: new RecordingLogger(),
  });
  const made = async (incarnation: string, { noted = true } = {}) => {
    const url = await control.open(incarnation);
    await notes.note({ incarnation, ...(noted && { url }) });
    return url;
  };
  const isThere = async (url: string) =>
    control.send(url, { kind: 'tick' }).then(
      () => true,
      () => false,
    );
  return { clock, store, control, notes, role, sweep, made, isThere };
}

test('the queue of a worker that is in no register goes after five minutes, with its note', async () => {
  const { clock, notes, sweep, made, isThere } = await rig();
  const [orphan, nameless] = [await made('orphan'), await made('nameless', { noted: false })];
  expect(await sweep.sweep()).toEqual([]);
  await clock.advance(4 * minuteMs);
  expect(await sweep.sweep()).toEqual([]);
  expect(await isThere(orphan)).toBe(true);
  await clock.advance(minuteMs);
  expect(await sweep.sweep()).toEqual(['orphan', 'nameless']);
  expect([await isThere(orphan), await isThere(nameless)]).toEqual([false, false]);
  expect(await notes.list()).toEqual([]);
});

test('the queue of a worker that registers in time, or lives, is never touched', async () => {
  const { clock, store, sweep, made, isThere } = await rig();
  const [living, starting] = [await made('living'), await made('starting')];
  await store.join(workerRecord('living'));
  await sweep.sweep();
  await clock.advance(4 * minuteMs);
  await store.join(workerRecord('starting'));
  for (let minute = 0; minute < 20; minute += 1) {
    await clock.advance(minuteMs);
    expect(await sweep.sweep()).toEqual([]);
  }
  expect([await isThere(living), await isThere(starting)]).toEqual([true, true]);
});

test("a queue that nobody noted is not this fleet's", async () => {
  const { clock, control, sweep, isThere } = await rig();
  const url = await control.open('of-another-fleet');
  for (let minute = 0; minute < 10; minute += 1) {
    await sweep.sweep();
    await clock.advance(minuteMs);
  }
  expect(await isThere(url)).toBe(true);
});

test('a worker without the role sweeps nothing, and begins to count anew when it gets it', async () => {
  const { clock, role, sweep, made } = await rig();
  await made('orphan');
  await sweep.sweep();
  role.isMine = false;
  await clock.advance(10 * minuteMs);
  expect(await sweep.sweep()).toEqual([]);
  role.isMine = true;
  expect(await sweep.sweep()).toEqual([]);
  await clock.advance(5 * minuteMs);
  expect(await sweep.sweep()).toEqual(['orphan']);
});

test('its loop looks every minute and ends with its signal', async () => {
  const { clock, sweep, made, isThere } = await rig();
  const orphan = await made('orphan');
  const stop = new AbortController();
  const running = sweep.run(stop.signal);
  await clock.advance(7 * minuteMs);
  expect(await isThere(orphan)).toBe(false);
  stop.abort();
  await running;
  expect(clock.pendingTimers).toBe(0);
});

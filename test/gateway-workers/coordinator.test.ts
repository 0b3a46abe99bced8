import { afterEach, beforeEach, expect, test } from 'vitest';
import { Coordinator } from '../../gateway-workers/coordinator.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import type { WorkerRecord } from '../../shared/coordination/model.ts';
import { type CoordinationStore, StoreUnavailable } from '../../shared/coordination/store.ts';
import type { ControlPlane } from '../../shared/control/control-queue.ts';
import { BatonError } from '../../shared/errors.ts';
import { MemoryControlPlane } from '../../shared/control/memory-control-queue.ts';
import { ManualClock } from '../manual-clock.ts';
import { RecordingLogger } from '../shared/recording-logger.ts';

const fleet = { shardCount: 4, maxConcurrency: 1, gatewayUrl: 'wss://gateway.test' };
let clock: ManualClock;
let store: MemoryStore;
let control: MemoryControlPlane;
let stop: AbortController;
const running: Promise<void>[] = [];

beforeEach(() => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  control = new MemoryControlPlane(clock);
  stop = new AbortController();
});

afterEach(async () => {
  stop.abort();
  await clock.advance(10_000);
  await Promise.all(running.splice(0));
});

async function join(name: string, fields: Partial<WorkerRecord> = {}): Promise<void> {
  const controlQueueUrl = await control.open(name);
  await store.join({
    incarnation: name,
    workerId: name,
    release: '',
    chunkCount: 1,
    controlQueueUrl,
    originalCoordinator: false,
    assignable: true,
    draining: false,
    ...fields,
  });
}

/** A worker that beats until `stop`, or until `dies` aborts. */
function beat(name: string, dies?: AbortSignal): void {
  let version = 0;
  const loop = async () => {
    const over = dies ? AbortSignal.any([stop.signal, dies]) : stop.signal;
    while (!over.aborted) {
      version += 1;
      await store.writeCheckpoint({ incarnation: name, chunk: 0, version, entries: new Map() });
      await clock.sleep(1000, over);
    }
  };
  running.push(loop());
}

function coordinate(
  name: string,
  options: {
    through?: CoordinationStore;
    signal?: AbortSignal;
    logger?: RecordingLogger;
    shardCount?: number;
    control?: ControlPlane;
  } = {},
) {
  const coordinator = new Coordinator({
    store: options.through ?? store,
    control: options.control ?? control,
    me: name,
    fleet: { ...fleet, shardCount: options.shardCount ?? fleet.shardCount },
    rules: { heartbeatMs: 3000, missedHeartbeats: 3 },
    ownShardIds: undefined,
    lastConfirmedStartMs: () => clock.monotonicMs(),
    onOwnLease: () => {},
    clock,
    logger: options.logger ?? new RecordingLogger(),
  });
  running.push(coordinator.run(options.signal ?? stop.signal));
  return coordinator;
}

const owners = async () => (await store.listLeases(4)).map(({ owner }) => owner);
const shardsOf = async (name: string) => (await owners()).filter((owner) => owner === name).length;

test('a cold fleet waits for its workers to gather and is then spread evenly', async () => {
  await join('a');
  beat('a');
  coordinate('a');
  await clock.advance(500);
  await join('b');
  beat('b');
  await clock.advance(700);
  expect(await owners()).toEqual([undefined, undefined, undefined, undefined]);
  await clock.advance(2000);
  expect([await shardsOf('a'), await shardsOf('b')]).toEqual([2, 2]);
});

test('a dead worker is fenced after its heartbeats, and its shards go to the living with what it last stored', async () => {
  const death = new AbortController();
  await join('a');
  await join('b');
  beat('a');
  beat('b', death.signal);
  coordinate('a');
  await clock.advance(5000);
  const held = (await store.listLeases(4)).find(({ owner }) => owner === 'b');
  await store.writeCheckpoint({
    incarnation: 'b',
    chunk: 0,
    version: 1000,
    entries: new Map([
      [`4.${held?.shard.shardId ?? 0}` as const, { epoch: 1, session: 's', acknowledgedSeq: 70, publishedSeq: 60 }],
    ]),
  });
  death.abort();
  await clock.advance(8000);
  expect(await owners()).toContain('b');
  await clock.advance(4000);
  expect(await owners()).toEqual(['a', 'a', 'a', 'a']);
  const [lease] = await store.readLeases(held ? [held.shard] : []);
  expect(lease).toMatchObject({ epoch: 2, checkpoint: { session: 's', acknowledgedSeq: 70 } });
  await clock.advance(3000);
  expect((await store.listWorkers()).map(({ incarnation }) => incarnation)).toEqual(['a']);
});

test('an outage of the table is nobody`s death', async () => {
  await join('a');
  await join('b');
  beat('a');
  beat('b');
  let isDown = false;
  const through = new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (isDown) throw new BatonError('STORE_ITEM_INVALID', 'WORKERS / x is of format 2');
        return method.apply(target, args);
      };
    },
  });
  const logger = new RecordingLogger();
  coordinate('a', { through, logger });
  await clock.advance(5000);
  isDown = true;
  await clock.advance(60_000);
  isDown = false;
  await clock.advance(5000);
  expect([await shardsOf('a'), await shardsOf('b')]).toEqual([2, 2]);
  expect(logger.lines.filter(({ message }) => message === 'coordinator.store_unreachable').length).toBeGreaterThan(20);
});

/** The table as one worker finds it: `fails` decides for each request whether it goes through, and whether its answer does. */
function unreliable(fails: (operation: string) => 'before' | 'after' | undefined): CoordinationStore {
  return new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        const when = fails(String(name));
        if (when === 'before') throw new StoreUnavailable(String(name), new Error('throttled'));
        const answer = await method.apply(target, args);
        if (when === 'after') throw new StoreUnavailable(String(name), new Error('answer lost'));
        return answer;
      };
    },
  });
}

test('a dead worker is noticed though the table refuses some of the requests', async () => {
  const death = new AbortController();
  await join('a');
  await join('b');
  beat('a');
  beat('b', death.signal);
  let requests = 0;
  coordinate('a', {
    through: unreliable(() => {
      requests += 1;
      return requests % 7 === 0 ? 'before' : undefined;
    }),
  });
  await clock.advance(8000);
  expect(await shardsOf('b')).toBe(2);
  death.abort();
  await clock.advance(16_000);
  expect(await owners()).toEqual(['a', 'a', 'a', 'a']);
});

test('a death that comes due while the fleet is looked at is seen at once, not a tick later', async () => {
  const death = new AbortController();
  await join('a');
  await join('b');
  beat('a', death.signal);
  beat('b');
  let requestMs = 30;
  const through = new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        await clock.sleep(requestMs);
        return method.apply(target, args);
      };
    },
  });
  coordinate('a', { through, signal: AbortSignal.any([death.signal, stop.signal]) });
  coordinate('b', { through });
  await clock.advance(8000);
  expect(await shardsOf('a')).toBe(2);
  death.abort();
  await clock.advance(1500);
  // The look that finds the role vacant is quicker than the one that found it silent first: too early by a few
  // milliseconds for the worker, whose counter is read after the role's.
  requestMs = 5;
  await clock.advance(8000);
  expect(await shardsOf('b')).toBe(4);
});

test('a death that is due does not make a table that refuses be asked without pause', async () => {
  const role = new AbortController();
  const death = new AbortController();
  await join('a');
  await join('b');
  beat('a', death.signal);
  beat('b');
  let refusals = 0;
  let refuses = false;
  const through = new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(target, name) as (...args: unknown[]) => Promise<unknown>;
      return async (...args: unknown[]) => {
        if (!refuses || name !== 'swapRole') return method.apply(target, args);
        refusals += 1;
        throw new StoreUnavailable(name, new Error('throttled'));
      };
    },
  });
  coordinate('a', { signal: AbortSignal.any([role.signal, stop.signal]) });
  coordinate('b', { through });
  await clock.advance(8000);
  // The role falls silent first. Taking it fails, and with it every look at the worker, whose death then comes due.
  role.abort();
  refuses = true;
  await clock.advance(1700);
  death.abort();
  await clock.advance(15_000);
  expect(refusals).toBeGreaterThan(5);
  expect(refusals).toBeLessThan(40);
  refuses = false;
  await clock.advance(12_000);
  expect(await shardsOf('b')).toBe(4);
});

test('workers that replace a whole dead fleet need one period of silence, not one after the other', async () => {
  const death = new AbortController();
  for (const name of ['a', 'b', 'c']) {
    await join(name);
    beat(name, death.signal);
    coordinate(name, { signal: AbortSignal.any([death.signal, stop.signal]) });
  }
  await clock.advance(8000);
  expect(new Set(await owners())).toEqual(new Set(['a', 'b', 'c']));
  death.abort();
  for (const name of ['x', 'y', 'z']) {
    await join(name);
    beat(name);
    coordinate(name);
  }
  await clock.advance(11_000);
  expect(new Set(await owners())).toEqual(new Set(['x', 'y', 'z']));
});

test('a role whose answer was lost is the own one all the same, and the log says so', async () => {
  await join('a');
  beat('a');
  const logger = new RecordingLogger();
  let isFirst = true;
  const through = unreliable((operation) => {
    if (operation !== 'swapRole' || !isFirst) return undefined;
    isFirst = false;
    return 'after';
  });
  const coordinator = coordinate('a', { through, logger });
  await clock.advance(3000);
  expect(coordinator.hasRole).toBe(true);
  const taken = logger.lines.filter(({ message }) => message === 'coordinator.role_taken');
  expect(taken.map(({ fields }) => fields)).toEqual([{ holder: 'a', term: 1 }]);
});

test('the next in order takes the role of a dead coordinator, and the original gets it back when it returns', async () => {
  const death = new AbortController();
  await join('a');
  await join('b');
  await join('c');
  beat('a', death.signal);
  beat('b');
  beat('c');
  coordinate('a', { signal: AbortSignal.any([death.signal, stop.signal]) });
  const b = coordinate('b');
  const c = coordinate('c');
  await clock.advance(5000);
  death.abort();
  await clock.advance(11_000);
  expect([b.hasRole, c.hasRole]).toEqual([true, false]);
  await join('original', { originalCoordinator: true });
  beat('original');
  const original = coordinate('original');
  await clock.advance(10_000);
  expect([original.hasRole, b.hasRole, c.hasRole]).toEqual([true, false, false]);
});

test('a draining worker is relieved of its shards, and of the role first', async () => {
  await join('a');
  await join('b');
  beat('a');
  beat('b');
  const a = coordinate('a');
  const b = coordinate('b');
  await clock.advance(5000);
  expect(a.hasRole).toBe(true);
  await store.markDraining('a');
  await clock.advance(3000);
  expect([a.hasRole, b.hasRole]).toEqual([false, true]);
  const wanted = (await store.listLeases(4)).filter(({ owner }) => owner === 'a').map(({ want }) => want);
  expect(wanted).toEqual(['b', 'b']);
});

test('an owner that has not heard of its shard is reminded', async () => {
  await join('a');
  await join('b');
  beat('a');
  beat('b');
  coordinate('a');
  await clock.advance(4000);
  const url = (await store.listWorkers()).find(({ incarnation }) => incarnation === 'b')?.controlQueueUrl ?? '';
  const receive = async () => {
    const messages = control.receive(url, { waitMs: 0, signal: stop.signal });
    await clock.advance(1);
    return messages;
  };
  while ((await receive()).length > 0);
  await clock.advance(1500);
  expect(await receive()).toContainEqual({
    kind: 'nudge',
    shards: expect.arrayContaining([expect.stringMatching(/^4\./)]),
  });
});

/** The longest time that the role's counter stood still in the next `seconds`. */
async function longestSilenceOfTheRole(seconds: number): Promise<number> {
  let longestMs = 0;
  let sinceMs = clock.monotonicMs();
  let before = JSON.stringify(await store.readRole());
  for (let step = 0; step < seconds * 10; step += 1) {
    await clock.advance(100);
    const now = JSON.stringify(await store.readRole());
    if (now !== before) sinceMs = clock.monotonicMs();
    before = now;
    longestMs = Math.max(longestMs, clock.monotonicMs() - sinceMs);
  }
  return longestMs;
}

test('a coordinator keeps its role though the queues of all others do not answer', async () => {
  const silent: ControlPlane = {
    open: (incarnation) => control.open(incarnation),
    receive: (url, options) => control.receive(url, options),
    send: () => new Promise(() => {}),
    close: (url) => control.close(url),
  };
  await join('a');
  beat('a');
  for (let index = 0; index < 20; index += 1) {
    await join(`w${index}`);
    beat(`w${index}`);
  }
  coordinate('a', { shardCount: 42, control: silent });
  await clock.advance(500);
  expect(await longestSilenceOfTheRole(20)).toBeLessThan(4000);
  expect(new Set((await store.listLeases(42)).map(({ owner }) => owner)).size).toBe(21);
});

test('a coordinator with more to assign than it can in a heartbeat shows signs of life in between', async () => {
  await join('a');
  beat('a');
  const slow = new Proxy<CoordinationStore>(store, {
    get: (target, name) => {
      const method = (Reflect.get(target, name) as (...args: unknown[]) => unknown).bind(target);
      return name === 'grant' ? (...args: unknown[]) => clock.sleep(500).then(() => method(...args)) : method;
    },
  });
  coordinate('a', { through: slow, shardCount: 300 });
  await clock.advance(500);
  expect(await longestSilenceOfTheRole(25)).toBeLessThan(6000);
  expect((await store.listLeases(300)).every(({ owner }) => owner === 'a')).toBe(true);
});

test('an owner that is registered no more is succeeded from all of its checkpoint items', async () => {
  await join('gone', { chunkCount: 2 });
  await store.createLeases(4, [0, 1, 2, 3]);
  for (const shardId of [0, 1, 2, 3]) {
    await store.grant({ shardId, shardCount: 4 }, { epoch: 0, to: 'gone' });
  }
  const entry = (session: string) => ({ epoch: 1, session, acknowledgedSeq: 7, publishedSeq: 5 });
  await store.writeCheckpoint({
    incarnation: 'gone',
    chunk: 0,
    version: 1,
    entries: new Map([
      ['4.0', entry('s0')],
      ['4.2', entry('s2')],
    ]),
  });
  await store.writeCheckpoint({
    incarnation: 'gone',
    chunk: 1,
    version: 1,
    entries: new Map([
      ['4.1', entry('s1')],
      ['4.3', entry('s3')],
    ]),
  });
  for (const chunk of [0, 1]) await store.fence({ incarnation: 'gone', chunk, seenVersion: 1, by: 'gone' });
  await store.removeWorker('gone');
  await join('a');
  beat('a');
  coordinate('a');
  await clock.advance(5000);
  const leases = await store.listLeases(4);
  expect(leases.map(({ owner, checkpoint }) => `${owner} ${checkpoint.session}`)).toEqual([
    'a s0',
    'a s1',
    'a s2',
    'a s3',
  ]);
});

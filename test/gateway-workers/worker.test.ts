import { expect, test } from 'vitest';
import { WorkerLife, type WorkerOptions, type WorkerPorts } from '../../gateway-workers/worker.ts';
import { MemoryControlPlane } from '../../shared/control/memory-control-queue.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import { type CoordinationStore, StoreUnavailable } from '../../shared/coordination/store.ts';
import { systemRandom } from '../../shared/random.ts';
import { shardKey } from '../../shared/sharding.ts';
import { ManualClock } from '../manual-clock.ts';
import { RecordingLogger } from '../shared/recording-logger.ts';

const shard = { shardId: 0, shardCount: 1 };
const stopTimeoutMs = 30_000;
const options: WorkerOptions = {
  workerId: 'a',
  release: '',
  maxShards: undefined,
  sharding: { mode: 'fleet', totalShards: 1 },
  originalCoordinator: false,
  heartbeatMs: 3000,
  missedHeartbeats: 3,
  lingerMs: 250,
  stopTimeoutMs,
  token: 'token',
  intents: 1,
  compress: 'none',
  encoding: 'none',
  isWanted: () => true,
};

/** What a worker has outside, with nothing behind it. */
function ports(clock: ManualClock, store: CoordinationStore, control: MemoryControlPlane): WorkerPorts {
  return {
    store,
    control,
    events: { sendBatch: (envelopes) => Promise.resolve(envelopes.map(() => 'sent')) },
    interactions: { sendInteraction: () => Promise.resolve('sent') },
    parking: { park: () => Promise.resolve() },
    clock,
    random: systemRandom,
    logger: new RecordingLogger(),
    usage: () => ({ cpuPercent: 0, memoryMb: 0 }),
    dial: () => ({ send() {}, close() {}, terminate() {}, pause() {}, resume() {} }),
  };
}

const fleet = { shardCount: 1, maxConcurrency: 1, gatewayUrl: 'wss://gateway.test' };

test('what a worker spent on starting is not reported as what its shards cost', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  const cpuPercents = [93, 5];
  const usage = () => ({ cpuPercent: cpuPercents.shift() ?? 7, memoryMb: 100 });
  const life = new WorkerLife(options, { ...ports(clock, store, new MemoryControlPlane(clock)), usage }, fleet);
  const stop = new AbortController();
  const running = life.run(new AbortController().signal, stop.signal);
  const reported = async () => (await store.listReports()).map(({ cpuPercent }) => cpuPercent);
  await clock.advance(100);
  expect(await reported()).toEqual([0]);
  await clock.advance(5000);
  expect(await reported()).toEqual([5]);
  stop.abort();
  await clock.advance(stopTimeoutMs);
  await running;
});

test('a drain ends within its stop timeout though the table never says whether a shard was handed over', async () => {
  const clock = new ManualClock();
  const memory = new MemoryStore(clock);
  const control = new MemoryControlPlane(clock);
  let isReachable = true;
  const store = new Proxy<CoordinationStore>(memory, {
    get: (target, name) =>
      isReachable
        ? (Reflect.get(target, name) as () => unknown).bind(target)
        : () => Promise.reject(new StoreUnavailable(String(name), 'no answer')),
  });
  const life = new WorkerLife(options, ports(clock, store, control), fleet);
  const drain = new AbortController();
  let isOver = false;
  const running = life.run(drain.signal, new AbortController().signal).finally(() => {
    isOver = true;
  });
  await clock.advance(3000);
  expect(life.report().shards).toHaveLength(1);

  // The next owner waits at HELLO; by the time the shard is released to it, nobody reaches the table.
  const [lease] = await memory.readLeases([shard]);
  const epoch = lease?.epoch ?? 0;
  const me = life.incarnation;
  await memory.join({
    incarnation: 'b',
    workerId: 'b',
    release: '',
    chunkCount: 1,
    controlQueueUrl: await control.open('b'),
    originalCoordinator: false,
    assignable: true,
    draining: false,
  });
  await memory.setWant(shard, { owner: me, epoch, want: 'b' });
  const [record] = (await memory.listWorkers()).filter(({ incarnation }) => incarnation === me);
  const url = record?.controlQueueUrl ?? '';
  await control.send(url, { kind: 'nudge', shards: [shardKey(shard)] });
  await clock.advance(100);
  isReachable = false;
  await control.send(url, { kind: 'poised', shard: shardKey(shard), epoch, incarnation: 'b' });
  await clock.advance(100);
  drain.abort();
  await clock.advance(stopTimeoutMs);
  expect(isOver).toBe(true);
  await expect(running).resolves.toEqual({ kind: 'drained' });
});

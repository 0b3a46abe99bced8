import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FlushCycle, type PublishingShard } from '../../../gateway-workers/publishing/flush-cycle.ts';
import { SessionStream } from '../../../gateway-workers/publishing/session-stream.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import type { CheckpointItem } from '../../../shared/coordination/model.ts';
import {
  type CheckpointOutcome,
  type CoordinationStore,
  StoreUnavailable,
} from '../../../shared/coordination/store.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FifoSink } from './fifo-sink.ts';

const incarnation = 'worker-a';
const shardCount = 16;

class FakeShard implements PublishingShard {
  readonly shard: { shardId: number; shardCount: number };
  readonly epoch = 3;
  isFrozen = false;
  connectedSinceMs: number | undefined = 0;
  readonly stream = new SessionStream({
    session: 'a'.repeat(32),
    from: undefined,
    isWanted: () => true,
    encoding: 'none',
    monotonicMs: () => clock.monotonicMs(),
    onOversized: () => {},
  });
  #seq = 1;

  constructor(shardId: number) {
    this.shard = { shardId, shardCount };
  }

  checkpointEntry() {
    return { epoch: this.epoch, ...this.stream.checkpoint() };
  }

  read(events = 1): void {
    for (let event = 0; event < events; event += 1) {
      this.#seq += 1;
      this.stream.accept({
        seq: this.#seq,
        type: 'MESSAGE_CREATE',
        bytes: Buffer.from(`${this.#seq}`),
        replayed: false,
      });
    }
  }
}

let clock: ManualClock;
let store: MemoryStore;
let sink: FifoSink;
let fencedBy: string | undefined;
let stop: AbortController;
let running: Promise<void>;
let cycle: FlushCycle;
/** What happens to checkpoint writes on their way: `lost` writes and fails, `down` only fails. */
let network: 'up' | 'down' | 'lost';
let controlQueueAnsweredMs: (() => number | undefined) | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  sink = new FifoSink();
  fencedBy = undefined;
  network = 'up';
  controlQueueAnsweredMs = undefined;
  await store.join({
    incarnation,
    workerId: 'a',
    release: '',
    chunkCount: 1,
    controlQueueUrl: 'memory:a',
    originalCoordinator: false,
    assignable: true,
    draining: false,
  });
  stop = new AbortController();
  cycle = new FlushCycle({
    store: unreliable(store),
    sender: sink,
    incarnation,
    chunk: 0,
    heartbeatMs: 3000,
    listedForMs: 6000,
    lingerMs: 250,
    clock,
    logger: silentLogger,
    onFenced: (by) => {
      fencedBy = by;
    },
    controlQueueAnsweredMs: () => (controlQueueAnsweredMs ? controlQueueAnsweredMs() : clock.monotonicMs()),
  });
  running = cycle.run(stop.signal);
});

afterEach(async () => {
  stop.abort();
  await clock.advance(5000);
  await running;
  expect(clock.pendingTimers).toBe(0);
});

function unreliable(inner: CoordinationStore): CoordinationStore {
  return new Proxy(inner, {
    get(target, name) {
      if (name !== 'writeCheckpoint') return Reflect.get(target, name).bind(target);
      return async (item: Omit<CheckpointItem, 'fencedBy'>): Promise<CheckpointOutcome> => {
        if (network === 'down') throw new StoreUnavailable('write', new Error('down'));
        const outcome = await target.writeCheckpoint(item);
        if (network === 'lost') throw new StoreUnavailable('write', new Error('answer lost'));
        return outcome;
      };
    },
  });
}

async function stored(): Promise<CheckpointItem> {
  const [item] = await store.readCheckpoints([{ incarnation, chunk: 0 }]);
  return item as CheckpointItem;
}

describe('the flush cycle', () => {
  test('lets events wait for company, unless it is told to flush', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(10);
    shard.read(5);
    await clock.advance(100);
    expect(sink.queued).toEqual([]);
    cycle.flushSoon();
    await clock.advance(0);
    expect(sink.queued).toHaveLength(1);
  });

  test('lets few events wait for more, but not for longer than 1.9 lingers', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(200);
    shard.read(19);
    const readAtMs = clock.monotonicMs();
    await clock.advance(300);
    expect(sink.queued).toEqual([]);
    while (sink.queued.length === 0) await clock.advance(10);
    expect(clock.monotonicMs() - readAtMs).toBeLessThanOrEqual(475);
  });

  test('does not keep twenty events waiting, nor what fits into a request that goes out anyway', async () => {
    const shards = Array.from({ length: 13 }, (_, shardId) => new FakeShard(shardId));
    for (const shard of shards) cycle.add(shard);
    await clock.advance(200);
    const before = clock.monotonicMs();
    // The last ones have waited longest.
    for (const shard of shards.slice(1).toReversed()) {
      shard.read(1);
      await clock.advance(1);
    }
    shards[0]?.read(20);
    while (sink.queued.length === 0) await clock.advance(1);
    expect(clock.monotonicMs() - before).toBeLessThan(200);
    expect(sink.queued).toHaveLength(10);
    expect(shards[0]?.stream.bufferedFrames).toBe(0);
    expect([1, 2, 3].map((shardId) => shards[shardId]?.stream.bufferedFrames)).toEqual([1, 1, 1]);
    while (sink.queued.length < 13) await clock.advance(10);
    expect(clock.monotonicMs() - before).toBeLessThanOrEqual(490);
  });

  test('writes the intent before it sends, and the acknowledgement after', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(10);
    let intentWhenSent: unknown;
    sink.answer = () => {
      void stored().then((item) => {
        intentWhenSent = item.entries.get('16.1')?.inDoubt;
      });
      return 'sent';
    };
    shard.read(5);
    await clock.advance(600);
    expect(intentWhenSent).toMatchObject({ first: 2, last: 6 });
    expect(sink.queued).toMatchObject([{ first: 2, last: 6, after: 0, count: 5 }]);
    await clock.advance(3000);
    expect((await stored()).entries.get('16.1')).toEqual({
      epoch: 3,
      session: 'a'.repeat(32),
      acknowledgedSeq: 6,
      publishedSeq: 6,
    });
  });

  test('beats at least every heartbeat when nothing happens', async () => {
    cycle.add(new FakeShard(1));
    await clock.advance(100);
    const before = (await stored()).version;
    await clock.advance(12_000);
    expect((await stored()).version - before).toBeGreaterThanOrEqual(4);
    expect((await stored()).version - before).toBeLessThanOrEqual(6);
  });

  test('repeats that failed within a second', async () => {
    await clock.advance(3000);
    network = 'down';
    await clock.advance(3000);
    const { version } = await stored();
    network = 'up';
    await clock.advance(1100);
    expect((await stored()).version).toBeGreaterThan(version);
  });

  test('never has two envelopes of a group in one batch or in flight', async () => {
    const shards = Array.from({ length: 12 }, (_, shardId) => new FakeShard(shardId));
    for (const shard of shards) cycle.add(shard);
    for (let round = 0; round < 5; round += 1) {
      for (const shard of shards) shard.read(3);
      await clock.advance(250);
    }
    await clock.advance(500);
    for (const batch of sink.attempts) {
      expect(batch.length).toBeLessThanOrEqual(10);
      expect(new Set(batch.map(({ group }) => group)).size).toBe(batch.length);
    }
    expect(sink.queued.reduce((sum, { count }) => sum + count, 0)).toBe(12 * 15);
  });

  test('tries a failed envelope again under the same id, whatever was read meanwhile; its neighbours go on', async () => {
    const [slow, fast] = [new FakeShard(1), new FakeShard(2)];
    cycle.add(slow);
    cycle.add(fast);
    let failures = 3;
    sink.answer = ({ group }) => {
      if (group === '16.1' && failures > 0) {
        failures -= 1;
        return failures === 1 ? 'lost' : 'failed';
      }
      return 'sent';
    };
    for (let round = 0; round < 6; round += 1) {
      slow.read(2);
      fast.read(20);
      await clock.advance(250);
    }
    await clock.advance(1000);
    const ids = sink.attempts
      .flat()
      .filter(({ group }) => group === '16.1')
      .map(({ id }) => id);
    expect(ids.slice(0, 4)).toEqual([ids[0], ids[0], ids[0], ids[0]]);
    const queuedSlow = sink.queued.filter(({ group }) => group === '16.1');
    expect(queuedSlow.map(({ after, last }) => [after, last])).toEqual(
      queuedSlow.map(({ last }, index) => [queuedSlow[index - 1]?.last ?? 0, last]),
    );
    expect(queuedSlow.at(-1)?.last).toBe(13);
    expect(sink.queued.filter(({ group }) => group === '16.2').length).toBeGreaterThan(3);
  });

  test('sends nothing without a confirmed intent, and everything once the table is back', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(100);
    network = 'down';
    shard.read(4);
    await clock.advance(10_000);
    expect(sink.attempts).toEqual([]);
    network = 'up';
    await clock.advance(500);
    expect(sink.queued).toMatchObject([{ first: 2, last: 5, unfenced: false }]);
  });

  test('takes a write whose answer was lost for what it is', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(100);
    network = 'lost';
    shard.read(1);
    await clock.advance(600);
    network = 'up';
    await clock.advance(600);
    expect(fencedBy).toBeUndefined();
    expect(sink.queued).toMatchObject([{ first: 2, last: 2 }]);
  });

  test.each([
    { of: 'a living session', hasEnded: false, listedForMs: 6000 },
    { of: 'a dead session, which the next owner is not told of', hasEnded: true, listedForMs: 4000 },
  ])('does not retry an envelope of $of when the confirmation is older than $listedForMs ms', async (session) => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    sink.answer = () => 'failed';
    shard.read(1);
    if (session.hasEnded) shard.stream.end();
    await clock.advance(600);
    network = 'down';
    await clock.advance(session.listedForMs + 500);
    const attempts = sink.attempts.length;
    await clock.advance(5000);
    expect(sink.attempts.length).toBe(attempts);
  });

  test('stops for good when the item is fenced', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(100);
    const { version } = await stored();
    await store.fence({ incarnation, chunk: 0, seenVersion: version, by: 'worker-b' });
    shard.read(3);
    await clock.advance(5000);
    expect(fencedBy).toBe('worker-b');
    expect(sink.attempts).toEqual([]);
    await running;
  });

  test('marks an envelope whose deduplication window may be over, stores the mark, then sends it', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    sink.answer = () => 'failed';
    shard.read(1);
    await clock.advance(195_000);
    expect(sink.attempts.flat().every(({ unfenced }) => !unfenced)).toBe(true);
    await clock.advance(6000);
    sink.answer = () => 'sent';
    await clock.advance(1000);
    expect(sink.queued).toMatchObject([{ first: 2, last: 2, unfenced: true }]);
    expect((await stored()).entries.get('16.1')?.inDoubt?.unfenced).toBe(true);
  });

  test('goes on unfenced after 15 s of failed attempts, and comes back when the table answers', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    await clock.advance(1000);
    network = 'down';
    shard.read(2);
    await clock.advance(14_000);
    expect(sink.queued).toEqual([]);
    await clock.advance(3000);
    expect(sink.queued).toMatchObject([{ first: 2, last: 3, unfenced: true }]);
    network = 'up';
    await clock.advance(1000);
    shard.read(1);
    await clock.advance(1000);
    expect(sink.queued.at(-1)).toMatchObject({ first: 4, unfenced: false });
  });

  test('stays silent in an outage when the socket broke meanwhile or the control queue is out of reach too', async () => {
    const [broken, cutOff] = [new FakeShard(1), new FakeShard(2)];
    cycle.add(broken);
    await clock.advance(1000);
    network = 'down';
    broken.read(1);
    await clock.advance(5000);
    broken.connectedSinceMs = clock.monotonicMs();
    await clock.advance(12_000);
    expect(sink.queued).toEqual([]);
    const lastAnswerMs = clock.monotonicMs() - 60_000;
    controlQueueAnsweredMs = () => lastAnswerMs;
    cycle.add(cutOff);
    cutOff.read(1);
    await clock.advance(30_000);
    expect(sink.queued).toEqual([]);
  });

  test('cuts and sends nothing of a frozen shard', async () => {
    const shard = new FakeShard(1);
    cycle.add(shard);
    shard.isFrozen = true;
    shard.read(3);
    await clock.advance(5000);
    expect(sink.attempts).toEqual([]);
  });

  test('confirms at once from a fresh write, waits for one otherwise, and gives up in time', async () => {
    cycle.add(new FakeShard(1));
    await clock.advance(1000);
    expect(await cycle.confirm(2000, stop.signal)).toBe(true);
    network = 'down';
    await clock.advance(20_000);
    const refused = cycle.confirm(2000, stop.signal);
    await clock.advance(2500);
    expect(await refused).toBe(false);
    const answered = cycle.confirm(2000, stop.signal);
    network = 'up';
    await clock.advance(500);
    expect(await answered).toBe(true);
  });
});

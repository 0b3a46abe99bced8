import { beforeEach, describe, expect, test } from 'vitest';
import { Shard } from '../../../gateway-workers/shard/shard.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import type { Checkpoint } from '../../../shared/coordination/model.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FakeGate, FakeSocket, mainUrl, resumeUrl, token } from '../gateway/connection-rig.ts';

const address = { shardId: 3, shardCount: 16 };
const ops = { identify: 2, resume: 6 };
const old: Checkpoint = { session: 'session-0', acknowledgedSeq: 10, publishedSeq: 10 };

let clock: ManualClock;
let sockets: FakeSocket[];
let isConfirmed: boolean;
let shard: Shard;

beforeEach(() => {
  clock = new ManualClock();
  sockets = [];
  isConfirmed = true;
  const identifyGate = Object.assign(new FakeGate(clock), { leave: () => {} });
  shard = new Shard(
    address,
    {
      incarnation: 'alpha',
      token,
      intents: 1,
      gatewayUrl: mainUrl,
      compress: 'none',
      encoding: 'none',
      isWanted: () => true,
      identifyGate,
      interactions: { sendInteraction: async () => 'sent' },
      store: new MemoryStore(clock),
      parking: { park: async () => {} },
      clock,
      random: seededRandom(1),
      logger: silentLogger,
      dial: (url, handlers) => {
        const socket = new FakeSocket(url, handlers);
        sockets.push(socket);
        return socket;
      },
    },
    {
      confirm: async (timeoutMs, signal) => {
        if (!isConfirmed) await clock.sleep(timeoutMs, signal);
        return isConfirmed;
      },
      checkpointSoon: () => {},
      flushSoon: () => {},
      onFatal: () => {},
    },
  );
});

function hold(checkpoint: Checkpoint): void {
  shard.hold({ shard: address, owner: 'alpha', epoch: 2, resumeUrl, checkpoint });
}

const socket = () => sockets.at(-1) as FakeSocket;

async function atHello(): Promise<void> {
  socket().opens().hello();
  await clock.settle();
}

describe('the first RESUME', () => {
  test('follows HELLO at once when the worker is known not to be fenced', async () => {
    hold(old);
    await atHello();
    expect(socket().ops()).toEqual([ops.resume]);
  });

  test('of a shard that is being released waits for what becomes of the release', async () => {
    hold(old);
    shard.isFrozen = true;
    await atHello();
    await clock.advance(5000);
    expect(socket().ops()).toEqual([]);
    shard.isFrozen = false;
    await clock.advance(200);
    expect(socket().ops()).toEqual([ops.resume]);
  });

  test('of a shard whose release begins while the lease is being confirmed waits as well', async () => {
    isConfirmed = false;
    hold(old);
    await atHello();
    await clock.advance(1000);
    shard.isFrozen = true;
    isConfirmed = true;
    await clock.advance(5000);
    expect(socket().ops()).toEqual([]);
  });

  test('without a confirmation comes after two seconds, and only once', async () => {
    isConfirmed = false;
    hold(old);
    await atHello();
    await clock.advance(1900);
    expect(socket().ops()).toEqual([]);
    await clock.advance(200);
    expect(socket().ops()).toEqual([ops.resume]);
    socket().closes(1006);
    await clock.advance(5000);
    await atHello();
    await clock.advance(20_000);
    expect(socket().ops()).not.toContain(ops.resume);
    isConfirmed = true;
    await clock.advance(3000);
    expect(socket().ops()).toContain(ops.resume);
  });
});

describe('the checkpoint', () => {
  const lose = () => socket().says({ t: null, s: null, op: 9, d: false });

  beforeEach(async () => {
    hold(old);
    await atHello();
    socket().resumed(11).dispatch(12).dispatch(13);
    lose();
  });

  test('drops a session with its end, though frames of it still wait', () => {
    expect(shard.stream?.bufferedFrames).toBe(2);
    expect(shard.checkpointEntry()).toEqual({ epoch: 2, acknowledgedSeq: 0, publishedSeq: 0 });
  });

  test('names the next session from its READY on, so that a crash does not cost that one as well', async () => {
    await clock.advance(6000);
    await atHello();
    expect(socket().ops()).toEqual([ops.identify]);
    socket().ready(1, 'session-1');
    expect(shard.stream?.session).toBe('session-0');
    expect(shard.checkpointEntry()).toMatchObject({ session: 'session-1' });
    expect(shard.releaseCheckpoint()).toMatchObject({ session: 'session-1' });
  });
});

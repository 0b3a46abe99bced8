import { expect, test } from 'vitest';
import { ControlInbox } from '../../gateway-workers/control-inbox.ts';
import { HandoffSource } from '../../gateway-workers/handoff-source.ts';
import type { Shard } from '../../gateway-workers/shard/shard.ts';
import { MemoryControlPlane } from '../../shared/control/memory-control-queue.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import { emptyCheckpoint } from '../../shared/coordination/model.ts';
import { silentLogger } from '../../shared/logger.ts';
import { ManualClock } from '../manual-clock.ts';

const address = { shardId: 0, shardCount: 1 };

test('a session that ends while its shard is handed over keeps the shard until its frames are sent', async () => {
  const clock = new ManualClock();
  const store = new MemoryStore(clock);
  await store.createLeases(1, [0]);
  await store.grant(address, { epoch: 0, to: 'a' });
  await store.setWant(address, { owner: 'a', epoch: 1, want: 'b' });
  // Discord refuses the session while the roster is being stored; the frames of it go out a moment later.
  const shard = {
    shard: address,
    epoch: 1,
    isFrozen: false,
    isSettled: true,
    isIdentifying: false,
    resumeUrl: undefined,
    releaseCheckpoint: () => emptyCheckpoint,
    storeRoster: async () => {
      shard.isSettled = false;
    },
    close: async () => {},
  };
  const kept: unknown[] = [];
  const source = new HandoffSource({
    incarnation: 'a',
    store,
    inbox: new ControlInbox({ control: new MemoryControlPlane(clock), store, clock, logger: silentLogger }),
    clock,
    logger: silentLogger,
    holds: () => true,
    flushSoon: () => {},
    writeSettled: async () => {},
    onReleased: () => {},
    onKept: (each) => kept.push(each),
  });
  source.announce('1.0', { incarnation: 'b', epoch: 1 });
  const offer = () => source.offer(shard as unknown as Shard, 'b', new AbortController().signal);
  const first = offer();
  await clock.advance(1000);
  await first;
  expect(await store.readLeases([address])).toMatchObject([{ owner: 'a', epoch: 1, want: 'b' }]);
  expect(shard.isFrozen).toBe(false);
  expect(kept).toEqual([shard]);

  shard.isSettled = true;
  shard.storeRoster = async () => {};
  const second = offer();
  await clock.advance(1000);
  await second;
  expect(await store.readLeases([address])).toMatchObject([{ owner: 'b', epoch: 2 }]);
});

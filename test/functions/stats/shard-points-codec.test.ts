import { expect, test } from 'vitest';
import { decodeShardPoint, encodeShardPoints, shardsPerItem } from '../../../functions/stats/shard-points-codec.ts';
import { shardView } from './fleet-of.ts';

test('every shard of a chunk comes back, and no other', () => {
  const shards = Array.from({ length: shardsPerItem }, (_, place) =>
    shardView(512 + place, {
      eventsPerSecond: place / 2,
      latencyMs: place,
      guildCount: place * 20,
      ready: place % 2 === 0,
    }),
  );
  const packed = encodeShardPoints(shards);
  for (const { id, eventsPerSecond, latencyMs, guildCount, ready } of shards) {
    expect(decodeShardPoint(packed, id)).toEqual({
      ready,
      epoch: 2,
      eventsPerSecond,
      latencyMs,
      guilds: guildCount,
      members: 1000,
    });
  }
  expect(decodeShardPoint(encodeShardPoints([shardView(3)]), 4)).toBeUndefined();
});

test('a chunk of busy shards costs four write units', () => {
  const busy = Array.from({ length: shardsPerItem }, (_, id) =>
    shardView(id, { epoch: 300, eventsPerSecond: 80.5, latencyMs: 130, guildCount: 1200 }),
  );
  expect(encodeShardPoints(busy).length).toBeLessThan(3.5 * 1024);
});

test.each([
  ['another version', Buffer.from([9])],
  ['a cut item', encodeShardPoints([shardView(0)]).subarray(0, 4)],
])('%s is refused by name', (_, packed) => {
  expect(() => decodeShardPoint(packed, 0)).toThrow(/shard points/);
});

import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  isShardKey,
  parseShardKey,
  type ShardKey,
  shardIdOfGuild,
  shardKey,
  snowflakeTimeMs,
} from '../../shared/sharding.ts';

describe('the shard of a guild', () => {
  test.each([
    { guildId: '197038439483310086', shardCount: 1, shardId: 0 },
    // Worked out with another language's big numbers.
    { guildId: '81384788765712384', shardCount: 16, shardId: 2 },
    { guildId: '197038439483310086', shardCount: 1024, shardId: 706 },
    { guildId: '0', shardCount: 16, shardId: 0 },
    { guildId: '4194303', shardCount: 16, shardId: 0 },
    { guildId: '4194304', shardCount: 16, shardId: 1 },
    { guildId: String(17n * 2n ** 22n), shardCount: 16, shardId: 1 },
    // The lowest bit that counts is lost when an id of this size goes through a double.
    { guildId: String((2n ** 41n + 1n) << 22n), shardCount: 2, shardId: 1 },
    { guildId: String(2n ** 64n - 1n), shardCount: 16, shardId: 15 },
    { guildId: String(2n ** 64n - 1n), shardCount: 7, shardId: Number((2n ** 42n - 1n) % 7n) },
  ])('$guildId of $shardCount is $shardId', ({ guildId, shardCount, shardId }) => {
    expect(shardIdOfGuild(guildId, shardCount)).toBe(shardId);
  });

  test('stays or moves to the other half when a generation is split in two', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }), fc.integer({ min: 1, max: 8192 }), (id, shardCount) => {
        const before = shardIdOfGuild(String(id), shardCount);
        const after = shardIdOfGuild(String(id), shardCount * 2);
        expect(before).toBeGreaterThanOrEqual(0);
        expect(before).toBeLessThan(shardCount);
        expect([before, before + shardCount]).toContain(after);
      }),
    );
  });

  test.each(['abc', '1.5', '12a'])('is not made up for %j', (guildId) => {
    expect(() => shardIdOfGuild(guildId, 16)).toThrow(SyntaxError);
  });
});

test.each([
  { id: '175928847299117063', at: '2016-04-30T11:18:25.796Z' },
  { id: '0', at: '2015-01-01T00:00:00.000Z' },
])('the snowflake $id was made at $at', ({ id, at }) => {
  expect(new Date(snowflakeTimeMs(id)).toISOString()).toBe(at);
});

describe('a shard key', () => {
  test('names a shard and is read back', () => {
    expect(shardKey({ shardId: 3, shardCount: 64 })).toBe('64.3');
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9_999_999 }), fc.nat(), (shardCount, seed) => {
        const shard = { shardId: seed % shardCount, shardCount };
        expect(parseShardKey(shardKey(shard))).toEqual(shard);
        expect(isShardKey(shardKey(shard))).toBe(true);
      }),
    );
  });

  test.each([
    '',
    '64',
    '64.',
    '.3',
    '64.64',
    '64.065',
    '064.3',
    '0.0',
    '64.-1',
    '64.3.0',
    ' 64.3',
    '64.3\n',
    '6e1.3',
    '1.5e0',
  ])('%j is none', (key) => {
    expect(isShardKey(key)).toBe(false);
    expect(() => parseShardKey(key as ShardKey)).toThrow(RangeError);
  });
});

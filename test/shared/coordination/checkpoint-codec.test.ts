import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decodeCheckpointEntries, encodeCheckpointEntries } from '../../../shared/coordination/checkpoint-codec.ts';
import type { CheckpointEntry, EnvelopeInDoubt } from '../../../shared/coordination/model.ts';
import { BatonError } from '../../../shared/errors.ts';
import type { ShardKey } from '../../../shared/sharding.ts';

const whole = fc.maxSafeNat();
const hexSession = fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const anySession = fc.oneof(hexSession, fc.string({ unit: 'binary' }), fc.constant(''), fc.constant('F'.repeat(32)));

const inDoubt: fc.Arbitrary<EnvelopeInDoubt> = fc
  .record({ one: whole, other: whole, firstAttemptAtMs: whole, unfenced: fc.boolean() })
  .map(({ one, other, firstAttemptAtMs, unfenced }) => ({
    first: Math.min(one, other),
    last: Math.max(one, other),
    firstAttemptAtMs,
    ...(unfenced && { unfenced }),
  }));

const entry: fc.Arbitrary<CheckpointEntry> = fc.record(
  { epoch: whole, acknowledgedSeq: whole, publishedSeq: whole, session: anySession, inDoubt },
  { requiredKeys: ['epoch', 'acknowledgedSeq', 'publishedSeq'] },
);

const shardKeys = fc
  .tuple(fc.integer({ min: 1, max: 100_000 }), fc.nat())
  .map(([shardCount, seed]): ShardKey => `${shardCount}.${seed % shardCount}`);

const entries = fc.uniqueArray(fc.tuple(shardKeys, entry), { maxLength: 40, selector: ([key]) => key });

describe('checkpoint entries', () => {
  test('come back as they were', () => {
    fc.assert(
      fc.property(entries, (pairs) => {
        const map = new Map(pairs);
        expect(decodeCheckpointEntries(encodeCheckpointEntries(map))).toEqual(map);
      }),
      { numRuns: 500 },
    );
  });

  test('of 200 busy shards take about 32 bytes each', () => {
    const map = new Map<ShardKey, CheckpointEntry>(
      Array.from({ length: 200 }, (_, id) => [
        `1024.${id}`,
        {
          epoch: 40,
          session: 'a0'.repeat(16),
          acknowledgedSeq: 1_500_000,
          publishedSeq: 1_500_000,
          inDoubt: { first: 1_500_001, last: 1_500_040, firstAttemptAtMs: 1_790_000_000_000 },
        },
      ]),
    );
    expect(encodeCheckpointEntries(map).length / 200).toBeLessThan(40);
    const idle = new Map([...map].map(([key, { inDoubt: _inDoubt, ...rest }]) => [key, rest] as const));
    expect(encodeCheckpointEntries(idle).length / 200).toBeLessThan(32);
  });

  test.each([-1, 0.5, Number.NaN, 2 ** 53, Number.POSITIVE_INFINITY])('with the number %d are not packed', (seq) => {
    const map = new Map<ShardKey, CheckpointEntry>([['1.0', { epoch: 1, acknowledgedSeq: seq, publishedSeq: 0 }]]);
    expect(() => encodeCheckpointEntries(map)).toThrow(RangeError);
  });

  test('with a range that ends before it begins are not packed', () => {
    const inDoubt = { first: 9, last: 8, firstAttemptAtMs: 1 };
    const map = new Map<ShardKey, CheckpointEntry>([
      ['1.0', { epoch: 1, acknowledgedSeq: 0, publishedSeq: 0, inDoubt }],
    ]);
    expect(() => encodeCheckpointEntries(map)).toThrow(RangeError);
  });

  test.each([
    { name: 'nothing', bytes: [] },
    { name: 'another version', bytes: [2] },
    { name: 'half an entry', bytes: [1, 16, 3] },
    { name: 'a shard beyond its count', bytes: [1, 16, 16, 1, 0, 0, 0] },
    { name: 'a count of zero', bytes: [1, 0, 0, 1, 0, 0, 0] },
    { name: 'an unknown flag', bytes: [1, 16, 3, 1, 16, 0, 0] },
    { name: 'more shards than a fleet can have', bytes: [1, 128, 128, 128, 5, 0, 0, 0, 0, 0] },
    { name: 'a mark without an envelope', bytes: [1, 16, 3, 1, 8, 0, 0] },
    { name: 'a session longer than what follows', bytes: [1, 16, 3, 1, 2, 200, 65] },
    { name: 'a number above 2^53', bytes: [1, 16, 3, 255, 255, 255, 255, 255, 255, 255, 16, 0, 0, 0] },
    { name: 'a number without end', bytes: [1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1] },
  ])('$name is refused', ({ bytes }) => {
    expect(() => decodeCheckpointEntries(Uint8Array.from(bytes))).toThrow(
      expect.objectContaining({ name: 'BatonError', code: 'STORE_ITEM_INVALID' }),
    );
  });

  test('any bytes are read, or refused with a typed error', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
        try {
          const read = decodeCheckpointEntries(Uint8Array.from([1, ...bytes]));
          expect(decodeCheckpointEntries(encodeCheckpointEntries(read))).toEqual(read);
        } catch (error) {
          expect(error).toBeInstanceOf(BatonError);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('cut anywhere inside an entry are refused', () => {
    fc.assert(
      fc.property(shardKeys, entry, fc.double({ min: 0, max: 1, noNaN: true }), (key, entry, part) => {
        const whole = encodeCheckpointEntries(new Map([[key, entry]]));
        const cut = 2 + Math.floor(part * (whole.length - 3));
        fc.pre(cut < whole.length);
        expect(() => decodeCheckpointEntries(whole.subarray(0, cut))).toThrow(BatonError);
      }),
    );
  });
});

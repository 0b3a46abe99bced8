import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRebalanceLoads, encodeRebalanceLoads } from '../../../shared/coordination/rebalance-codec.ts';

const figure = fc.double({ min: 0, noNaN: true, noDefaultInfinity: true });
const load = fc.record({
  cpuPercent: figure,
  latencyMs: figure,
  weight: figure,
  observedMs: figure,
  shardCount: fc.nat(),
  isHot: fc.boolean(),
  isFilling: fc.boolean(),
});
const loads = fc.record({
  workers: fc
    .uniqueArray(fc.tuple(fc.string({ minLength: 1, unit: 'binary' }), load), { selector: ([name]) => name })
    .map((entries) => new Map(entries)),
  movedAtMs: fc.array(fc.tuple(fc.nat({ max: 100_000 }), fc.nat({ max: 2 ** 42 }))).map((entries) => new Map(entries)),
});

test('what is packed comes back', () => {
  fc.assert(
    fc.property(loads, (packed) => {
      expect(decodeRebalanceLoads(encodeRebalanceLoads(packed))).toEqual(packed);
    }),
  );
});

test('bytes that end too early are refused', () => {
  fc.assert(
    fc.property(loads, fc.nat(), (packed, cut) => {
      const bytes = encodeRebalanceLoads({ ...packed, movedAtMs: new Map([[7, 1_790_000_000_000]]) });
      const length = cut % bytes.length;
      // Between two cooldowns nothing is missing; they are the only rows whose number is not told.
      fc.pre(length !== bytes.length - 7);
      expect(() => decodeRebalanceLoads(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'STORE_ITEM_INVALID' }),
      );
    }),
  );
});

test('bytes of another version are refused', () => {
  expect(() => decodeRebalanceLoads(Buffer.from([2, 0]))).toThrow(
    expect.objectContaining({ code: 'STORE_ITEM_INVALID', message: 'rebalance loads of version 2' }),
  );
});

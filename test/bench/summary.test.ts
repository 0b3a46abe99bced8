import { expect, test } from 'vitest';
import { quantile, ratios, summarize } from '../../bench/summary.ts';

test('a summary is the middle and the ends, in whatever order they came', () => {
  expect(summarize([3, 1, 20])).toEqual({ median: 3, min: 1, max: 20 });
  expect(summarize([4, 1, 2, 30])).toEqual({ median: 3, min: 1, max: 30 });
  expect(() => summarize([])).toThrow(RangeError);
});

test('ratios are taken round by round, so that what disturbed both falls out', () => {
  expect(ratios([2, 20, 4], [1, 10, 2])).toEqual({ median: 2, min: 2, max: 2 });
});

test('a quantile is one of the values', () => {
  const values = Array.from({ length: 100 }, (_, index) => 100 - index);
  expect([quantile(values, 0), quantile(values, 0.5), quantile(values, 0.99)]).toEqual([1, 51, 100]);
});

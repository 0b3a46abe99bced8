import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { LatencyHistogram } from '../../local/latency-histogram.ts';

test('a histogram without durations answers zero', () => {
  expect(new LatencyHistogram().percentileMs(0.99)).toBe(0);
});

test('a percentile is never below the true one and at most a tenth (and a rounding) above', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.2, max: 600_000, noNaN: true }), { minLength: 1, maxLength: 200 }),
      fc.constantFrom(0.01, 0.5, 0.9, 0.99, 1),
      (durations, share) => {
        const histogram = new LatencyHistogram();
        for (const duration of durations) histogram.add(duration);
        const sorted = durations.toSorted((one, other) => one - other);
        const exact = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] as number;
        expect(histogram.percentileMs(share)).toBeGreaterThan(exact * 0.95 - 0.1);
        expect(histogram.percentileMs(share)).toBeLessThan(exact * 1.16 + 0.1);
      },
    ),
  );
});

test('durations outside the buckets fall into the outermost ones', () => {
  const histogram = new LatencyHistogram();
  histogram.add(0);
  expect(histogram.percentileMs(1)).toBe(0.1);
  histogram.add(1e12);
  expect(histogram.percentileMs(1)).toBeGreaterThan(1_000_000);
  histogram.clear();
  expect(histogram.count).toBe(0);
});

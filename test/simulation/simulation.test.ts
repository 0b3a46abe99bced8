import { describe, expect, test } from 'vitest';
import { simulate } from './simulation.ts';

const seedBase = 1;
const seedsPerTest = 50;
const tests = 10;

describe('a fleet in which everything goes wrong loses, doubles and reorders nothing', () => {
  test.each(Array.from({ length: tests }, (_, index) => seedBase + index * seedsPerTest))(
    `${seedsPerTest} runs from seed %i`,
    async (firstSeed) => {
      const violations: string[] = [];
      for (let seed = firstSeed; seed < firstSeed + seedsPerTest; seed += 1) {
        const { violation } = await simulate(seed);
        if (violation) violations.push(`npm run simulate -- --seed ${seed}: ${violation.kind}: ${violation.detail}`);
      }
      expect(violations).toEqual([]);
    },
  );
});

test('the same seed gives the same run, another one another', async () => {
  const [first, again, other] = [await simulate(7), await simulate(7), await simulate(8)];
  expect(again).toEqual(first);
  expect(other.totals).not.toEqual(first.totals);
});

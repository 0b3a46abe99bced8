import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
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

test('a run leaves nothing behind, so that ten thousand fit into one process', async () => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const heapMbAfter = async (firstSeed: number, runs: number) => {
    for (let seed = firstSeed; seed < firstSeed + runs; seed += 1) await simulate(seed);
    // What registries clean up, they clean up between two collections.
    for (let round = 0; round < 3; round += 1) {
      collect();
      await new Promise((resolve) => setImmediate(resolve));
    }
    return process.memoryUsage().heapUsed / 2 ** 20;
  };
  const earlyMb = await heapMbAfter(100, 10);
  const grownMb = (await heapMbAfter(200, 25)) - earlyMb;
  expect(grownMb).toBeLessThan(4);
});

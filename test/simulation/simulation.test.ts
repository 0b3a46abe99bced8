import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { simulate } from './simulation.ts';
import { variants } from './variants.ts';

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

test('the invariants and variants that docs/architecture.md names for handoffs exist', () => {
  const folder = import.meta.dirname;
  const sources = readdirSync(folder).map((file) => readFileSync(join(folder, file), 'utf8'));
  const page = readFileSync(join(folder, '../../docs/architecture.md'), 'utf8');
  const rows = page.split('\n').filter((line) => line.startsWith('|') && line.split('|').length === 6);
  const named = rows.flatMap((row) =>
    [...(row.split('|')[4] as string).matchAll(/`([^`]+)`/g)].map(([, name]) => name),
  );
  expect(named.length).toBeGreaterThan(20);
  for (const name of named) {
    const isKnown = (name as string) in variants || sources.some((source) => source.includes(`'${name}',`));
    expect({ name, isKnown }).toEqual({ name, isKnown: true });
  }
});

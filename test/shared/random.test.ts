import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { backoffMs, randomBelow, seededRandom, systemRandom } from '../../shared/random.ts';

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

test('the same seed gives the same numbers and UUIDs, another seed others', () => {
  const draw = (seed: number) => {
    const random = seededRandom(seed);
    return Array.from({ length: 20 }, () => [random.next(), random.uuid()]);
  };
  expect(draw(7)).toEqual(draw(7));
  expect(draw(7)).not.toEqual(draw(8));
});

test('numbers are in [0, 1) and spread evenly', () => {
  const random = seededRandom(1);
  const counts = new Map<number, number>();
  for (let draw = 0; draw < 100_000; draw++) {
    const tenth = Math.floor(random.next() * 10);
    counts.set(tenth, (counts.get(tenth) ?? 0) + 1);
  }
  expect(new Set(counts.keys())).toEqual(new Set([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]));
  for (const count of counts.values()) expect(Math.abs(count - 10_000)).toBeLessThan(500);
});

test.each([
  { name: 'the system', random: systemRandom },
  { name: 'a seed', random: seededRandom(3) },
])('UUIDs from $name have the form of version 4 and differ', ({ random }) => {
  const uuids = Array.from({ length: 2000 }, () => random.uuid());
  expect(uuids.filter((value) => !uuid.test(value))).toEqual([]);
  expect(new Set(uuids).size).toBe(uuids.length);
});

test('a number below a limit is whole and below it', () => {
  fc.assert(
    fc.property(fc.integer(), fc.integer({ min: 1, max: 1_000_000 }), (seed, limit) => {
      const number = randomBelow(seededRandom(seed), limit);
      expect(Number.isInteger(number) && number >= 0 && number < limit).toBe(true);
    }),
  );
});

test('back-off doubles up to its cap and takes any part of it', () => {
  const options = { baseMs: 100, capMs: 5000 };
  const almostOne = { next: () => 0.999_999, uuid: () => '' };
  const ceilings = [0, 1, 2, 5, 6, 100, 2000].map((attempt) => Math.round(backoffMs(attempt, almostOne, options)));
  expect(ceilings).toEqual([100, 200, 400, 3200, 5000, 5000, 5000]);
  expect(backoffMs(3, { next: () => 0, uuid: () => '' }, options)).toBe(0);
});

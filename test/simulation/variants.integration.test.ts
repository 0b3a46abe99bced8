import { describe, expect, test } from 'vitest';
import { catchVariant } from './main.ts';
import { variants } from './variants.ts';

/** Several times what the rarest of them needs. */
const seeds = 1500;

describe('the simulation catches a protocol in which', () => {
  test.each(Object.entries(variants).map(([name, { breaks }]) => ({ name, breaks })))(
    '$breaks ($name)',
    async ({ name }) => {
      const { tally, complaint } = await catchVariant(name, seeds, 1);
      expect(complaint).toBeUndefined();
      expect(tally?.firstViolation).toBeDefined();
    },
    300_000,
  );
});

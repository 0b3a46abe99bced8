import { describe, expect, test } from 'vitest';
import { identifyReserve, refreshedBudget } from '../../../shared/coordination/identify-budget.ts';

const told = (remaining: number) => ({ total: 1000, remaining, resetsAtMs: 1_790_000_000_000 });

describe('the identify budget, after Discord was asked', () => {
  test('is what Discord says when nothing is known yet', () => {
    expect(refreshedBudget(undefined, told(900))).toEqual({
      total: 1000,
      remaining: 900,
      reported: 900,
      resetsAtMs: 1_790_000_000_000,
    });
  });

  test('keeps the smaller figure within a day: what is paid for may not be sent yet', () => {
    const stored = { total: 1000, remaining: 880, reported: 900, version: 3 };
    expect(refreshedBudget(stored, told(895))).toMatchObject({ remaining: 880, reported: 895 });
    expect(refreshedBudget(stored, told(870))).toMatchObject({ remaining: 870, reported: 870 });
    expect(refreshedBudget({ ...stored, remaining: 0 }, told(900))).toMatchObject({ remaining: 0 });
  });

  test('is renewed when the figure of Discord grew, less what may still be under way', () => {
    const stored = { total: 1000, remaining: 0, reported: 3, version: 3 };
    expect(refreshedBudget(stored, told(1000))).toMatchObject({ remaining: 980, reported: 1000 });
    expect(refreshedBudget(stored, { ...told(4), total: 5 })).toMatchObject({ remaining: 3 });
  });

  test('has a tenth as its reserve', () => {
    expect(identifyReserve(1000)).toBe(100);
    expect(identifyReserve(5)).toBe(1);
  });
});

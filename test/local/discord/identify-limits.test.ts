import { describe, expect, test } from 'vitest';
import { IdentifyLimits } from '../../../local/discord/identify-limits.ts';
import { ManualClock } from '../../manual-clock.ts';

function limits({ maxConcurrency = 1, sessionStartRemaining = 1000 } = {}) {
  const clock = new ManualClock();
  const options = {
    identifyIntervalMs: 5000,
    maxConcurrency,
    sessionStartTotal: 1000,
    sessionStartRemaining,
    sessionStartResetMs: 86_400_000,
  };
  return { clock, limits: new IdentifyLimits(options, clock) };
}

describe('IdentifyLimits', () => {
  test('one IDENTIFY per key in five seconds', async () => {
    const { clock, limits: all } = limits();
    expect(all.admit(0)).toBe('admitted');
    await clock.advance(4999);
    expect(all.admit(1)).toBe('tooSoon');
    await clock.advance(1);
    expect(all.admit(1)).toBe('admitted');
  });

  test('keys are shard id modulo max_concurrency, and independent', () => {
    const { limits: all } = limits({ maxConcurrency: 16 });
    const bucket = Array.from({ length: 16 }, (_, i) => all.admit(i));
    expect(new Set(bucket)).toEqual(new Set(['admitted']));
    expect(all.admit(16)).toBe('tooSoon');
    expect(all.keyOf(33)).toBe(1);
  });

  test('every IDENTIFY costs budget, also one too soon', () => {
    const { limits: all } = limits({ sessionStartRemaining: 3 });
    expect([all.admit(0), all.admit(0), all.admit(0), all.admit(0)]).toEqual([
      'admitted',
      'tooSoon',
      'tooSoon',
      'exhausted',
    ]);
    expect(all.snapshot()).toMatchObject({ total: 1000, remaining: 0, max_concurrency: 1 });
  });

  test('the budget comes back when the day is over', async () => {
    const { clock, limits: all } = limits({ sessionStartRemaining: 1 });
    all.admit(0);
    await clock.advance(1000);
    expect(all.snapshot()).toMatchObject({ remaining: 0, reset_after: 86_399_000 });
    await clock.advance(86_399_000);
    expect(all.snapshot()).toMatchObject({ remaining: 1000, reset_after: 86_400_000 });
    expect(all.admit(0)).toBe('admitted');
  });
});

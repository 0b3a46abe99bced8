import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Ledger } from '../../local/ledger.ts';

const fenced = { unfenced: false };

function ledgerWith(events: number): Ledger {
  const ledger = new Ledger({ settlingMs: 1000 });
  for (let n = 1; n <= events; n += 1) ledger.emitted('g', n, n);
  return ledger;
}

describe('Ledger', () => {
  test('a run without faults balances', () => {
    const ledger = ledgerWith(3);
    for (const n of [1, 2, 3]) ledger.delivered('g', n, n + 10, fenced);
    ledger.close();
    expect(ledger.totals).toEqual({
      emitted: 3,
      delivered: 3,
      undeliverable: 0,
      lost: 0,
      pending: 0,
      duplicated: 0,
      duplicatedUnfenced: 0,
      reordered: 0,
      unknown: 0,
    });
  });

  test('what never arrives is under way first and lost after the settling time', () => {
    const ledger = ledgerWith(3);
    ledger.delivered('g', 2, 5, fenced);
    ledger.sweep(1000.5);
    expect(ledger.totals).toMatchObject({ lost: 0, pending: 2 });
    ledger.sweep(1001);
    expect(ledger.totals).toMatchObject({ lost: 1, pending: 1 });
    ledger.close();
    expect(ledger.totals).toMatchObject({ delivered: 1, lost: 2, pending: 0 });
    expect(ledger.lostEvents(10)).toEqual([
      { guildId: 'g', n: 1 },
      { guildId: 'g', n: 3 },
    ]);
    expect(ledger.lostEvents(1)).toHaveLength(1);
  });

  test('an event that arrives after it was given up is reordered, not lost', () => {
    const ledger = ledgerWith(2);
    ledger.delivered('g', 2, 5, fenced);
    ledger.close();
    expect(ledger.totals.lost).toBe(1);
    ledger.delivered('g', 1, 2000, fenced);
    expect(ledger.totals).toMatchObject({ lost: 0, delivered: 2, reordered: 1, duplicated: 0 });
  });

  test('second deliveries count apart, inside and outside unfenced envelopes', () => {
    const ledger = ledgerWith(2);
    ledger.delivered('g', 1, 5, fenced);
    ledger.delivered('g', 2, 5, fenced);
    ledger.delivered('g', 1, 6, fenced);
    ledger.delivered('g', 2, 6, { unfenced: true });
    ledger.delivered('g', 2, 7, { unfenced: true });
    expect(ledger.totals).toMatchObject({ delivered: 2, duplicated: 1, duplicatedUnfenced: 2, reordered: 0 });
  });

  test('only guilds are in order, not the fleet', () => {
    const ledger = new Ledger({ settlingMs: 1000 });
    ledger.emitted('a', 1, 0);
    ledger.emitted('b', 1, 1);
    ledger.emitted('a', 2, 2);
    ledger.delivered('b', 1, 5, fenced);
    ledger.delivered('a', 2, 5, fenced);
    ledger.delivered('a', 1, 5, fenced);
    expect(ledger.totals).toMatchObject({ delivered: 3, reordered: 1 });
  });

  test('what Discord does not owe is not lost, and counts as delivered when it comes after all', () => {
    const ledger = ledgerWith(2);
    ledger.givenUp('g', 1, 'undeliverable');
    ledger.givenUp('g', 2, 'undeliverable');
    ledger.givenUp('g', 2, 'undeliverable');
    ledger.delivered('g', 2, 9, fenced);
    ledger.givenUp('g', 2, 'undeliverable');
    ledger.close();
    expect(ledger.totals).toMatchObject({ delivered: 1, undeliverable: 1, lost: 0, duplicated: 0 });
  });

  test('what nobody came for in time is lost at once', () => {
    const ledger = ledgerWith(2);
    ledger.givenUp('g', 1, 'lost');
    expect(ledger.totals).toMatchObject({ lost: 1, pending: 1, undeliverable: 0 });
  });

  test('a stream without a promised order is not reordered', () => {
    const ledger = new Ledger({ settlingMs: 1000, unordered: ['interactions'] });
    for (const n of [1, 2]) ledger.emitted('interactions', n, 0);
    for (const n of [2, 1]) ledger.delivered('interactions', n, 1, fenced);
    expect(ledger.totals).toMatchObject({ delivered: 2, reordered: 0 });
  });

  test('a delivery of nothing that was emitted is unknown', () => {
    const ledger = ledgerWith(1);
    ledger.delivered('g', 2, 5, fenced);
    ledger.delivered('other', 1, 5, fenced);
    expect(ledger.totals).toMatchObject({ delivered: 0, unknown: 2 });
  });

  test('numbers that do not grow at emission are a fault of the source', () => {
    const ledger = ledgerWith(1);
    ledger.emitted('g', 3, 0);
    expect(() => ledger.emitted('g', 3, 0)).toThrow('guild g: event 3 was emitted after 3');
  });

  test('latency is measured from emission to the first delivery', () => {
    const ledger = new Ledger({ settlingMs: 1000 });
    for (let n = 1; n <= 100; n += 1) {
      ledger.emitted('g', n, 0);
      ledger.delivered('g', n, n <= 98 ? 20 : 500, fenced);
    }
    expect(ledger.latencyMs.p50).toBeGreaterThanOrEqual(20);
    expect(ledger.latencyMs.p50).toBeLessThanOrEqual(22);
    expect(ledger.latencyMs.p99).toBeGreaterThanOrEqual(500);
    expect(ledger.latencyMs.p99).toBeLessThanOrEqual(550);
    expect(ledger.takeRecentLatencyMs().p50).toBeGreaterThan(0);
    expect(ledger.takeRecentLatencyMs().p50).toBe(0);
  });

  test('agrees with a plain count over any sequence of deliveries', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 30 }), fc.array(fc.integer({ min: 1, max: 30 })), (emitted, arrivals) => {
        const ledger = ledgerWith(emitted);
        const real = arrivals.filter((n) => n <= emitted);
        for (const n of arrivals) ledger.delivered('g', n, 50, fenced);
        ledger.close();
        const first = [...new Set(real)];
        const reordered = first.filter((n, index) => first.slice(0, index).some((earlier) => earlier > n));
        expect(ledger.totals).toMatchObject({
          delivered: first.length,
          lost: emitted - first.length,
          duplicated: real.length - first.length,
          reordered: reordered.length,
          unknown: arrivals.length - real.length,
          pending: 0,
        });
      }),
    );
  });
});

test('of two copies, either may be the marked one: neither is a fault then', () => {
  const ledger = new Ledger({ settlingMs: 1000 });
  for (const n of [1, 2]) ledger.emitted('g', n, 0);
  expect(ledger.delivered('g', 1, 1, { unfenced: true })).toBe('first');
  expect(ledger.delivered('g', 1, 2, fenced)).toBe('duplicateUnfenced');
  expect(ledger.delivered('g', 2, 3, fenced)).toBe('first');
  expect(ledger.delivered('g', 2, 4, fenced)).toBe('duplicate');
  expect(ledger.totals).toMatchObject({ duplicated: 1, duplicatedUnfenced: 1 });
});

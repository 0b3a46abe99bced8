import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ReplayBuffer } from '../../../local/discord/replay-buffer.ts';

function filled(events: number, limits = { maxEvents: 3, minAgeMs: 0 }): ReplayBuffer {
  const buffer = new ReplayBuffer(limits);
  for (let seq = 1; seq <= events; seq += 1) buffer.push(Buffer.from(String(seq)), seq, { stream: 'g', n: seq });
  return buffer;
}

const framesAfter = (buffer: ReplayBuffer, seq: number) =>
  [...buffer.framesAfter(seq)].map((each) => `${each.seq}=${each.frame.toString()}`);

describe('ReplayBuffer', () => {
  test('keeps the newest events in order', () => {
    const buffer = filled(5);
    expect(buffer.lastSeq).toBe(5);
    expect(framesAfter(buffer, 2)).toEqual(['3=3', '4=4', '5=5']);
    expect(framesAfter(buffer, 4)).toEqual(['5=5']);
    expect(framesAfter(buffer, 5)).toEqual([]);
  });

  test('says how far back it reaches', () => {
    const buffer = filled(5);
    expect([0, 1, 2, 5].map((seq) => buffer.reachesBackTo(seq))).toEqual([false, false, true, true]);
    expect(filled(0).reachesBackTo(0)).toBe(true);
  });

  test('keeps young events beyond the number', () => {
    const buffer = filled(50, { maxEvents: 3, minAgeMs: 20 });
    expect(framesAfter(buffer, 0)[0]).toBe('31=31');
  });

  test('remembers who was evicted, up to where it was told before', () => {
    const buffer = filled(10);
    expect([...buffer.identitiesAfter(1)].map(({ n }) => n)).toEqual([2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect([...buffer.identitiesAfter(1, 4)].map(({ n }) => n)).toEqual([2, 3, 4]);
  });

  test('any run answers like a plain list', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.integer({ min: 0, max: 30_000 }),
        fc.integer({ min: 0, max: 30_000 }),
        (maxEvents, events, seq) => {
          const buffer = filled(events, { maxEvents, minAgeMs: 0 });
          const all = Array.from({ length: events }, (_, i) => i + 1);
          const kept = all.slice(-maxEvents);
          expect(buffer.lastSeq).toBe(events);
          expect([...buffer.framesAfter(seq)].map((each) => each.seq)).toEqual(kept.filter((each) => each > seq));
          expect(buffer.reachesBackTo(seq)).toBe(all.filter((each) => each > seq).length <= kept.length);
        },
      ),
      { numRuns: 30 },
    );
  });
});

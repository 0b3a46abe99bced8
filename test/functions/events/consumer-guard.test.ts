import { expect, test } from 'vitest';
import { judgeEnvelope } from '../../../functions/events/consumer-guard.ts';
import type { GuardOutcome } from '../../../functions/events/delivery-marks.ts';

const raisedFrom = (previous: number | undefined): GuardOutcome => ({ kind: 'raised', previous });

test.each([
  { what: 'the first of a session', outcome: raisedFrom(undefined), skipUpTo: -1, hole: false },
  { what: 'the next one', outcome: raisedFrom(100), skipUpTo: 100, hole: false },
  { what: 'one that overlaps', outcome: raisedFrom(120), skipUpTo: 120, hole: false },
  { what: 'one with something missing before it', outcome: raisedFrom(99), skipUpTo: 99, hole: true },
  { what: 'one that was there before', outcome: { kind: 'behind' } as const, skipUpTo: 150, hole: false },
])('$what: skip up to $skipUpTo, hole $hole', ({ outcome, skipUpTo, hole }) => {
  expect(judgeEnvelope({ after: 100, last: 150 }, outcome)).toEqual({ skipUpTo, hole });
});

import * as fc from 'fast-check';
import { beforeEach, expect, test } from 'vitest';
import { SendLimiter } from '../../../gateway-workers/gateway/send-limiter.ts';
import { BatonError } from '../../../shared/errors.ts';
import { ManualClock } from '../../manual-clock.ts';

let clock: ManualClock;
let limiter: SendLimiter;
let sent: { atMs: number; frame: string }[];

beforeEach(() => {
  clock = new ManualClock({ monotonicMs: 0 });
  limiter = new SendLimiter(clock);
  sent = [];
});

const open = () => limiter.open((frame) => sent.push({ atMs: clock.monotonicMs(), frame }));
const voiceState = 4;
const presence = 3;
const submit = (op: number, name: string) => limiter.submit(op, name);

test('frames wait for the session, then go in order', async () => {
  const done = Promise.all([submit(voiceState, 'a'), submit(8, 'b')]);
  limiter.startConnection(41_250);
  expect(sent).toEqual([]);
  open();
  await done;
  expect(sent.map(({ frame }) => frame)).toEqual(['a', 'b']);
  expect(clock.pendingTimers).toBe(0);
});

test('120 frames a minute, of which heartbeats keep their share', async () => {
  limiter.startConnection(41_250);
  open();
  const done = Promise.all(Array.from({ length: 300 }, (_, index) => submit(voiceState, String(index))));
  // Two heartbeats a minute and three spare slots.
  expect(sent.length).toBe(115);
  await clock.advance(60_000);
  expect(sent.length).toBe(115);
  await clock.advance(500);
  expect(sent.length).toBe(230);
  await clock.advance(60_500);
  await done;
  expect(sent.map(({ frame }) => Number(frame))).toEqual([...Array(300).keys()]);
  expect(clock.pendingTimers).toBe(0);
});

test('urgent frames count, and leave less for others', () => {
  limiter.startConnection(41_250);
  for (let beat = 0; beat < 100; beat++) limiter.countUrgent();
  open();
  for (let index = 0; index < 50; index++) void submit(voiceState, String(index));
  expect(sent.length).toBe(15);
});

test('five presence changes in 20 s; the next ones wait and let others pass', async () => {
  limiter.startConnection(41_250);
  open();
  const done = Promise.all(Array.from({ length: 7 }, (_, index) => submit(presence, `p${index}`)));
  await submit(voiceState, 'v');
  expect(sent.map(({ frame }) => frame)).toEqual(['p0', 'p1', 'p2', 'p3', 'p4', 'v']);
  await clock.advance(20_000);
  expect(sent.length).toBe(6);
  await clock.advance(500);
  await done;
  expect(sent.slice(6).map(({ frame }) => frame)).toEqual(['p5', 'p6']);
});

test('a new connection starts its counts anew and sends what waited', async () => {
  limiter.startConnection(41_250);
  open();
  const done = Promise.all(Array.from({ length: 200 }, (_, index) => submit(voiceState, String(index))));
  expect(sent.length).toBe(115);
  limiter.shut();
  await clock.advance(120_000);
  expect(sent.length).toBe(115);
  limiter.startConnection(41_250);
  open();
  await done;
  expect(sent.length).toBe(200);
});

test('4,096 bytes pass, one more is refused; bytes are counted, not characters', async () => {
  limiter.startConnection(41_250);
  open();
  await submit(8, 'x'.repeat(4_096));
  await expect(submit(8, 'x'.repeat(4_097))).rejects.toMatchObject({ code: 'COMMAND_REFUSED' });
  await expect(submit(8, '語'.repeat(1_366))).rejects.toThrow(/4098 bytes/);
  expect(sent.length).toBe(1);
});

test('what waits is bounded, and can be given up', async () => {
  const waiting = Array.from({ length: 1_000 }, () => submit(voiceState, 'x'));
  const outcomes = Promise.allSettled(waiting);
  await expect(submit(voiceState, 'x')).rejects.toMatchObject({ code: 'COMMAND_REFUSED' });
  limiter.rejectAll(new BatonError('SHARD_STOPPED', 'stopped'));
  expect((await outcomes).every(({ status }) => status === 'rejected')).toBe(true);
  expect(limiter.waiting).toBe(0);
});

test('a very short heartbeat interval leaves room for some commands', () => {
  limiter.startConnection(100);
  open();
  for (let index = 0; index < 50; index++) void submit(voiceState, String(index));
  expect(sent.length).toBe(10);
});

test('in no 60 s are there more than 120 frames, nor more than 5 presence changes in 20 s', async () => {
  const action = fc.record({ waitMs: fc.nat(9_000), op: fc.constantFrom(3, 4, 8), count: fc.nat(60) });
  await fc.assert(
    fc.asyncProperty(
      fc.array(action, { maxLength: 25 }),
      fc.integer({ min: 20_000, max: 45_000 }),
      async (actions, intervalMs) => {
        const clock = new ManualClock({ monotonicMs: 0 });
        const limiter = new SendLimiter(clock);
        const all: { atMs: number; op: number }[] = [];
        const beat = () => {
          limiter.countUrgent();
          all.push({ atMs: clock.monotonicMs(), op: 1 });
          clock.schedule(intervalMs, beat);
        };
        limiter.startConnection(intervalMs);
        clock.schedule(intervalMs / 2, beat);
        limiter.open((frame) => all.push({ atMs: clock.monotonicMs(), op: Number(frame) }));
        for (const { waitMs, op, count } of actions) {
          await clock.advance(waitMs);
          for (let index = 0; index < count; index++) limiter.submit(op, String(op)).catch(() => undefined);
        }
        await clock.advance(60_000);
        const most = (frames: typeof all, windowMs: number) =>
          Math.max(
            0,
            ...frames.map(
              ({ atMs }) => frames.filter((other) => other.atMs >= atMs && other.atMs < atMs + windowMs).length,
            ),
          );
        expect(most(all, 60_000)).toBeLessThanOrEqual(120);
        expect(
          most(
            all.filter(({ op }) => op === 3),
            20_000,
          ),
        ).toBeLessThanOrEqual(5);
      },
    ),
    { numRuns: 15 },
  );
});

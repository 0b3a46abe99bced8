import { expect, test } from 'vitest';
import { MemoryControlPlane } from '../../../shared/control/memory-control-queue.ts';
import { ManualClock } from '../../manual-clock.ts';
import { controlPlaneContract } from './control-queue-contract.ts';

controlPlaneContract(async () => new MemoryControlPlane(new ManualClock()));

const never = new AbortController().signal;

test('a wait ends with nothing when its time is over, and leaves no timer', async () => {
  const clock = new ManualClock();
  const plane = new MemoryControlPlane(clock);
  const url = await plane.open('alpha');
  let answer: unknown;
  const waiting = plane.receive(url, { waitMs: 500, signal: never }).then((messages) => (answer = messages));
  await clock.advance(499);
  expect(answer).toBeUndefined();
  await clock.advance(1);
  await waiting;
  expect(answer).toEqual([]);
  expect(clock.pendingTimers).toBe(0);
});

test('of two who wait, one gets the message and the other goes on waiting', async () => {
  const clock = new ManualClock();
  const plane = new MemoryControlPlane(clock);
  const url = await plane.open('alpha');
  const waiting = [1, 2].map(() => plane.receive(url, { waitMs: 500, signal: never }));
  await plane.send(url, { kind: 'tick' });
  await clock.advance(500);
  expect((await Promise.all(waiting)).toSorted((one, other) => one.length - other.length)).toEqual([
    [],
    [{ kind: 'tick' }],
  ]);
  expect(clock.pendingTimers).toBe(0);
});

test('closing ends the wait of a receiver', async () => {
  const plane = new MemoryControlPlane(new ManualClock());
  const url = await plane.open('alpha');
  const waiting = plane.receive(url, { waitMs: 500, signal: never });
  await plane.close(url);
  await expect(waiting).rejects.toMatchObject({ code: 'QUEUE_UNREACHABLE' });
});

test('what the sender does to a message later does not reach the queue', async () => {
  const plane = new MemoryControlPlane(new ManualClock());
  const url = await plane.open('alpha');
  const shards: `${number}.${number}`[] = ['16.3'];
  await plane.send(url, { kind: 'nudge', shards });
  shards.pop();
  expect(await plane.receive(url, { waitMs: 0, signal: never })).toEqual([{ kind: 'nudge', shards: ['16.3'] }]);
});

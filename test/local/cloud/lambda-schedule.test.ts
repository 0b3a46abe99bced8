import type { ScheduledEvent } from 'aws-lambda';
import { expect, test } from 'vitest';
import { startSchedule } from '../../../local/cloud/lambda-schedule.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';

test('invokes the function every minute with EventBridge’s event, until it is stopped', async () => {
  const clock = new ManualClock({ wallClockMs: Date.UTC(2026, 10, 22, 12, 0, 0, 500) });
  const events: ScheduledEvent[] = [];
  const schedule = startSchedule({
    functionName: 'rebalance',
    handler: async (event) => {
      events.push(event);
    },
    clock,
    random: seededRandom(1),
  });
  await clock.advance(59_999);
  expect(events).toEqual([]);
  await clock.advance(1);
  await clock.advance(60_000);
  expect(events.map(({ time }) => time)).toEqual(['2026-11-22T12:01:00Z', '2026-11-22T12:02:00Z']);
  expect(events[0]).toMatchObject({
    version: '0',
    source: 'aws.events',
    'detail-type': 'Scheduled Event',
    region: 'us-east-1',
    resources: ['arn:aws:events:us-east-1:000000000000:rule/rebalance'],
    detail: {},
  });
  await schedule.stop();
  await clock.advance(600_000);
  expect(schedule.stats).toMatchObject({ invocations: 2, errors: 0 });
});

test('leaves out the ticks that a long invocation covers, and goes on after a failed one', async () => {
  const clock = new ManualClock();
  const startedAtMs = clock.monotonicMs();
  const starts: number[] = [];
  const schedule = startSchedule({
    functionName: 'rebalance',
    periodMs: 1000,
    functionTimeoutMs: 10_000,
    handler: async () => {
      starts.push(clock.monotonicMs() - startedAtMs);
      if (starts.length === 1) await clock.sleep(2500);
      if (starts.length === 2) throw new Error('broken');
    },
    clock,
    random: seededRandom(1),
  });
  await clock.advance(5000);
  expect(starts).toEqual([1000, 4000, 5000]);
  await schedule.stop();
  expect(schedule.stats).toMatchObject({ invocations: 3, errors: 1 });
});

test('stop waits for the running invocation', async () => {
  const clock = new ManualClock();
  const running = Promise.withResolvers<void>();
  const order: string[] = [];
  const schedule = startSchedule({
    functionName: 'rebalance',
    handler: () => running.promise.then(() => order.push('invocation')),
    clock,
    random: seededRandom(1),
  });
  await clock.advance(60_000);
  const stopped = schedule.stop().then(() => order.push('stop'));
  running.resolve();
  await stopped;
  expect(order).toEqual(['invocation', 'stop']);
});

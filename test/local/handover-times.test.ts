import { expect, test } from 'vitest';
import { describeDurations, summarize } from '../../local/durations.ts';
import { HandoverTimes } from '../../local/handover-times.ts';

const planned = () => true;
const none = { count: 0, p50: 0, p99: 0, max: 0 };
const once = (ms: number) => ({ count: 1, p50: ms, p99: ms, max: ms });

test('durations are summed up by rank', () => {
  expect(summarize([])).toEqual(none);
  expect(summarize([5.4])).toEqual(once(5));
  expect(summarize(Array.from({ length: 200 }, (_, index) => 200 - index))).toEqual({
    count: 200,
    p50: 100,
    p99: 198,
    max: 200,
  });
  expect(describeDurations(summarize([1, 2, 3]))).toBe('p50 2 ms, p99 3 ms, max 3 ms (of 3)');
  expect(describeDurations(none)).toBe('none');
});

test('a kill lasts until the next owner delivers; what the dead one still had under way does not count', () => {
  const times = new HandoverTimes();
  times.delivered(1, 4, 900);
  times.killed(
    [
      { shard: 1, epoch: 4 },
      { shard: 2, epoch: 1 },
    ],
    1000,
  );
  times.delivered(1, 4, 1050);
  expect(times.report(planned).silentSinceKill).toEqual([1, 2]);
  times.delivered(1, 5, 11_200);
  times.delivered(1, 5, 11_300);
  expect(times.report(() => false)).toEqual({
    killToDeliveryMs: once(10_200),
    killToDeliveryInOutageMs: none,
    silentSinceKill: [2],
    handoffGapMs: none,
    handoffGapInOutageMs: none,
  });
});

test('a shard whose next owner is killed too is silent since the first time', () => {
  const times = new HandoverTimes();
  times.killed([{ shard: 1, epoch: 1 }], 1000);
  times.killed([{ shard: 1, epoch: 2 }], 5000);
  times.delivered(1, 2, 6000);
  times.delivered(1, 3, 9000);
  expect(times.report(planned).killToDeliveryMs).toEqual(once(8000));
});

test('a handoff is the time between two deliveries, and late copies are passed over', () => {
  const times = new HandoverTimes();
  times.delivered(1, 1, 1000);
  times.delivered(1, 2, 1300);
  times.delivered(1, 1, 1400);
  times.delivered(1, 2, 1500);
  times.delivered(1, 3, 5500);
  expect(times.report((shard, epoch) => shard === 1 && epoch === 2).handoffGapMs).toEqual(once(300));
});

test('what happened while AWS failed somebody is told apart', () => {
  const times = new HandoverTimes();
  times.outage({ fromMs: 2000, toMs: 3000 });
  times.killed([{ shard: 1, epoch: 1 }], 1000);
  times.delivered(1, 1, 500);
  times.delivered(1, 2, 2500);
  times.delivered(2, 1, 3100);
  times.delivered(2, 2, 3200);
  const report = times.report(planned);
  expect(report.killToDeliveryInOutageMs).toEqual(once(1500));
  expect(report.handoffGapInOutageMs).toEqual(once(2000));
  expect(report.handoffGapMs).toEqual(once(100));
});

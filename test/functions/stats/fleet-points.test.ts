import { expect, test } from 'vitest';
import { fleetPoint, workerPoints } from '../../../functions/stats/fleet-points.ts';
import type { WorkerView } from '../../../shared/stats/fleet-view.ts';
import { fleetView, shardView, workerView } from './fleet-of.ts';

test('adds up shards, takes the worst of workers and the older of two queues', () => {
  const shards = [
    shardView(0, { latencyMs: 30 }),
    shardView(1, { latencyMs: 90, silent: true }),
    shardView(2, { latencyMs: 50 }),
    shardView(3, { ready: false, state: 'resuming', latencyMs: 4000, eventsPerSecond: 0 }),
  ];
  const figures = workerView('inc-1').figures as NonNullable<WorkerView['figures']>;
  const workers = [
    workerView('inc-1'),
    workerView('inc-2', { figures: { ...figures, flushMs: 80, queueAgeMs: 1200 } }),
    workerView('inc-3', { fenced: true }),
  ];
  expect(fleetPoint(fleetView({ shardCount: 4, shards, workers }), [])).toEqual({
    atMs: 1_790_000_000_000,
    shards: 4,
    shardsReady: 3,
    shardsSilent: 1,
    workers: 2,
    guilds: 40,
    members: 4000,
    eventsPerSecond: 15,
    commandsPerSecond: 2,
    latencyMs: 50,
    latencyMaxMs: 90,
    flushMs: 80,
    workerQueueAgeMs: 1200,
    identifiesRemaining: 998,
    identifies: 6,
    resumes: 0,
    reconnects: 0,
    queueAgeSeconds: 4,
    queueWaiting: 3,
    deadLetters: 2,
  });
});

test('counts are of the minute: what each worker has had since the minute before', () => {
  const figures = workerView('').figures as NonNullable<WorkerView['figures']>;
  const at = (incarnation: string, resumes: number) => workerView(incarnation, { figures: { ...figures, resumes } });
  const before = workerPoints(fleetView({ workers: [at('stays', 5), at('goes', 50)] }));
  const now = fleetView({ workers: [at('stays', 8), at('comes', 2)] });
  expect(fleetPoint(now, before).resumes).toBe(3 + 2);
});

test('without an answer of SQS or a budget the figures are absent, not zero', () => {
  const { queues: _, budget: __, ...blind } = fleetView();
  const point = fleetPoint(blind, []);
  expect(point).not.toHaveProperty('queueWaiting');
  expect(point).not.toHaveProperty('queueAgeSeconds');
  expect(point).not.toHaveProperty('deadLetters');
  expect(point).not.toHaveProperty('identifiesRemaining');
});

test('an empty fleet has a point of zeros', () => {
  expect(fleetPoint(fleetView({ shards: [], workers: [] }), [])).toMatchObject({
    shardsReady: 0,
    latencyMs: 0,
    flushMs: 0,
  });
});

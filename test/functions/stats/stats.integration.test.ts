import { gunzipSync } from 'node:zlib';
import { SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import type { APIGatewayProxyStructuredResultV2 } from 'aws-lambda';
import { DynamoDbSeries } from '../../../functions/stats/dynamodb-series.ts';
import { fleetPoint, workerPoints } from '../../../functions/stats/fleet-points.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { DynamoDbStore } from '../../../shared/coordination/dynamodb-store.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { provision } from '../../../shared/provision.ts';
import { seededRandom } from '../../../shared/random.ts';
import { DynamoDbTimeline } from '../../../shared/stats/dynamodb-timeline.ts';
import type { FleetPoint, FleetView, HappeningView, ShardHistory } from '../../../shared/stats/fleet-view.ts';
import { TimelineRecorder } from '../../../shared/stats/timeline.ts';
import { ManualClock } from '../../manual-clock.ts';
import { startDynalite, startFauxqs, type Emulator } from '../../shared/in-process-emulators.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';
import { fleetView, shardView, workerView } from './fleet-of.ts';

const minuteMs = 60_000;
let dynamodb: Emulator;
let sqs: Emulator;
let documents: ReturnType<typeof createDynamoDBDocumentClient>;

beforeAll(async () => {
  dynamodb = await startDynalite();
  sqs = await startFauxqs();
  documents = createDynamoDBDocumentClient('general', dynamodb.settings);
});

afterAll(async () => {
  vi.unstubAllEnvs();
  documents.destroy();
  await dynamodb[Symbol.asyncDispose]();
  await sqs[Symbol.asyncDispose]();
});

async function makeFleet(name: string): Promise<ReturnType<typeof readFleetConfig>> {
  const config = readFleetConfig({ BATON_FLEET: name });
  const tables = createDynamoDBClient('general', dynamodb.settings);
  const queues = createSqsClient('general', sqs.settings);
  await provision(config, { dynamodb: tables, sqs: queues });
  tables.destroy();
  queues.destroy();
  return config;
}

test('minutes are kept for the fleet, its workers and its shards', async () => {
  const { table } = await makeFleet('series');
  const series = new DynamoDbSeries(documents, table);
  const shards = Array.from({ length: 600 }, (_, id) => shardView(id, { latencyMs: id }));
  const at = (minute: number) => {
    const view = fleetView({ atMs: minute * minuteMs + 500, shardCount: 600, shards });
    return { point: fleetPoint(view, []), workers: workerPoints(view) };
  };
  expect(await series.lastBefore(10 * minuteMs)).toBeUndefined();
  for (const minute of [1, 2, 3]) await series.write(at(minute), shards);
  // A round that is repeated replaces its minute.
  await series.write(at(3), shards);

  expect((await series.read(0)).map(({ atMs }) => atMs)).toEqual([60_500, 120_500, 180_500]);
  expect(await series.read(2 * minuteMs)).toEqual([at(3).point]);
  expect(await series.lastBefore(3 * minuteMs + 700)).toEqual(at(2));
  const history = await series.readShard({ shardId: 300, shardCount: 600 }, 0);
  expect(history.map(({ atMs, latencyMs }) => [atMs, latencyMs])).toEqual([
    [60_500, 300],
    [120_500, 300],
    [180_500, 300],
  ]);
  expect(await series.readShard({ shardId: 300, shardCount: 1200 }, 0)).toEqual([]);
});

test('deeds of a moment become one entry, and the latest entries are listed', async () => {
  const { table } = await makeFleet('timeline');
  const clock = new ManualClock();
  const store = new DynamoDbTimeline(documents, table, clock, seededRandom(1));
  const recorder = new TimelineRecorder({ store, clock, logger: silentLogger });
  for (const shard of [7, 3, 5]) recorder.record({ kind: 'handoff', shards: [shard], from: 'a', to: 'b' });
  recorder.record({ kind: 'handoff', shards: [9], from: 'a', to: 'c' });
  await recorder.flush();
  await clock.advance(1000);
  recorder.record({ kind: 'succession', to: 'b' });
  await recorder.flush();

  const sinceMs = clock.wallClockMs() - minuteMs;
  const entries = await store.list({ sinceMs, limit: 10 });
  expect(entries.map(({ kind, shards, to }) => ({ kind, shards, to }))).toEqual(
    expect.arrayContaining([
      { kind: 'handoff', shards: [3, 5, 7], to: 'b' },
      { kind: 'handoff', shards: [9], to: 'c' },
      { kind: 'succession', shards: undefined, to: 'b' },
    ]),
  );
  expect(entries).toHaveLength(3);
  expect((await store.list({ sinceMs, limit: 1 })).map(({ kind }) => kind)).toEqual(['succession']);
  expect(await store.list({ sinceMs: clock.wallClockMs() + 1, limit: 10 })).toEqual([]);
});

test('a timeline that cannot be stored is left out and disturbs nobody', async () => {
  const clock = new ManualClock();
  const store = new DynamoDbTimeline(documents, 'no-such-table', clock, seededRandom(1));
  const recorder = new TimelineRecorder({ store, clock, logger: silentLogger });
  recorder.record({ kind: 'join', to: 'a', name: 'worker-1' });
  await expect(recorder.flush()).resolves.toBeUndefined();
});

test('the Lambda entry keeps a minute, writes metrics, and answers the console', async () => {
  const config = await makeFleet('watched');
  const environment = {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.settings.endpoint as string,
    AWS_ENDPOINT_URL_SQS: sqs.settings.endpoint as string,
    // Nobody answers there: then ages are not known, and everything else is.
    AWS_ENDPOINT_URL_CLOUDWATCH: 'http://127.0.0.1:9',
    BATON_FLEET: 'watched',
    BATON_LOG_LEVEL: 'silent',
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const { handler } = await import('../../../functions/stats/handler.ts');
  expect(await handler({})).toEqual({ kind: 'noFleet' });

  const store = new DynamoDbStore(documents, config.table);
  await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' });
  await store.createLeases(2, [0, 1]);
  await store.join({ ...workerRecord('inc-1'), workerId: 'worker-1' });
  for (const shardId of [0, 1]) await store.grant({ shardId, shardCount: 2 }, { epoch: 0, to: 'inc-1' });
  const { cpuPercent = 0, memoryMb = 0, eventsPerSecond = 0, figures } = workerView('inc-1');
  await store.writeReport({
    incarnation: 'inc-1',
    workerId: 'worker-1',
    cpuPercent,
    memoryMb,
    eventsPerSecond,
    coordinator: true,
    ...(figures && { figures }),
    shards: [
      {
        shard: '2.0',
        epoch: 1,
        state: 'ready',
        ready: true,
        seq: 17,
        guildCount: 3,
        latencyMs: 41,
        eventsPerSecond: 5,
        bufferedEvents: 0,
      },
    ],
  });
  const queues = createSqsClient('general', sqs.settings);
  await queues.send(
    new SendMessageCommand({
      QueueUrl: `http://sqs.us-east-1.localhost/000000000000/watched-interactions`,
      MessageBody: '{}',
    }),
  );
  queues.destroy();
  await new DynamoDbTimeline(
    documents,
    config.table,
    new ManualClock({ wallClockMs: Date.now() }),
    seededRandom(1),
  ).append({
    atMs: Date.now(),
    kind: 'grant',
    shards: [0],
    to: 'inc-1',
  });

  const metrics: string[] = [];
  const stdout = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    metrics.push(String(text));
    return true;
  });
  const result = await handler({}).finally(() => stdout.mockRestore());
  expect(result).toMatchObject({ kind: 'kept', point: { shards: 2, shardsReady: 1, queueWaiting: 1, guilds: 3 } });
  expect(metrics.filter((line) => line.includes('"ShardsNotReady":1'))).toHaveLength(1);

  const fleet = await get<FleetView>('/api/fleet');
  expect(fleet.shards.map(({ id, state, ready, seq }) => ({ id, state, ready, seq }))).toEqual([
    { id: 0, state: 'ready', ready: true, seq: 17 },
    { id: 1, state: 'unknown', ready: false, seq: undefined },
  ]);
  expect(fleet.workers).toMatchObject([{ workerId: 'worker-1', shardCount: 2, readyShardCount: 1, figures }]);
  expect(fleet.queues?.interactions).toEqual({ waiting: 1, inFlight: 0, deadLetters: 0 });
  expect((await get<FleetPoint[]>('/api/series')).map(({ shardsReady }) => shardsReady)).toEqual([1]);
  expect(await get<HappeningView[]>('/api/timeline')).toMatchObject([{ kind: 'grant', shards: [0], to: 'worker-1' }]);
  const history = await get<ShardHistory>('/api/shards/0');
  expect(history).toMatchObject({ points: [{ ready: true, latencyMs: 41 }], happenings: [{ kind: 'grant' }] });

  expect(await request('GET', '/api/shards/2')).toMatchObject({ statusCode: 404 });
  expect(await request('GET', '/etc/passwd')).toMatchObject({ statusCode: 404 });
  expect(await request('POST', '/api/fleet')).toMatchObject({ statusCode: 405 });

  async function request(method: string, rawPath: string): Promise<APIGatewayProxyStructuredResultV2> {
    const event = {
      requestContext: { http: { method } },
      rawPath,
      rawQueryString: 'since=0',
      headers: { 'accept-encoding': 'gzip' },
    };
    return (await handler(event)) as APIGatewayProxyStructuredResultV2;
  }
  async function get<T>(path: string): Promise<T> {
    const { statusCode, body = '', isBase64Encoded } = await request('GET', path);
    expect(statusCode).toBe(200);
    return JSON.parse(isBase64Encoded ? gunzipSync(Buffer.from(body, 'base64')).toString() : body) as T;
  }
});

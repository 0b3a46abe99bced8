import { afterEach, expect, test, vi } from 'vitest';
import type { LambdaFunctionURLEvent } from 'aws-lambda';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { DynamoDbStore } from '../../../shared/coordination/dynamodb-store.ts';
import { provision } from '../../../shared/provision.ts';
import { seededRandom } from '../../../shared/random.ts';
import { DynamoDbTimeline } from '../../../shared/stats/dynamodb-timeline.ts';
import { systemClock } from '../../../shared/clock.ts';
import { startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';

afterEach(() => vi.unstubAllEnvs());

test('the Lambda entry does what it is asked with nothing but its environment', async () => {
  await using dynamodb = await startDynalite();
  await using sqs = await startFauxqs();
  const environment = {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.settings.endpoint as string,
    AWS_ENDPOINT_URL_SQS: sqs.settings.endpoint as string,
    BATON_FLEET: 'operated',
    BATON_HEARTBEAT_MS: '200',
    BATON_MISSED_HEARTBEATS: '2',
    BATON_LOG_LEVEL: 'silent',
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const { handler } = await import('../../../functions/operate/handler.ts');
  const config = readFleetConfig(environment);
  const tables = createDynamoDBClient('general', dynamodb.settings);
  const documents = createDynamoDBDocumentClient('general', dynamodb.settings);
  const queues = createSqsClient('general', sqs.settings);
  await provision(config, { dynamodb: tables, sqs: queues });
  const store = new DynamoDbStore(documents, config.table);
  const post = async (action: object): Promise<unknown> => {
    const { statusCode, body = '' } = await handler({
      rawPath: '/api/actions',
      body: JSON.stringify(action),
      isBase64Encoded: false,
      requestContext: {
        http: { method: 'POST' },
        authorizer: { iam: { userArn: 'arn:aws:iam::123456789012:user/ada' } },
      },
    } as unknown as LambdaFunctionURLEvent);
    expect(statusCode).toBe(200);
    return JSON.parse(body.trim().split('\n').at(-1) ?? '');
  };
  expect(await post({ kind: 'rebalance', dryRun: true })).toMatchObject({ summary: 'There is no fleet yet' });

  await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' });
  await store.createLeases(2, [0, 1]);
  await store.join({ ...workerRecord('inc-1'), workerId: 'worker-1' });
  await store.grant({ shardId: 0, shardCount: 2 }, { epoch: 0, to: 'inc-1' });
  expect(await post({ kind: 'migrate', shard: 0, to: 'worker-1' })).toMatchObject({ done: { moved: false } });
  expect(await post({ kind: 'migrate', shard: 5, to: 'worker-1' })).toMatchObject({
    error: { code: 'REQUEST_INVALID' },
  });

  const timeline = new DynamoDbTimeline(documents, config.table, systemClock, seededRandom(1));
  const entries = await timeline.list({ sinceMs: 0, limit: 10 });
  expect(entries.map(({ by, reason, shards }) => ({ by, reason, shards }))).toEqual([
    { by: 'user/ada', reason: 'migrate', shards: [0] },
    { by: 'user/ada', reason: 'migrate', shards: [5] },
    { by: 'user/ada', reason: expect.stringContaining('migrate failed: there is no shard 5') as string, shards: [5] },
  ]);
  for (const client of [tables, documents, queues]) client.destroy();
});

import { afterEach, expect, test, vi } from 'vitest';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { DynamoDbStore } from '../../../shared/coordination/dynamodb-store.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { SqsControlPlane } from '../../../shared/control/sqs-control-queue.ts';
import { provision } from '../../../shared/provision.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';

afterEach(() => vi.unstubAllEnvs());

test('the Lambda entry does its work with nothing but its environment', async () => {
  await using dynamodb = await startDynalite();
  await using sqs = await startFauxqs();
  const environment = {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: dynamodb.settings.endpoint as string,
    AWS_ENDPOINT_URL_SQS: sqs.settings.endpoint as string,
    BATON_FLEET: 'rebalanced',
    BATON_HEARTBEAT_MS: '200',
    BATON_MISSED_HEARTBEATS: '2',
    BATON_LOG_LEVEL: 'silent',
  };
  for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value);
  const { handler } = await import('../../../functions/rebalance/handler.ts');
  const config = readFleetConfig(environment);
  const tables = createDynamoDBClient('general', dynamodb.settings);
  const documents = createDynamoDBDocumentClient('coordination', dynamodb.settings);
  const queues = createSqsClient('general', sqs.settings);
  await provision(config, { dynamodb: tables, sqs: queues });
  const store = new DynamoDbStore(documents, config.table);
  const control = new SqsControlPlane({
    fleet: config.fleet,
    client: queues,
    pollingClient: queues,
    logger: silentLogger,
  });
  const context = { getRemainingTimeInMillis: () => 60_000 };
  expect(await handler({}, context)).toEqual({ kind: 'noFleet' });

  await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' });
  await store.createLeases(2, [0, 1]);
  const controlQueueUrl = await control.open('dead');
  for (const incarnation of ['dead', 'living']) {
    await store.join({ ...workerRecord(incarnation), controlQueueUrl });
    const shard = { shardId: incarnation === 'dead' ? 0 : 1, shardCount: 2 };
    await store.grant(shard, { epoch: 0, to: incarnation });
  }
  const living = new AbortController();
  const heartbeats = (async () => {
    for (let version = 1; !living.signal.aborted; version += 1) {
      await store.writeCheckpoint({ incarnation: 'living', chunk: 0, version, entries: new Map() });
      await systemClock.sleep(100, living.signal);
    }
  })();
  try {
    expect(await handler({ id: 'of EventBridge', detail: {} }, context)).toEqual({ kind: 'cared' });
  } finally {
    living.abort();
    await heartbeats;
  }
  expect((await store.listLeases(2)).map(({ owner }) => owner)).toEqual(['living', 'living']);
  expect((await store.listWorkers()).map(({ incarnation }) => incarnation)).toEqual(['living']);
  for (const client of [tables, documents, queues]) client.destroy();
});

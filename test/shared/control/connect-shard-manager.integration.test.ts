import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startEmbeddedCloud } from '../../../local/cloud/embedded-cloud.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import { WorkerFleet } from '../../../local/worker-fleet.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { connectShardManager } from '../../../shared/control/connect-shard-manager.ts';
import { valuesOf } from '../../../shared/control/shard-manager.ts';
import { provision } from '../../../shared/provision.ts';

// A fleet that somebody else runs: only its table and queues are known here.

const closers: (() => unknown)[] = [];
let simulator: DiscordSimulator;
let aws: NonNullable<NonNullable<Parameters<typeof connectShardManager>[0]>['aws']>;

beforeAll(async () => {
  const logDirectory = mkdtempSync(join(tmpdir(), 'baton-connect-'));
  closers.push(() => rmSync(logDirectory, { recursive: true }));
  const cloud = await startEmbeddedCloud();
  closers.push(() => cloud.stop());
  simulator = await startSimulator({ shards: 2, guildsPerShard: 3, maxConcurrency: 2 });
  closers.push(() => simulator.stop());
  const { environment } = cloud;
  const common = { region: 'us-east-1', credentials: { accessKeyId: 'embedded', secretAccessKey: 'embedded' } };
  aws = {
    dynamodb: { ...common, endpoint: environment['AWS_ENDPOINT_URL_DYNAMODB'] },
    sqs: { ...common, endpoint: environment['AWS_ENDPOINT_URL_SQS'] },
  };
  const clients = { dynamodb: createDynamoDBClient('general', aws.dynamodb), sqs: createSqsClient('general', aws.sqs) };
  closers.push(() => {
    clients.dynamodb.destroy();
    clients.sqs.destroy();
  });
  await provision(readFleetConfig({ BATON_FLEET: 'elsewhere' }), clients, { clock: systemClock });
  const workers = new WorkerFleet({
    environment: {
      ...environment,
      BATON_FLEET: 'elsewhere',
      DISCORD_TOKEN: simulator.token ?? '',
      DISCORD_API_URL: simulator.apiUrl,
    },
    logDirectory,
    clock: systemClock,
    onLogLine: () => {},
    onCrash: () => {},
  });
  closers.push(() => workers.kill());
  workers.start('worker-1');
}, 60_000);

afterAll(async () => {
  for (const close of closers.reverse()) await close();
}, 30_000);

test('a manager of a fleet that runs already waits for it, asks it, and leaves it running', async () => {
  const manager = connectShardManager({ fleet: 'elsewhere', aws }, {});
  expect(await manager.spawnShards()).toMatchObject([{ shardId: 0, worker: 'worker-1' }, { shardId: 1 }]);
  expect(valuesOf(await manager.fetchClientValues('guilds.cache.size'))).toEqual([3, 3]);
  const answer = await manager.query('largestGuilds', { count: 1 });
  expect(valuesOf(answer)).toMatchObject([[{ memberCount: 5 }], [{ memberCount: 5 }]]);
  await manager.stop();
  await expect(manager.getShardInfo()).rejects.toThrow('this manager was stopped');
  await using other = connectShardManager({ fleet: 'elsewhere', aws }, {});
  expect(await other.getShardStats()).toMatchObject([{ ready: true }, { ready: true }]);
}, 60_000);

test('a fleet that does not exist is said to be out of reach', async () => {
  await using manager = connectShardManager({ fleet: 'nowhere', aws }, {});
  await expect(manager.getShardInfo()).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
  expect(() => connectShardManager({ fleet: '9 lives' }, {})).toThrow('BATON_FLEET="9 lives" must be');
}, 30_000);

import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetItemCommand, ListTablesCommand, PutItemCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { ReceiveMessageCommand, SendMessageCommand } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import {
  type EmbeddedCloud,
  type EmbeddedCloudOptions,
  startEmbeddedCloud,
} from '../../../local/cloud/embedded-cloud.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { type ProvisionClients, type ProvisionedFleet, provision } from '../../../shared/provision.ts';

const started: EmbeddedCloud[] = [];

async function start(options: EmbeddedCloudOptions = {}): Promise<EmbeddedCloud> {
  const cloud = await startEmbeddedCloud(options);
  started.push(cloud);
  return cloud;
}

/** Clients as a worker has them: everything from the environment. */
function clientsOf(cloud: EmbeddedCloud): ProvisionClients {
  for (const [name, value] of Object.entries(cloud.environment)) vi.stubEnv(name, value);
  return { dynamodb: createDynamoDBClient('general'), sqs: createSqsClient('general') };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
    throw error;
  }
}

async function writeOne({ dynamodb, sqs }: ProvisionClients, fleet: ProvisionedFleet): Promise<void> {
  await dynamodb.send(new PutItemCommand({ TableName: fleet.table, Item: { pk: { S: 'a' }, sk: { S: 'b' } } }));
  await sqs.send(
    new SendMessageCommand({
      QueueUrl: fleet.eventsQueueUrl,
      MessageBody: 'kept',
      MessageGroupId: '1.0',
      MessageDeduplicationId: '1',
      MessageAttributes: { events: { DataType: 'Binary', BinaryValue: Uint8Array.of(0, 1, 255) } },
    }),
  );
}

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(started.splice(0).map((cloud) => cloud.stop()));
});

test('starts, serves the SDK’s clients from their environment alone, and stops', async () => {
  const cloud = await start();
  const clients = clientsOf(cloud);
  const fleet = await provision(readFleetConfig({}), clients);
  await writeOne(clients, fleet);
  const { TableNames } = await clients.dynamodb.send(new ListTablesCommand({}));
  expect(TableNames).toEqual(['baton-coordination', 'baton-directory']);
  expect(cloud.pids).toHaveLength(2);
  await cloud.stop();
  await cloud.stop();
  expect(cloud.pids.filter(isAlive)).toEqual([]);
});

test('listens on the loopback address only', async () => {
  const cloud = await start();
  const outside = Object.values(networkInterfaces())
    .flat()
    .find((address) => address?.family === 'IPv4' && !address.internal);
  if (!outside) return;
  for (const name of ['AWS_ENDPOINT_URL_DYNAMODB', 'AWS_ENDPOINT_URL_SQS']) {
    const socket = connect(Number(new URL(cloud.environment[name] ?? '').port), outside.address);
    await expect(once(socket, 'connect')).rejects.toThrow('ECONNREFUSED');
  }
});

test('stops when its signal aborts', async () => {
  const abort = new AbortController();
  const cloud = await start({ signal: abort.signal });
  abort.abort();
  await vi.waitUntil(() => !cloud.pids.some(isAlive), 5000);
});

test('outlives the signals that Ctrl-C and a supervisor send to the whole process group', async () => {
  const cloud = await start();
  const clients = clientsOf(cloud);
  for (const pid of cloud.pids) for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.kill(pid, signal);
  const fleet = await provision(readFleetConfig({}), clients);
  await writeOne(clients, fleet);
  expect(cloud.pids.every(isAlive)).toBe(true);
});

test.each(['SIGKILL', 'SIGTERM'] as const)('no emulator outlives a parent that ends by %s', async (signal) => {
  const parent = fork(join(import.meta.dirname, 'embedded-cloud-parent.ts'), { execArgv: [], stdio: 'pipe' });
  const [{ pids }] = (await once(parent, 'message')) as [{ pids: number[] }];
  expect(pids).toHaveLength(2);
  expect(pids.every(isAlive)).toBe(true);
  parent.kill(signal);
  await vi.waitUntil(() => !pids.some(isAlive), 5000);
});

describe('an emulator that dies by itself', () => {
  test('is reported with its name and its last words', async () => {
    const errors: string[] = [];
    const logger = {
      debug() {},
      info() {},
      warn() {},
      error: (_fields: object, message: string) => errors.push(message),
      child: () => logger,
    };
    const cloud = await start({ logger });
    const { dynamodb, sqs } = clientsOf(cloud);
    const { table } = await provision(readFleetConfig({}), { dynamodb, sqs });
    await dynamodb.send(
      new PutItemCommand({ TableName: table, Item: { pk: { S: 'a' }, sk: { S: 'b' }, n: { N: '1' } } }),
    );
    const failed = expect(cloud.failed).rejects.toMatchObject({
      code: 'EMULATOR_FAILED',
      message: expect.stringMatching(/^the DynamoDB emulator died: it ended with code [1-9]\d*: \w*Error: .+/),
    });
    // dynalite dies of a filter that looks for a value in an attribute that the item has not.
    const scan = new ScanCommand({ TableName: table, FilterExpression: 'n IN (absent)' });
    await expect(dynamodb.send(scan)).rejects.toThrow();
    await failed;
    expect(errors).toEqual(['an emulator died']);
  });

  test('is reported when it is killed', async () => {
    const cloud = await start();
    process.kill(cloud.pids[1] as number, 'SIGKILL');
    await expect(cloud.failed).rejects.toMatchObject({
      code: 'EMULATOR_FAILED',
      message: expect.stringMatching(/^the SQS emulator died: it ended with SIGKILL/),
    });
  });
});

describe('a data directory', () => {
  let dataDirectory: string;
  beforeEach(async () => {
    dataDirectory = await mkdtemp(join(tmpdir(), 'baton-cloud-'));
  });
  afterEach(() => rm(dataDirectory, { recursive: true, force: true }));

  test.each(['stopped', 'killed'])('keeps items and messages of a cloud that was %s', async (how) => {
    const before = await start({ dataDirectory });
    before.failed.catch(() => {});
    const clients = clientsOf(before);
    await writeOne(clients, await provision(readFleetConfig({}), clients));
    if (how === 'stopped') await before.stop();
    else for (const pid of before.pids) process.kill(pid, 'SIGKILL');
    await vi.waitUntil(() => !before.pids.some(isAlive), 5000);

    const { dynamodb, sqs } = clientsOf(await start({ dataDirectory }));
    const fleet = await provision(readFleetConfig({}), { dynamodb, sqs });
    expect(fleet).toMatchObject({ created: [], updated: [] });
    const { Item } = await dynamodb.send(
      new GetItemCommand({ TableName: fleet.table, Key: { pk: { S: 'a' }, sk: { S: 'b' } } }),
    );
    expect(Item).toBeDefined();
    const { Messages } = await sqs.send(
      new ReceiveMessageCommand({ QueueUrl: fleet.eventsQueueUrl, MessageAttributeNames: ['All'] }),
    );
    expect(Messages?.map(({ Body }) => Body)).toEqual(['kept']);
    expect(Messages?.[0]?.MessageAttributes?.['events']?.BinaryValue).toEqual(Uint8Array.of(0, 1, 255));
  });

  test('in use by another cloud is refused in one line', async () => {
    await start({ dataDirectory });
    await expect(startEmbeddedCloud({ dataDirectory })).rejects.toMatchObject({
      code: 'EMULATOR_FAILED',
      message: expect.stringMatching(/^the DynamoDB emulator did not start: .*in use by another process/),
    });
  });
});

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { CreateTableCommand, DescribeTableCommand } from '@aws-sdk/client-dynamodb';
import { GetQueueAttributesCommand, SetQueueAttributesCommand } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../local/cloud/embedded-cloud.ts';
import { type AwsClientSettings, createDynamoDBClient, createSqsClient } from '../../shared/aws-clients.ts';
import { type FleetConfig, readFleetConfig } from '../../shared/config.ts';
import { deadLetterQueueName } from '../../shared/fleet-resources.ts';
import { type ProvisionClients, provision, resolveQueueUrl } from '../../shared/provision.ts';

let cloud: EmbeddedCloud;
let clients: ProvisionClients;

const settings = (endpoint: string | undefined): AwsClientSettings => ({
  ...(endpoint !== undefined && { endpoint }),
  region: 'us-east-1',
  credentials: { accessKeyId: 'embedded', secretAccessKey: 'embedded' },
});

function clientsOf({ dynamodb, sqs }: { dynamodb?: string; sqs?: string } = {}): ProvisionClients {
  return {
    dynamodb: createDynamoDBClient('general', settings(dynamodb ?? cloud.environment['AWS_ENDPOINT_URL_DYNAMODB'])),
    sqs: createSqsClient('general', settings(sqs ?? cloud.environment['AWS_ENDPOINT_URL_SQS'])),
  };
}

beforeAll(async () => {
  cloud = await startEmbeddedCloud();
  clients = clientsOf();
});

afterAll(async () => {
  clients.dynamodb.destroy();
  clients.sqs.destroy();
  await cloud.stop();
});

let fleets = 0;
/** A fleet of whose resources none is there yet. */
function newFleet(): FleetConfig {
  fleets += 1;
  return readFleetConfig({ BATON_FLEET: `fleet${fleets}` });
}

async function attributesOf(queueUrl: string): Promise<Record<string, string>> {
  const { Attributes } = await clients.sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['All'] }),
  );
  return Attributes ?? {};
}

describe('a new fleet', () => {
  test('gets its tables, queues and dead-letter queues', async () => {
    const config = newFleet();
    const fleet = await provision(config, clients);
    expect(fleet.created).toEqual([
      `${config.fleet}-coordination`,
      `${config.fleet}-directory`,
      `${config.fleet}-events-dlq.fifo`,
      `${config.fleet}-events.fifo`,
      `${config.fleet}-interactions`,
      `${config.fleet}-interactions-dlq`,
    ]);
    for (const name of [fleet.table, fleet.directoryTable]) {
      const { Table } = await clients.dynamodb.send(new DescribeTableCommand({ TableName: name }));
      expect(Table).toMatchObject({
        TableStatus: 'ACTIVE',
        BillingModeSummary: { BillingMode: 'PAY_PER_REQUEST' },
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
      });
    }

    const events = await attributesOf(fleet.eventsQueueUrl);
    expect(events).toMatchObject({
      FifoQueue: 'true',
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
      VisibilityTimeout: '180',
    });
    const eventsDeadLetters = await attributesOf(fleet.eventsDeadLetterQueueUrl);
    expect(eventsDeadLetters).toMatchObject({
      FifoQueue: 'true',
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
      MessageRetentionPeriod: '1209600',
    });
    expect(JSON.parse(events['RedrivePolicy'] ?? '')).toEqual({
      deadLetterTargetArn: eventsDeadLetters['QueueArn'],
      maxReceiveCount: 100,
    });

    const interactions = await attributesOf(fleet.interactionsQueueUrl);
    expect(interactions).toMatchObject({ VisibilityTimeout: '90', MessageRetentionPeriod: '900' });
    expect(interactions).not.toHaveProperty('FifoQueue');
    const interactionsDeadLetters = await attributesOf(fleet.interactionsDeadLetterQueueUrl);
    expect(interactionsDeadLetters).toMatchObject({ MessageRetentionPeriod: '1209600' });
    expect(JSON.parse(interactions['RedrivePolicy'] ?? '')).toEqual({
      deadLetterTargetArn: interactionsDeadLetters['QueueArn'],
      maxReceiveCount: 5,
    });
  });

  test('is provisioned by two processes at once', async () => {
    const config = newFleet();
    const [one, other] = await Promise.all([provision(config, clients), provision(config, clientsOf())]);
    expect(new Set([...one.created, ...other.created]).size).toBe(6);
    expect(one.eventsQueueUrl).toBe(other.eventsQueueUrl);
  });

  test('may name its queues by URL', async () => {
    const config = newFleet();
    const { eventsQueueUrl } = await provision(config, clients);
    const again = await provision({ ...config, eventsQueue: eventsQueueUrl }, clients);
    expect(again).toMatchObject({ created: [], updated: [], eventsQueueUrl });
  });
});

describe('a fleet that is there', () => {
  test('is not changed', async () => {
    const config = newFleet();
    const first = await provision(config, clients);
    const attributes = await attributesOf(first.eventsQueueUrl);
    const second = await provision(config, clients);
    expect(second).toEqual({ ...first, created: [], updated: [] });
    expect(await attributesOf(first.eventsQueueUrl)).toEqual(attributes);
  });

  test('gets back the attributes that somebody changed', async () => {
    const config = newFleet();
    const { eventsQueueUrl } = await provision(config, clients);
    await clients.sqs.send(
      new SetQueueAttributesCommand({ QueueUrl: eventsQueueUrl, Attributes: { VisibilityTimeout: '30' } }),
    );
    const { created, updated } = await provision(config, clients);
    expect({ created, updated }).toEqual({ created: [], updated: [config.eventsQueue] });
    expect(await attributesOf(eventsQueueUrl)).toMatchObject({ VisibilityTimeout: '180' });
  });

  test('is refused when a table belongs to something else', async () => {
    const config = newFleet();
    await clients.dynamodb.send(
      new CreateTableCommand({
        TableName: config.table,
        BillingMode: 'PAY_PER_REQUEST',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    await expect(provision(config, clients)).rejects.toMatchObject({
      code: 'PROVISION_FAILED',
      message: expect.stringContaining(`table ${config.table} has the keys id HASH`),
    });
  });
});

/** Stands before the DynamoDB emulator, knows expiry, and takes its time to make a table, as AWS does. */
class SlowTables implements AsyncDisposable {
  readonly #server: Server;
  readonly expiry = new Map<string, string>();
  expiryUpdates = 0;
  /** How many more looks at tables find them being created. */
  creating: number;

  constructor(backend: string, creating: number) {
    this.creating = creating;
    this.#server = createServer((request, response) => {
      this.#handle(backend, request, response).catch((error: unknown) => response.destroy(error as Error));
    });
  }

  async #handle(backend: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = await text(request);
    const action = String(request.headers['x-amz-target']).split('.')[1];
    const answer = (value: unknown) =>
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end(JSON.stringify(value));
    const { TableName, TimeToLiveSpecification } = JSON.parse(body) as {
      TableName: string;
      TimeToLiveSpecification?: { AttributeName: string };
    };
    if (action === 'DescribeTimeToLive') {
      const TimeToLiveStatus = this.expiry.has(TableName) ? 'ENABLED' : 'DISABLED';
      answer({ TimeToLiveDescription: { TimeToLiveStatus } });
      return;
    }
    if (action === 'UpdateTimeToLive') {
      this.expiryUpdates += 1;
      this.expiry.set(TableName, TimeToLiveSpecification?.AttributeName ?? '');
      answer({ TimeToLiveSpecification });
      return;
    }
    const { 'content-length': _, host: __, connection: ___, ...headers } = request.headers;
    const forwarded = await fetch(backend, { method: 'POST', headers: headers as Record<string, string>, body });
    let answered = await forwarded.text();
    if (action === 'DescribeTable' && forwarded.ok && this.creating > 0) {
      this.creating -= 1;
      answered = answered.replace('"ACTIVE"', '"CREATING"');
    }
    response.writeHead(forwarded.status, { 'content-type': 'application/x-amz-json-1.0' }).end(answered);
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

test('waits until tables are active and switches on expiry, once', async () => {
  await using tables = new SlowTables(cloud.environment['AWS_ENDPOINT_URL_DYNAMODB'] ?? '', 4);
  const config = newFleet();
  const slow = clientsOf({ dynamodb: await tables.listen() });
  await provision(config, slow);
  expect(tables.creating).toBe(0);
  expect([...tables.expiry]).toEqual(
    expect.arrayContaining([
      [config.table, 'expiresAt'],
      [config.directoryTable, 'expiresAt'],
    ]),
  );
  await provision(config, slow);
  expect(tables.expiryUpdates).toBe(2);
});

describe('a service that does not answer', () => {
  const closedPort = 'http://127.0.0.1:1';

  test('is named when nothing listens', async () => {
    await expect(provision(newFleet(), clientsOf({ dynamodb: closedPort }))).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining(`DynamoDB at ${closedPort} is out of reach`),
    });
    await expect(provision(newFleet(), clientsOf({ sqs: closedPort }))).rejects.toMatchObject({
      code: 'QUEUE_UNREACHABLE',
      message: expect.stringContaining(`SQS at ${closedPort} is out of reach`),
    });
  });

  test('is given up after 5 s when it hangs', async () => {
    const silent = createServer(() => {});
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const url = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const startedAtMs = performance.now();
    await expect(provision(newFleet(), clientsOf({ dynamodb: url, sqs: url }))).rejects.toMatchObject({
      code: expect.stringMatching(/^(STORE|QUEUE)_UNREACHABLE$/),
      message: expect.stringContaining(`${url} is out of reach: no answer in time`),
    });
    expect(performance.now() - startedAtMs).toBeLessThan(6000);
    silent.closeAllConnections();
    silent.close();
  });
});

describe('the URL of a queue', () => {
  test('is found by name; a URL is taken as it is', async () => {
    const config = newFleet();
    const { interactionsQueueUrl } = await provision(config, clients);
    expect(await resolveQueueUrl(config.interactionsQueue, clients.sqs)).toBe(interactionsQueueUrl);
    expect(await resolveQueueUrl('https://sqs.eu-west-1.amazonaws.com/1/q', clients.sqs)).toBe(
      'https://sqs.eu-west-1.amazonaws.com/1/q',
    );
  });

  test('that is not there is an error that says what to do', async () => {
    await expect(resolveQueueUrl('nowhere', clients.sqs)).rejects.toMatchObject({
      code: 'QUEUE_UNREACHABLE',
      message: expect.stringMatching(/no queue nowhere at http:\/\/127\.0\.0\.1:\d+: run `baton provision`/),
    });
  });

  test.each([
    ['baton-events.fifo', 'baton-events-dlq.fifo'],
    ['baton-interactions', 'baton-interactions-dlq'],
  ])('%s has the dead letters in %s', (queue, deadLetters) => expect(deadLetterQueueName(queue)).toBe(deadLetters));
});

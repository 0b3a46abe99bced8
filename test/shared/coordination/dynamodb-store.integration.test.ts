import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { CreateTableCommand, DescribeTableCommand, type DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient, GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type AwsClientSettings, createDynamoDBClient } from '../../../shared/aws-clients.ts';
import { DynamoDbStore } from '../../../shared/coordination/dynamodb-store.ts';
import { StoreUnavailable } from '../../../shared/coordination/store.ts';
import type { ShardKey } from '../../../shared/sharding.ts';
import { ManualClock } from '../../manual-clock.ts';
import { type Emulator, emulatorSettings, startDynalite } from '../in-process-emulators.ts';
import { rebalanceState, storeContract, workerRecord, workerReport } from './store-contract.ts';

/** Another DynamoDB to run all of this against, e.g. DynamoDB Local at http://127.0.0.1:8000. */
const otherEndpoint = process.env['BATON_TEST_DYNAMODB_ENDPOINT'];

let emulator: Emulator | undefined;
let client: DynamoDBClient;
let documents: DynamoDBDocumentClient;
let tables = 0;

beforeAll(async () => {
  if (otherEndpoint === undefined) emulator = await startDynalite();
  client = createDynamoDBClient('coordination', emulator?.settings ?? emulatorSettings(otherEndpoint as string));
  documents = DynamoDBDocumentClient.from(client);
});

afterAll(async () => {
  client.destroy();
  await emulator?.[Symbol.asyncDispose]();
});

async function createTable(): Promise<string> {
  const name = `store-test-${process.pid}-${Date.now()}-${++tables}`;
  await client.send(
    new CreateTableCommand({
      TableName: name,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [
        { AttributeName: 'pk', AttributeType: 'S' },
        { AttributeName: 'sk', AttributeType: 'S' },
      ],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
    }),
  );
  const description = new DescribeTableCommand({ TableName: name });
  await vi.waitFor(async () => expect((await client.send(description)).Table?.TableStatus).toBe('ACTIVE'), {
    interval: 5,
    timeout: 10_000,
  });
  return name;
}

describe('the contract', () => {
  storeContract(async (clock) => new DynamoDbStore(documents, await createTable(), clock));
});

const alpha = '0a1b2c3d-0000-4000-8000-000000000001';
const beta = '0a1b2c3d-0000-4000-8000-000000000002';
const shard = { shardId: 3, shardCount: 16 };
const entry = { session: 's', acknowledgedSeq: 5, publishedSeq: 4, epoch: 1 };
const roster = { userId: '1', applicationId: '2', guilds: new Map([['3', 4]]) };

describe('the layout', () => {
  async function item(table: string, pk: string, sk: string) {
    return (await documents.send(new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: true }))).Item;
  }

  test('of a lease is what the protocol page says', async () => {
    const table = await createTable();
    const store = new DynamoDbStore(documents, table);
    await store.createLeases(16, [3]);
    await store.grant(shard, { epoch: 0, to: alpha });
    await store.setResumeUrl(shard, { owner: alpha, epoch: 1, resumeUrl: 'wss://resume.example' });
    const inDoubt = { first: 6, last: 9, firstAttemptAtMs: 1_790_000_000_000, unfenced: true };
    await store.takeOver(shard, { from: alpha, epoch: 1, to: beta, entry: { ...entry, inDoubt } });
    await store.setWant(shard, { owner: beta, epoch: 2, want: alpha });
    expect(await item(table, 'SHARD#16', '000003')).toEqual({
      pk: 'SHARD#16',
      sk: '000003',
      format: 1,
      owner: beta,
      epoch: 2,
      want: alpha,
      url: 'wss://resume.example',
      ck: { session: 's', a: 5, p: 4, d: { first: 6, last: 9, at: 1_790_000_000_000, mark: true } },
    });
  });

  test('keeps the checkpoint of a removed worker fenced for a day', async () => {
    const table = await createTable();
    const clock = new ManualClock();
    const store = new DynamoDbStore(documents, table, clock);
    await store.join(workerRecord(alpha));
    await store.fence({ incarnation: alpha, chunk: 0, seenVersion: 0, by: beta });
    await store.removeWorker(alpha);
    expect(await item(table, 'WORKERS', alpha)).toBeUndefined();
    expect(await item(table, `WORKER#${alpha}`, 'CHUNK#0')).toMatchObject({
      fenced: beta,
      expiresAt: Math.floor(clock.wallClockMs() / 1000) + 24 * 60 * 60,
    });
  });

  test('lets reports expire', async () => {
    const table = await createTable();
    const clock = new ManualClock();
    await new DynamoDbStore(documents, table, clock).writeReport(workerReport(alpha));
    expect(await item(table, 'REPORTS', alpha)).toMatchObject({
      expiresAt: Math.floor(clock.wallClockMs() / 1000) + 300,
    });
  });

  test('keeps 2,500 guilds of 19 digits in less than 30 KB, 200 shards in a checkpoint of 7 KB, 16,000 cooldowns in 70 KB', async () => {
    const table = await createTable();
    const store = new DynamoDbStore(documents, table);
    const guilds = new Map(Array.from({ length: 2500 }, (_, index) => [`1180000000000000${1000 + index}`, 100_000]));
    await store.writeRoster(shard, 1, { ...roster, guilds });
    const stored = (await item(table, 'ROSTER#16.3', 'ROSTER'))?.['guilds'] as Uint8Array;
    expect(stored.length).toBeLessThan(30_000);

    await store.join(workerRecord(alpha));
    const session = 'f'.repeat(32);
    const inDoubt = { first: 1_000_001, last: 1_000_040, firstAttemptAtMs: 1_790_000_000_000 };
    const entries = new Map(
      Array.from({ length: 200 }, (_, id) => [
        `1024.${id}` as ShardKey,
        { session, acknowledgedSeq: 1_000_000, publishedSeq: 999_990, epoch: 300, inDoubt },
      ]),
    );
    await store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries });
    const packed = (await item(table, `WORKER#${alpha}`, 'CHUNK#0'))?.['entries'] as Uint8Array;
    expect(packed.length).toBeLessThan(7 * 1024 + 1024);

    const movedAtMs = new Map(
      Array.from({ length: 16_000 }, (_, id) => [id, rebalanceState.atMs - ((id * 7919) % 900_000)]),
    );
    await store.swapRebalanceState(undefined, { ...rebalanceState, movedAtMs });
    const loads = (await item(table, 'FLEET', 'REBALANCE'))?.['loads'] as Uint8Array;
    expect(loads.length).toBeLessThan(70_000);
  });
});

/** Every kind of item, its key, and what reads or writes it. */
const kinds: readonly {
  readonly name: string;
  readonly pk: string;
  readonly sk: string;
  readonly required: string;
  readonly operations: Readonly<Record<string, (store: DynamoDbStore) => Promise<unknown>>>;
}[] = [
  {
    name: 'worker',
    pk: 'WORKERS',
    sk: alpha,
    required: 'release',
    operations: {
      join: (store) => store.join(workerRecord(alpha)),
      listWorkers: (store) => store.listWorkers(),
      markDraining: (store) => store.markDraining(alpha),
      removeWorker: (store) => store.removeWorker(alpha),
    },
  },
  {
    name: 'checkpoint',
    pk: `WORKER#${alpha}`,
    sk: 'CHUNK#0',
    required: 'entries',
    operations: {
      readCheckpoints: (store) => store.readCheckpoints([{ incarnation: alpha, chunk: 0 }]),
      writeCheckpoint: (store) =>
        store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 9, entries: new Map() }),
      fence: (store) => store.fence({ incarnation: alpha, chunk: 0, seenVersion: 0, by: beta }),
    },
  },
  {
    name: 'lease',
    pk: 'SHARD#16',
    sk: '000003',
    required: 'ck',
    operations: {
      listLeases: (store) => store.listLeases(16),
      readLeases: (store) => store.readLeases([shard]),
      createLeases: (store) => store.createLeases(16, [3]),
      takeOver: (store) => store.takeOver(shard, { from: alpha, epoch: 1, to: beta, entry }),
      release: (store) => store.release(shard, { owner: alpha, epoch: 1, to: undefined, checkpoint: entry }),
      setWant: (store) => store.setWant(shard, { owner: alpha, epoch: 1, want: beta }),
      setResumeUrl: (store) => store.setResumeUrl(shard, { owner: alpha, epoch: 1, resumeUrl: 'wss://x' }),
    },
  },
  {
    name: 'fleet state',
    pk: 'FLEET',
    sk: 'STATE',
    required: 'gatewayUrl',
    operations: {
      readFleet: (store) => store.readFleet(),
      swapFleet: (store) =>
        store.swapFleet(
          { shardCount: 16, maxConcurrency: 1, gatewayUrl: 'wss://x' },
          { shardCount: 32, maxConcurrency: 1, gatewayUrl: 'wss://x' },
        ),
    },
  },
  {
    name: 'role',
    pk: 'FLEET',
    sk: 'ROLE',
    required: 'term',
    operations: {
      readRole: (store) => store.readRole(),
      swapRole: (store) => store.swapRole({ term: 1, counter: 1 }, { holder: beta, term: 2, counter: 2 }),
    },
  },
  {
    name: 'budget',
    pk: 'FLEET',
    sk: 'BUDGET',
    required: 'total',
    operations: {
      readBudget: (store) => store.readBudget(),
      spendIdentify: (store) => store.spendIdentify(0),
      refreshBudget: (store) => store.refreshBudget(1, { total: 1000, remaining: 1000 }),
    },
  },
  {
    name: 'rebalance',
    pk: 'FLEET',
    sk: 'REBALANCE',
    required: 'loads',
    operations: {
      readRebalanceState: (store) => store.readRebalanceState(),
      swapRebalanceState: (store) => store.swapRebalanceState(1, rebalanceState),
    },
  },
  {
    name: 'gate',
    pk: 'GATE',
    sk: '0',
    required: 'version',
    operations: {
      readGate: (store) => store.readGate(0),
      swapGate: (store) => store.swapGate(0, { holder: alpha, version: 1 }, beta),
    },
  },
  {
    name: 'roster',
    pk: 'ROSTER#16.3',
    sk: 'ROSTER',
    required: 'guilds',
    operations: {
      readRoster: (store) => store.readRoster(shard),
      writeRoster: (store) => store.writeRoster(shard, 1, roster),
    },
  },
  {
    name: 'report',
    pk: 'REPORTS',
    sk: alpha,
    required: 'shards',
    operations: {
      listReports: (store) => store.listReports(),
      writeReport: (store) => store.writeReport(workerReport(alpha)),
    },
  },
];

describe.each(kinds)('an invalid item: $name', ({ pk, sk, required, operations }) => {
  /** Every kind of item in a state that each operation's condition accepts, but for the damage. */
  async function filledTable(): Promise<string> {
    const table = await createTable();
    const store = new DynamoDbStore(documents, table);
    await store.join(workerRecord(alpha));
    await store.createLeases(16, [3]);
    await store.grant(shard, { epoch: 0, to: alpha });
    await store.swapFleet(undefined, { shardCount: 16, maxConcurrency: 1, gatewayUrl: 'wss://x' });
    await store.swapRole(undefined, { holder: alpha, term: 1, counter: 1 });
    await store.refreshBudget(undefined, { total: 10, remaining: 10 });
    await store.swapRebalanceState(undefined, rebalanceState);
    await store.swapGate(0, undefined, alpha);
    await store.writeRoster(shard, 1, roster);
    await store.writeReport(workerReport(alpha));
    return table;
  }

  async function image(table: string): Promise<Record<string, unknown> | undefined> {
    const found = await documents.send(new GetCommand({ TableName: table, Key: { pk, sk }, ConsistentRead: true }));
    return found.Item;
  }

  test.each(Object.keys(operations))('of another format is refused by %s, and left as it is', async (name) => {
    const table = await filledTable();
    const store = new DynamoDbStore(documents, table);
    await documents.send(new PutCommand({ TableName: table, Item: { ...(await image(table)), format: 2 } }));
    const before = await image(table);
    await expect(operations[name]?.(store)).rejects.toMatchObject({
      code: 'STORE_ITEM_INVALID',
      message: expect.stringContaining(`${pk} / ${sk}`),
    });
    expect(await image(table)).toEqual(before);
  });

  test.each(Object.keys(operations).filter((name) => /^(read|list)/.test(name)))(
    'that lacks a field is refused by %s, which names the field',
    async (name) => {
      const table = await filledTable();
      await documents.send(
        new UpdateCommand({
          TableName: table,
          Key: { pk, sk },
          UpdateExpression: 'REMOVE #field',
          ExpressionAttributeNames: { '#field': required },
        }),
      );
      const before = await image(table);
      await expect(operations[name]?.(new DynamoDbStore(documents, table))).rejects.toMatchObject({
        code: 'STORE_ITEM_INVALID',
        message: expect.stringMatching(new RegExp(`${pk} / ${sk}.*${required}`)),
      });
      expect(await image(table)).toEqual(before);
    },
  );
});

test('packed entries that are damaged are refused with the key of their item', async () => {
  const table = await createTable();
  const damaged = { pk: `WORKER#${alpha}`, sk: 'CHUNK#0', format: 1, v: 1, entries: Buffer.from([1, 16, 3]) };
  await documents.send(new PutCommand({ TableName: table, Item: damaged }));
  const read = new DynamoDbStore(documents, table).readCheckpoints([{ incarnation: alpha, chunk: 0 }]);
  await expect(read).rejects.toMatchObject({
    code: 'STORE_ITEM_INVALID',
    message: expect.stringContaining(`WORKER#${alpha} / CHUNK#0`),
  });
});

test('more leases than fit a page are all listed', async () => {
  const table = await createTable();
  const store = new DynamoDbStore(documents, table);
  await store.createLeases(40, [...Array(40).keys()]);
  // A page of a query ends at 1 MB.
  const resumeUrl = `wss://${'x'.repeat(60_000)}`;
  for (let shardId = 0; shardId < 40; shardId++) {
    const lease = { shardId, shardCount: 40 };
    await store.grant(lease, { epoch: 0, to: alpha });
    await store.setResumeUrl(lease, { owner: alpha, epoch: 1, resumeUrl });
  }
  expect((await store.listLeases(40)).map((lease) => lease.shard.shardId)).toEqual([...Array(40).keys()]);
});

test('a table that does not exist is no outage: the message says what to run', async () => {
  const store = new DynamoDbStore(documents, 'no-such-table');
  const operations = [
    () => store.listWorkers(),
    () => store.readFleet(),
    () => store.spendIdentify(0),
    () => store.readLeases([shard]),
  ];
  for (const operation of operations) {
    const error: unknown = await operation().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringContaining('baton provision') });
    expect(error).not.toBeInstanceOf(StoreUnavailable);
  }
});

describe('without a good answer', () => {
  /** A table service that answers each request as told, and counts them. */
  async function service(answer: (request: { operation: string; body: unknown }, response: ServerResponse) => void) {
    const seen: string[] = [];
    const read = async (request: IncomingMessage, response: ServerResponse) => {
      const operation = String(request.headers['x-amz-target']).split('.')[1] as string;
      seen.push(operation);
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      answer({ operation, body: JSON.parse(Buffer.concat(chunks).toString()) }, response);
    };
    const server = createServer((request, response) => {
      read(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const settings: AwsClientSettings = emulatorSettings(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    const client = createDynamoDBClient('coordination', settings);
    return {
      seen,
      store: new DynamoDbStore(DynamoDBDocumentClient.from(client), 'coordination'),
      [Symbol.asyncDispose]: async () => {
        client.destroy();
        server.closeAllConnections();
        await new Promise((resolve) => server.close(resolve));
      },
    };
  }

  function reply(response: ServerResponse, status: number, body: unknown): void {
    response.writeHead(status, { 'content-type': 'application/x-amz-json-1.0' });
    response.end(JSON.stringify(body));
  }

  function failure(name: string): unknown {
    return { __type: `com.amazonaws.dynamodb.v20120810#${name}`, message: `${name} it is` };
  }

  test.each([
    { name: 'ProvisionedThroughputExceededException', status: 400 },
    { name: 'ThrottlingException', status: 400 },
    { name: 'RequestLimitExceeded', status: 400 },
    { name: 'InternalServerError', status: 500 },
    { name: 'ServiceUnavailable', status: 503 },
    { name: 'ExpiredTokenException', status: 400 },
  ])('$name is an unknown outcome, and nothing is tried again', async ({ name, status }) => {
    await using table = await service((_, response) => reply(response, status, failure(name)));
    const calls = [
      table.store.writeCheckpoint({ incarnation: alpha, chunk: 0, version: 1, entries: new Map() }),
      table.store.listLeases(16),
      table.store.readLeases([shard]),
    ];
    for (const call of calls) await expect(call).rejects.toThrow(StoreUnavailable);
    expect(table.seen.sort()).toEqual(['BatchGetItem', 'Query', 'UpdateItem']);
  });

  test('a connection that breaks is an unknown outcome', async () => {
    await using table = await service((_, response) => response.destroy());
    await expect(table.store.grant(shard, { epoch: 0, to: alpha })).rejects.toThrow(StoreUnavailable);
    expect(table.seen).toEqual(['UpdateItem']);
  });

  test('silence is an unknown outcome within seconds', async () => {
    await using table = await service(() => {});
    await expect(table.store.readRole()).rejects.toThrow(StoreUnavailable);
    expect(table.seen).toEqual(['GetItem']);
  });

  test('a port where nobody listens is an unknown outcome, and the message says why', async () => {
    const client = createDynamoDBClient('coordination', emulatorSettings('http://127.0.0.1:1'));
    const store = new DynamoDbStore(DynamoDBDocumentClient.from(client), 'coordination');
    const error: unknown = await store.readRole().catch((thrown: unknown) => thrown);
    client.destroy();
    expect(error).toBeInstanceOf(StoreUnavailable);
    expect(error).toMatchObject({ message: expect.stringMatching(/FLEET \/ ROLE.*ECONNREFUSED/) });
  });

  test('a refused condition is decided by the image that comes with it, without another read', async () => {
    const image = { pk: { S: 'SHARD#16' }, sk: { S: '000003' }, format: { N: '1' }, epoch: { N: '8' } };
    const ck = { M: { a: { N: '5' }, p: { N: '4' } } };
    await using table = await service((_, response) =>
      reply(response, 400, {
        ...(failure('ConditionalCheckFailedException') as object),
        Item: { ...image, owner: { S: beta }, ck },
      }),
    );
    const outcome = await table.store.grant(shard, { epoch: 0, to: alpha });
    const lease = { shard, owner: beta, epoch: 8, checkpoint: { acknowledgedSeq: 5, publishedSeq: 4 } };
    expect(outcome).toEqual({ kind: 'refused', lease });
    expect(table.seen).toEqual(['UpdateItem']);
  });

  test('a request that can never succeed is told apart from an outage', async () => {
    await using table = await service((_, response) => reply(response, 400, failure('ValidationException')));
    const error: unknown = await table.store.readFleet().catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({
      code: 'STORE_UNREACHABLE',
      message: expect.stringContaining('ValidationException it'),
    });
    expect(error).not.toBeInstanceOf(StoreUnavailable);
  });

  test('keys that a batch left over are asked for again', async () => {
    await using table = await service(({ body }, response) => {
      const { Keys: keys } = (body as { RequestItems: Record<string, { Keys: { pk: unknown; sk: unknown }[] }> })
        .RequestItems['coordination'] as { Keys: { pk: unknown; sk: unknown }[] };
      const [first, ...rest] = keys;
      const stored = { format: { N: '1' }, epoch: { N: '0' }, ck: { M: { a: { N: '0' }, p: { N: '0' } } } };
      reply(response, 200, {
        Responses: { coordination: [{ ...first, ...stored }] },
        UnprocessedKeys: rest.length > 0 ? { coordination: { Keys: rest, ConsistentRead: true } } : {},
      });
    });
    const shards = [0, 1, 2].map((shardId) => ({ shardId, shardCount: 16 }));
    expect((await table.store.readLeases(shards)).map((lease) => lease.shard)).toEqual(shards);
    expect(table.seen).toHaveLength(3);
  });

  test('a batch that gives nothing at all is an unknown outcome, not a loop', async () => {
    await using table = await service(({ body }, response) => {
      const { RequestItems: unprocessed } = body as { RequestItems: unknown };
      reply(response, 200, { Responses: {}, UnprocessedKeys: unprocessed });
    });
    await expect(table.store.readLeases([shard])).rejects.toThrow(StoreUnavailable);
    expect(table.seen).toHaveLength(1);
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { join } from 'node:path';
import {
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../local/cloud/embedded-cloud.ts';
import { readIdentity } from '../../local/discord/event-identity.ts';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';
import type { SimulatorOptions } from '../../local/discord/simulator-options.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { readFleetConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { decodeEnvelope, type EnvelopeHeader } from '../../shared/envelope.ts';
import { provision } from '../../shared/provision.ts';

const root = join(import.meta.dirname, '../..');
const heartbeatMs = 400;

let cloud: EmbeddedCloud;
let sqs: SQSClient;
let simulator: DiscordSimulator;
let fleetNumber = 0;
let fleet: string;
let eventsQueueUrl: string;
let store: DynamoDbStore;
/** Per guild: the numbers of the events that were taken from the queue, in order. */
let received: Map<string, number[]>;
let headers: EnvelopeHeader[];
let emitted: Map<string, number[]>;
const workers: Worker[] = [];

interface Worker {
  readonly process: ChildProcess;
  readonly exited: Promise<number | null>;
  stderr: string;
  stdout: string;
}

beforeAll(async () => {
  cloud = await startEmbeddedCloud();
  Object.assign(process.env, cloud.environment);
  sqs = createSqsClient('general');
});

afterAll(async () => {
  sqs.destroy();
  await cloud.stop();
});

beforeEach(() => {
  fleetNumber += 1;
  fleet = `t${process.pid}-${fleetNumber}`;
  received = new Map();
  headers = [];
  emitted = new Map();
});

afterEach(async () => {
  for (const worker of workers.splice(0)) {
    worker.process.kill('SIGKILL');
    await worker.exited;
  }
  await simulator.stop();
});

async function start(options: Partial<SimulatorOptions> = {}): Promise<void> {
  simulator = await startSimulator({
    shards: 4,
    guildsPerShard: 3,
    maxConcurrency: 16,
    replayMinAgeMs: 20_000,
    onEmit: (stream, n) => {
      emitted.set(stream, [...(emitted.get(stream) ?? []), n]);
    },
    traffic: {
      eventsPerSecond: 200,
      interactionsPerSecond: 0,
      alternatesInteractions: false,
      mix: 'no_privileged',
      directMessageShare: 0,
    },
    ...options,
  });
  const dynamodb = createDynamoDBClient('general');
  const provisioned = await provision(readFleetConfig({ BATON_FLEET: fleet }), { dynamodb, sqs });
  dynamodb.destroy();
  eventsQueueUrl = provisioned.eventsQueueUrl;
  store = new DynamoDbStore(createDynamoDBDocumentClient('coordination'), `${fleet}-coordination`);
}

function runWorker(env: Record<string, string> = {}): Worker {
  const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.mjs'), 'baton', 'worker'], {
    cwd: root,
    env: {
      ...process.env,
      ...cloud.environment,
      BATON_FLEET: fleet,
      DISCORD_TOKEN: simulator.token,
      DISCORD_API_URL: simulator.apiUrl,
      DISCORD_INTENTS: '53608447',
      BATON_EVENT_TYPES: '*',
      BATON_HEARTBEAT_MS: String(heartbeatMs),
      BATON_LINGER_MS: '100',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const worker: Worker = {
    process: child,
    exited: once(child, 'close').then(([code]) => code as number | null),
    stderr: '',
    stdout: '',
  };
  child.stdout.on('data', (text) => {
    worker.stdout += text;
  });
  child.stderr.on('data', (text) => {
    worker.stderr += text;
  });
  workers.push(worker);
  return worker;
}

/** Waits for a condition; the message of a failure shows what it saw last. */
async function until(condition: () => unknown, what: string, withinMs = 40_000): Promise<void> {
  const deadlineMs = Date.now() + withinMs;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) {
      const logs = workers
        .map((worker) => worker.stdout.split('\n').slice(-8).join('\n') + worker.stderr)
        .join('\n--\n');
      throw new Error(`not within ${withinMs} ms: ${what}\n${logs}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

const connectedShards = () => simulator.state().sessions.filter(({ state }) => state === 'connected').length;
/**
 * Sessions that the workers have stored. A worker that dies between READY and its checkpoint costs an IDENTIFY, which
 * is documented and not what these tests are about.
 */
async function storedSessions(): Promise<number> {
  const workers = await store.listWorkers();
  const items = await store.readCheckpoints(workers.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
  return items.flatMap(({ entries }) => [...entries.values()]).filter(({ session }) => session !== undefined).length;
}

const readyIdentifies = () => simulator.stats.identifies.filter(({ outcome }) => outcome === 'ready').length;

async function readQueue(): Promise<number> {
  const { Messages = [] } = await sqs.send(
    new ReceiveMessageCommand({ QueueUrl: eventsQueueUrl, MaxNumberOfMessages: 10, MessageAttributeNames: ['All'] }),
  );
  for (const { Body, MessageAttributes } of Messages) {
    const { header, frames } = decodeEnvelope(
      Body ?? '',
      Buffer.from(MessageAttributes?.['events']?.BinaryValue ?? []),
    );
    headers.push(header);
    for (const frame of frames) {
      const identity = readIdentity((JSON.parse(frame) as { d: unknown }).d);
      if (identity) received.set(identity.stream, [...(received.get(identity.stream) ?? []), identity.n]);
    }
  }
  if (Messages.length > 0) {
    const Entries = Messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle }));
    await sqs.send(new DeleteMessageBatchCommand({ QueueUrl: eventsQueueUrl, Entries }));
  }
  return Messages.length;
}

/** Stops the traffic, drains the queue and compares what every guild emitted with what arrived, in order. */
async function expectNothingLost(): Promise<void> {
  simulator.traffic.stop();
  const total = () => [...emitted.values()].reduce((sum, list) => sum + list.length, 0);
  const arrived = () => [...received.values()].reduce((sum, list) => sum + list.length, 0);
  await until(async () => (await readQueue()) === 0 && arrived() >= total(), `${total()} events in the queue`).catch(
    (error: unknown) => {
      throw new Error(`${arrived()} of ${total()} events arrived`, { cause: error });
    },
  );
  expect(Object.fromEntries(received)).toEqual(Object.fromEntries(emitted));
}

async function expectExit(worker: Worker, code: number): Promise<void> {
  expect({ code: await worker.exited, stderr: worker.stderr }).toMatchObject({ code });
}

describe('a worker process', { timeout: 120_000 }, () => {
  test('that Discord refuses says so in one line and does not try again', async () => {
    await start();
    const worker = runWorker({ DISCORD_TOKEN: 'wrong' });
    await expectExit(worker, 1);
    expect(worker.stderr.trim().split('\n')).toHaveLength(1);
    expect(worker.stderr).toContain('Discord refused DISCORD_TOKEN');
    expect(worker.stdout + worker.stderr).not.toContain('wrong');
  });

  test('in single mode runs [0, 1], hands the session on at SIGTERM and RESUMEs it at the next start', async () => {
    await start({ shards: 1 });
    const first = runWorker({ BATON_SHARD_MODE: 'single' });
    await until(async () => connectedShards() === 1 && (await storedSessions()) === 1, 'one shard connected');
    simulator.traffic.start();
    await until(async () => (await readQueue()) > 0, 'events in the queue');
    first.process.kill('SIGTERM');
    await expectExit(first, 0);
    expect(connectedShards()).toBe(0);
    const second = runWorker({ BATON_SHARD_MODE: 'single' });
    await until(() => connectedShards() === 1, 'resumed');
    await expectNothingLost();
    expect(readyIdentifies()).toBe(1);
    expect(headers[0]).toMatchObject({ v: 1, shard: [0, 1], after: expect.any(Number) });
    expect(headers.some(({ replayed }) => replayed)).toBe(true);
    second.process.kill('SIGTERM');
    await expectExit(second, 0);
  });

  test('in explicit mode runs its own list, and takes over from a dead worker with the same list', async () => {
    await start();
    const explicit = (ids: string) => ({ BATON_SHARD_MODE: 'explicit', BATON_TOTAL_SHARDS: '4', BATON_SHARD_IDS: ids });
    const [low] = [runWorker(explicit('0-1')), runWorker(explicit('2,3'))];
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    simulator.traffic.start();
    low.process.kill('SIGKILL');
    await low.exited;
    runWorker(explicit('0-1'));
    await until(() => connectedShards() === 4, 'four shards connected again');
    await expectNothingLost();
    expect(readyIdentifies()).toBe(4);
  });

  test('of a fleet hands all its shards to the others at SIGTERM, without an IDENTIFY', async () => {
    await start();
    const leaving = runWorker({ BATON_WORKER_ID: 'leaving' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    const staying = runWorker({ BATON_WORKER_ID: 'staying' });
    await until(() => staying.stdout.includes('worker.registered'), 'the second worker registered');
    simulator.traffic.start();
    await until(async () => (await readQueue()) > 0, 'events in the queue');
    leaving.process.kill('SIGTERM');
    await expectExit(leaving, 0);
    await until(() => connectedShards() === 4, 'four shards connected at the other worker');
    expect(leaving.stdout.match(/"msg":"shard.handoff"/g)).toHaveLength(4);
    const [record, ...others] = await store.listWorkers();
    expect([record?.workerId, others]).toEqual(['staying', []]);
    await expectNothingLost();
    expect(readyIdentifies()).toBe(4);
  });

  test('of a fleet that is killed loses its shards to the others, which RESUME them', async () => {
    await start();
    const killed = runWorker({ BATON_WORKER_ID: 'killed' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    const surviving = runWorker({ BATON_WORKER_ID: 'surviving' });
    await until(() => surviving.stdout.includes('worker.registered'), 'the second worker registered');
    simulator.traffic.start();
    await until(async () => (await readQueue()) > 0, 'events in the queue');
    killed.process.kill('SIGKILL');
    await until(() => simulator.stats.resumes.length >= 4 && connectedShards() === 4, 'four RESUMEs');
    await expectNothingLost();
    expect(readyIdentifies()).toBe(4);
    expect(simulator.stats.resumes.every(({ outcome }) => outcome === 'resumed')).toBe(true);
  });

  test('that was only stopped for a while finds itself fenced, does no harm and comes back', async () => {
    await start();
    const stopped = runWorker({ BATON_WORKER_ID: 'stopped' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    const other = runWorker({ BATON_WORKER_ID: 'other' });
    await until(() => other.stdout.includes('worker.registered'), 'the second worker registered');
    simulator.traffic.start();
    await until(async () => (await readQueue()) > 0, 'events in the queue');
    stopped.process.kill('SIGSTOP');
    await until(() => simulator.stats.resumes.length >= 4, 'four RESUMEs');
    stopped.process.kill('SIGCONT');
    await until(() => stopped.stdout.includes('"msg":"worker.fenced"'), 'it notices');
    await until(() => stopped.stdout.match(/"msg":"worker.registered"/g)?.length === 2, 'it comes back');
    await expectNothingLost();
    expect(readyIdentifies()).toBe(4);
  });

  test('whose id is live elsewhere leaves and says why; the other one does not notice', async () => {
    await start();
    const original = runWorker({ BATON_WORKER_ID: 'same' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    const [record] = await store.listWorkers();
    const twin = runWorker({ BATON_WORKER_ID: 'same' });
    await expectExit(twin, 1);
    expect(twin.stderr.trim().split('\n')).toHaveLength(1);
    expect(twin.stderr).toContain(`worker id same is taken: incarnation ${record?.incarnation} is alive`);
    expect(await store.listWorkers()).toEqual([record]);
    expect([connectedShards(), readyIdentifies()]).toEqual([4, 4]);
    original.process.kill('SIGTERM');
    await expectExit(original, 0);
  });

  test('that was killed is followed at once by one of the same id', async () => {
    await start();
    const killed = runWorker({ BATON_WORKER_ID: 'same' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    simulator.traffic.start();
    await until(async () => (await readQueue()) > 0, 'events in the queue');
    killed.process.kill('SIGKILL');
    await killed.exited;
    const follower = runWorker({ BATON_WORKER_ID: 'same' });
    await until(() => follower.stdout.includes('worker.registered'), 'the follower registered');
    const registeredMs = Date.now();
    await until(() => connectedShards() === 4, 'four RESUMEs');
    // One period of silence, and room for a busy machine.
    expect(Date.now() - registeredMs).toBeLessThan(3 * heartbeatMs + 8000);
    await expectNothingLost();
    expect([readyIdentifies(), follower.process.exitCode]).toEqual([4, null]);
  });

  test('that was stopped while another took its id gives way when it goes on', async () => {
    await start();
    const stopped = runWorker({ BATON_WORKER_ID: 'same' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    stopped.process.kill('SIGSTOP');
    runWorker({ BATON_WORKER_ID: 'same' });
    await until(() => simulator.stats.resumes.length >= 4, 'four RESUMEs');
    stopped.process.kill('SIGCONT');
    await expectExit(stopped, 1);
    expect(stopped.stderr).toContain('worker id same is taken');
    await until(() => connectedShards() === 4, 'four shards connected at the other one');
    expect(readyIdentifies()).toBe(4);
  });

  test('leaves at once at a second SIGTERM', async () => {
    await start();
    const worker = runWorker({ BATON_WORKER_ID: 'first' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    // The other worker is full, so the drain has to wait.
    const full = runWorker({ BATON_WORKER_ID: 'full', BATON_MAX_SHARDS: '1' });
    await until(() => full.stdout.includes('worker.registered'), 'the second worker registered');
    worker.process.kill('SIGTERM');
    await until(() => worker.stdout.includes('worker.draining'), 'draining');
    worker.process.kill('SIGTERM');
    await expectExit(worker, 1);
  });

  test('that is being drained by an operator goes on handing over at the first SIGTERM', async () => {
    await start();
    const worker = runWorker({ BATON_WORKER_ID: 'first', BATON_STOP_TIMEOUT_MS: '13000' });
    await until(async () => connectedShards() === 4 && (await storedSessions()) === 4, 'four shards connected');
    const full = runWorker({ BATON_WORKER_ID: 'full', BATON_MAX_SHARDS: '1' });
    await until(() => full.stdout.includes('worker.registered'), 'the second worker registered');
    const [record] = (await store.listWorkers()).filter(({ workerId }) => workerId === 'first');
    await sqs.send(
      new SendMessageCommand({
        QueueUrl: record?.controlQueueUrl,
        MessageBody: JSON.stringify({
          kind: 'request',
          v: 1,
          id: randomUUID(),
          sending: 1,
          expiresAtMs: Date.now() + 30_000,
          body: { kind: 'drain' },
        }),
      }),
    );
    await until(() => worker.stdout.includes('worker.draining'), 'draining');
    worker.process.kill('SIGTERM');
    await expectExit(worker, 0);
  });
});

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join, resolve } from 'node:path';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { z } from 'zod';
import { createEventsHandler } from '../../functions/events/events-handler.ts';
import { createInteractionsHandler } from '../../functions/interactions/interactions-handler.ts';
import { defineCommand } from '../../functions/kit/define-command.ts';
import { defineMessage } from '../../functions/kit/define-message.ts';
import { createHandlerServices } from '../../functions/kit/handler-services.ts';
import { createRegistry } from '../../functions/kit/registry.ts';
import { StoredShards } from '../../functions/kit/shard-context.ts';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../local/cloud/embedded-cloud.ts';
import { type EventSource, startEventSource } from '../../local/cloud/sqs-event-source.ts';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';
import type { Guild } from '../../local/discord/world.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { systemClock } from '../../shared/clock.ts';
import { readFunctionsConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { silentLogger } from '../../shared/logger.ts';
import { provision } from '../../shared/provision.ts';
import { systemRandom } from '../../shared/random.ts';
import { shardIdOfGuild } from '../../shared/sharding.ts';
import { MemoryDeliveryMarks } from '../functions/events/memory-delivery-marks.ts';

// What handlers see of their shard and their fleet, with real workers: the parts that a unit test has to make up.

const root = resolve(import.meta.dirname, '../..');
const patience = { timeout: 45_000, interval: 250 };
const heard: unknown[] = [];

const greeting = defineMessage('greeting', z.object({ text: z.string() }), ({ text }, ctx) => {
  heard.push([text, ctx.shard.id, ctx.guildId]);
});
const where = defineCommand({
  name: 'where',
  description: 'd',
  async run({ shard, reply }) {
    const figures = await shard.figures();
    await reply(JSON.stringify({ id: shard.id, total: shard.total, guilds: await shard.guildIds(), ...figures }));
  },
});
const tell = defineCommand({
  name: 'tell',
  description: 'd',
  async run({ fleet, guildId = '', reply }) {
    const presence = { status: 'idle' as never, activities: [], since: null, afk: false };
    const { results, missing } = await fleet.updatePresence(presence);
    await fleet.sendToGuild(guildId, greeting.with({ text: 'guild' }));
    await fleet.send(1, greeting.with({ text: 'one' }));
    const { sent } = await fleet.broadcast(greeting.with({ text: 'all' }));
    const members = await fleet.requestMembers(guildId, { query: '', limit: 1 });
    await reply(JSON.stringify({ results: results.length, missing, sent, members }));
  },
});

let cloud: EmbeddedCloud;
let sqs: SQSClient;
let simulator: DiscordSimulator;
let sources: EventSource[] = [];
let worker: ChildProcess | undefined;
let fleetNumber = 0;

beforeAll(async () => {
  cloud = await startEmbeddedCloud();
  for (const [name, value] of Object.entries(cloud.environment)) vi.stubEnv(name, value);
  sqs = createSqsClient('general');
});
afterAll(async () => {
  sqs.destroy();
  await cloud.stop();
  vi.unstubAllEnvs();
});
beforeEach(() => {
  heard.length = 0;
  fleetNumber += 1;
});
afterEach(async () => {
  if (worker?.exitCode === null) {
    worker.kill('SIGKILL');
    await once(worker, 'close');
  }
  await Promise.all(sources.splice(0).map((source) => source.stop({ withinMs: 2000 })));
  await simulator.stop();
});

async function run(shards: number, mode: Record<string, string>): Promise<void> {
  simulator = await startSimulator({ shards, guildsPerShard: 3, maxConcurrency: 16 });
  const environment = {
    BATON_FLEET: `context-${process.pid}-${fleetNumber}`,
    DISCORD_TOKEN: simulator.token ?? '',
    DISCORD_API_URL: simulator.apiUrl,
  };
  const config = readFunctionsConfig(environment);
  const dynamodb = createDynamoDBClient('general');
  const queues = await provision(config, { dynamodb, sqs });
  dynamodb.destroy();
  const documents = createDynamoDBDocumentClient('general');
  const common = {
    registry: createRegistry([{ file: 'handlers/test.ts', exports: { where, tell, greeting } }]),
    services: createHandlerServices({
      config,
      documents,
      sqs,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    }),
    shards: new StoredShards(new DynamoDbStore(documents, config.table, systemClock), systemClock),
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  };
  const claims = { claim: async () => true };
  const deadLetters = { send: () => Promise.reject(new Error('no dead letter is expected')) };
  const receiving = createSqsClient('receiving');
  sources = [
    await startEventSource({
      sqs: receiving,
      functionName: 'interactions',
      queueUrl: queues.interactionsQueueUrl,
      handler: createInteractionsHandler({ ...common, claims }),
    }),
    await startEventSource({
      sqs: receiving,
      functionName: 'events',
      queueUrl: queues.eventsQueueUrl,
      handler: createEventsHandler({ ...common, deadLetters, marks: new MemoryDeliveryMarks(), consumerGuard: false }),
    }),
  ];
  worker = spawn(process.execPath, [join(root, 'scripts/baton.mjs'), 'worker'], {
    cwd: root,
    env: {
      ...process.env,
      ...environment,
      BATON_WORKER_ID: 'worker-1',
      BATON_HEARTBEAT_MS: '400',
      BATON_LINGER_MS: '100',
      ...mode,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Uses a command until its answer says what is waited for: workers report every few seconds. */
async function answerTo(command: string, guild: Guild, isEnough: (answer: Record<string, unknown>) => boolean) {
  return vi.waitFor(async () => {
    const interaction = simulator.traffic.sendCommand(command, guild);
    const content = await vi.waitFor(
      () => {
        const text = interaction?.answers.find((answer) => answer.status < 300)?.content;
        expect(text, JSON.stringify(interaction?.answers)).toBeDefined();
        return text as string;
      },
      { timeout: 8000, interval: 50 },
    );
    const answer = JSON.parse(content) as Record<string, unknown>;
    expect(isEnough(answer), content).toBe(true);
    return answer;
  }, patience);
}

/** What `/where` says once the worker has reported. */
async function expectShard(guild: Guild, shards: number, id: number | null): Promise<void> {
  const shardId = shardIdOfGuild(guild.id, shards);
  const answer = await answerTo('where', guild, ({ ready, guildCount }) => ready === true && guildCount === 3);
  expect(answer).toMatchObject({
    id,
    total: shards,
    status: expect.stringMatching(/ready|connected/),
    worker: 'worker-1',
    latencyMs: expect.any(Number),
    eventsPerSecond: expect.any(Number),
    commandsPerSecond: expect.any(Number),
  });
  const onShard = simulator.world.guilds.filter((each) => shardIdOfGuild(each.id, shards) === shardId);
  expect((answer['guilds'] as string[]).toSorted()).toEqual(onShard.map((each) => each.id).toSorted());
}

test('a command in single mode has no shard id', async () => {
  await run(1, { BATON_SHARD_MODE: 'single' });
  await expectShard(simulator.world.guilds[0] as Guild, 1, null);
});

test('a command in explicit mode knows its shard', async () => {
  await run(4, { BATON_SHARD_MODE: 'explicit', BATON_SHARD_IDS: '0-3', BATON_TOTAL_SHARDS: '4' });
  const guild = simulator.world.guilds.at(-1) as Guild;
  await expectShard(guild, 4, shardIdOfGuild(guild.id, 4));
});

test('in a fleet a command knows its shard, gateway commands reach every shard, and messages those they are for', async () => {
  await run(2, {});
  const guild = simulator.world.guilds[0] as Guild;
  await expectShard(guild, 2, shardIdOfGuild(guild.id, 2));
  const answer = await answerTo('tell', guild, ({ missing }) => (missing as unknown[]).length === 0);
  expect(answer).toEqual({ results: 2, missing: [], sent: [0, 1], members: { state: expect.any(String) } });
  await vi.waitFor(() => {
    expect(heard).toEqual(
      expect.arrayContaining([
        ['guild', shardIdOfGuild(guild.id, 2), guild.id],
        ['one', 1, undefined],
        ['all', 0, undefined],
        ['all', 1, undefined],
      ]),
    );
  }, patience);
});

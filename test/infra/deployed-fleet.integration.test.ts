import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { SQSBatchResponse, SQSEvent } from 'aws-lambda';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import { bundleProgram, type ProgramName, programs } from '../../infra/bundle.ts';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../local/cloud/embedded-cloud.ts';
import { type ChaosDone, type ChaosTargets, planChaos, runChaos } from '../../local/chaos.ts';
import { FunctionUrl } from '../../local/cloud/function-url.ts';
import { type EventSource, startEventSource } from '../../local/cloud/sqs-event-source.ts';
import { endpointInteractionStream, interactionStream, readIdentity } from '../../local/discord/event-identity.ts';
import { connectionTargets } from '../../local/fleet-chaos.ts';
import { Ledger } from '../../local/ledger.ts';
import { SimulatedDiscord } from '../../local/simulated-discord.ts';
import { defaultCostInput, estimateCosts } from '../../scripts/costs-model.ts';
import { createDynamoDBClient, createSqsClient } from '../../shared/aws-clients.ts';
import { systemClock } from '../../shared/clock.ts';
import { readFleetConfig } from '../../shared/config.ts';
import { decodeEnvelope, decodeInteraction, eventsAttribute } from '../../shared/envelope.ts';
import { handlerManifest } from '../../shared/handler-manifest.generated.ts';
import { silentLogger } from '../../shared/logger.ts';
import { provision } from '../../shared/provision.ts';
import { seededRandom, systemRandom } from '../../shared/random.ts';
import { DeployedFunction, DeployedWorker } from './deployed-programs.ts';
import { IamGate } from './iam-gate.ts';
import { synthesizeFleet } from './synthesized-fleet.ts';
import { localRegion, TemplateDeployment } from './template-deployment.ts';
import {
  functionEnvironment,
  plain,
  propertiesOf,
  roleOf,
  statementsOfRole,
  workerContainer,
  workerEnvironment,
} from './template-reader.ts';

const shards = 8;
const eventsPerSecond = 300;
/** Long enough for a kill and a drain, each of which the fleet gets over before the other. */
const chaosMs = 20_000;
const chaosSeed = 7;
const localSettings = { region: localRegion, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
const { fleet: builtFleet, stack, template: built } = synthesizeFleet();
const template = plain(built);
const wanted = new Set<string>(handlerManifest.eventTypes);

let bundles: string;
let cloud: EmbeddedCloud;
let deployment: TemplateDeployment;
let discord: SimulatedDiscord;
let ledger: Ledger;
let cleanUp: AsyncDisposableStack;
let countedInteractions: Set<string>;
/** What the triggers took off the queues. */
let batches: Record<'events' | 'interactions', number>;
let envelopes: Record<'events' | 'interactions', number>;

beforeAll(() => {
  bundles = mkdtempSync(join(tmpdir(), 'baton-bundles-'));
  for (const program of Object.keys(programs) as ProgramName[]) bundleProgram(program, bundleOf(program));
}, 300_000);
afterAll(() => rmSync(bundles, { recursive: true, force: true }));

beforeEach(async () => {
  cleanUp = new AsyncDisposableStack();
  countedInteractions = new Set();
  batches = { events: 0, interactions: 0 };
  envelopes = { events: 0, interactions: 0 };
  cloud = await startEmbeddedCloud();
  cleanUp.defer(() => cloud.stop());
  ledger = new Ledger({ settlingMs: 90_000, unordered: [interactionStream, endpointInteractionStream] });
  discord = await SimulatedDiscord.start({
    shards,
    isWanted: (type) => wanted.has(type),
    ledger,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  cleanUp.defer(() => discord.stop());
  deployment = await TemplateDeployment.create(template, emulatorUrls());
});
afterEach(() => cleanUp.disposeAsync());

test('what the template says runs: bundled programs, their rights and their variables, and no event is lost', async () => {
  const functions = [
    await startConsumer('events'),
    await startConsumer('interactions'),
    await startFunction('rebalance'),
    await startEndpoint(),
  ];
  const [first, second] = [await startWorker(), await startWorker()];
  await untilConnected();
  await vi.waitFor(() => expect(first.worker.probe()).resolves.toBe(0), { timeout: 10_000 });

  const [, , rebalance] = functions;
  await expect(rebalance?.deployed.invoke({}, { getRemainingTimeInMillis: () => 60_000 })).resolves.toMatchObject({
    kind: 'planned',
  });
  // One task is wanted of the service, and two are the least.
  expect([...(rebalance?.gate.allowed.keys() ?? [])].join()).toContain('ecs:UpdateService');
  functions.push(...(await lookAfterTheFleet()));

  discord.startTraffic(eventsPerSecond);
  await vi.waitFor(() => expect(ledger.totals.delivered).toBeGreaterThan(500), { timeout: 90_000, interval: 200 });
  // What waited while the fleet started is in larger envelopes than what comes now.
  await vi.waitFor(() => compareWithCostModel([first.gate, second.gate]), { timeout: 40_000, interval: 0 });
  const workers = [first, second];
  const done = await liveThroughChaos(workers);
  expect(done.filter(({ what }) => what.startsWith('failed'))).toEqual([]);
  // A run of this length has one of each at least.
  expect(done.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['killWorker', 'drainWorker']));
  await untilConnected();
  const deliveredBefore = ledger.totals.delivered;
  await vi.waitFor(() => expect(ledger.totals.delivered).toBeGreaterThan(deliveredBefore + 300), { timeout: 90_000 });

  discord.stopTraffic();
  await vi.waitFor(() => expect(ledger.totals.pending).toBe(0), { timeout: 90_000, interval: 200 });
  for (const { worker } of workers.filter((each) => each.worker.runs)) {
    worker.kill('SIGTERM');
    expect(await worker.exitCode, worker.output).toBe(0);
  }

  expect(ledger.totals).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, unknown: 0, undeliverable: 0 });
  expect(discord.identifies).toBe(shards);
  // Those of the shards of the killed worker came too late for Discord's three seconds.
  const { answered, endpoint } = discord.interactions;
  expect(answered).toBeGreaterThan(endpoint.answered);
  expect(endpoint.sent).toBeGreaterThan(10);
  expect(endpoint).toMatchObject({ answered: endpoint.sent, failures: {} });
  for (const { gate } of [...workers, ...functions]) expect([...gate.refused]).toEqual([]);
}, 400_000);

test('the local fleet runs on the same: provisioning finds nothing to make and nothing to change', async () => {
  const { dynamodb, sqs } = emulatorUrls();
  const clients = {
    dynamodb: createDynamoDBClient('general', { ...localSettings, endpoint: dynamodb }),
    sqs: createSqsClient('general', { ...localSettings, endpoint: sqs }),
  };
  cleanUp.defer(() => {
    clients.dynamodb.destroy();
    clients.sqs.destroy();
  });
  const provisioned = await provision(readFleetConfig({ BATON_FLEET: 'baton' }), clients);
  expect({ created: provisioned.created, updated: provisioned.updated }).toEqual({ created: [], updated: [] });
});

test('a worker without one of its rights is refused by name, and does not run', async () => {
  const { gate } = await startWorker((actions) => actions.filter((action) => action !== 'dynamodb:UpdateItem'));
  await vi.waitFor(() => expect([...gate.refused].join()).toContain('dynamodb:UpdateItem'), { timeout: 20_000 });
  expect(discord.connectedShards().size).toBe(0);
}, 60_000);

test('a function whose secret has no value says how to put one in', async () => {
  await expect(startFunction('events', '')).rejects.toThrow(/DISCORD_SECRET=arn:.* must have a JSON object/);
});

test('a worker without a token names the variable and ends with 2', async () => {
  const { DISCORD_TOKEN: _, ...environment } = deployment.environment(workerEnvironment(template));
  const worker = new DeployedWorker(bundleOf('worker'), environment, []);
  expect(await worker.exitCode).toBe(2);
  expect(worker.output).toContain('DISCORD_TOKEN is missing');
});

function bundleOf(program: ProgramName): string {
  return join(bundles, program, 'index.mjs');
}

function emulatorUrls() {
  const { AWS_ENDPOINT_URL_DYNAMODB: dynamodb, AWS_ENDPOINT_URL_SQS: sqs } = cloud.environment;
  return { dynamodb: dynamodb as string, sqs: sqs as string };
}

/** What Discord is in this test; everything else is in the template. */
function simulated(): Record<string, string> {
  return { DISCORD_API_URL: discord.environment.DISCORD_API_URL };
}

async function startGate(
  roleId: string,
  secretValue: string,
  limit: (actions: readonly string[]) => readonly string[] = (actions) => actions,
): Promise<IamGate> {
  const { dynamodb, sqs } = emulatorUrls();
  const gate = await IamGate.start({
    statements: statementsOfRole(template, roleId).flatMap(({ Action, Resource, ...rest }) => {
      const Resources = [Resource].flat().flatMap((resource) => resolvable(resource));
      return Resources.length === 0 ? [] : [{ ...rest, Action: limit([Action].flat()), Resource: Resources }];
    }),
    dynamodbUrl: dynamodb,
    sqsUrl: sqs,
    secret: { arn: deployment.resolve(stack.resolve(builtFleet.secret.secret.secretArn)), value: secretValue },
  });
  cleanUp.use(gate);
  return gate;
}

/** Log groups have no place on this machine. */
function resolvable(resource: unknown): string[] {
  return JSON.stringify(resource).includes('Logs') ? [] : [deployment.resolve(resource)];
}

async function startWorker(limit?: (actions: readonly string[]) => readonly string[]) {
  const role = roleOf(propertiesOf(template, 'AWS::ECS::TaskDefinition')['TaskRoleArn']);
  const gate = await startGate(role, '', limit);
  const port = await freePort();
  const worker = new DeployedWorker(
    bundleOf('worker'),
    {
      ...deployment.environment(workerEnvironment(template)),
      ...simulated(),
      ...gate.environment,
      DISCORD_TOKEN: discord.environment.DISCORD_TOKEN,
      // Tasks have addresses of their own; here all share one.
      BATON_HTTP_PORT: String(port),
    },
    workerContainer(template).HealthCheck.Command.map((part) => part.replace(':8080', `:${port}`)),
  );
  cleanUp.defer(async () => {
    worker.kill('SIGKILL');
    await worker.exitCode;
  });
  return { worker, gate };
}

async function startFunction(program: Exclude<ProgramName, 'worker'>, secretValue?: string) {
  const functionName = `baton-${program}`;
  const { Role } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: functionName });
  const { DISCORD_TOKEN: token, DISCORD_PUBLIC_KEY: publicKey } = discord.environment;
  const gate = await startGate(roleOf(Role), secretValue ?? JSON.stringify({ token, publicKey }));
  const deployed = await DeployedFunction.start(bundleOf(program), {
    ...deployment.environment(functionEnvironment(template, functionName)),
    ...simulated(),
    ...gate.environment,
    // Lambda sets these for every function.
    AWS_REGION: localRegion,
    AWS_LAMBDA_FUNCTION_NAME: functionName,
  });
  cleanUp.use(deployed);
  return { gate, deployed };
}

/** A function with the queue that triggers it. */
async function startConsumer(program: 'events' | 'interactions') {
  const started = await startFunction(program);
  const { Timeout } = propertiesOf(template, 'AWS::Lambda::Function', { FunctionName: `baton-${program}` });
  const source = await startSource(program, started.deployed, (Timeout as number) * 1000);
  cleanUp.defer(() => source.stop());
  return started;
}

/** The function behind the interactions endpoint, with its URL, known to Discord. */
async function startEndpoint() {
  const started = await startFunction('interactions-endpoint');
  const url = await FunctionUrl.start({
    functionName: 'interactions-endpoint',
    handler: async (event, respond, context) => {
      await started.deployed.invoke(event, context, (response) => {
        const interaction = JSON.parse(event.body ?? '') as unknown;
        if (response.statusCode === 200) count(interaction, false);
        respond(response);
      });
    },
  });
  cleanUp.defer(() => url.stop());
  await discord.useEndpoint(url.url);
  return started;
}

/** One round each of the functions that nobody waits for, and what operators have done without harm. */
async function lookAfterTheFleet() {
  const [stats, directory, operate] = await Promise.all([
    startFunction('stats'),
    startFunction('directory'),
    startFunction('operate'),
  ]);
  const context = { getRemainingTimeInMillis: () => 60_000 };
  await expect(stats.deployed.invoke({}, context)).resolves.toMatchObject({ kind: 'kept', point: { shards } });
  expect([...stats.gate.allowed.keys()]).toContain('cloudwatch:GetMetricStatistics on *');
  await expect(directory.deployed.invoke({}, context)).resolves.toMatchObject({ swept: { shards, failed: 0 } });
  for (const action of [
    { kind: 'respawn', shard: 0 },
    { kind: 'rebalance', dryRun: false },
    { kind: 'redrive', dryRun: false },
  ]) {
    const answer = await operate.deployed.invoke(
      {
        rawPath: '/api/actions',
        body: JSON.stringify(action),
        requestContext: { http: { method: 'POST' }, authorizer: { iam: { userArn: 'arn:aws:iam::1:user/ada' } } },
      },
      context,
    );
    expect(answer).toMatchObject({ statusCode: 200, body: expect.stringContaining('"done"') as string });
  }
  return [stats, directory, operate];
}

/** The trigger of a function, with the settings of its mapping in the template. */
async function startSource(
  program: 'events' | 'interactions',
  deployed: DeployedFunction,
  functionTimeoutMs: number,
): Promise<EventSource> {
  const { queue } = builtFleet[program];
  const mappings = Object.values(template.Resources).filter(({ Type }) => Type === 'AWS::Lambda::EventSourceMapping');
  const mapping = mappings.find(
    ({ Properties }) =>
      deployment.resolve(Properties['EventSourceArn']) === deployment.resolve(stack.resolve(queue.queueArn)),
  ) as { Properties: { BatchSize: number; ScalingConfig: { MaximumConcurrency: number } } } | undefined;
  if (mapping === undefined) throw new Error(`nothing triggers ${program}`);
  const { BatchSize, ScalingConfig } = mapping.Properties;
  const sqs = createSqsClient('receiving', { ...localSettings, endpoint: emulatorUrls().sqs });
  cleanUp.defer(() => sqs.destroy());
  return startEventSource({
    sqs,
    queueUrl: deployment.resolve(stack.resolve(queue.queueUrl)),
    functionName: program,
    batchSize: BatchSize,
    maximumConcurrency: ScalingConfig.MaximumConcurrency,
    functionTimeoutMs,
    handler: async (event, context) => {
      const response = await deployed.invoke<SQSBatchResponse | undefined>(event, context);
      batches[program] += 1;
      envelopes[program] += event.Records.length;
      const failed = new Set(response?.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      countDeliveries(program, { Records: event.Records.filter(({ messageId }) => !failed.has(messageId)) });
      return response;
    },
  });
}

/** Puts into the ledger what the function has taken without complaint. */
function countDeliveries(program: 'events' | 'interactions', { Records }: SQSEvent): void {
  for (const { body, messageAttributes } of Records) {
    if (program === 'interactions') {
      // A crashed worker's successor may send one again; the function then runs no handler, and Discord would refuse.
      const { interaction } = decodeInteraction(body);
      if (!countedInteractions.has(interaction.id)) count(interaction, false);
      countedInteractions.add(interaction.id);
      continue;
    }
    const attribute = messageAttributes[eventsAttribute]?.binaryValue ?? '';
    const { header, frames } = decodeEnvelope(body, Buffer.from(attribute, 'base64'));
    for (const frame of frames) {
      const { t, d } = JSON.parse(frame) as { t: string; d: unknown };
      // What is forwarded for the directory alone was not put into the ledger.
      if (wanted.has(t)) count(d, header.unfenced === true);
    }
  }
}

function count(data: unknown, unfenced: boolean): void {
  const identity = readIdentity(data);
  if (identity) ledger.delivered(identity.stream, identity.n, Date.now(), { unfenced });
}

type StartedWorker = Awaited<ReturnType<typeof startWorker>>;

/**
 * Lets the chaos of `npm start -- --chaos` at the workers, with what ECS does about it: a task that ended is replaced,
 * one that is told to stop has to end by itself. `workers` gets the new ones. Resolves to what was done.
 */
async function liveThroughChaos(workers: StartedWorker[]): Promise<ChaosDone[]> {
  const done: ChaosDone[] = [];
  const signal = new AbortController().signal;
  const pick = (drawn: number): StartedWorker => {
    const running = workers.filter(({ worker }) => worker.runs);
    return running[drawn % running.length] as StartedWorker;
  };
  const replace = async () => workers.push(await startWorker());
  const nothing = () => Promise.resolve(undefined);
  const targets: ChaosTargets = {
    ...connectionTargets(discord, { clock: systemClock, signal }),
    async killWorker({ worker: drawn, restartAfterMs }) {
      const { worker } = pick(drawn);
      worker.kill('SIGKILL');
      await worker.exitCode;
      await systemClock.sleep(restartAfterMs, signal);
      await replace();
      return 'killed and replaced';
    },
    async drainWorker({ worker: drawn }) {
      const { worker } = pick(drawn);
      // A deployment starts the new task first.
      await replace();
      worker.kill('SIGTERM');
      const exitCode = await worker.exitCode;
      if (exitCode !== 0) throw new Error(`ended with ${exitCode}: ${worker.output}`);
      return 'drained and replaced';
    },
    async pauseWorker({ worker: drawn, forMs }) {
      const { worker } = pick(drawn);
      worker.kill('SIGSTOP');
      await systemClock.sleep(forMs, signal);
      worker.kill('SIGCONT');
      return 'stood still';
    },
    // Those of the harsh mix, which have their own scenarios.
    moveShards: nothing,
    awsOutage: nothing,
  };
  const onDone = (each: ChaosDone) => done.push(each);
  const plan = planChaos(chaosMs, seededRandom(chaosSeed), { replayMs: discord.replayMs(eventsPerSecond) });
  await runChaos(plan, targets, { clock: systemClock, signal, onDone });
  return done;
}

/** What the fleet asks of SQS and DynamoDB for its events in five seconds against what `npm run costs` says it does. */
async function compareWithCostModel(gates: readonly IamGate[]): Promise<void> {
  const seconds = 5;
  const countOf = (what: RegExp) =>
    gates.flatMap(({ allowed }) => [...allowed]).reduce((sum, [name, times]) => sum + (what.test(name) ? times : 0), 0);
  const sends = /^sqs:SendMessage on .*-events\.fifo$/;
  const intents = /^dynamodb:UpdateItem on .*-coordination$/;
  const counted = () => ({
    sends: countOf(sends),
    intents: countOf(intents),
    events: ledger.totals.delivered,
    batches: batches.events,
    envelopes: envelopes.events,
  });
  const before = counted();
  await systemClock.sleep(seconds * 1000, new AbortController().signal);
  const after = counted();
  const rateOf = (name: keyof typeof before) => (after[name] - before[name]) / seconds;
  const predicted = estimateCosts({
    ...defaultCostInput,
    shards,
    eventsPerShard: rateOf('events') / shards,
    // The emulator fills receives in a way of its own.
    envelopesPerReceive: rateOf('envelopes') / rateOf('batches'),
  });
  // A batch is one receive, and one deletion of what was done.
  const requestsPerEvent = (rateOf('sends') + 2 * rateOf('batches')) / rateOf('events');
  for (const [what, measured, expected] of [
    ['sends', rateOf('sends'), predicted.sendsPerSecond],
    ['intents', rateOf('intents'), predicted.intentsPerSecond],
    ['events an envelope', rateOf('events') / rateOf('envelopes'), predicted.eventsPerEnvelope],
    ['requests an event', requestsPerEvent, predicted.requestsPerEvent],
  ] as const) {
    expect(measured / expected, what).toBeGreaterThan(0.6);
    expect(measured / expected, what).toBeLessThan(1.4);
  }
}

async function untilConnected(): Promise<void> {
  await vi.waitFor(() => expect(discord.connectedShards().size).toBe(shards), { timeout: 90_000, interval: 100 });
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

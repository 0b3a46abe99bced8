import { hostname } from 'node:os';
import { handlerManifest } from '#handler-manifest';
import { pino } from 'pino';
import { createDynamoDBDocumentClient, createSqsClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { readWorkerConfig, type WorkerConfig } from '../shared/config.ts';
import { directoryEventTypes, directoryIntents } from '../shared/directory/directory-options.ts';
import { DynamoDbStore } from '../shared/coordination/dynamodb-store.ts';
import { createDiscordRest } from '../shared/discord-rest.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import { privilegedIntentsIn } from '../shared/privileged-intents.ts';
import type { Logger } from '../shared/logger.ts';
import { resolveQueueUrl } from '../shared/provision.ts';
import { systemRandom } from '../shared/random.ts';
import { DynamoDbControlQueueNotes } from '../shared/control/dynamodb-control-queue-notes.ts';
import { DynamoDbReplies } from '../shared/control/dynamodb-replies.ts';
import type { AnyQuery } from '../shared/control/define-query.ts';
import type { RequestRunner } from '../shared/control/request-runner.ts';
import { SqsControlPlane } from '../shared/control/sqs-control-queue.ts';
import { DynamoDbTimeline } from '../shared/stats/dynamodb-timeline.ts';
import { TimelineRecorder } from '../shared/stats/timeline.ts';
import { registeredQueries } from '../shared/queries/registered-queries.ts';
import { SandboxRunner } from './eval/sandbox-runner.ts';
import { agreeOnFleet } from './fleet-setup.ts';
import { askGatewayBot } from './gateway-bot.ts';
import { HealthServer } from './health-server.ts';
import { processUsage } from './process-usage.ts';
import { SqsSender } from './publishing/sqs-sender.ts';
import { DynamoDbParkingLot } from './shard/parking-lot.ts';
import { WorkerLife, type WorkerOptions, type WorkerPorts } from './worker.ts';

/** Pause before a fenced worker comes back under a new incarnation, so that it cannot spin. */
const rejoinAfterMs = 1000;

export interface BotParts {
  /** What the worker answers by name. @default the registered ones */
  readonly queries?: readonly AnyQuery[] | undefined;
  /** What the bot's handlers ask for: event types to forward, and the intents that carry them. @default the generated manifest */
  readonly manifest?: { readonly eventTypes: readonly string[]; readonly intents: number } | undefined;
}

type Wanted = { readonly [Part in keyof BotParts]-?: NonNullable<BotParts[Part]> };

/**
 * Runs one gateway worker until SIGTERM or SIGINT (hands everything over; a second one leaves at once) and returns the
 * exit code: 0 drained, 1 failed, 2 wrong configuration. Logs JSON lines on stdout, one line for people on stderr.
 */
export async function runWorker(
  env: NodeJS.ProcessEnv,
  { queries = registeredQueries, manifest = handlerManifest }: BotParts = {},
): Promise<number> {
  const stop = new AbortController();
  const drain = new AbortController();
  try {
    const config = readWorkerConfig(env);
    await runLives(config, env, { queries, manifest }, drain, stop);
    return 0;
  } catch (error) {
    // Asked to stop before it had begun: there is nothing to hand over.
    if (drain.signal.aborted && error instanceof BatonError && error.code === 'DISCORD_UNREACHABLE') return 0;
    process.stderr.write(`baton worker: ${messageOf(error)}\n`);
    return error instanceof BatonError && error.code === 'CONFIG_INVALID' ? 2 : 1;
  }
}

async function runLives(
  config: WorkerConfig,
  env: NodeJS.ProcessEnv,
  { queries, manifest }: Wanted,
  drain: AbortController,
  stop: AbortController,
): Promise<void> {
  const workerId = config.workerId ?? `${hostname()}-${systemRandom.uuid().slice(0, 8)}`;
  const logger: Logger = pino({
    level: config.logLevel,
    base: { worker: workerId },
    messageKey: 'msg',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (level) => ({ level }) },
  });
  // Not the same as an aborted drain: whoever stops a worker that an operator drains has asked for the first time.
  let wasSignalled = false;
  const onSignal = (signal: NodeJS.Signals) => {
    logger.info({ signal }, wasSignalled ? 'worker.stopping_at_once' : 'worker.asked_to_stop');
    // Sessions survive a dropped connection, so leaving at once loses time, not events.
    if (wasSignalled) process.exit(1);
    wasSignalled = true;
    drain.abort();
  };
  process.on('SIGTERM', onSignal);
  process.on('SIGINT', onSignal);
  try {
    const options = workerOptions(config, workerId, env, manifest);
    const privileged = privilegedIntentsIn(options.intents);
    if (privileged.length > 0) logger.info({ intents: privileged }, 'worker.privileged_intents');
    await using runner = new SandboxRunner({ evalMode: config.evalMode, queries, clock: systemClock, logger });
    const ports = await connectPorts(config, logger, runner, () => drain.abort());
    const fleet = await agreeOnFleet(
      {
        askGatewayBot: ports.askGatewayBot,
        store: ports.store,
        sharding: config.sharding,
        clock: systemClock,
        random: systemRandom,
        logger,
      },
      drain.signal,
    );
    let life: WorkerLife | undefined;
    await using health = new HealthServer(() => (life?.isRegistered ? life.report() : undefined));
    if (config.httpPort !== undefined) await health.listen(config.httpPort);
    while (!drain.signal.aborted) {
      life = new WorkerLife(options, ports, fleet);
      const end = await life.run(drain.signal, stop.signal);
      logger.info({ incarnation: life.incarnation, ...end }, 'worker.life_ended');
      if (end.kind === 'drained') break;
      await systemClock.sleep(rejoinAfterMs, drain.signal);
    }
  } finally {
    process.off('SIGTERM', onSignal);
    process.off('SIGINT', onSignal);
  }
}

function workerOptions(
  config: WorkerConfig,
  workerId: string,
  env: NodeJS.ProcessEnv,
  manifest: Wanted['manifest'],
): WorkerOptions {
  const { token, sharding, compress, lingerMs, heartbeatMs, missedHeartbeats, maxShards, stopTimeoutMs } = config;
  const intents = config.intents ?? manifest.intents | directoryIntents(config.directoryEntities);
  const wanted =
    config.eventTypes ?? new Set([...manifest.eventTypes, ...directoryEventTypes(config.directoryEntities, intents)]);
  return {
    workerId,
    release: env['BATON_RELEASE'] ?? '',
    maxShards,
    sharding,
    originalCoordinator: config.originalCoordinator,
    heartbeatMs,
    missedHeartbeats,
    lingerMs,
    stopTimeoutMs,
    token,
    intents,
    compress,
    encoding: config.envelopeEncoding,
    isWanted: wanted === '*' ? () => true : (type) => wanted.has(type),
  };
}

async function connectPorts(
  config: WorkerConfig,
  logger: Logger,
  runner: RequestRunner,
  drain: () => void,
): Promise<Required<Omit<WorkerPorts, 'dial'>>> {
  const coordination = createDynamoDBDocumentClient('coordination');
  const documents = createDynamoDBDocumentClient('general');
  const queueNotes = new DynamoDbControlQueueNotes(documents, config.table);
  const publishing = createSqsClient('publishing');
  const [eventsQueueUrl, interactionsQueueUrl] = await Promise.all([
    resolveQueueUrl(config.eventsQueue, publishing),
    resolveQueueUrl(config.interactionsQueue, publishing),
  ]);
  const rest = createDiscordRest(config);
  const sender = new SqsSender({ sqs: publishing, eventsQueueUrl, interactionsQueueUrl, logger });
  return {
    store: new DynamoDbStore(coordination, config.table),
    control: new SqsControlPlane({
      fleet: config.fleet,
      client: createSqsClient('general'),
      pollingClient: createSqsClient('receiving'),
      notes: queueNotes,
      logger,
    }),
    requests: { replies: new DynamoDbReplies(documents, config.table, systemClock), runner, queueNotes, drain },
    events: sender,
    interactions: sender,
    parking: new DynamoDbParkingLot(documents, config.directoryTable, systemClock),
    timeline: new TimelineRecorder({
      store: new DynamoDbTimeline(coordination, config.table, systemClock, systemRandom),
      clock: systemClock,
      logger,
    }),
    clock: systemClock,
    random: systemRandom,
    logger,
    askGatewayBot: (signal) => askGatewayBot(rest, systemClock, signal),
    usage: processUsage(systemClock),
  };
}

import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createDirectoryHandler } from '../functions/directory/directory-handler.ts';
import { createDirectoryFold } from '../functions/directory/directory-fold.ts';
import type { ObservedEvent } from '../functions/events/events-invocation.ts';
import { createEventsHandler } from '../functions/events/events-handler.ts';
import { DynamoDBDeliveryMarks } from '../functions/events/dynamodb-delivery-marks.ts';
import { SqsDeadLetters } from '../functions/events/sqs-dead-letters.ts';
import { InteractionClaims } from '../functions/interactions/interaction-claims.ts';
import { GuildShards } from '../functions/interactions/endpoint/guild-shards.ts';
import { createInteractionsEndpoint } from '../functions/interactions/endpoint/interactions-endpoint.ts';
import { RequestSignature } from '../functions/interactions/endpoint/request-signature.ts';
import { createInteractionsHandler } from '../functions/interactions/interactions-handler.ts';
import type { ObservedInteraction } from '../functions/interactions/run-interaction.ts';
import { createHandlerServices } from '../functions/kit/handler-services.ts';
import type { Registry } from '../functions/kit/registry.ts';
import { StoredShards } from '../functions/kit/shard-context.ts';
import { createRebalanceHandler, type RebalanceHandler } from '../functions/rebalance/rebalance-handler.ts';
import type { Clock } from '../shared/clock.ts';
import type { DirectoryConfig, FunctionsConfig, RebalanceConfig } from '../shared/config.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { functionTimeoutSeconds } from '../shared/fleet-resources.ts';
import type { Logger } from '../shared/logger.ts';
import type { ProvisionedFleet } from '../shared/provision.ts';
import type { Random } from '../shared/random.ts';
import { SqsControlPlane } from '../shared/control/sqs-control-queue.ts';
import { FunctionUrl } from './cloud/function-url.ts';
import { DynamoDbTimeline } from '../shared/stats/dynamodb-timeline.ts';
import { TimelineRecorder } from '../shared/stats/timeline.ts';
import { type LambdaSchedule, startSchedule } from './cloud/lambda-schedule.ts';
import { type EventSource, startEventSource } from './cloud/sqs-event-source.ts';

export interface LocalFunctionsOptions {
  readonly config: FunctionsConfig;
  readonly rebalance: RebalanceConfig;
  readonly directory: DirectoryConfig;
  readonly coordination: CoordinationStore;
  readonly queues: ProvisionedFleet;
  readonly registry: Registry;
  readonly sqs: SQSClient;
  /** Waits longer for its answers than `sqs`. */
  readonly receivingSqs: SQSClient;
  readonly documents: DynamoDBDocumentClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** The application's key; without it there is no interactions endpoint. */
  readonly publicKey: string | undefined;
  /** Port of the interactions endpoint; 0 for any. */
  readonly endpointPort: number;
  /** The work of the stats function. */
  readonly keepMinute: () => Promise<void>;
  readonly onEvent: (event: ObservedEvent) => void;
  readonly onInteraction: (interaction: ObservedInteraction) => void;
}

/** Far oftener than as deployed: it costs nothing here, and whoever looks need not wait. */
const directoryPeriodMs = 5000;
/** As deployed: long enough to see a coordinator dead and do its work. */
const rebalanceTimeoutMs = 60_000;

/** The Lambda functions of a fleet: those that run handlers, on triggers of the embedded cloud's queues, and the scheduled one. */
export class LocalFunctions {
  /** A round of rebalancing now. */
  readonly rebalance: (request: { dryRun: boolean }) => ReturnType<RebalanceHandler>;
  /** The interactions endpoint; absent without a public key. */
  readonly endpoint: FunctionUrl | undefined;
  readonly #sources: readonly EventSource[];
  readonly #schedules: readonly LambdaSchedule[];
  readonly #stopping: AbortController;

  /** @throws {BatonError} `QUEUE_UNREACHABLE`. */
  static async start(options: LocalFunctionsOptions): Promise<LocalFunctions> {
    const { config, queues, registry, sqs, receivingSqs, documents, clock, random, logger } = options;
    const services = createHandlerServices({ config, documents, sqs, clock, random, logger });
    const common = {
      registry,
      services,
      shards: new StoredShards(options.coordination, clock),
      clock,
    };
    const source = { sqs: receivingSqs, clock, random, logger };
    const events = await startEventSource({
      ...source,
      functionName: 'events',
      queueUrl: queues.eventsQueueUrl,
      handler: createEventsHandler({
        ...common,
        random,
        logger: logger.child({ function: 'events' }),
        deadLetters: new SqsDeadLetters(sqs, config.eventsDlq),
        marks: new DynamoDBDeliveryMarks(documents, config.directoryTable, clock),
        directory: createDirectoryFold(config, { documents, clock }),
        consumerGuard: config.consumerGuard,
        observe: options.onEvent,
      }),
    });
    const interactionsDeps = {
      ...common,
      random,
      claims: new InteractionClaims(documents, config.directoryTable, clock, random),
      observe: options.onInteraction,
    };
    const interactions = await startEventSource({
      ...source,
      functionName: 'interactions',
      queueUrl: queues.interactionsQueueUrl,
      handler: createInteractionsHandler({
        ...interactionsDeps,
        logger: logger.child({ function: 'interactions' }),
      }),
    });
    const endpointLogger = logger.child({ function: 'interactions-endpoint' });
    const endpoint =
      options.publicKey === undefined
        ? undefined
        : await FunctionUrl.start({
            functionName: 'interactions-endpoint',
            functionTimeoutMs: functionTimeoutSeconds.interactions * 1000,
            port: options.endpointPort,
            handler: createInteractionsEndpoint({
              ...interactionsDeps,
              signature: new RequestSignature(options.publicKey),
              shards: new GuildShards({
                store: options.coordination,
                shards: common.shards,
                clock,
                logger: endpointLogger,
              }),
              logger: endpointLogger,
            }),
            clock,
            random,
            logger,
          });
    const stopping = new AbortController();
    const rebalance = createRebalanceHandler(
      {
        store: options.coordination,
        control: new SqsControlPlane({ fleet: config.fleet, client: sqs, pollingClient: receivingSqs, logger }),
        timeline: new TimelineRecorder({
          store: new DynamoDbTimeline(documents, config.table, clock, random),
          clock,
          logger,
        }),
        rules: options.rebalance,
        clock,
        random,
        logger: logger.child({ function: 'rebalance' }),
      },
      stopping.signal,
    );
    const schedules = [
      startSchedule({
        functionName: 'rebalance',
        functionTimeoutMs: rebalanceTimeoutMs,
        handler: rebalance,
        logger,
        clock,
        random,
      }),
      startSchedule({
        functionName: 'directory',
        handler: createDirectoryHandler({
          config: options.directory,
          documents,
          sqs,
          store: options.coordination,
          clock,
          random,
          logger: logger.child({ function: 'directory' }),
        }),
        periodMs: directoryPeriodMs,
        logger,
        clock,
        random,
      }),
      startSchedule({ functionName: 'stats', handler: options.keepMinute, logger, clock, random }),
    ];
    return new LocalFunctions({ sources: [events, interactions], endpoint, schedules, rebalance, stopping });
  }

  private constructor(parts: {
    sources: readonly EventSource[];
    endpoint: FunctionUrl | undefined;
    schedules: readonly LambdaSchedule[];
    rebalance: RebalanceHandler;
    stopping: AbortController;
  }) {
    this.#sources = parts.sources;
    this.endpoint = parts.endpoint;
    this.#schedules = parts.schedules;
    this.rebalance = ({ dryRun }) =>
      parts.rebalance({ dryRun }, { getRemainingTimeInMillis: () => rebalanceTimeoutMs });
    this.#stopping = parts.stopping;
  }

  /** Takes nothing more from the queues and waits for what is running, for a bounded time. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([
      this.endpoint?.stop(),
      ...this.#schedules.map((schedule) => schedule.stop()),
      ...this.#sources.map((source) => source.stop({ withinMs: 5000 })),
    ]);
  }
}

import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { ObservedEvent } from '../functions/events/events-invocation.ts';
import { createEventsHandler } from '../functions/events/events-handler.ts';
import { DynamoDBDeliveryMarks } from '../functions/events/dynamodb-delivery-marks.ts';
import { SqsDeadLetters } from '../functions/events/sqs-dead-letters.ts';
import { InteractionClaims } from '../functions/interactions/interaction-claims.ts';
import { createInteractionsHandler, type ObservedInteraction } from '../functions/interactions/interactions-handler.ts';
import { API } from '@discordjs/core';
import { createDiscordRest } from '../shared/discord-rest.ts';
import type { Registry } from '../functions/kit/registry.ts';
import type { Clock } from '../shared/clock.ts';
import type { FunctionsConfig } from '../shared/config.ts';
import type { Logger } from '../shared/logger.ts';
import type { ProvisionedFleet } from '../shared/provision.ts';
import type { Random } from '../shared/random.ts';
import { type EventSource, startEventSource } from './cloud/sqs-event-source.ts';

export interface LocalFunctionsOptions {
  readonly config: FunctionsConfig;
  readonly queues: ProvisionedFleet;
  readonly registry: Registry;
  readonly sqs: SQSClient;
  /** Waits longer for its answers than `sqs`. */
  readonly receivingSqs: SQSClient;
  readonly documents: DynamoDBDocumentClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly onEvent: (event: ObservedEvent) => void;
  readonly onInteraction: (interaction: ObservedInteraction) => void;
}

/** The Lambda functions that run handlers, on triggers of the embedded cloud's queues. */
export class LocalFunctions {
  readonly #sources: readonly EventSource[];

  /** @throws {BatonError} `QUEUE_UNREACHABLE`. */
  static async start(options: LocalFunctionsOptions): Promise<LocalFunctions> {
    const { config, queues, registry, sqs, receivingSqs, documents, clock, random, logger } = options;
    const common = {
      registry,
      api: new API(createDiscordRest(config)),
      table: { name: config.directoryTable, documents },
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
        consumerGuard: config.consumerGuard,
        observe: options.onEvent,
      }),
    });
    const interactions = await startEventSource({
      ...source,
      functionName: 'interactions',
      queueUrl: queues.interactionsQueueUrl,
      handler: createInteractionsHandler({
        ...common,
        random,
        logger: logger.child({ function: 'interactions' }),
        claims: new InteractionClaims(documents, config.directoryTable, clock),
        observe: options.onInteraction,
      }),
    });
    return new LocalFunctions([events, interactions]);
  }

  private constructor(sources: readonly EventSource[]) {
    this.#sources = sources;
  }

  /** Takes nothing more from the queues and waits for what is running, for a bounded time. */
  async stop(): Promise<void> {
    await Promise.all(this.#sources.map((source) => source.stop({ withinMs: 5000 })));
  }
}

import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import type { PartialItemFailureResponse } from '@aws-lambda-powertools/batch/types';
import type { Context, SQSEvent, SQSRecord } from 'aws-lambda';
import type { APIInteraction } from 'discord-api-types/v10';
import { decodeInteraction } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import { shardContext, type ShardReader } from '../kit/shard-context.ts';
import { byCallbackRoute } from './first-answer.ts';
import { InvocationDeadlines } from './invocation-deadlines.ts';
import { type InteractionsDeps, runInteraction } from './run-interaction.ts';

export interface QueuedInteractionsDeps extends InteractionsDeps {
  readonly shards: ShardReader;
}

/** The Lambda of the interactions queue. `context` tells how much time the invocation has. */
export type InteractionsHandler = (
  event: SQSEvent,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<PartialItemFailureResponse>;

/**
 * Answers the interactions of a batch, side by side. Only messages that could not be read or claimed are handed back;
 * whatever a handler does, its interaction is dealt with once. Invocations may overlap.
 */
export function createInteractionsHandler(deps: QueuedInteractionsDeps): InteractionsHandler {
  return async (event, context) => {
    const deadlines = new InvocationDeadlines(context, deps.clock);
    try {
      return await processPartialResponse(
        event,
        (record: SQSRecord) => takeRecord(deps, record, deadlines),
        new BatchProcessor(EventType.SQS),
        { throwOnFullBatchFailure: false },
      );
    } finally {
      deadlines.cancel();
    }
  };
}

async function takeRecord(
  deps: QueuedInteractionsDeps,
  record: SQSRecord,
  deadlines: InvocationDeadlines,
): Promise<void> {
  try {
    const envelope = decodeInteraction(record.body);
    // Discord's form beyond id, type and token is taken on trust: it comes from Discord's own socket.
    const interaction = envelope.interaction as unknown as APIInteraction;
    await runInteraction(deps, {
      interaction,
      way: 'gateway',
      shard: () => shardContext(envelope.shard, envelope.epoch, deps.shards),
      firstAnswer: byCallbackRoute(deps.services.api, interaction, deadlines.everything),
      deadlines,
    });
  } catch (error) {
    // Back to the queue, and to its dead letters after some deliveries.
    deps.logger.error({ messageId: record.messageId, error: messageOf(error) }, 'interactions.message_failed');
    throw error;
  }
}

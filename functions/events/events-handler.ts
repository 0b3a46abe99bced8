import { processPartialResponse, SqsFifoPartialProcessorAsync } from '@aws-lambda-powertools/batch';
import type { PartialItemFailureResponse } from '@aws-lambda-powertools/batch/types';
import type { Context, SQSEvent, SQSRecord } from 'aws-lambda';
import { type EventsDeps, EventsInvocation } from './events-invocation.ts';

/** The Lambda of the events queue. `context` tells how much time the invocation has. */
export type EventsHandler = (
  event: SQSEvent,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<PartialItemFailureResponse>;

/**
 * Runs the handlers of `registry` on batches of the events queue. Invocations may overlap.
 * The answer names the messages that have to come again: the first unfinished one of a group, and all behind it.
 */
export function createEventsHandler(deps: EventsDeps): EventsHandler {
  return async (event, context) => {
    const failures = await new EventsInvocation(deps, context.getRemainingTimeInMillis()).run(event.Records);
    // Powertools' FIFO processor goes through records one by one, whereas our guilds run side by side across records.
    // So the work is done before; the processor turns its results into the answer, group by group.
    const takeResult = async ({ messageId }: SQSRecord) => {
      const failure = failures.get(messageId);
      if (failure !== undefined) throw new Error(failure);
    };
    return processPartialResponse(event, takeResult, new SqsFifoPartialProcessorAsync(), {
      skipGroupOnError: true,
      throwOnFullBatchFailure: false,
    });
  };
}

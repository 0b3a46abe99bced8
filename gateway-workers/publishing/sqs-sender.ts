import { SendMessageBatchCommand, SendMessageCommand, type SQSClient, SQSServiceException } from '@aws-sdk/client-sqs';
import { encodeHeader, eventsAttribute, messageDeduplicationId, messageGroupId } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { EventsSender, InteractionsSender, OutgoingEnvelope, SendOutcome } from './events-sender.ts';

export interface SqsSenderOptions {
  /** A client that does not retry: attempts are the flush cycle's, after its checks. */
  readonly sqs: SQSClient;
  readonly eventsQueueUrl: string;
  readonly interactionsQueueUrl: string;
  readonly logger: Logger;
}

/** Sends envelopes and interactions to SQS. */
export class SqsSender implements EventsSender, InteractionsSender {
  readonly #options: SqsSenderOptions;

  constructor(options: SqsSenderOptions) {
    this.#options = options;
  }

  async sendBatch(envelopes: readonly OutgoingEnvelope[]): Promise<SendOutcome[]> {
    const { sqs, eventsQueueUrl, logger } = this.#options;
    try {
      const answer = await sqs.send(
        new SendMessageBatchCommand({
          QueueUrl: eventsQueueUrl,
          Entries: envelopes.map(({ header, payload }, index) => ({
            Id: String(index),
            MessageGroupId: messageGroupId({ shardId: header.shard[0], shardCount: header.shard[1] }),
            MessageDeduplicationId: messageDeduplicationId(header.session, header.first, header.last),
            MessageBody: encodeHeader(header),
            MessageAttributes: { [eventsAttribute]: { DataType: 'Binary', BinaryValue: payload } },
          })),
        }),
      );
      const outcomes: SendOutcome[] = envelopes.map(() => 'failed');
      for (const { Id } of answer.Successful ?? []) outcomes[Number(Id)] = 'sent';
      for (const { Id, SenderFault, Code, Message } of answer.Failed ?? []) {
        if (SenderFault && isAboutTheMessage(Code)) outcomes[Number(Id)] = 'refused';
        const header = envelopes[Number(Id)]?.header;
        logger.warn({ shard: header?.shard[0], code: Code, error: Message }, 'sqs.envelope_failed');
      }
      return outcomes;
    } catch (error) {
      const isRefused = envelopes.length === 1 && isSenderFault(error);
      logger.warn({ envelopes: envelopes.length, error: messageOf(error) }, 'sqs.batch_failed');
      return envelopes.map(() => (isRefused ? 'refused' : 'failed'));
    }
  }

  async sendInteraction(body: string): Promise<SendOutcome> {
    const { sqs, interactionsQueueUrl, logger } = this.#options;
    try {
      await sqs.send(new SendMessageCommand({ QueueUrl: interactionsQueueUrl, MessageBody: body }));
      return 'sent';
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'sqs.interaction_failed');
      return isSenderFault(error) ? 'refused' : 'failed';
    }
  }
}

/**
 * Errors that say the message itself is wrong. Throttles, missing rights and a missing queue pass or can be mended, and
 * throttles of single entries come marked as the sender's fault.
 */
const messageFaults = new Set([
  'InvalidMessageContents',
  'InvalidParameterValue',
  'BatchRequestTooLong',
  'MessageTooLong',
]);

function isAboutTheMessage(code: string | undefined): boolean {
  return code !== undefined && messageFaults.has(code.replace(/^.*\./, ''));
}

function isSenderFault(error: unknown): boolean {
  return error instanceof SQSServiceException && isAboutTheMessage(error.name);
}

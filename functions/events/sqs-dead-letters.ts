import { type SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';
import { eventsAttribute } from '../../shared/envelope.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { resolveQueueUrl } from '../../shared/provision.ts';
import type { DeadLetterMessage, DeadLetterQueue } from './dead-letter.ts';

/** The dead-letter queue of events, a FIFO queue given by name or URL. */
export class SqsDeadLetters implements DeadLetterQueue {
  readonly #client: SQSClient;
  readonly #queue: string;
  #url: string | undefined;

  constructor(client: SQSClient, queue: string) {
    this.#client = client;
    this.#queue = queue;
  }

  /** @throws {BatonError} `QUEUE_UNREACHABLE` when SQS refuses the message or gives no answer. */
  async send(message: DeadLetterMessage): Promise<void> {
    const attributes = Object.entries(message.attributes).map(
      ([name, value]) => [name, { DataType: 'String', StringValue: value }] as const,
    );
    const events = message.events && { [eventsAttribute]: { DataType: 'Binary', BinaryValue: message.events } };
    try {
      this.#url ??= await resolveQueueUrl(this.#queue, this.#client);
      await this.#client.send(
        new SendMessageCommand({
          QueueUrl: this.#url,
          MessageBody: message.body,
          MessageGroupId: message.groupId,
          MessageDeduplicationId: message.deduplicationId,
          MessageAttributes: { ...Object.fromEntries(attributes), ...events },
        }),
      );
    } catch (error) {
      throw new BatonError('QUEUE_UNREACHABLE', `dead-letter queue ${this.#queue}: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

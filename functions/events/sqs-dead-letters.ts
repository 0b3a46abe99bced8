import { GetQueueUrlCommand, type SQSClient, SendMessageCommand } from '@aws-sdk/client-sqs';
import { eventsAttribute } from '../../shared/envelope.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { DeadLetterMessage, DeadLetterQueue } from './dead-letter.ts';

/** The dead-letter queue of events, a FIFO queue given by name or URL. */
export class SqsDeadLetters implements DeadLetterQueue {
  readonly #client: SQSClient;
  readonly #queue: string;
  #url: string | undefined;

  constructor(client: SQSClient, queue: string) {
    this.#client = client;
    this.#queue = queue;
    this.#url = queue.includes('://') ? queue : undefined;
  }

  /** @throws {BatonError} `QUEUE_UNREACHABLE` when SQS refuses the message or gives no answer. */
  async send(message: DeadLetterMessage): Promise<void> {
    const attributes = Object.entries(message.attributes).map(
      ([name, value]) => [name, { DataType: 'String', StringValue: value }] as const,
    );
    const events = message.events && { [eventsAttribute]: { DataType: 'Binary', BinaryValue: message.events } };
    try {
      await this.#client.send(
        new SendMessageCommand({
          QueueUrl: await this.#queueUrl(),
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

  async #queueUrl(): Promise<string> {
    if (this.#url === undefined) {
      const { QueueUrl } = await this.#client.send(new GetQueueUrlCommand({ QueueName: this.#queue }));
      this.#url = QueueUrl as string;
    }
    return this.#url;
  }
}

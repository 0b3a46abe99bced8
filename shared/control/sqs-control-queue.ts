import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  DeleteQueueCommand,
  type Message,
  ReceiveMessageCommand,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import {
  type ControlMessage,
  type ControlPlane,
  controlQueueName,
  controlQueueUnreachable,
  decodeControlMessage,
} from './control-queue.ts';
import type { ControlQueueNote, ControlQueueNotes } from './control-queue-notes.ts';
import type { Incarnation } from '../coordination/model.ts';
import { asciiJson } from '../envelope.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

/** A message older than this tells nothing that the table does not; SQS keeps none for less than 60 s. */
const retentionSeconds = 120;
/** SQS waits at most this long for a message. */
const maxWaitSeconds = 20;
const maxMessagesPerReceive = 10;

/** Control queues on SQS: a standard queue a worker, with short retention. */
export class SqsControlPlane implements ControlPlane {
  readonly #client: SQSClient;
  readonly #pollingClient: SQSClient;
  readonly #fleet: string;
  readonly #logger: Logger;
  readonly #notes: ControlQueueNotes | undefined;
  /** Of the queues that were opened here. */
  readonly #incarnations = new Map<string, Incarnation>();
  /** Messages that were received and are being deleted; none rejects. */
  readonly #deleting = new Set<Promise<void>>();

  /**
   * `pollingClient` waits for messages, so its requests must be allowed to take 20 s and more. With `notes` a queue is
   * noted before it is made, so that it can be swept should this process die.
   */
  constructor(options: {
    client: SQSClient;
    pollingClient: SQSClient;
    fleet: string;
    logger: Logger;
    notes?: ControlQueueNotes;
  }) {
    this.#notes = options.notes;
    this.#client = options.client;
    this.#pollingClient = options.pollingClient;
    this.#fleet = options.fleet;
    this.#logger = options.logger;
  }

  async open(incarnation: Incarnation): Promise<string> {
    const name = controlQueueName(this.#fleet, incarnation);
    await this.#note({ incarnation });
    const created = await this.#ask(
      name,
      this.#client.send(
        new CreateQueueCommand({
          QueueName: name,
          Attributes: { MessageRetentionPeriod: String(retentionSeconds) },
          tags: { 'baton:fleet': this.#fleet, 'baton:incarnation': incarnation },
        }),
      ),
    );
    if (created.QueueUrl === undefined) throw controlQueueUnreachable(name, 'SQS gave no URL');
    const url = created.QueueUrl;
    await this.#note({ incarnation, url });
    this.#incarnations.set(url, incarnation);
    return url;
  }

  async receive(url: string, { waitMs, signal }: { waitMs: number; signal: AbortSignal }): Promise<ControlMessage[]> {
    const request = new ReceiveMessageCommand({
      QueueUrl: url,
      MaxNumberOfMessages: maxMessagesPerReceive,
      WaitTimeSeconds: Math.min(maxWaitSeconds, Math.ceil(waitMs / 1000)),
    });
    let received: Message[];
    try {
      received = (await this.#pollingClient.send(request, { abortSignal: signal })).Messages ?? [];
    } catch (error) {
      if (signal.aborted) return [];
      throw controlQueueUnreachable(url, error);
    }
    if (received.length === 0) return [];
    // Meanwhile they are hidden from other receives, so what they say need not wait for it, nor what comes after them.
    const deleting = this.#delete(url, received).finally(() => this.#deleting.delete(deleting));
    this.#deleting.add(deleting);
    return received.flatMap((message) => this.#decode(url, message));
  }

  async send(url: string, message: ControlMessage): Promise<void> {
    await this.#ask(url, this.#client.send(new SendMessageCommand({ QueueUrl: url, MessageBody: asciiJson(message) })));
  }

  async close(url: string): Promise<void> {
    await Promise.all(this.#deleting);
    try {
      await this.#client.send(new DeleteQueueCommand({ QueueUrl: url }));
    } catch (error) {
      if (!isQueueGone(error)) throw controlQueueUnreachable(url, error);
    }
    const incarnation = this.#incarnations.get(url);
    if (incarnation === undefined) return;
    this.#incarnations.delete(url);
    // The sweep of a later coordinator forgets it as well.
    await this.#notes?.forget(incarnation).catch((error: unknown) => {
      this.#logger.warn({ queue: url, error: messageOf(error) }, 'control queue is still noted');
    });
  }

  /** A worker without a note works as well as any; its queue is left over should it die. */
  async #note(note: ControlQueueNote): Promise<void> {
    await this.#notes?.note(note).catch((error: unknown) => {
      this.#logger.warn({ queueOf: note.incarnation, reason: messageOf(error) }, 'control queue was not noted');
    });
  }

  /** A message that cannot be deleted comes again, which is allowed; so a failure is no reason to hold messages back. */
  async #delete(url: string, messages: readonly Message[]): Promise<void> {
    const request = new DeleteMessageBatchCommand({
      QueueUrl: url,
      Entries: messages.map(({ ReceiptHandle }, index) => ({ Id: String(index), ReceiptHandle })),
    });
    try {
      const { Failed: failed = [] } = await this.#client.send(request);
      if (failed.length > 0) {
        const reason = failed[0]?.Message ?? failed[0]?.Code;
        this.#logger.warn({ queue: url, count: failed.length, reason }, 'control messages were not deleted');
      }
    } catch (error) {
      this.#logger.warn(
        { queue: url, count: messages.length, reason: messageOf(error) },
        'control messages were not deleted',
      );
    }
  }

  #decode(url: string, { MessageId: messageId, Body: body = '' }: Message): ControlMessage[] {
    try {
      return [decodeControlMessage(body)];
    } catch (error) {
      this.#logger.warn({ queue: url, messageId, reason: messageOf(error) }, 'dropped what is no control message');
      return [];
    }
  }

  async #ask<T>(queue: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw controlQueueUnreachable(queue, error);
    }
  }
}

/** SQS has two names for it, one per protocol. */
function isQueueGone(error: unknown): boolean {
  return error instanceof Error && /QueueDoesNotExist|NonExistentQueue/.test(error.name);
}

import { GetQueueAttributesCommand, type SQSClient } from '@aws-sdk/client-sqs';
import { resolveQueueUrl } from '../../shared/provision.ts';
import type { QueuesView, QueueView } from '../../shared/stats/fleet-view.ts';

/** Queues by name or URL. */
export interface QueueNames {
  readonly events: string;
  readonly eventsDeadLetters: string;
  readonly interactions: string;
  readonly interactionsDeadLetters: string;
}

/** Ages of the oldest messages in seconds, which SQS itself does not tell; what is not known is left out. */
export type ReadQueueAges = () => Promise<{ readonly events?: number; readonly interactions?: number }>;

/** How much waits in the fleet's queues. */
export class QueueFigures {
  readonly #sqs: SQSClient;
  readonly #names: QueueNames;
  readonly #readAges: ReadQueueAges;
  readonly #urls = new Map<string, string>();

  constructor(sqs: SQSClient, names: QueueNames, readAges: ReadQueueAges) {
    this.#sqs = sqs;
    this.#names = names;
    this.#readAges = readAges;
  }

  /** Rejects with `BatonError` `QUEUE_UNREACHABLE`, or as the client does. */
  async read(): Promise<QueuesView> {
    const { events, eventsDeadLetters, interactions, interactionsDeadLetters } = this.#names;
    const [eventsView, interactionsView, ages] = await Promise.all([
      this.#queue(events, eventsDeadLetters),
      this.#queue(interactions, interactionsDeadLetters),
      this.#readAges(),
    ]);
    return { events: withAge(eventsView, ages.events), interactions: withAge(interactionsView, ages.interactions) };
  }

  async #queue(name: string, deadLetters: string): Promise<QueueView> {
    const [queue, dead] = await Promise.all([this.#counts(name), this.#counts(deadLetters)]);
    return { ...queue, deadLetters: dead.waiting };
  }

  async #counts(name: string): Promise<{ waiting: number; inFlight: number }> {
    const url = this.#urls.get(name) ?? (await resolveQueueUrl(name, this.#sqs));
    this.#urls.set(name, url);
    const { Attributes } = await this.#sqs.send(
      new GetQueueAttributesCommand({
        QueueUrl: url,
        AttributeNames: ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'],
      }),
    );
    return {
      waiting: Number(Attributes?.ApproximateNumberOfMessages ?? 0),
      inFlight: Number(Attributes?.ApproximateNumberOfMessagesNotVisible ?? 0),
    };
  }
}

/** An empty queue has no oldest message, whatever was told of it before. */
function withAge(queue: QueueView, seconds: number | undefined): QueueView {
  if (seconds === undefined) return queue;
  return { ...queue, oldestSeconds: queue.waiting + queue.inFlight === 0 ? 0 : seconds };
}

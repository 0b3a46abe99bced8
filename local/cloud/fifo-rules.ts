import type { Clock } from '../../shared/clock.ts';
import type { FauxqsDeduplicationCache, FauxqsDelivery, FauxqsMessage, FauxqsQueue } from './fauxqs-internals.ts';

/**
 * Makes a FIFO queue of fauxqs behave as SQS does where its own rules would let wrong code pass:
 * a receive takes as many messages of a group as fit (SQS Developer Guide, "FIFO queue delivery logic") instead of one;
 * messages whose visibility ends come back in their order; a deduplication id is known for five minutes, not until
 * 10,000 later ones have been seen.
 */
export function applyFifoRules(queue: FauxqsQueue, clock: Clock): void {
  queue.deduplicationCache = new DeduplicationWindow(clock);

  const takeOfFirstFreeGroup = queue.dequeueFifo.bind(queue);
  queue.dequeueFifo = (maxCount, visibilityTimeout, deadLetterQueue) => {
    const deliveries: FauxqsDelivery[] = [];
    const takenOfGroup = new Map<string, number>();
    while (deliveries.length < Math.min(maxCount, 10)) {
      const [delivery] = takeOfFirstFreeGroup(1, visibilityTimeout, deadLetterQueue);
      const groupId = delivery && queue.inflightMessages.get(delivery.ReceiptHandle)?.message.messageGroupId;
      if (!delivery || groupId === undefined) break;
      deliveries.push(delivery);
      takenOfGroup.set(groupId, (takenOfGroup.get(groupId) ?? 0) + 1);
      queue.fifoLockedGroups.delete(groupId);
    }
    for (const [groupId, count] of takenOfGroup) queue.fifoLockedGroups.set(groupId, count);
    return deliveries;
  };

  const processTimers = queue.processTimers.bind(queue);
  queue.processTimers = () => {
    const inFlightCount = queue.inflightMessages.size;
    processTimers();
    if (queue.inflightMessages.size < inFlightCount) sortGroups(queue);
  };

  const changeVisibility = queue.changeVisibility.bind(queue);
  queue.changeVisibility = (receiptHandle, timeoutSeconds) => {
    changeVisibility(receiptHandle, timeoutSeconds);
    if (timeoutSeconds === 0) sortGroups(queue);
  };
}

function sortGroups(queue: FauxqsQueue): void {
  const sequence = ({ sequenceNumber = '' }: FauxqsMessage) => sequenceNumber;
  for (const messages of queue.fifoMessages.values()) {
    messages.sort((one, other) => (sequence(one) < sequence(other) ? -1 : 1));
  }
}

const deduplicationWindowMs = 5 * 60_000;

/** Deduplication ids and what was sent under them, each for five minutes, however many there are. */
class DeduplicationWindow implements FauxqsDeduplicationCache {
  readonly #clock: Clock;
  readonly #entries = new Map<string, { readonly original: unknown; readonly expiresAtMs: number }>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get(id: string): unknown {
    this.#forgetExpired();
    return this.#entries.get(id)?.original;
  }

  set(id: string, original: unknown): void {
    this.#entries.set(id, { original, expiresAtMs: this.#clock.monotonicMs() + deduplicationWindowMs });
  }

  #forgetExpired(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const [id, { expiresAtMs }] of this.#entries) {
      if (expiresAtMs > nowMs) return;
      this.#entries.delete(id);
    }
  }
}

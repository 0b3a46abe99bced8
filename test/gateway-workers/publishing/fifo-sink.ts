import type { EventsSender, OutgoingEnvelope, SendOutcome } from '../../../gateway-workers/publishing/events-sender.ts';
import { messageDeduplicationId } from '../../../shared/envelope.ts';

/** What the queue has of one envelope. */
export interface QueuedEnvelope {
  readonly id: string;
  readonly group: string;
  readonly first: number;
  readonly last: number;
  readonly after: number;
  readonly count: number;
  readonly unfenced: boolean;
}

/** A FIFO queue in memory: keeps envelopes in order and drops what it has under the same group and id. */
export class FifoSink implements EventsSender {
  readonly queued: QueuedEnvelope[] = [];
  readonly attempts: QueuedEnvelope[][] = [];
  /** Decides the answer to each envelope; `lost` stores it and says `failed`. */
  answer: (envelope: QueuedEnvelope) => SendOutcome | 'lost' = () => 'sent';
  readonly #seen = new Set<string>();

  async sendBatch(envelopes: readonly OutgoingEnvelope[]): Promise<SendOutcome[]> {
    const batch = envelopes.map(({ header }) => ({
      id: messageDeduplicationId(header.session, header.first, header.last),
      group: `${header.shard[1]}.${header.shard[0]}`,
      first: header.first,
      last: header.last,
      after: header.after,
      count: header.count,
      unfenced: header.unfenced ?? false,
    }));
    this.attempts.push(batch);
    return batch.map((envelope) => {
      const answer = this.answer(envelope);
      if (answer === 'sent' || answer === 'lost') this.#store(envelope);
      return answer === 'lost' ? 'failed' : answer;
    });
  }

  #store(envelope: QueuedEnvelope): void {
    const name = `${envelope.group}/${envelope.id}`;
    if (this.#seen.has(name)) return;
    this.#seen.add(name);
    this.queued.push(envelope);
  }
}

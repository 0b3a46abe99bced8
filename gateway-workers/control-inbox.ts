import type { Clock } from '../shared/clock.ts';
import type { ControlMessage, ControlPlane } from '../shared/control/control-queue.ts';
import type { Incarnation } from '../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { waitAtMost } from '../shared/wait-at-most.ts';

export interface ControlInboxOptions {
  readonly control: ControlPlane;
  readonly store: CoordinationStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

const receiveWaitMs = 5000;
const retryMs = 1000;
/** A message that takes longer goes on by itself: a drain must not wait for a queue that does not answer. */
const sendPatienceMs = 500;

/** One worker's words with the others: reads its own control queue and writes to theirs. Messages only hasten what the table says. */
export class ControlInbox {
  readonly #options: ControlInboxOptions;
  readonly #queues = new Map<Incarnation, string>();
  #answeredMs: number | undefined;

  constructor(options: ControlInboxOptions) {
    this.#options = options;
  }

  /** When the own queue last answered, by the monotonic clock. */
  get answeredMs(): number | undefined {
    return this.#answeredMs;
  }

  /** Reads the queue at `url` until `signal` aborts. */
  async run(url: string, obey: (message: ControlMessage) => Promise<void>, signal: AbortSignal): Promise<void> {
    const { control, clock, logger } = this.#options;
    while (!signal.aborted) {
      let messages: ControlMessage[] = [];
      try {
        messages = await control.receive(url, { waitMs: receiveWaitMs, signal });
        this.#answeredMs = clock.monotonicMs();
      } catch (error) {
        if (signal.aborted) return;
        logger.warn({ error: messageOf(error) }, 'control_queue.unreadable');
        await clock.sleep(retryMs, signal);
      }
      // A request is only begun; a nudge reads leases, which nobody's deadline should wait for.
      const isRequest = ({ kind }: ControlMessage) => kind === 'request';
      for (const message of messages.filter(isRequest)) await obey(message);
      for (const message of messages.filter((each) => !isRequest(each))) await obey(message);
    }
  }

  /** Tells a worker, wherever its queue is. Never rejects because of the queue or the table. */
  async tell(to: Incarnation, message: ControlMessage): Promise<void> {
    const { store, logger } = this.#options;
    try {
      if (!this.#queues.has(to)) {
        for (const worker of await store.listWorkers()) this.#queues.set(worker.incarnation, worker.controlQueueUrl);
      }
      const url = this.#queues.get(to);
      if (url !== undefined) await this.send(url, message);
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      logger.warn({ to, message: message.kind, error: messageOf(error) }, 'control_queue.address_unknown');
    }
  }

  /** Writes to a queue. Never rejects: whoever misses the message reads its leases within a few seconds. */
  async send(url: string, message: ControlMessage): Promise<void> {
    const { control, clock, logger } = this.#options;
    const sending = control.send(url, message).catch((error: unknown) => {
      logger.warn({ queue: url, message: message.kind, error: messageOf(error) }, 'control_queue.not_sent');
    });
    await waitAtMost(sendPatienceMs, sending, clock);
  }
}

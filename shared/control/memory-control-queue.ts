import type { Clock } from '../clock.ts';
import { type ControlMessage, type ControlPlane, controlQueueUnreachable } from './control-queue.ts';
import type { Incarnation } from '../coordination/model.ts';

interface Queue {
  readonly messages: ControlMessage[];
  /** Ends the waits of receivers. */
  arrived: AbortController;
}

const maxMessagesPerReceive = 10;

/** Control queues in the memory of one process, for tests and simulations. */
export class MemoryControlPlane implements ControlPlane {
  readonly #clock: Clock;
  readonly #queues = new Map<string, Queue>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async open(incarnation: Incarnation): Promise<string> {
    const url = `memory:${incarnation}`;
    if (!this.#queues.has(url)) this.#queues.set(url, { messages: [], arrived: new AbortController() });
    return url;
  }

  async receive(url: string, { waitMs, signal }: { waitMs: number; signal: AbortSignal }): Promise<ControlMessage[]> {
    const queue = this.#queue(url);
    const untilMs = this.#clock.monotonicMs() + waitMs;
    for (;;) {
      if (signal.aborted) return [];
      if (queue.messages.length > 0) return queue.messages.splice(0, maxMessagesPerReceive);
      const restMs = untilMs - this.#clock.monotonicMs();
      if (restMs <= 0) return [];
      await this.#clock.sleep(restMs, AbortSignal.any([signal, queue.arrived.signal]));
      this.#queue(url);
    }
  }

  async send(url: string, message: ControlMessage): Promise<void> {
    const queue = this.#queue(url);
    queue.messages.push(structuredClone(message));
    this.#wake(queue);
  }

  async close(url: string): Promise<void> {
    const queue = this.#queues.get(url);
    this.#queues.delete(url);
    if (queue) this.#wake(queue);
  }

  #queue(url: string): Queue {
    const queue = this.#queues.get(url);
    if (!queue) throw controlQueueUnreachable(url, 'the queue does not exist');
    return queue;
  }

  #wake(queue: Queue): void {
    queue.arrived.abort();
    queue.arrived = new AbortController();
  }
}

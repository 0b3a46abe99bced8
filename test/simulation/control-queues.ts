import {
  type ControlMessage,
  type ControlPlane,
  controlQueueUnreachable,
  decodeControlMessage,
} from '../../shared/control/control-queue.ts';
import type { Chance } from './chance.ts';
import type { SimProcess } from './machine.ts';
import type { World } from './world.ts';

export interface ControlNoise {
  readonly lost: number;
  readonly repeated: number;
  /** Comes up to half a minute later. */
  readonly late: number;
}

export const quietControl: ControlNoise = { lost: 0, repeated: 0, late: 0 };

interface Receiver {
  readonly process: SimProcess;
  readonly take: (messages: string[]) => void;
}

interface Queue {
  readonly messages: string[];
  receiver: Receiver | undefined;
}

const maxMessages = 10;
/** A received message that was not deleted is seen again after this time. */
const visibilityMs = 30_000;
const latestMs = 30_000;
/** The polling client gives up after this time, the other one after three attempts of 5 s. */
const receiveTimeoutMs = 25_000;
const sendTimeoutMs = 15_000;

/** The workers' control queues: messages may be lost, late, repeated and out of order. */
export class SimControlQueues {
  noise = quietControl;
  readonly #world: World;
  readonly #chance: Chance;
  readonly #queues = new Map<string, Queue>();

  constructor(world: World, chance: Chance) {
    this.#world = world;
    this.#chance = chance;
  }

  /** The queues as one process reaches them. */
  clientFor(process: SimProcess): ControlPlane {
    return {
      open: (incarnation) => {
        const url = `sim:${incarnation}`;
        return this.#ask(process, 'control.open', url, () => {
          if (!this.#queues.has(url)) this.#queues.set(url, { messages: [], receiver: undefined });
          return url;
        });
      },
      send: (url, message) =>
        this.#ask(process, 'control.send', url, () => {
          if (!this.#queues.has(url)) throw controlQueueUnreachable(url, 'the queue does not exist');
          this.#put(url, JSON.stringify(message));
        }),
      close: (url) =>
        this.#ask(process, 'control.close', url, () => {
          this.#queues.delete(url);
        }),
      receive: (url, options) => this.#receive(process, url, options),
    };
  }

  #ask<T>(process: SimProcess, request: string, url: string, carryOut: () => T): Promise<T> {
    return new Promise((resolve, reject) => {
      if (!process.sends(request)) return;
      const cut = process.machine.cuts.get('control');
      const { time } = this.#world;
      if (cut !== undefined) {
        if (cut === 'answers') time.after(5, () => this.#tryQuietly(carryOut));
        const failsAfterMs = this.#chance.happens(0.5) ? 50 : sendTimeoutMs;
        process.schedule(failsAfterMs, () => reject(controlQueueUnreachable(url, 'no answer')));
        return;
      }
      time.after(this.#chance.between(1, 15), () => {
        let settle: () => void;
        try {
          const value = carryOut();
          settle = () => resolve(value);
        } catch (error) {
          settle = () => reject(error);
        }
        time.after(this.#chance.between(1, 15), () => process.deliver(settle));
      });
    });
  }

  #tryQuietly(carryOut: () => unknown): void {
    try {
      carryOut();
    } catch (error) {
      // Nobody hears the answer.
      this.#world.note('control', () => String(error));
    }
  }

  #put(url: string, body: string): void {
    const chance = this.#chance;
    const { lost, repeated, late } = this.noise;
    if (chance.happens(lost)) return;
    if (chance.happens(repeated)) this.#deliverAfter(chance.between(0, latestMs), url, body);
    this.#deliverAfter(chance.happens(late) ? chance.between(0, latestMs) : 0, url, body);
  }

  #deliverAfter(delayMs: number, url: string, body: string): void {
    this.#world.time.after(delayMs, () => {
      const queue = this.#queues.get(url);
      if (queue === undefined) return;
      queue.messages.push(body);
      const { receiver } = queue;
      if (receiver === undefined) return;
      queue.receiver = undefined;
      receiver.take(queue.messages.splice(0, maxMessages));
    });
  }

  #receive(
    process: SimProcess,
    url: string,
    { waitMs, signal }: { waitMs: number; signal: AbortSignal },
  ): Promise<ControlMessage[]> {
    return new Promise((resolve, reject) => {
      if (!process.sends('control.receive')) return;
      let isOver = false;
      const end = (settle: () => void) => {
        if (isOver) return;
        isOver = true;
        signal.removeEventListener('abort', abort);
        settle();
      };
      const abort = () => end(() => resolve([]));
      if (signal.aborted) {
        resolve([]);
        return;
      }
      signal.addEventListener('abort', abort, { once: true });
      const answer = (settle: () => void) =>
        this.#world.time.after(this.#chance.between(1, 15), () => process.deliver(() => end(settle)));
      if (process.machine.cuts.has('control')) {
        const failsAfterMs = this.#chance.happens(0.5) ? 50 : receiveTimeoutMs;
        process.schedule(failsAfterMs, () => end(() => reject(controlQueueUnreachable(url, 'no answer'))));
        return;
      }
      const queue = this.#queues.get(url);
      if (queue === undefined) {
        answer(() => reject(controlQueueUnreachable(url, 'the queue does not exist')));
        return;
      }
      const take = (messages: string[]) => {
        if (process.isAlive && !isOver && !process.machine.cuts.has('control')) {
          answer(() => resolve(messages.map(decodeControlMessage)));
          return;
        }
        for (const body of messages) this.#deliverAfter(visibilityMs, url, body);
        process.schedule(receiveTimeoutMs, () => end(() => reject(controlQueueUnreachable(url, 'no answer'))));
      };
      if (queue.messages.length > 0) {
        take(queue.messages.splice(0, maxMessages));
        return;
      }
      const receiver: Receiver = { process, take };
      queue.receiver = receiver;
      this.#world.time.after(waitMs, () => {
        if (queue.receiver !== receiver) return;
        queue.receiver = undefined;
        take([]);
      });
    });
  }
}

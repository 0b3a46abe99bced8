import type { Clock } from '../../shared/clock.ts';
import { asciiJson } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { backoffMs } from '../../shared/random.ts';
import type { ShardAddress } from '../../shared/sharding.ts';
import type { InteractionsSender } from '../publishing/events-sender.ts';

export interface InteractionForwarderOptions {
  readonly shard: ShardAddress;
  readonly sender: InteractionsSender;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** An interaction's token lives for so long (Discord, "Receiving and Responding"); after it nothing can be answered. */
const tokenLifeMs = 15 * 60_000;

/** Sends each INTERACTION_CREATE of a shard to the interactions queue at once: people wait at most three seconds for an answer. */
export class InteractionForwarder {
  readonly #options: InteractionForwarderOptions;
  readonly #stopping = new AbortController();
  readonly #sends = new Set<Promise<void>>();
  #bufferedBytes = 0;

  constructor(options: InteractionForwarderOptions) {
    this.#options = options;
  }

  /** Bytes of interactions that the queue does not have yet. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  /** Sends until the queue has it, or until nobody could answer it any more; `done` is called then, so that the checkpoint may pass the event. */
  forward(frame: Buffer, from: { session: string; epoch: number; seq: number }, done: () => void): void {
    const body = this.#bodyOf(frame, from);
    if (body === undefined) {
      done();
      return;
    }
    this.#bufferedBytes += body.length;
    const sending = this.#sendUntilTaken(body, from.seq, done).finally(() => {
      this.#bufferedBytes -= body.length;
      this.#sends.delete(sending);
    });
    this.#sends.add(sending);
  }

  /** Gives up on what is not sent; its place in the checkpoint makes the next owner send it. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#sends);
  }

  #bodyOf(frame: Buffer, { session, epoch, seq }: { session: string; epoch: number; seq: number }): string | undefined {
    const { shard, clock, logger } = this.#options;
    try {
      const { d } = JSON.parse(frame.toString('utf8')) as { d: unknown };
      return asciiJson({
        v: 1,
        shard: [shard.shardId, shard.shardCount],
        epoch,
        session,
        seq,
        at: clock.wallClockMs(),
        interaction: d,
      });
    } catch (error) {
      logger.error({ seq, error: messageOf(error) }, 'interaction.not_json');
      return undefined;
    }
  }

  async #sendUntilTaken(body: string, seq: number, done: () => void): Promise<void> {
    const { sender, clock, random, logger } = this.#options;
    const { signal } = this.#stopping;
    const giveUpAtMs = clock.monotonicMs() + tokenLifeMs;
    for (let attempt = 0; !signal.aborted; attempt += 1) {
      const outcome = await sender.sendInteraction(body);
      const isTooLate = clock.monotonicMs() >= giveUpAtMs;
      if (outcome === 'refused') logger.error({ seq, bytes: body.length }, 'interaction.refused');
      else if (outcome === 'failed' && isTooLate) logger.error({ seq, attempts: attempt + 1 }, 'interaction.given_up');
      if (outcome !== 'failed' || isTooLate) {
        done();
        return;
      }
      await clock.sleep(backoffMs(attempt, random, { baseMs: 100, capMs: 5000 }), signal);
    }
  }
}

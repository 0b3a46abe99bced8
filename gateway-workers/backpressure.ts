import type { Clock } from '../shared/clock.ts';
import type { Logger } from '../shared/logger.ts';

/** A shard as backpressure sees it. */
export interface PausableShard {
  /** Bytes of frames that were read and are not in SQS yet. */
  readonly bufferedBytes: number;
  /** Stops reading the socket; repeating it does nothing. */
  pauseReading(): void;
  resumeReading(): void;
  reconnect(reason: string): void;
}

export interface BackpressureOptions {
  readonly shards: () => Iterable<PausableShard>;
  /** Above this all sockets are paused, until half of it is gone. */
  readonly maxBytes: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const checkEveryMs = 100;
/** A socket paused for longer is dropped; it RESUMEs once reading goes on. */
const maxPausedMs = 20_000;

/** Keeps what a worker has read and not sent bounded when SQS is slow or down (design, rule 9). */
export class Backpressure {
  readonly #options: BackpressureOptions;
  #pausedSinceMs: number | undefined;

  constructor(options: BackpressureOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#options.clock.sleep(checkEveryMs, signal);
      this.#check();
    }
  }

  #check(): void {
    const { shards, maxBytes, clock, logger } = this.#options;
    let bytes = 0;
    for (const shard of shards()) bytes += shard.bufferedBytes;
    if (this.#pausedSinceMs === undefined) {
      if (bytes <= maxBytes) return;
      this.#pausedSinceMs = clock.monotonicMs();
      logger.error({ bytes, maxBytes }, 'worker.reading_paused');
    } else if (bytes < maxBytes / 2) {
      this.#pausedSinceMs = undefined;
      logger.info({ bytes }, 'worker.reading_resumed');
      for (const shard of shards()) shard.resumeReading();
      return;
    }
    const isTooLong = clock.monotonicMs() - this.#pausedSinceMs > maxPausedMs;
    if (isTooLong) this.#pausedSinceMs = clock.monotonicMs();
    for (const shard of shards()) {
      // Also a shard that came while the others were paused.
      shard.pauseReading();
      if (isTooLong) shard.reconnect('paused for too long');
    }
  }
}

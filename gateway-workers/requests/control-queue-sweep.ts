import type { Clock } from '../../shared/clock.ts';
import type { ControlPlane } from '../../shared/control/control-queue.ts';
import type { ControlQueueNotes } from '../../shared/control/control-queue-notes.ts';
import type { Incarnation } from '../../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../../shared/coordination/store.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';

const sweepEveryMs = 60_000;
/** A worker registers seconds after its queue is made, or gives up. */
const orphanAfterMs = 5 * 60_000;

export interface ControlQueueSweepOptions {
  readonly store: Pick<CoordinationStore, 'listWorkers'>;
  readonly control: Pick<ControlPlane, 'open' | 'close'>;
  readonly notes: ControlQueueNotes;
  /** Whether this worker looks after the fleet now. */
  readonly isResponsible: () => boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Removes control queues whose worker died without doing it. A queue goes when its worker was seen in no register for
 * five minutes of this process's own clock; queues of other fleets are in other tables, and never looked at.
 */
export class ControlQueueSweep {
  readonly #options: ControlQueueSweepOptions;
  /** Since when each worker was not registered, on the monotonic clock. */
  readonly #missingSinceMs = new Map<Incarnation, number>();

  constructor(options: ControlQueueSweepOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      await clock.sleep(sweepEveryMs, signal);
      if (signal.aborted) return;
      try {
        await this.sweep(signal);
      } catch (error) {
        if (!isPassingTrouble(error)) throw error;
        logger.warn({ error: messageOf(error) }, 'control_queue.not_swept');
      }
    }
  }

  /** One look, cut short when `signal` aborts: a queue may take long to answer. Returns the incarnations whose queues were removed. */
  async sweep(signal?: AbortSignal): Promise<Incarnation[]> {
    const { store, notes, isResponsible, clock } = this.#options;
    if (!isResponsible()) {
      this.#missingSinceMs.clear();
      return [];
    }
    const noted = await notes.list();
    // Read after the notes: whoever registered meanwhile is seen.
    const registered = new Set((await store.listWorkers()).map(({ incarnation }) => incarnation));
    const swept: Incarnation[] = [];
    for (const { incarnation, url } of noted) {
      if (signal?.aborted) break;
      if (registered.has(incarnation)) {
        this.#missingSinceMs.delete(incarnation);
        continue;
      }
      const nowMs = clock.monotonicMs();
      const sinceMs = this.#missingSinceMs.get(incarnation) ?? nowMs;
      this.#missingSinceMs.set(incarnation, sinceMs);
      if (nowMs - sinceMs >= orphanAfterMs && (await this.#remove(incarnation, url))) swept.push(incarnation);
    }
    return swept;
  }

  async #remove(incarnation: Incarnation, url: string | undefined): Promise<boolean> {
    const { control, notes, logger } = this.#options;
    try {
      // Its worker may have died before it knew the URL; opening finds the queue again.
      await control.close(url ?? (await control.open(incarnation)));
    } catch (error) {
      logger.warn({ queueOf: incarnation, error: messageOf(error) }, 'control_queue.not_removed');
      return false;
    }
    await notes.forget(incarnation);
    this.#missingSinceMs.delete(incarnation);
    logger.info({ queueOf: incarnation }, 'control_queue.swept');
    return true;
  }
}

import type { Clock } from '../shared/clock.ts';
import type { Incarnation, WorkerRecord } from '../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';

export interface NamesakeWatchOptions {
  readonly store: CoordinationStore;
  readonly me: WorkerRecord;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** One move may be a write that was still on its way when its worker died. */
const movesOfTheLiving = 2;
const looksPerHeartbeat = 4;

/**
 * Looks whether an earlier worker of the same name is alive. A record alone says nothing, because whoever was killed
 * leaves one behind; so its liveness counter is watched while this worker already takes part, and the younger of two
 * that live gives way.
 */
export class NamesakeWatch {
  readonly #options: NamesakeWatchOptions;
  readonly #seen = new Map<Incarnation, { version: number; moves: number }>();

  constructor(options: NamesakeWatchOptions) {
    this.#options = options;
  }

  /** Resolves with the earlier namesake that lives; with `undefined` when none is left to watch, or `signal` aborts. */
  async run(signal: AbortSignal): Promise<WorkerRecord | undefined> {
    const { clock, heartbeatMs, logger } = this.#options;
    const startedMs = clock.monotonicMs();
    while (!signal.aborted) {
      try {
        const watched = await this.#look();
        const living = watched.find(({ incarnation }) => this.#isAlive(incarnation));
        if (living !== undefined) return living;
        // A record that was written at the same time as this worker's own may show only a moment later.
        if (watched.length === 0 && clock.monotonicMs() - startedMs >= heartbeatMs) return undefined;
      } catch (error) {
        if (!isPassingTrouble(error)) throw error;
        logger.warn({ error: messageOf(error) }, 'worker.namesakes_unreadable');
      }
      await clock.sleep(heartbeatMs / looksPerHeartbeat, signal);
    }
    return undefined;
  }

  /** Reads the counters of earlier namesakes; those that are fenced or about to leave are no concern. */
  async #look(): Promise<WorkerRecord[]> {
    const { store, me } = this.#options;
    const workers = await store.listWorkers();
    const earlier = workers.filter(
      ({ workerId, joinNumber, draining }) => workerId === me.workerId && joinNumber < me.joinNumber && !draining,
    );
    const items = await store.readCheckpoints(earlier.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
    const versions = new Map(
      items.flatMap(({ incarnation, version, fencedBy }) => (fencedBy === undefined ? [[incarnation, version]] : [])),
    );
    for (const [incarnation, version] of versions) {
      const seen = this.#seen.get(incarnation);
      const moves = seen === undefined ? 0 : seen.moves + (seen.version === version ? 0 : 1);
      this.#seen.set(incarnation, { version, moves });
    }
    return earlier.filter(({ incarnation }) => versions.has(incarnation));
  }

  #isAlive(incarnation: Incarnation): boolean {
    return (this.#seen.get(incarnation)?.moves ?? 0) >= movesOfTheLiving;
  }
}

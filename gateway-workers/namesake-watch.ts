import type { Clock } from '../shared/clock.ts';
import type { Incarnation, WorkerRecord } from '../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';

/** One counter as it was seen; times are this worker's monotonic clock. */
interface Seen {
  readonly version: number;
  readonly moves: number;
  readonly firstMoveMs: number;
  readonly lastMoveMs: number;
}

export interface NamesakeWatchOptions {
  readonly store: CoordinationStore;
  readonly me: WorkerRecord;
  readonly heartbeatMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Writes that were still on their way when their worker died may move its counter for a while; only the living go on:
 * so many moves, over so many heartbeats.
 */
const movesOfTheLiving = 3;
const heartbeatsOfTheLiving = 1.5;
const looksPerHeartbeat = 4;

/**
 * Looks whether an earlier worker of the same name is alive. A record alone says nothing, because whoever was killed
 * leaves one behind; so its liveness counter is watched while this worker already takes part, and the younger of two
 * that live gives way.
 */
export class NamesakeWatch {
  readonly #options: NamesakeWatchOptions;
  readonly #seen = new Map<Incarnation, Seen>();

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
    const { store, me, clock } = this.#options;
    const workers = await store.listWorkers();
    const earlier = workers.filter(
      ({ workerId, joinNumber, draining }) => workerId === me.workerId && joinNumber < me.joinNumber && !draining,
    );
    const items = await store.readCheckpoints(earlier.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
    const versions = new Map(
      items.flatMap(({ incarnation, version, fencedBy }) => (fencedBy === undefined ? [[incarnation, version]] : [])),
    );
    for (const [incarnation, version] of versions) {
      this.#seen.set(incarnation, see(this.#seen.get(incarnation), version, clock.monotonicMs()));
    }
    return earlier.filter(({ incarnation }) => versions.has(incarnation));
  }

  #isAlive(incarnation: Incarnation): boolean {
    const seen = this.#seen.get(incarnation);
    if (seen === undefined || seen.moves < movesOfTheLiving) return false;
    return seen.lastMoveMs - seen.firstMoveMs >= heartbeatsOfTheLiving * this.#options.heartbeatMs;
  }
}

function see(before: Seen | undefined, version: number, nowMs: number): Seen {
  if (before === undefined) return { version, moves: 0, firstMoveMs: nowMs, lastMoveMs: nowMs };
  if (before.version === version) return before;
  const firstMoveMs = before.moves === 0 ? nowMs : before.firstMoveMs;
  return { version, moves: before.moves + 1, firstMoveMs, lastMoveMs: nowMs };
}

import type { Clock } from '../clock.ts';
import { deadAtMs, isDead, type LivenessRules, type Observation, observe } from './liveness.ts';
import type { CheckpointItem, Incarnation, WorkerRecord } from './model.ts';
import type { CoordinationStore } from './store.ts';

export interface LivenessWatchOptions {
  readonly store: CoordinationStore;
  readonly rules: LivenessRules;
  readonly clock: Clock;
}

/** One observer's memory of the liveness counters of workers; reads alone, no writes. */
export class LivenessWatch {
  readonly rules: LivenessRules;
  readonly #options: LivenessWatchOptions;
  readonly #observations = new Map<Incarnation, Observation>();

  constructor(options: LivenessWatchOptions) {
    this.rules = options.rules;
    this.#options = options;
  }

  /** Reads the counters of `workers` once. Returns who of them is dead, who is fenced already, and what the others hold. */
  async read(
    workers: readonly WorkerRecord[],
  ): Promise<{ dead: WorkerRecord[]; fenced: WorkerRecord[]; items: CheckpointItem[] }> {
    const { store, clock, rules } = this.#options;
    const startedMs = clock.monotonicMs();
    const items = await store.readCheckpoints(workers.map(({ incarnation }) => ({ incarnation, chunk: 0 })));
    const answeredMs = clock.monotonicMs();
    const byIncarnation = new Map(items.map((item) => [item.incarnation, item]));
    const dead: WorkerRecord[] = [];
    const fenced: WorkerRecord[] = [];
    for (const worker of workers) {
      const item = byIncarnation.get(worker.incarnation);
      if (item?.fencedBy !== undefined) {
        fenced.push(worker);
        continue;
      }
      const reading = { counter: item?.version ?? -1, startedMs, answeredMs };
      const observation = observe(this.#observations.get(worker.incarnation), reading, rules);
      this.#observations.set(worker.incarnation, observation);
      if (isDead(observation, rules)) dead.push(worker);
    }
    return { dead, fenced, items };
  }

  observation(incarnation: Incarnation): Observation | undefined {
    return this.#observations.get(incarnation);
  }

  /** Workers whose counter was seen to move, and not long ago. */
  get seenAlive(): ReadonlySet<Incarnation> {
    const alive = new Set<Incarnation>();
    for (const [incarnation, { hasMoved, sinceMs, lastReadMs }] of this.#observations) {
      if (hasMoved && lastReadMs - sinceMs <= 2 * this.rules.heartbeatMs) alive.add(incarnation);
    }
    return alive;
  }

  /** Workers that have been silent for two heartbeats: dead, perhaps. Nobody should count on them. */
  get silent(): ReadonlySet<Incarnation> {
    const silent = new Set<Incarnation>();
    for (const [incarnation, { sinceMs, lastReadMs }] of this.#observations) {
      if (lastReadMs - sinceMs > 2 * this.rules.heartbeatMs) silent.add(incarnation);
    }
    return silent;
  }

  /** When the next worker will be dead unless its counter moves; infinity when none is watched. */
  get nextDeathAtMs(): number {
    return Math.min(
      Number.POSITIVE_INFINITY,
      ...[...this.#observations.values()].map((observation) => deadAtMs(observation, this.rules)),
    );
  }

  forget(incarnation: Incarnation): void {
    this.#observations.delete(incarnation);
  }

  /** An observer that could not look, or could not write, for a while starts anew. */
  forgetAll(): void {
    this.#observations.clear();
  }
}

import type { Clock } from '../../shared/clock.ts';
import { type LivenessRules, type Observation, observe } from '../../shared/coordination/liveness.ts';
import type { LivenessWatch } from '../../shared/coordination/liveness-watch.ts';
import type { WorkerRecord } from '../../shared/coordination/model.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { roleCounter } from '../../shared/coordination/succession.ts';

/** After a coordinator's death its successor takes the role within this time; only then is nobody there to do so. */
const successionMs = 3000;

export interface FleetWatchOptions {
  readonly store: CoordinationStore;
  readonly rules: LivenessRules;
  readonly watch: LivenessWatch;
  readonly clock: Clock;
}

/** Whether a coordinator and the workers live, as one invocation sees it: by counters that move or stand still. */
export class FleetWatch {
  readonly #options: FleetWatchOptions;
  #role: Observation | undefined;
  #workers: readonly WorkerRecord[] = [];

  constructor(options: FleetWatchOptions) {
    this.#options = options;
  }

  /** Everybody in the register, at the last look. */
  get workers(): readonly WorkerRecord[] {
    return this.#workers;
  }

  /** `absent`: nobody moved the role's counter for as long as death and succession take. */
  get coordinator(): 'alive' | 'absent' | 'unknown' {
    if (this.#role === undefined) return 'unknown';
    if (this.#role.hasMoved) return 'alive';
    const { heartbeatMs, missedHeartbeats } = this.#options.rules;
    const stoodStillMs = this.#role.lastReadMs - this.#role.sinceMs;
    const isAbsent = this.#role.furtherReads >= 3 && stoodStillMs >= heartbeatMs * missedHeartbeats + successionMs;
    return isAbsent ? 'absent' : 'unknown';
  }

  get hasSeenEverybody(): boolean {
    const { seenAlive } = this.#options.watch;
    return this.#workers.every(({ incarnation }) => seenAlive.has(incarnation));
  }

  /** Reads the role, the register and everybody's counter once. */
  async look(): Promise<void> {
    const { store, rules, watch, clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const role = await store.readRole();
    const reading = {
      counter: role === undefined ? -1 : roleCounter(role),
      startedMs,
      answeredMs: clock.monotonicMs(),
    };
    this.#role = observe(this.#role, reading, rules);
    this.#workers = await store.listWorkers();
    await watch.read(this.#workers);
  }

  /** An observer that could not read, or not write, starts anew. */
  forget(): void {
    this.#role = undefined;
    this.#options.watch.forgetAll();
  }
}

import { Bell } from '../shared/bell.ts';
import type { Clock } from '../shared/clock.ts';
import type { ControlPlane } from '../shared/control/control-queue.ts';
import { FleetCare } from '../shared/coordination/fleet-care.ts';
import { deadAtMs, isDead, type LivenessRules, type Observation, observe } from '../shared/coordination/liveness.ts';
import { LivenessWatch } from '../shared/coordination/liveness-watch.ts';
import type { CoordinatorRole, FleetState, Incarnation, Lease, WorkerRecord } from '../shared/coordination/model.ts';
import { type CoordinationStore, isPassingTrouble } from '../shared/coordination/store.ts';
import { decideRole, heirs, roleCounter, successionOrder } from '../shared/coordination/succession.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { TimelineSink } from '../shared/stats/timeline.ts';

/** Observers read every second, or every heartbeat when that is shorter: reads further apart say nothing about a life. */
const longestTickMs = 1000;
/** Between two ticks, even when a death is due. */
const shortestPauseMs = 20;
/** After a tick that failed, whatever is due. */
const failedTickPauseMs = 250;
/** A cold fleet is looked at more often until its shards are given out. */
const settlingTickMs = 200;

export interface CoordinatorOptions {
  readonly store: CoordinationStore;
  readonly control: ControlPlane;
  readonly me: Incarnation;
  readonly fleet: FleetState;
  readonly rules: LivenessRules;
  /**
   * `undefined`: the coordinator of a fleet, by turns. A list: this worker looks after its own shards alone, without
   * the role, and takes them itself (modes `single` and `explicit`).
   */
  readonly ownShardIds: readonly number[] | undefined;
  /** Start of the last checkpoint write of this worker that is known to have happened. */
  readonly lastConfirmedStartMs: () => number | undefined;
  /** A lease of this worker changed by its own doing. */
  readonly onOwnLease: (leases: readonly Lease[]) => void;
  /** Told of what is done here. @default nobody */
  readonly timeline?: TimelineSink;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * One worker's part in looking after the fleet: it watches the role and, when first or second in succession, everybody's
 * liveness counter; with the role it fences the dead, and assigns shards. Any number of coordinators at once do no harm:
 * every write is conditional on what it was decided on.
 */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #bell: Bell;
  readonly #watch: LivenessWatch;
  readonly #care: FleetCare;
  #role: CoordinatorRole | undefined;
  #roleObservation: Observation | undefined;
  #vacantSinceMs: number | undefined;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
    this.#watch = new LivenessWatch(options);
    this.#care = new FleetCare({ ...options, watch: this.#watch });
  }

  get hasRole(): boolean {
    return this.#role?.holder === this.#options.me;
  }

  /** Whether this worker decides about shards now: with the role, or about its own list. */
  get looksAfterShards(): boolean {
    return this.hasRole || this.#options.ownShardIds !== undefined;
  }

  /** Runs the next tick now. */
  tickSoon(): void {
    this.#bell.ring();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { logger, clock } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      let pauseMs = 0;
      try {
        await this.#tick(signal);
      } catch (error) {
        if (!isPassingTrouble(error)) throw error;
        // What was observed still stands: reads that are too far apart start anew by themselves.
        logger.warn({ error: messageOf(error) }, 'coordinator.store_unreachable');
        // A death that is due stays due: without a pause, a table that throttles would be asked all the more.
        pauseMs = failedTickPauseMs;
      }
      await this.#bell.wait(Math.max(pauseMs, this.#untilNextTickMs(startedMs)), signal);
    }
  }

  /** The next tick comes early when by then a counter will have stood still for long enough: every part of a second counts. */
  #untilNextTickMs(startedMs: number): number {
    const { clock, rules } = this.#options;
    if (this.#care.isSettling) return settlingTickMs;
    const periodMs = Math.min(longestTickMs, rules.heartbeatMs);
    // A tick that takes long does not make the next one late, short of having no pause at all.
    const regularMs = Math.max(settlingTickMs, periodMs - (clock.monotonicMs() - startedMs));
    const roleDeadAtMs = this.#roleObservation ? deadAtMs(this.#roleObservation, rules) : Number.POSITIVE_INFINITY;
    const deathInMs = Math.ceil(Math.min(this.#watch.nextDeathAtMs, roleDeadAtMs) - clock.monotonicMs());
    return Math.min(regularMs, Math.max(shortestPauseMs, deathInMs));
  }

  async #tick(signal: AbortSignal): Promise<void> {
    const { store, ownShardIds, me } = this.#options;
    // An observer whose own writes fail must not take the table's outage for the death of the others.
    if (!this.#ownWritesSucceed()) this.#forgetObservations();
    const workers = await store.listWorkers();
    if (ownShardIds !== undefined) {
      await this.#care.lookAfter(workers, true, signal);
      return;
    }
    await this.#watchRole();
    const order = successionOrder(workers, new Set([...this.#care.gone, ...this.#watch.silent]));
    const decision = decideRole({
      me,
      role: this.#role,
      order,
      vacantForMs: this.#vacantForMs(workers),
      seenAlive: this.#watch.seenAlive,
    });
    switch (decision.kind) {
      case 'take':
        await this.#swapRole({ holder: me, term: (this.#role?.term ?? 0) + 1, counter: 0 });
        break;
      case 'hold':
        if (this.#role) await this.#swapRole({ ...this.#role, counter: this.#role.counter + 1 });
        break;
      case 'yield':
        await this.#care.lookAfter(workers, this.hasRole, signal);
        if (this.#role) {
          const { holder: _, ...rest } = this.#role;
          const next = { ...rest, term: rest.term + 1, counter: 0, ...(decision.to && { holder: decision.to }) };
          const isGiven = await this.#swapRole(next);
          if (isGiven) this.#options.logger.info({ holder: next.holder, term: next.term }, 'coordinator.role_given');
          await this.#care.send(workers, decision.to, { kind: 'tick' });
        }
        return;
      case 'wait':
        break;
    }
    const rank = heirs(order, this.#role?.holder).findIndex((worker) => worker.incarnation === me);
    // Its two heirs watch with the coordinator, and everybody does when it may be dead: whoever takes the role knows at
    // once who else is dead. Otherwise a second period of silence would follow the first.
    if (this.hasRole || rank === 0 || rank === 1 || this.#isRoleQuiet)
      await this.#care.lookAfter(workers, this.hasRole, signal);
  }

  async #watchRole(): Promise<void> {
    const { store, clock, rules } = this.#options;
    const startedMs = clock.monotonicMs();
    const role = await store.readRole();
    this.#learnRole(role);
    if (role === undefined) return;
    const reading = { counter: roleCounter(role), startedMs, answeredMs: clock.monotonicMs() };
    this.#roleObservation = observe(this.#roleObservation, reading, rules);
  }

  /** Whether the role's counter has not moved lately, or was never seen to. */
  get #isRoleQuiet(): boolean {
    const role = this.#roleObservation;
    return role === undefined || !role.hasMoved || role.lastReadMs - role.sinceMs > 2 * longestTickMs;
  }

  /** How long nobody alive has held the role. */
  #vacantForMs(workers: readonly WorkerRecord[]): number | undefined {
    const { clock, rules, me } = this.#options;
    const holder = this.#role?.holder;
    const holderIsGone =
      holder === undefined ||
      this.#care.gone.has(holder) ||
      !workers.some((worker) => worker.incarnation === holder) ||
      (holder !== me && this.#roleObservation !== undefined && isDead(this.#roleObservation, rules));
    if (!holderIsGone) {
      this.#vacantSinceMs = undefined;
      return undefined;
    }
    this.#vacantSinceMs ??= clock.monotonicMs();
    return clock.monotonicMs() - this.#vacantSinceMs;
  }

  async #swapRole(next: CoordinatorRole): Promise<boolean> {
    const outcome = await this.#options.store.swapRole(this.#role, next);
    this.#learnRole(outcome.value);
    return outcome.kind === 'done';
  }

  /** The role may turn out to be the own one in a later read alone: when the answer to taking it was lost, or it was given. */
  #learnRole(role: CoordinatorRole | undefined): void {
    const hadRole = this.hasRole;
    const before = this.#role?.holder;
    this.#role = role;
    if (hadRole || !this.hasRole) return;
    this.#options.timeline?.record({
      kind: 'succession',
      to: this.#options.me,
      ...(before !== undefined && { from: before }),
    });
    this.#vacantSinceMs = undefined;
    this.#options.logger.info({ holder: role?.holder, term: role?.term }, 'coordinator.role_taken');
  }

  #ownWritesSucceed(): boolean {
    const { clock, rules, lastConfirmedStartMs } = this.#options;
    const confirmedMs = lastConfirmedStartMs();
    return confirmedMs !== undefined && clock.monotonicMs() - confirmedMs <= 2 * rules.heartbeatMs;
  }

  #forgetObservations(): void {
    this.#watch.forgetAll();
    this.#roleObservation = undefined;
  }
}

import type { Clock } from '../../shared/clock.ts';
import type { ControlPlane } from '../../shared/control/control-queue.ts';
import { FleetCare } from '../../shared/coordination/fleet-care.ts';
import type { LivenessRules } from '../../shared/coordination/liveness.ts';
import { LivenessWatch } from '../../shared/coordination/liveness-watch.ts';
import type { FleetState, Incarnation, WorkerRecord } from '../../shared/coordination/model.ts';
import {
  type MoveReason,
  planRebalance,
  type RebalancePlan,
  type RebalanceState,
  type SkipReason,
  type StoredRebalanceState,
} from '../../shared/coordination/rebalance.ts';
import { type CoordinationStore, StoreUnavailable } from '../../shared/coordination/store.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { type ShardKey, shardKey } from '../../shared/sharding.ts';
import type { TimelineSink } from '../../shared/stats/timeline.ts';
import { FleetWatch } from './fleet-watch.ts';
import { adviseWorkerCount, type DesiredCount, type WorkerCountAdvice } from './worker-count.ts';

export interface RebalanceDeps {
  readonly store: CoordinationStore;
  readonly control: ControlPlane;
  /** Those of the workers. */
  readonly rules: LivenessRules;
  /** Absent: the advice is logged and returned alone. */
  readonly desiredCount?: DesiredCount;
  /** Told of what is done here. @default nobody */
  readonly timeline?: TimelineSink & { flush(): Promise<void> };
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What a round came to. Workers by their names. */
export type RebalanceResult =
  /** No worker has ever set the fleet up. */
  | { readonly kind: 'noFleet' }
  /** Another invocation is at it; this one leaves it alone. */
  | { readonly kind: 'superseded' }
  /** Time was up before it was clear whether a coordinator lives, so nothing was done. */
  | { readonly kind: 'unclear' }
  /** No coordinator lives, and no worker to whom shards could be given either. */
  | { readonly kind: 'deserted' }
  /** No coordinator lives: its work was done instead. */
  | { readonly kind: 'cared' }
  | {
      readonly kind: 'planned';
      readonly dryRun: boolean;
      readonly coordinator: 'alive' | 'absent';
      readonly moves: readonly PlannedMove[];
      readonly skipped: readonly { readonly worker: string; readonly reason: MoveReason; readonly why: SkipReason }[];
      readonly held: RebalancePlan['held'];
      /** Moves whose lease had changed meanwhile. Absent in a dry run. */
      readonly refused: readonly ShardKey[] | undefined;
      readonly workerCount: WorkerCountAdvice;
    };

export interface PlannedMove {
  readonly shard: ShardKey;
  readonly from: string;
  readonly to: string;
  readonly reason: MoveReason;
  readonly gain: number;
}

/** Observers read every second, or every heartbeat when that is shorter. */
const longestLookMs = 1000;
/** Kept of an invocation's time for planning and writing. */
const actingMs = 10_000;
/** Looks of a care: the first fences and takes over, a later one gives out what nobody ever held, one more tidies up. */
const careLooks = 4;

/** One round: look who lives, then either rebalance, or do the coordinator's work when there is none. */
export class RebalanceRound {
  readonly #deps: RebalanceDeps;
  readonly #fleet: FleetState;
  readonly #watch: LivenessWatch;
  readonly #fleetWatch: FleetWatch;
  readonly #care: FleetCare;
  #stored: StoredRebalanceState | undefined;

  constructor(deps: RebalanceDeps, fleet: FleetState, stored: StoredRebalanceState | undefined) {
    const { store, control, rules, clock, random, logger } = deps;
    this.#deps = deps;
    this.#fleet = fleet;
    this.#stored = stored;
    this.#watch = new LivenessWatch({ store, rules, clock });
    this.#fleetWatch = new FleetWatch({ store, rules, watch: this.#watch, clock });
    this.#care = new FleetCare({
      store,
      control,
      me: `rebalance-${random.uuid()}`,
      fleet,
      watch: this.#watch,
      ownShardIds: undefined,
      onOwnLease: () => {},
      ...(deps.timeline && { timeline: deps.timeline }),
      clock,
      logger,
    });
  }

  /** `withinMs` is what is left of the invocation's time. Rejects with `BatonError` when the table cannot be reached. */
  async run(options: { dryRun: boolean; withinMs: number; signal: AbortSignal }): Promise<RebalanceResult> {
    const { logger } = this.#deps;
    const { dryRun, signal } = options;
    const seen = await this.#observe(options);
    if (seen === 'superseded') return this.#superseded();
    if (seen === 'unknown') {
      if (!signal.aborted) logger.warn({}, 'rebalance.unclear_whether_coordinator_lives');
      return { kind: 'unclear' };
    }
    if (seen === 'absent' && !dryRun) return this.#careForFleet(signal);
    return this.#rebalance(seen, dryRun, signal);
  }

  /** Looks until it is clear who lives. While no coordinator shows, own writes are proven to succeed too. */
  async #observe(options: {
    dryRun: boolean;
    withinMs: number;
    signal: AbortSignal;
  }): Promise<'alive' | 'absent' | 'unknown' | 'superseded'> {
    const { clock, rules, logger } = this.#deps;
    const { dryRun, withinMs, signal } = options;
    const startedMs = clock.monotonicMs();
    let wroteMs = startedMs;
    while (!signal.aborted) {
      try {
        await this.#fleetWatch.look();
        const { coordinator, hasSeenEverybody } = this.#fleetWatch;
        const forMs = clock.monotonicMs() - startedMs;
        if (coordinator === 'alive' && (hasSeenEverybody || forMs >= 2 * rules.heartbeatMs)) return 'alive';
        const mustWrite = coordinator !== 'alive' && clock.monotonicMs() - wroteMs >= rules.heartbeatMs;
        if (!dryRun && (mustWrite || coordinator === 'absent')) {
          wroteMs = clock.monotonicMs();
          if (!(await this.#store(this.#stored ?? this.#emptyState()))) return 'superseded';
        }
        if (coordinator === 'absent') return 'absent';
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        this.#fleetWatch.forget();
        logger.warn({ error: messageOf(error) }, 'rebalance.store_unreachable');
      }
      if (clock.monotonicMs() - startedMs >= withinMs - actingMs) break;
      await clock.sleep(Math.min(longestLookMs, rules.heartbeatMs), signal);
    }
    return 'unknown';
  }

  async #careForFleet(signal: AbortSignal): Promise<RebalanceResult> {
    const { store, clock, logger } = this.#deps;
    const { workers } = this.#fleetWatch;
    // Fencing without an heir would only take sessions from workers that may merely be cut off from the table.
    if (!this.#presentWorkers().some((worker) => worker.assignable)) {
      logger.error({ workers: workers.map(({ workerId }) => workerId) }, 'fleet.no_living_worker');
      await this.#deps.desiredCount?.advise({ kind: 'keep' });
      return { kind: 'deserted' };
    }
    logger.error({ workers: workers.length }, 'fleet.no_coordinator');
    for (let look = 0; look < careLooks && !signal.aborted; look += 1) {
      if (look > 0) await clock.sleep(longestLookMs, signal);
      await this.#care.lookAfter(await store.listWorkers(), true, signal);
    }
    return { kind: 'cared' };
  }

  async #rebalance(coordinator: 'alive' | 'absent', dryRun: boolean, signal: AbortSignal): Promise<RebalanceResult> {
    const { store, clock, logger, desiredCount } = this.#deps;
    const { workers } = this.#fleetWatch;
    const { shardCount } = this.#fleet;
    const [leases, reports, budget] = await Promise.all([
      store.listLeases(shardCount),
      store.listReports(),
      store.readBudget(),
    ]);
    const alive = this.#watch.seenAlive;
    const nowMs = clock.wallClockMs();
    const plan = planRebalance({ nowMs, shardCount, leases, workers, alive, reports, budget }, this.#stored);
    const capacities = this.#presentWorkers()
      .filter(({ assignable }) => assignable)
      .map(({ maxShards }) => maxShards);
    const workerCount = adviseWorkerCount({ capacities, shardCount, plan });
    // Stored first: should the writes below be cut short, the shards concerned wait for their cooldown all the same.
    if (!dryRun && !(await this.#store(plan.state))) return this.#superseded();
    const refused = dryRun ? undefined : await this.#carryOut(plan, workers, signal);
    if (!dryRun) await desiredCount?.advise(workerCount);

    const names = new Map(workers.map(({ incarnation, workerId }) => [incarnation, workerId]));
    const nameOf = (incarnation: Incarnation): string => names.get(incarnation) ?? incarnation;
    const result = {
      kind: 'planned',
      dryRun,
      coordinator,
      moves: plan.moves.map(({ shard, from, to, reason, gain }) => ({
        shard: shardKey(shard),
        from: nameOf(from),
        to: nameOf(to),
        reason,
        gain,
      })),
      skipped: plan.skipped.map(({ worker, reason, why }) => ({ worker: nameOf(worker), reason, why })),
      held: plan.held,
      refused,
      workerCount,
    } as const;
    const { kind: _, ...fields } = result;
    logger.info(fields, 'rebalance.planned');
    return result;
  }

  /** Writes the wishes and tells both sides of each; returns the shards whose lease had changed meanwhile. */
  async #carryOut(plan: RebalancePlan, workers: readonly WorkerRecord[], signal: AbortSignal): Promise<ShardKey[]> {
    const wishes = plan.moves.map(({ shard, epoch, from, to, reason }) => ({
      kind: 'want' as const,
      shard,
      epoch,
      owner: from,
      want: to,
      reason,
    }));
    const changed = new Set((await this.#care.carryOut(wishes, workers, signal)).map(({ shard }) => shardKey(shard)));
    return plan.moves.map(({ shard }) => shardKey(shard)).filter((key) => !changed.has(key));
  }

  #superseded(): RebalanceResult {
    this.#deps.logger.info({}, 'rebalance.superseded');
    return { kind: 'superseded' };
  }

  #presentWorkers(): WorkerRecord[] {
    const alive = this.#watch.seenAlive;
    return this.#fleetWatch.workers.filter(({ incarnation, draining }) => !draining && alive.has(incarnation));
  }

  /** `false` when another invocation has written since. */
  async #store(state: RebalanceState): Promise<boolean> {
    const outcome = await this.#deps.store.swapRebalanceState(this.#stored?.version, state);
    if (outcome.kind === 'done') this.#stored = outcome.value;
    return outcome.kind === 'done';
  }

  #emptyState(): RebalanceState {
    const { shardCount } = this.#fleet;
    return { atMs: this.#deps.clock.wallClockMs(), shardCount, workers: new Map(), movedAtMs: new Map() };
  }
}

import type { RebalancePlan } from '../../shared/coordination/rebalance.ts';

/** A worker is planned with this much CPU: below where relief of a busy one ends. */
const plannedCpuPercent = 60;
/** Fewer workers only when they would not even have this much. */
const shrinkCpuPercent = 45;
/** The smoothed figures of everybody must stand for so long before a worker is found superfluous. */
const shrinkAfterMs = 10 * 60_000;

/** How many workers the fleet should have, told against what it has, so that workers about to start are not asked for twice. */
export type WorkerCountAdvice =
  | { readonly kind: 'keep' }
  | { readonly kind: 'atLeast'; readonly count: number; readonly because: 'cpu' | 'capacity' | 'no-relief' }
  | { readonly kind: 'atMost'; readonly count: number; readonly because: 'idle' };

/** The number of workers that should run: in AWS the desired count of their service. */
export interface DesiredCount {
  /** Called in every round that is no dry run and finds out who lives, also with `keep`: there may be too few for any advice. */
  advise(advice: WorkerCountAdvice): Promise<void>;
}

export interface WorkerCountView {
  /** Capacities of the workers that are alive and do not drain; `undefined` is without limit. */
  readonly capacities: readonly (number | undefined)[];
  readonly shardCount: number;
  readonly plan: RebalancePlan;
}

/**
 * More workers when CPU or capacity asks for them, or a busy one finds nobody to take its shards; one fewer at a time
 * when the others would be idle enough. Nothing is said of a fleet of which nobody is alive.
 */
export function adviseWorkerCount({ capacities, shardCount, plan }: WorkerCountView): WorkerCountAdvice {
  const present = capacities.length;
  if (present === 0) return { kind: 'keep' };
  const loads = [...plan.state.workers.values()];
  const cpuPercent = loads.reduce((sum, load) => sum + load.cpuPercent, 0);
  const forCpu = Math.ceil(cpuPercent / plannedCpuPercent);
  const forCapacity = workersForCapacity(capacities, shardCount);
  if (forCapacity > present) return { kind: 'atLeast', count: forCapacity, because: 'capacity' };
  if (forCpu > present) return { kind: 'atLeast', count: forCpu, because: 'cpu' };
  const findsNoRelief = plan.skipped.some(
    ({ reason, why }) => reason !== 'event-rate' && (why === 'no-room' || why === 'everybody-busy'),
  );
  if (findsNoRelief) return { kind: 'atLeast', count: present + 1, because: 'no-relief' };
  const fewer = present - 1;
  const areFewerEnough =
    cpuPercent <= fewer * shrinkCpuPercent &&
    workersForCapacity(capacities, shardCount) <= fewer &&
    plan.moves.length === 0 &&
    loads.every((load) => load.observedMs >= shrinkAfterMs);
  return fewer > 0 && areFewerEnough ? { kind: 'atMost', count: fewer, because: 'idle' } : { kind: 'keep' };
}

/** New workers are taken to have the average capacity of the present ones. */
function workersForCapacity(capacities: readonly (number | undefined)[], shardCount: number): number {
  const known = capacities.filter((capacity) => capacity !== undefined);
  if (known.length < capacities.length) return 1;
  const average = known.reduce((sum, capacity) => sum + capacity, 0) / known.length;
  return Math.ceil(shardCount / average);
}

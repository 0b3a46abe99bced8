import { planAssignments } from '../shared/coordination/assignment.ts';
import { type Lease, type WorkerRecord, type WorkerReport, emptyCheckpoint } from '../shared/coordination/model.ts';
import { planRebalance } from '../shared/coordination/rebalance.ts';
import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import { type Random, seededRandom } from '../shared/random.ts';
import { shardKey } from '../shared/sharding.ts';
import { formatSummary, type Summary, summarize } from './summary.ts';

export interface PlannersBenchOptions {
  readonly shards: number;
  readonly workers: number;
  readonly rounds: number;
  readonly json: boolean;
}

/** Time that the pure planners of the coordinator and of the rebalance function take for one fleet. */
export function benchPlanners(options: PlannersBenchOptions): void {
  const fleet = makeFleet(options.shards, options.workers, seededRandom(5));
  const cases: Record<string, () => unknown> = {
    'assignment, nothing to do': () => planAssignments(fleet.view),
    'assignment, a cold fleet': () => planAssignments(fleet.cold),
    'assignment, a tenth of the workers dead': () => planAssignments(fleet.wounded),
    'assignment, half of the workers drain': () => planAssignments(fleet.draining),
    'rebalance, even load': () => planRebalance(fleet.even, undefined),
    'rebalance, a tenth of the workers too busy': () => planRebalance(fleet.skewed, fleet.skewedBefore),
  };
  const milliseconds = Object.fromEntries(
    Object.entries(cases).map(([name, plan]): [string, Summary] => [name, time(plan, options.rounds)]),
  );
  if (options.json) console.log(JSON.stringify({ bench: 'planners', ...options, milliseconds }));
  else {
    console.log(`${options.shards} shards on ${options.workers} workers, CPU milliseconds`);
    const rows = Object.entries(milliseconds).map(([name, summary]) => [name, formatSummary(summary, 1)]);
    console.log(renderTable(rows).join('\n'));
  }
}

/** CPU time, in milliseconds. The first run, which compiles, counts as well: a tick every few seconds never gets hot. */
function time(plan: () => unknown, rounds: number): Summary {
  return summarize(
    Array.from({ length: rounds }, () => {
      const before = process.cpuUsage();
      plan();
      const { user, system } = process.cpuUsage(before);
      return (user + system) / 1000;
    }),
  );
}

function makeFleet(shardCount: number, workerCount: number, random: Random) {
  const workers = Array.from({ length: workerCount }, (_, index): WorkerRecord => {
    const incarnation = random.uuid();
    return {
      incarnation,
      workerId: `worker-${index}`,
      joinNumber: index,
      release: 'r1',
      chunkCount: 1,
      controlQueueUrl: `https://sqs/${incarnation}`,
      originalCoordinator: false,
      assignable: true,
      draining: false,
    };
  });
  const ownerOf = (shardId: number) => (workers[shardId % workerCount] as WorkerRecord).incarnation;
  const leases = Array.from(
    { length: shardCount },
    (_, shardId): Lease => ({
      shard: { shardId, shardCount },
      owner: ownerOf(shardId),
      epoch: 3,
      checkpoint: { ...emptyCheckpoint, session: `session-${shardId}` },
    }),
  );
  const everybody = new Set(workers.map(({ incarnation }) => incarnation));
  const gone = new Set(workers.filter((_, index) => index % 10 === 0).map(({ incarnation }) => incarnation));
  const nobody: ReadonlySet<string> = new Set();
  const view = { leases, workers, gone: nobody, alive: everybody, settled: true };
  const reports = (busy: ReadonlySet<string>): WorkerReport[] =>
    workers.map(({ incarnation, workerId }) => ({
      incarnation,
      workerId,
      cpuPercent: busy.has(incarnation) ? 97 : 40 + random.next() * 5,
      memoryMb: 300,
      eventsPerSecond: 1000,
      coordinator: false,
      shards: leases
        .filter(({ owner }) => owner === incarnation)
        .map(({ shard }) => ({
          shard: shardKey(shard),
          epoch: 3,
          state: 'ready',
          ready: true,
          seq: 1,
          guildCount: 1000,
          latencyMs: 40,
          eventsPerSecond: 20 + random.next() * 10,
          bufferedEvents: 0,
        })),
    }));
  const nowMs = systemClock.wallClockMs();
  const base = { nowMs, shardCount, leases, workers, alive: everybody };
  const budget = { total: 32_000, remaining: 31_000, resetsAtMs: nowMs + 3_600_000, version: 1 };
  const even = { ...base, reports: reports(nobody), budget };
  const skewed = { ...base, reports: reports(gone), budget };
  // Two rounds before, so that the figures have settled.
  const first = planRebalance({ ...skewed, nowMs: nowMs - 1_200_000 }, undefined);
  const skewedBefore = planRebalance({ ...skewed, nowMs: nowMs - 600_000 }, first.state).state;
  return {
    view,
    cold: { ...view, leases: leases.map(({ shard }) => ({ shard, epoch: 0, checkpoint: emptyCheckpoint })) },
    wounded: { ...view, gone },
    draining: { ...view, workers: workers.map((worker, index) => ({ ...worker, draining: index % 2 === 0 })) },
    even,
    skewed,
    skewedBefore,
  };
}

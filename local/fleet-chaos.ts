import type { Clock } from '../shared/clock.ts';
import { type AwsFaults, describeOutage } from './aws-faults.ts';
import type { ChaosTargets } from './chaos.ts';
import type { CoordinatorGaps } from './coordinator-gaps.ts';
import type { FaultTarget } from './discord/faults.ts';
import type { FleetMonitor } from './fleet-monitor.ts';
import type { HandoverTimes } from './handover-times.ts';
import type { ShardMigrations } from './shard-migrations.ts';
import type { ShardMoves } from './shard-moves.ts';
import type { SimulatedDiscord } from './simulated-discord.ts';
import type { WorkerFleet, WorkerSlot } from './worker-fleet.ts';

/** What chaos is let at, and what measures how it got over it. */
export interface ChaosSubject {
  readonly workers: WorkerFleet;
  readonly discord: SimulatedDiscord | undefined;
  readonly awsFaults: AwsFaults | undefined;
  readonly monitor: FleetMonitor;
  readonly migrations: ShardMigrations;
  readonly moves: ShardMoves;
  readonly handovers: HandoverTimes;
  readonly coordinatorGaps: CoordinatorGaps;
}

/** `kill -9`, and the clock starts for everything the worker held. Resolves when the process is gone. */
export async function killWorker(subject: ChaosSubject, worker: WorkerSlot, clock: Clock): Promise<void> {
  const { handovers, moves, coordinatorGaps } = subject;
  const killedAtMs = clock.monotonicMs();
  worker.kill();
  handovers.killed(moves.heldBy(worker.workerId), killedAtMs);
  coordinatorGaps.lost(worker.workerId, 'killed', killedAtMs);
  await worker.ended;
}

/** The worker stands still for `forMs`. Resolves when it goes on. */
export async function pauseWorker(
  { coordinatorGaps }: ChaosSubject,
  worker: WorkerSlot,
  forMs: number,
  clock: Clock,
): Promise<void> {
  coordinatorGaps.lost(worker.workerId, 'paused', clock.monotonicMs());
  await worker.pause(forMs);
  coordinatorGaps.back(worker.workerId);
}

/** AWS does not answer this worker for `forMs`: it has its sockets to Discord and nothing else. */
export async function cutWorkerOff(
  { awsFaults, coordinatorGaps, handovers }: ChaosSubject,
  worker: WorkerSlot,
  forMs: number,
  clock: Clock,
): Promise<void> {
  const fromMs = clock.monotonicMs();
  const hang = { kind: 'hang', probability: 1 } as const;
  const imposed = awsFaults?.impose([worker.workerId], ['dynamodb', 'sqs'], hang);
  coordinatorGaps.lost(worker.workerId, 'cut off', fromMs);
  await clock.sleep(forMs);
  imposed?.lift();
  coordinatorGaps.back(worker.workerId);
  handovers.outage({ fromMs, toMs: clock.monotonicMs() });
}

/** The stop timeout of a fleet's workers, with room: then the platform, too, kills what it has asked to end. */
const killAfterMs = 15_000;

/** Lets chaos at the workers of a fleet, at their ways to AWS and, where Discord is simulated, at its connections. */
export function chaosTargets(
  subject: ChaosSubject,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): ChaosTargets {
  const { workers, discord, awsFaults, monitor, migrations, moves } = subject;
  const pick = (drawn: number): WorkerSlot | undefined => {
    const running = workers.workers.filter((worker) => worker.state === 'running');
    // One that holds nothing is missed by nobody.
    const holding = running.filter((worker) => moves.heldBy(worker.workerId).length > 0);
    const candidates = holding.length > 0 ? holding : running;
    return candidates[drawn % candidates.length];
  };
  const restart = (worker: WorkerSlot): void => {
    // A fleet that is about to end wants no new worker.
    if (!signal.aborted) workers.start(worker.workerId);
  };
  return {
    async killWorker({ worker: drawn, restartAfterMs }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      await killWorker(subject, worker, clock);
      await clock.sleep(restartAfterMs, signal);
      restart(worker);
      return `${worker.workerId} killed, started again ${(restartAfterMs / 1000).toFixed(1)} s later`;
    },
    async drainWorker({ worker: drawn }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      const startedAtMs = clock.monotonicMs();
      worker.drain();
      const kill = clock.schedule(killAfterMs, () => worker.kill());
      await worker.ended;
      kill.cancel();
      const tookMs = clock.monotonicMs() - startedAtMs;
      restart(worker);
      return `${worker.workerId} drained in ${(tookMs / 1000).toFixed(1)} s, ended ${worker.tally.ends.at(-1)}, replaced`;
    },
    async pauseWorker({ worker: drawn, forMs }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      await pauseWorker(subject, worker, forMs, clock);
      return `${worker.workerId} stood still for ${(forMs / 1000).toFixed(1)} s`;
    },
    async moveShards({ count }) {
      const { shards, workers: registered, shardCount } = monitor.status;
      const able = registered
        .filter((worker) => !worker.draining && !worker.fenced)
        .toSorted((one, other) => one.shardIds.length - other.shardIds.length);
      const [to, from] = [able[0], able.at(-1)];
      if (shardCount === undefined || to === undefined || from === undefined || to === from) return undefined;
      const moved: number[] = [];
      for (const { shardId } of shards.filter(({ owner }) => owner === from.incarnation).slice(0, count)) {
        if (await migrations.ask({ shardId, shardCount }, to.incarnation)) moved.push(shardId);
      }
      return moved.length === 0 ? undefined : `shards ${moved.join(', ')}: ${from.workerId} -> ${to.workerId}`;
    },
    ...connectionTargets(discord, { clock, signal }),
    async awsOutage({ worker: drawn, services, outage, forMs }) {
      if (awsFaults === undefined) return undefined;
      const { workerIds } = awsFaults;
      const struck = drawn === 'all' ? workerIds : workerIds.slice(drawn % workerIds.length).slice(0, 1);
      const fromMs = clock.monotonicMs();
      const imposed = awsFaults.impose(struck, services, outage);
      await clock.sleep(forMs, signal);
      imposed.lift();
      subject.handovers.outage({ fromMs, toMs: clock.monotonicMs() });
      const whom = drawn === 'all' ? 'every worker' : struck[0];
      return `${services.join(' and ')} ${describeOutage(outage)}, for ${whom}, ${(forMs / 1000).toFixed(1)} s long`;
    },
  };
}

/** What chaos can do to connections alone; nothing where Discord is not simulated. */
export function connectionTargets(
  discord: SimulatedDiscord | undefined,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): Pick<ChaosTargets, 'requestReconnect' | 'cutSocket' | 'invalidateResumable' | 'silenceSocket' | 'deadResumeUrl'> {
  // The fleet's own sessions: others may listen too, with another number of shards.
  const strike = (drawn: number, fault: (target: FaultTarget, from: SimulatedDiscord) => number) => {
    if (discord === undefined) return Promise.resolve(undefined);
    const shard = drawn % discord.shardCount;
    return Promise.resolve(
      fault({ shards: [shard], shardCount: discord.shardCount }, discord) > 0 ? `shard ${shard}` : undefined,
    );
  };
  return {
    requestReconnect: ({ shard }) => strike(shard, (target, { simulator }) => simulator.faults.reconnect(target)),
    cutSocket: ({ shard }) => strike(shard, (target, { simulator }) => simulator.faults.cut(target)),
    invalidateResumable: ({ shard }) =>
      strike(shard, (target, { simulator }) => simulator.faults.invalidateSessions(target, true)),
    async silenceSocket({ shard: drawn, forMs }) {
      if (discord === undefined) return undefined;
      const { faults } = discord.simulator;
      const shard = drawn % discord.shardCount;
      const target = { shards: [shard], shardCount: discord.shardCount };
      if (faults.silence(target, true) === 0) return undefined;
      await clock.sleep(forMs, signal);
      faults.silence(target, false);
      return `shard ${shard} for ${(forMs / 1000).toFixed(1)} s`;
    },
    async deadResumeUrl({ state, forMs }) {
      if (discord === undefined) return undefined;
      await discord.simulator.faults.resumeUrl(state);
      await clock.sleep(forMs, signal);
      await discord.simulator.faults.resumeUrl('alive');
      return `${state} for ${(forMs / 1000).toFixed(1)} s`;
    },
  };
}

import type { Clock } from '../shared/clock.ts';
import type { ChaosTargets } from './chaos.ts';
import type { SimulatedDiscord } from './simulated-discord.ts';
import type { WorkerFleet, WorkerSlot } from './worker-fleet.ts';

/** Lets chaos at the workers of a fleet and, where Discord is simulated, at its connections. */
export function chaosTargets(
  workers: WorkerFleet,
  discord: SimulatedDiscord | undefined,
  { clock, signal }: { clock: Clock; signal: AbortSignal },
): ChaosTargets {
  const pick = (drawn: number): WorkerSlot | undefined => {
    const running = workers.workers.filter((worker) => worker.state === 'running');
    return running[drawn % running.length];
  };
  const restart = (worker: WorkerSlot): void => {
    // A fleet that is about to end wants no new worker.
    if (!signal.aborted) workers.start(worker.workerId);
  };
  const strike = (drawn: number, fault: (shards: readonly number[], from: SimulatedDiscord) => number) => {
    if (discord === undefined) return Promise.resolve(undefined);
    const shard = drawn % discord.shardCount;
    return Promise.resolve(fault([shard], discord) > 0 ? `shard ${shard}` : undefined);
  };
  return {
    async killWorker({ worker: drawn, restartAfterMs }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      worker.kill();
      await worker.ended;
      await clock.sleep(restartAfterMs, signal);
      restart(worker);
      return `${worker.workerId} killed, started again ${(restartAfterMs / 1000).toFixed(1)} s later`;
    },
    async drainWorker({ worker: drawn }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      const startedAtMs = clock.monotonicMs();
      worker.drain();
      await worker.ended;
      const tookMs = clock.monotonicMs() - startedAtMs;
      restart(worker);
      return `${worker.workerId} drained in ${(tookMs / 1000).toFixed(1)} s, ended ${worker.tally.ends.at(-1)}, replaced`;
    },
    async pauseWorker({ worker: drawn, forMs }) {
      const worker = pick(drawn);
      if (worker === undefined) return undefined;
      await worker.pause(forMs);
      return `${worker.workerId} stood still for ${(forMs / 1000).toFixed(1)} s`;
    },
    requestReconnect: ({ shard }) => strike(shard, (shards, { simulator }) => simulator.faults.reconnect({ shards })),
    cutSocket: ({ shard }) => strike(shard, (shards, { simulator }) => simulator.faults.cut({ shards })),
    invalidateResumable: ({ shard }) =>
      strike(shard, (shards, { simulator }) => simulator.faults.invalidateSessions({ shards }, true)),
    async deadResumeUrl({ forMs }) {
      if (discord === undefined) return undefined;
      await discord.simulator.faults.resumeUrl('refused');
      await clock.sleep(forMs, signal);
      await discord.simulator.faults.resumeUrl('alive');
      return `for ${(forMs / 1000).toFixed(1)} s`;
    },
  };
}

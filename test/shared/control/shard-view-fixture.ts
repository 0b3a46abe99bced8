import type { ShardView } from '../../../shared/control/request-runner.ts';

/** Shard 3 of 8, ready for five seconds, with a bot of two ids. */
export function shardView(changes: Partial<ShardView> = {}): ShardView {
  return {
    shard: { shardId: 3, shardCount: 8 },
    workerId: 'worker-1',
    report: {
      shard: '8.3',
      epoch: 1,
      state: 'ready',
      ready: true,
      seq: 7,
      guildCount: 0,
      latencyMs: 42,
      eventsPerSecond: 0,
      bufferedEvents: 0,
      figures: {
        memberCount: 0,
        commandsPerSecond: 0,
        identifies: 1,
        resumes: 0,
        reconnects: 0,
        sessionAgeMs: 5000,
        silentForMs: 0,
      },
    },
    guilds: new Map(),
    userId: '900',
    applicationId: '901',
    memoryMb: 80,
    workerUptimeMs: 9000,
    ...changes,
  };
}

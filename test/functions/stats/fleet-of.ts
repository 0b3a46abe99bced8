import type { FleetView, ShardView, WorkerView } from '../../../shared/stats/fleet-view.ts';

/** A shard that is well, apart from `changes`. */
export function shardView(id: number, changes: Partial<ShardView> = {}): ShardView {
  return {
    id,
    state: 'ready',
    ready: true,
    epoch: 2,
    owner: 'inc-1',
    seq: 1000 + id,
    guildCount: 10,
    latencyMs: 40,
    eventsPerSecond: 5,
    bufferedEvents: 0,
    ...changes,
    figures: {
      memberCount: 1000,
      commandsPerSecond: 0.5,
      identifies: 1,
      resumes: 0,
      reconnects: 0,
      sessionAgeMs: 60_000,
      silentForMs: 0,
      ...changes.figures,
    },
  };
}

export function workerView(incarnation: string, changes: Partial<WorkerView> = {}): WorkerView {
  return {
    incarnation,
    workerId: `name-of-${incarnation}`,
    joinNumber: 1,
    release: '',
    originalCoordinator: false,
    draining: false,
    fenced: false,
    counter: 7,
    stillForMs: 0,
    shardCount: 2,
    readyShardCount: 2,
    cpuPercent: 12,
    memoryMb: 150,
    eventsPerSecond: 10,
    figures: {
      uptimeMs: 60_000,
      commandsPerSecond: 1,
      identifies: 2,
      resumes: 0,
      reconnects: 0,
      flushMs: 15,
      queueAgeMs: 0,
    },
    ...changes,
  };
}

export function fleetView(changes: Partial<FleetView> = {}): FleetView {
  return {
    atMs: 1_790_000_000_000,
    fleet: 'baton',
    heartbeatMs: 3000,
    missedHeartbeats: 3,
    shardCount: 2,
    maxConcurrency: 1,
    coordinator: 'inc-1',
    budget: { total: 1000, remaining: 998 },
    queues: {
      events: { waiting: 3, inFlight: 1, deadLetters: 1, oldestSeconds: 4 },
      interactions: { waiting: 0, inFlight: 0, deadLetters: 1, oldestSeconds: 1 },
    },
    workers: [workerView('inc-1')],
    shards: [shardView(0), shardView(1)],
    ...changes,
  };
}

import type { FleetView, ShardView, WorkerView } from '../../shared/stats/fleet-view.ts';

/** What a cell of the map says, from well to worst. */
export const shardStatuses = ['ready', 'moving', 'connecting', 'silent', 'unheld', 'down'] as const;
export type ShardStatus = (typeof shardStatuses)[number];

export const statusWords: Readonly<Record<ShardStatus, { label: string; meaning: string }>> = {
  ready: { label: 'Ready', meaning: 'connected, and events or heartbeats flow' },
  moving: { label: 'Moving', meaning: 'another worker opens its connection while this one goes on' },
  connecting: { label: 'Connecting', meaning: 'on its way to a session' },
  silent: { label: 'Silent', meaning: 'looks ready, but gets no events while its peers do' },
  unheld: { label: 'No worker', meaning: 'waits for a worker, its session kept' },
  down: { label: 'Down', meaning: 'its worker is dead, or Discord refuses the shard' },
};

export type WorkerStatus = 'live' | 'draining' | 'paused' | 'dead';

/**
 * A worker without a heartbeat for longer than two is taken for dead here, before the fleet itself is sure; unless the
 * table takes no heartbeat of anybody.
 */
export function workerStatus(
  worker: WorkerView,
  { heartbeatMs }: Pick<FleetView, 'heartbeatMs'>,
  isTableStill: boolean,
): WorkerStatus {
  if (worker.fenced || worker.process === 'ended') return 'dead';
  if (worker.process === 'paused') return 'paused';
  if (!isTableStill && worker.stillForMs > heartbeatMs * 2 + 500) return 'dead';
  return worker.draining || worker.process === 'draining' ? 'draining' : 'live';
}

export function shardStatus(shard: ShardView, owner: WorkerStatus | undefined): ShardStatus {
  if (shard.owner === undefined) return 'unheld';
  if (owner === 'dead' || owner === undefined || shard.state === 'stopped') return 'down';
  if (!shard.ready) return 'connecting';
  if (shard.silent) return 'silent';
  return shard.wanted === undefined ? 'ready' : 'moving';
}

const closeReasons: Readonly<Record<number, string>> = {
  1000: 'closed normally',
  1001: 'going away',
  1005: 'no code',
  1006: 'connection broke',
  1011: 'server error',
  1012: 'service restart',
  4000: 'unknown error',
  4001: 'unknown opcode',
  4002: 'decode error',
  4003: 'not authenticated',
  4004: 'authentication failed',
  4005: 'already authenticated',
  4007: 'invalid sequence',
  4008: 'rate limited',
  4009: 'session timed out',
  4010: 'invalid shard',
  4011: 'sharding required',
  4012: 'invalid API version',
  4013: 'invalid intents',
  4014: 'disallowed intents',
};

/** `4009, session timed out`. */
export function closeCode(code: number | undefined): string {
  if (code === undefined) return 'none';
  const reason = closeReasons[code];
  return reason === undefined ? String(code) : `${code}, ${reason}`;
}

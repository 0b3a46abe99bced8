import type { ShardView } from '../../shared/stats/fleet-view.ts';

/** Heartbeats may still be acknowledged on a socket that gets no events: only peers tell that something is missing. */
const shortestSilenceMs = 60_000;
/** By then a usual shard would have had this many events. */
const missedEvents = 20;

/**
 * Ids of ready shards that got no dispatch for at least a minute, and for as long as its usual peer gets twenty.
 * Where less than half of the fleet hears anything nobody is silent: it is simply a quiet hour.
 */
export function silentShards(shards: readonly ShardView[]): ReadonlySet<number> {
  const ready = shards.filter((shard) => shard.ready);
  const rates = ready.map((shard) => shard.eventsPerSecond ?? 0).sort((one, other) => one - other);
  const usualPerSecond = rates[Math.floor(rates.length / 2)] ?? 0;
  if (usualPerSecond === 0) return new Set();
  const silenceMs = Math.max(shortestSilenceMs, (missedEvents / usualPerSecond) * 1000);
  return new Set(ready.filter((shard) => (shard.figures?.silentForMs ?? 0) >= silenceMs).map((shard) => shard.id));
}

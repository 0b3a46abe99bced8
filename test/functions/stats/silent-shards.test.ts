import { expect, test } from 'vitest';
import { silentShards } from '../../../functions/stats/silent-shards.ts';
import type { ShardView } from '../../../shared/stats/fleet-view.ts';
import { shardView } from './fleet-of.ts';

function silentFor(silentForMs: number): Partial<ShardView> {
  return {
    eventsPerSecond: 0,
    figures: { ...(shardView(0).figures as NonNullable<ShardView['figures']>), silentForMs },
  };
}

function fleet(eventsPerSecond: number, ...last: Partial<ShardView>[]): ShardView[] {
  return [
    ...Array.from({ length: 7 }, (_, id) => shardView(id, { eventsPerSecond })),
    ...last.map((each, index) => shardView(7 + index, each)),
  ];
}

test.each([
  { usual: 5, silentForMs: 59_000, silent: [] },
  { usual: 5, silentForMs: 60_000, silent: [7] },
  // Twenty events of the usual shard take 200 s.
  { usual: 0.1, silentForMs: 199_000, silent: [] },
  { usual: 0.1, silentForMs: 200_000, silent: [7] },
  { usual: 0, silentForMs: 3_600_000, silent: [] },
])('at $usual events/s a silence of $silentForMs ms: $silent', ({ usual, silentForMs, silent }) => {
  expect([...silentShards(fleet(usual, silentFor(silentForMs)))]).toEqual(silent);
});

test('a shard that is not ready is not silent, but away', () => {
  expect(silentShards(fleet(5, { ...silentFor(90_000), ready: false, state: 'resuming' })).size).toBe(0);
});

test('where half of the fleet hears nothing, nobody is silent', () => {
  const quiet = Array.from({ length: 8 }, () => silentFor(600_000));
  expect(silentShards(fleet(5, ...quiet)).size).toBe(0);
});

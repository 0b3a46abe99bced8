import { expect, test } from 'vitest';
import { GuildShards } from '../../../../functions/interactions/endpoint/guild-shards.ts';
import type { FleetState } from '../../../../shared/coordination/model.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { type LogLine, noShards, recordingLogger } from '../interactions-fixture.ts';

const guild = '41771983423143937';
const fleet = (shardCount: number): FleetState => ({ shardCount, maxConcurrency: 1, gatewayUrl: 'wss://gateway' });

function shardsOf(readFleet: () => Promise<FleetState | undefined>) {
  const clock = new ManualClock();
  const lines: LogLine[] = [];
  let reads = 0;
  const store = {
    readFleet: () => {
      reads += 1;
      return readFleet();
    },
  };
  const shards = new GuildShards({ store, shards: noShards, clock, logger: recordingLogger(lines) });
  return { clock, lines, shards, reads: () => reads };
}

// (41771983423143937 >> 22) % 64 is 38.
test.each([
  { what: 'a fleet', state: fleet(64), guildId: guild, shard: { id: 38, total: 64, epoch: 0 } },
  { what: 'an explicit list of shards', state: fleet(2), guildId: guild, shard: { id: 0, total: 2 } },
  { what: 'a bot that is not sharded', state: fleet(1), guildId: guild, shard: { id: null, total: 1 } },
  { what: 'a bot without workers', state: undefined, guildId: guild, shard: { id: null, total: 1 } },
  { what: 'direct messages of a fleet', state: fleet(64), guildId: undefined, shard: { id: 0, total: 64 } },
])('of $what', async ({ state, guildId, shard }) => {
  expect(await shardsOf(async () => state).shards.of(guildId)).toMatchObject(shard);
});

test('the number of shards is asked for every 30 s at most, by all at once', async () => {
  let state = fleet(64);
  const { shards, clock, reads } = shardsOf(async () => state);
  await Promise.all([shards.of(guild), shards.of(guild)]);
  state = fleet(128);
  await clock.advance(30_000);
  expect(await shards.of(guild)).toMatchObject({ total: 64 });
  expect(reads()).toBe(1);
  await clock.advance(1);
  expect(await shards.of(guild)).toMatchObject({ total: 128 });
  expect(clock.pendingTimers).toBe(0);
});

test('a table that fails leaves the last number, and is asked again next time', async () => {
  let fails = false;
  const { shards, clock, lines, reads } = shardsOf(() =>
    fails ? Promise.reject(new Error('gone')) : Promise.resolve(fleet(64)),
  );
  await shards.of(guild);
  fails = true;
  await clock.advance(31_000);
  expect(await shards.of(guild)).toMatchObject({ total: 64 });
  expect(lines).toMatchObject([{ event: 'interactions.shard_count_unknown', fields: { error: 'gone' } }]);
  await shards.of(guild);
  expect(reads()).toBe(3);
});

test('nobody waits longer than half a second for it', async () => {
  const { promise, resolve } = Promise.withResolvers<FleetState>();
  const { shards, clock } = shardsOf(() => promise);
  const first = shards.of(guild);
  await clock.advance(500);
  expect(await first).toMatchObject({ id: null, total: 1 });
  resolve(fleet(64));
  await clock.settle();
  expect(await shards.of(guild)).toMatchObject({ total: 64 });
});

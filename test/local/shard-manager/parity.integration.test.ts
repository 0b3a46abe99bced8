import type { ChildProcess } from 'node:child_process';
import { ShardingManager } from 'discord.js';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import { EmbeddedShards } from '../../../local/embedded-shards.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ShardManager, valuesOf } from '../../../shared/control/shard-manager.ts';
import { checkShardManagerOptions } from '../../../shared/control/shard-manager-options.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { guildsAbove } from './queries.ts';

// discord.js's own ShardingManager and Baton's, one after the other on the same Discord, with the same calls.

const shards = 3;
const guildsPerShard = 4;
const membersPerGuild = 5;

let simulator: DiscordSimulator;
let theirs: Awaited<ReturnType<typeof askTheirs>>;
let shardsOfOurs: EmbeddedShards;
let ours: ShardManager;

beforeAll(async () => {
  simulator = await startSimulator({
    shards,
    guildsPerShard,
    membersPerGuild,
    maxConcurrency: shards,
    identifyIntervalMs: 100,
  });
  theirs = await askTheirs();
  const options = checkShardManagerOptions(
    `${import.meta.dirname}/baton-bot.ts`,
    { token: simulator.token, totalShards: shards, workers: 2, queries: `${import.meta.dirname}/queries.ts` },
    {},
  );
  const environment = { DISCORD_API_URL: simulator.apiUrl, BATON_EVAL: 'sandbox', BATON_HEARTBEAT_MS: '1000' };
  shardsOfOurs = new EmbeddedShards(options, environment, silentLogger);
  ours = new ShardManager({ clock: systemClock, spawner: shardsOfOurs });
  await ours.spawnShards();
}, 120_000);

afterAll(async () => {
  await ours?.stop();
  await simulator?.stop();
}, 60_000);

/** Everything that is compared, asked of discord.js. */
async function askTheirs() {
  const manager = new ShardingManager(`${import.meta.dirname}/discordjs-bot.mjs`, {
    token: simulator.token,
    totalShards: shards,
    respawn: true,
  });
  // Its children get the environment of this process.
  process.env['SIMULATED_API'] = simulator.apiBaseUrl;
  try {
    await manager.spawn({ delay: 0 });
    const ask = async () => ({
      shardIds: manager.shards.map(({ id }) => id),
      guildCounts: await manager.fetchClientValues('guilds.cache.size'),
      users: await manager.fetchClientValues('user.id'),
      shardOptions: await manager.fetchClientValues('shard.count'),
      missing: await manager.fetchClientValues('guilds.nothing'),
      statuses: await manager.fetchClientValues('ws.status'),
      evaluated: await manager.broadcastEval((client) => client.guilds.cache.map((guild) => guild.id).sort()),
      members: await manager.broadcastEval((client) =>
        client.guilds.cache.reduce((sum, guild) => sum + guild.memberCount, 0),
      ),
      ready: await manager.broadcastEval((client) => client.isReady()),
    });
    const first = await ask();
    await manager.shards.get(1)?.respawn({ delay: 0 });
    const afterRespawn = await ask();
    const crashed = manager.shards.get(2);
    if (crashed === undefined) throw new Error('there is no shard 2');
    const back = new Promise<void>((resolve) => crashed.once('ready', () => resolve()));
    // Its process, as the operating system kills one that needs too much memory.
    (crashed.process as ChildProcess).kill('SIGKILL');
    await back;
    return { first, afterRespawn, afterCrash: await ask() };
  } finally {
    for (const shard of manager.shards.values()) shard.kill();
  }
}

/** The same, asked of Baton. */
async function askOurs() {
  return {
    shardIds: (await ours.getShardInfo()).map(({ shardId }) => shardId),
    guildCounts: valuesOf(await ours.fetchClientValues('guilds.cache.size')),
    users: valuesOf(await ours.fetchClientValues('user.id')),
    shardOptions: valuesOf(await ours.fetchClientValues('shard.count')),
    missing: valuesOf(await ours.fetchClientValues('guilds.nothing')),
    statuses: valuesOf(await ours.fetchClientValues('ws.status')),
    evaluated: valuesOf(await ours.broadcastEval('client.guilds.cache.map((guild) => guild.id).sort()')),
    members: valuesOf(
      await ours.broadcastEval('client.guilds.cache.reduce((sum, guild) => sum + guild.memberCount, 0)'),
    ),
    ready: valuesOf(await ours.broadcastEval('client.isReady()')),
  };
}

/** discord.js sends what does not exist as nothing at all; with Baton it is JSON's `null`. */
const withNulls = (answers: typeof theirs.first) => ({
  ...answers,
  missing: answers.missing.map((value: unknown) => value ?? null),
});

describe('with the same calls', () => {
  test('both managers answer the same', async () => {
    expect(theirs.first.guildCounts).toEqual([guildsPerShard, guildsPerShard, guildsPerShard]);
    expect(await askOurs()).toEqual(withNulls(theirs.first));
  });

  test('also after a respawn, which costs Baton no IDENTIFY', async () => {
    const identifies = simulator.stats.identifies.length;
    expect(await ours.respawnShard(1)).toMatchObject({ shardId: 1, how: 'resumed' });
    expect(await askOurs()).toEqual(withNulls(theirs.afterRespawn));
    expect(simulator.stats.identifies.length).toBe(identifies);
    expect(await ours.respawnShard(1, { fresh: true })).toMatchObject({ shardId: 1, how: 'identified' });
    expect(simulator.stats.identifies.length).toBe(identifies + 1);
    expect((await askOurs()).guildCounts).toEqual(theirs.afterRespawn.guildCounts);
  });

  test('and after a crash', async () => {
    const identifies = simulator.stats.identifies.length;
    const [{ worker } = { worker: null }] = (await ours.getShardInfo()).filter(({ shardId }) => shardId === 2);
    const pid = shardsOfOurs.pidOf(worker ?? '');
    if (pid === undefined) throw new Error(`${worker} does not run`);
    process.kill(pid, 'SIGKILL');
    await ours.untilReady();
    expect(await askOurs()).toEqual(withNulls(theirs.afterCrash));
    // The sessions of the dead worker were resumed by the other.
    expect(simulator.stats.identifies.length).toBe(identifies);
  }, 60_000);
});

describe('what discord.js has no counterpart for', () => {
  test('figures of every shard', async () => {
    const stats = await ours.getShardStats();
    expect(stats.map(({ shardId }) => shardId)).toEqual([0, 1, 2]);
    for (const shard of stats) {
      expect(shard).toMatchObject({
        guildCount: guildsPerShard,
        userCount: guildsPerShard * membersPerGuild,
        ready: true,
      });
      if ('error' in shard) throw new Error(shard.error);
      expect(shard.memoryMb).toBeGreaterThan(20);
      expect(shard.uptimeMs).toBeGreaterThan(0);
      expect(shard.ping).toBeGreaterThanOrEqual(0);
    }
  });

  test('queries with arguments', async () => {
    const { results, missing } = await ours.query(guildsAbove, { members: membersPerGuild - 1 }, { shards: [2, 0] });
    expect(missing).toEqual([]);
    expect(results.map(({ shard, value }) => [shard, value])).toEqual([
      [0, guildsPerShard],
      [2, guildsPerShard],
    ]);
    await expect(ours.query(guildsAbove, { members: -1 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    const unknown = await ours.query('other');
    expect(unknown.missing.map(({ code, reason }) => [code, reason])).toEqual(
      Array.from({ length: shards }, () => [
        'invalid',
        'there is no query "other" on this worker: it knows guildsAbove',
      ]),
    );
  });

  test('a shard whose code fails is missing, with the reason', async () => {
    const { results, missing } = await ours.broadcastEval(
      "if (client.shard.ids[0] === 1) throw new Error('not here'); 'here'",
    );
    expect(results.map(({ shard, value }) => [shard, value])).toEqual([
      [0, 'here'],
      [2, 'here'],
    ]);
    expect(missing).toMatchObject([{ shard: 1, code: 'failed', reason: 'eval: Error: not here' }]);
  });
});

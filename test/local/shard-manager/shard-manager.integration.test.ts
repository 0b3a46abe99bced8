import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createShardManager } from '../../../local/create-shard-manager.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import { EmbeddedShards } from '../../../local/embedded-shards.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ShardManager } from '../../../shared/control/shard-manager.ts';
import { checkShardManagerOptions, type ShardManagerOptions } from '../../../shared/control/shard-manager-options.ts';
import { silentLogger } from '../../../shared/logger.ts';

const totalShards = 4;
const guildsPerShard = 2;
let simulator: DiscordSimulator;
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-manager-'));
  simulator = await startSimulator({
    shards: totalShards,
    guildsPerShard,
    maxConcurrency: 16,
    identifyIntervalMs: 100,
  });
});
afterAll(async () => {
  await simulator?.stop();
  await rm(folder, { recursive: true });
});

function managerOf(botFile: string, options: ShardManagerOptions) {
  const checked = checkShardManagerOptions(botFile, { token: simulator.token, ...options }, {});
  const environment = { DISCORD_API_URL: simulator.apiUrl, BATON_HEARTBEAT_MS: '1000' };
  const shards = new EmbeddedShards(checked, environment, silentLogger);
  const shardIds = checked.shardList === 'auto' ? undefined : checked.shardList;
  return { shards, manager: new ShardManager({ clock: systemClock, spawner: shards, shardIds }) };
}

function kill(shards: EmbeddedShards, worker: string): void {
  const pid = shards.pidOf(worker);
  if (pid === undefined) throw new Error(`${worker} does not run`);
  process.kill(pid, 'SIGKILL');
}

async function until(holds: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const untilMs = systemClock.monotonicMs() + 40_000;
  while (!(await holds())) {
    if (systemClock.monotonicMs() > untilMs) throw new Error(`it does not come about: ${what}`);
    await systemClock.sleep(50);
  }
}

describe('a manager of a list of shards, with a bot that an interpreter runs', () => {
  let manager: ShardManager;
  let shards: EmbeddedShards;
  let notes: string;

  beforeAll(async () => {
    notes = join(folder, 'notes');
    process.env['NOTES'] = notes;
    ({ manager, shards } = managerOf(join(import.meta.dirname, 'shell-bot.bot'), {
      totalShards,
      shardList: [3, 1],
      interpreters: { '.bot': ['sh'] },
    }));
    await manager.spawnShards();
  }, 60_000);
  afterAll(() => manager.stop(), 30_000);

  test('runs these shards and no others', async () => {
    const info = await manager.getShardInfo();
    expect(info).toMatchObject([
      { shardId: 1, totalShards, status: 'ready', ready: true, worker: 'worker-1', guildCount: guildsPerShard },
      { shardId: 3, totalShards, status: 'ready', ready: true, worker: 'worker-1', guildCount: guildsPerShard },
    ]);
    await expect(manager.respawnShard(0)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: "respawnShard: shard 0 is not this manager's: it has 1, 3",
    });
    await expect(manager.respawnShard(9)).rejects.toThrow('respawnShard: there is no shard 9: the fleet has 0 to 3');
  });

  test('does not run code unless it is told to', async () => {
    await expect(manager.broadcastEval('1')).rejects.toMatchObject({
      code: 'EVAL_OFF',
      message: expect.stringContaining('set BATON_EVAL=sandbox') as string,
    });
    expect((await manager.fetchClientValues('shard.ids')).results.map(({ value }) => value)).toEqual([[1], [3]]);
  });

  test('the bot gets the events of its shards', async () => {
    const guild = simulator.world.guilds.find(({ id }) => (BigInt(id) >> 22n) % BigInt(totalShards) === 3n);
    if (guild === undefined) throw new Error('no guild on shard 3');
    simulator.traffic.send('MESSAGE_CREATE', guild);
    await until(async () => (await readFile(notes, 'utf8').catch(() => '')).includes(guild.id), 'the event arrives');
    const [line] = (await readFile(notes, 'utf8')).split('\n');
    expect(JSON.parse(line ?? '')).toMatchObject({
      type: 'MESSAGE_CREATE',
      shard: { id: 3, total: 4 },
      guildId: guild.id,
    });
  }, 60_000);

  test('a worker that crashes is started again and resumes', async () => {
    const identifies = simulator.stats.identifies.length;
    kill(shards, 'worker-1');
    await manager.untilReady();
    expect((await manager.getShardInfo()).map(({ shardId }) => shardId)).toEqual([1, 3]);
    expect(simulator.stats.identifies.length).toBe(identifies);
  }, 60_000);
});

describe('a manager without respawn', () => {
  test('leaves a crashed worker down and says so', async () => {
    const { manager, shards } = managerOf(join(import.meta.dirname, 'baton-bot.ts'), {
      totalShards: 1,
      respawn: false,
    });
    try {
      expect(await manager.spawnShards()).toMatchObject([{ shardId: 0, ready: true }]);
      kill(shards, 'worker-1');
      await until(() => shards.downReason('worker-1') !== undefined, 'the crash is noticed');
      const stats = await manager.getShardStats({ timeoutMs: 300 });
      expect(stats).toEqual([{ shardId: 0, error: 'worker-1 ended SIGKILL; it stays down (respawn is false)' }]);
      const answer = await manager.fetchClientValues('guilds.cache.size', { timeoutMs: 300 });
      expect(answer).toMatchObject({ results: [], missing: [{ shard: 0, worker: 'worker-1' }] });
    } finally {
      await manager.stop();
    }
    await expect(manager.getShardStats()).rejects.toThrow('getShardStats: this manager was stopped; create another');
  }, 60_000);
});

describe('a manager that cannot start', () => {
  const bot = join(import.meta.dirname, 'baton-bot.ts');
  test.each([
    [
      'a bot file that is not there',
      'nowhere/bot.ts',
      {},
      'REQUEST_INVALID',
      /botFile="nowhere\/bot\.ts" must be a file/,
    ],
    [
      'a module without handlers',
      join(import.meta.dirname, 'queries.ts'),
      {},
      'HANDLERS_INVALID',
      /exports no definition/,
    ],
    [
      'queries that are not there',
      bot,
      { queries: 'nowhere.ts' },
      'REQUEST_INVALID',
      /queries="nowhere\.ts" must be a file/,
    ],
  ])('%s', async (_, botFile, options, code, message) => {
    const manager = createShardManager(botFile, { token: simulator.token, totalShards: 1, ...options }, {});
    await expect(manager.spawnShards()).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
    await manager.stop();
  });

  test('a token that Discord does not know', async () => {
    const manager = createShardManager(
      bot,
      { token: 'wrong.token', totalShards: 1 },
      { DISCORD_API_URL: simulator.apiUrl },
    );
    await expect(manager.spawnShards()).rejects.toThrow(/token/);
    await manager.stop();
  }, 60_000);
});

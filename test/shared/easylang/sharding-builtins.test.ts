import { describe, expect, test } from 'vitest';
import { ShardManager } from '../../../shared/control/shard-manager.ts';
import { checkShardManagerOptions, type ShardManagerOptions } from '../../../shared/control/shard-manager-options.ts';
import {
  createShardingBuiltins,
  type ShardingBuiltinName,
  shardingBuiltinNames,
} from '../../../shared/easylang/sharding-builtins.ts';
import {
  easyArray,
  easyBoolean,
  easyNull,
  easyNumber,
  easyObject,
  easyString,
  type EasyValue,
  fromEasyValue,
  toEasyValue,
} from '../../../shared/easylang/values.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FakeFleet } from '../control/fake-fleet.ts';

function script() {
  const fleet = new FakeFleet(3);
  const created: { botFile: string; options: ShardManagerOptions }[] = [];
  const builtins = createShardingBuiltins({
    interpreters: { '.ez': ['easylang'] },
    createShardManager(botFile, options) {
      checkShardManagerOptions(botFile, options, { DISCORD_TOKEN: 'a.token' });
      created.push({ botFile, options });
      return new ShardManager({ clock: new ManualClock(), fleet, close: () => {} });
    },
  });
  const run = (name: ShardingBuiltinName, ...args: EasyValue[]) => builtins[name].call(args);
  return { fleet, created, builtins, run, manager: () => run('create_shard_manager', easyString('bot.ez')) };
}

describe('the seven built-ins', () => {
  test('are native functions under their names', () => {
    const { builtins } = script();
    expect(Object.values(builtins).map(({ kind, name }) => [kind, name])).toEqual(
      shardingBuiltinNames.map((name) => ['native function', name]),
    );
  });

  test('create a manager with the options of the language', async () => {
    const { run, created } = script();
    const manager = await run(
      'create_shard_manager',
      easyString('bot.ez'),
      easyObject({
        total_shards: easyNumber(4),
        shard_list: easyArray([easyNumber(1), easyNumber(3)]),
        respawn: easyBoolean(false),
        token: easyNull,
      }),
    );
    expect(created).toEqual([
      {
        botFile: 'bot.ez',
        options: { totalShards: 4, shardList: [1, 3], respawn: false, interpreters: { '.ez': ['easylang'] } },
      },
    ]);
    expect(fromEasyValue(manager)).toEqual({ bot_file: 'bot.ez', total_shards: 4, shard_list: [1, 3], respawn: false });
  });

  test('answer with fields in the language’s own style', async () => {
    const { run, manager } = script();
    const shards = await manager();
    expect(fromEasyValue(await run('spawn_shards', shards))).toMatchObject([
      {
        shard_id: 0,
        total_shards: 3,
        status: 'ready',
        ready: true,
        worker: 'worker-1',
        guild_count: 10,
        latency_ms: 42,
      },
      { shard_id: 1 },
      { shard_id: 2 },
    ]);
    expect(fromEasyValue(await run('get_shard_info', shards))).toHaveLength(3);
    expect(fromEasyValue(await run('get_shard_stats', shards))).toMatchObject([
      { shard_id: 0, guild_count: 10, user_count: 100, ping: 42, memory_mb: 80, uptime_ms: 5000, ready: true },
      { shard_id: 1 },
      { shard_id: 2 },
    ]);
    expect(fromEasyValue(await run('respawn_shard', shards, easyNumber(2)))).toEqual({
      shard_id: 2,
      how: 'resumed',
      took_ms: 7,
    });
  });

  test('run code and read properties on every shard', async () => {
    const { run, manager, fleet } = script();
    const shards = await manager();
    expect(fromEasyValue(await run('broadcast_eval', shards, easyString('client.shard.ids[0] * 2')))).toEqual([
      0, 2, 4,
    ]);
    expect(fleet.asked.at(-1)).toEqual({ kind: 'eval', code: 'client.shard.ids[0] * 2' });
    expect(fromEasyValue(await run('fetch_client_values', shards, easyString('nothing.here')))).toEqual([
      null,
      null,
      null,
    ]);
  });

  test('put an error in the place of a shard that cannot answer', async () => {
    const { run, manager, fleet } = script();
    const shards = await manager();
    fleet.silent.set(1, 'no answer from worker-1 within 5000 ms');
    const missing = { shard_id: 1, error: 'no answer from worker-1 within 5000 ms' };
    expect(fromEasyValue(await run('fetch_client_values', shards, easyString('shard.ids.0')))).toEqual([0, missing, 2]);
    expect(fromEasyValue(await run('get_shard_stats', shards))).toMatchObject([
      { shard_id: 0 },
      missing,
      { shard_id: 2 },
    ]);
  });
});

describe('what a script does wrong', () => {
  test.each<[ShardingBuiltinName, EasyValue[], string]>([
    ['create_shard_manager', [], 'create_shard_manager expects 1 or 2 arguments, got 0'],
    ['spawn_shards', [], 'spawn_shards expects 1 argument, got 0'],
    ['spawn_shards', [easyNull, easyNull], 'spawn_shards expects 1 argument, got 2'],
    ['get_shard_info', [], 'get_shard_info expects 1 argument, got 0'],
    ['broadcast_eval', [easyNull], 'broadcast_eval expects 2 arguments, got 1'],
    ['fetch_client_values', [easyNull], 'fetch_client_values expects 2 arguments, got 1'],
    ['respawn_shard', [easyNull], 'respawn_shard expects 2 arguments, got 1'],
    ['get_shard_stats', [], 'get_shard_stats expects 1 argument, got 0'],
    ['create_shard_manager', [easyNumber(1)], 'create_shard_manager: argument 1 must be the path of a bot file, got 1'],
    [
      'create_shard_manager',
      [easyString('')],
      'create_shard_manager: argument 1 must be the path of a bot file, got ""',
    ],
    [
      'create_shard_manager',
      [easyString('bot.py')],
      'create_shard_manager: botFile="bot.py" must be a file with one of the extensions',
    ],
    [
      'create_shard_manager',
      [easyString('bot.ez'), easyNumber(2)],
      'create_shard_manager: argument 2 must be an object of options, got 2',
    ],
    [
      'get_shard_info',
      [easyString('manager')],
      'get_shard_info: argument 1 must be a shard manager, as create_shard_manager returns it, got "manager"',
    ],
    [
      'get_shard_info',
      [easyObject({})],
      'get_shard_info: argument 1 must be a shard manager, as create_shard_manager returns it, got an object',
    ],
  ])('%s', async (name, args, message) => {
    const { run } = script();
    await expect(run(name, ...args)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining(message) as string,
    });
  });

  test.each<[string, EasyValue, string]>([
    [
      'total_shards',
      easyNumber(0),
      'total_shards must be "auto" or a number of shards, a whole number from 1 to 100000, got 0',
    ],
    ['total_shards', easyNumber(1.5), 'got 1.5'],
    ['total_shards', easyString('many'), 'got "many"'],
    ['shard_list', easyString('all'), 'shard_list must be "auto" or an array of shard ids, got "all"'],
    ['shard_list', easyArray([]), 'shard_list must have at least one shard id, got an array of 0'],
    [
      'shard_list',
      easyArray([easyNumber(0), easyString('1')]),
      'shard_list[1] must be a shard id, a whole number from 0 to 99999, got "1"',
    ],
    [
      'shard_list',
      easyArray([easyNumber(-1)]),
      'shard_list[0] must be a shard id, a whole number from 0 to 99999, got -1',
    ],
    ['respawn', easyString('yes'), 'respawn must be true or false, got "yes"'],
    ['token', easyNumber(5), 'token must be a string, got a value of type number'],
    ['mode', easyString('process'), 'there is no option mode; there are token, total_shards, shard_list, respawn'],
  ])('the option %s', async (name, value, message) => {
    const { run } = script();
    const options = easyObject({ [name]: value });
    await expect(run('create_shard_manager', easyString('bot.ez'), options)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringMatching(/^create_shard_manager: /) as string,
    });
    await expect(run('create_shard_manager', easyString('bot.ez'), options)).rejects.toThrow(message);
  });

  test('a shard that there is not, code that is none, a path that is none', async () => {
    const { run, manager } = script();
    const shards = await manager();
    await expect(run('respawn_shard', shards, easyNumber(3))).rejects.toThrow(
      'respawn_shard: there is no shard 3: the fleet has 0 to 2',
    );
    await expect(run('respawn_shard', shards, easyNumber(0.5))).rejects.toThrow(
      'respawn_shard: argument 2 must be a shard id, a whole number from 0 to 99999, got 0.5',
    );
    await expect(run('broadcast_eval', shards, easyNumber(1))).rejects.toThrow(
      'broadcast_eval: argument 2 must be code in a string, got 1',
    );
    await expect(
      run('broadcast_eval', shards, { kind: 'native function', name: 'print', call: async () => easyNull }),
    ).rejects.toThrow('a function cannot travel to other machines; write it as text, got the function print');
    await expect(run('fetch_client_values', shards, easyString('a b'))).rejects.toThrow(
      'fetch_client_values: "a b" is no property path',
    );
  });

  test('eval that is off is told in the built-in’s name', async () => {
    const { run, manager, fleet } = script();
    fleet.evalIsOff = true;
    await expect(run('broadcast_eval', await manager(), easyString('1'))).rejects.toMatchObject({
      code: 'EVAL_OFF',
      message: expect.stringMatching(/^broadcast_eval: eval is off on every worker/) as string,
    });
  });
});

describe('values', () => {
  test('go both ways', () => {
    const data = { a: [1, 'two', true, null, { b: [] }], c: -0.5 };
    expect(fromEasyValue(toEasyValue(data))).toEqual(data);
    expect(fromEasyValue(toEasyValue([undefined, Number.NaN, Infinity]))).toEqual([null, null, null]);
  });

  test('are data', () => {
    expect(() => toEasyValue(() => 1)).toThrow('a function is no value of EasyLang');
    expect(() => toEasyValue(1n)).toThrow('a bigint is no value of EasyLang');
    expect(() => fromEasyValue({ kind: 'native function', name: 'print', call: async () => easyNull })).toThrow(
      'the function print is no data',
    );
  });
});

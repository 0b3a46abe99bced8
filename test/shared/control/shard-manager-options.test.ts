import { describe, expect, test } from 'vitest';
import { checkShardManagerOptions } from '../../../shared/control/shard-manager-options.ts';
import { BatonError } from '../../../shared/errors.ts';

const environment = { DISCORD_TOKEN: 'from.the.environment' };

describe('options that are left out', () => {
  test('are those of discord.js', () => {
    expect(checkShardManagerOptions('bot.ts', {}, environment)).toEqual({
      token: 'from.the.environment',
      totalShards: 'auto',
      shardList: 'auto',
      respawn: true,
      workers: 2,
      bot: { kind: 'module', file: 'bot.ts' },
      queries: undefined,
    });
  });

  test.each([
    [{ totalShards: 1 }, { workers: 1 }],
    [
      { totalShards: 8, shardList: [5, 1, 5] },
      { shardList: [1, 5], workers: 1 },
    ],
    [{ totalShards: 8, workers: 4 }, { workers: 4 }],
    [{ token: 'Bot my.token' }, { token: 'my.token' }],
  ])('%j', (options, expected) => {
    expect(checkShardManagerOptions('bot.ts', options, environment)).toMatchObject(expected);
  });
});

describe('bot files', () => {
  test.each(['bot.ts', 'bot.js', 'bot.mjs', 'bot.mts'])('%s is a module', (file) => {
    expect(checkShardManagerOptions(file, {}, environment).bot).toEqual({ kind: 'module', file });
  });

  test('others have an interpreter', () => {
    const interpreters = { '.ez': ['easylang', 'run'], '.js': ['deno', 'run'] };
    expect(checkShardManagerOptions('bot.ez', { interpreters }, environment).bot).toEqual({
      kind: 'interpreted',
      file: 'bot.ez',
      command: ['easylang', 'run'],
    });
    expect(checkShardManagerOptions('bot.js', { interpreters }, environment).bot.kind).toBe('interpreted');
  });
});

describe('what is refused, with the value and what is allowed', () => {
  test.each<[unknown, unknown, string]>([
    ['', {}, 'botFile="" must be the path of a bot file'],
    [undefined, {}, 'botFile=undefined must be the path of a bot file'],
    [
      'bot.py',
      {},
      'botFile="bot.py" must be a file with one of the extensions .ts, .mts, .js, .mjs; name the command of another in interpreters',
    ],
    ['bot.ts', null, 'options=null must be an object'],
    ['bot.ts', { mode: 'worker' }, 'there is no option mode; there are token, totalShards, shardList'],
    ['bot.ts', { totalShards: 0 }, "totalShards=0 must be 'auto' or a whole number from 1 to 100000"],
    ['bot.ts', { totalShards: 'many' }, 'totalShards="many" must be'],
    ['bot.ts', { totalShards: '4' }, 'totalShards="4" must be'],
    ['bot.ts', { totalShards: 2.5 }, 'totalShards=2.5 must be'],
    ['bot.ts', { totalShards: Number.NaN }, 'totalShards=NaN must be'],
    ['bot.ts', { totalShards: 100_001 }, 'totalShards=100001 must be'],
    [
      'bot.ts',
      { totalShards: 4, shardList: 'all' },
      'shardList="all" must be \'auto\' or an array of at least one shard id',
    ],
    ['bot.ts', { totalShards: 4, shardList: [] }, 'shardList=[] must be'],
    [
      'bot.ts',
      { totalShards: 4, shardList: ['1'] },
      'shardList=["1"] must be of whole numbers from 0 to 3 (totalShards is 4); "1" is not',
    ],
    [
      'bot.ts',
      { totalShards: 4, shardList: [0, 4] },
      'shardList=[0,4] must be of whole numbers from 0 to 3 (totalShards is 4); 4 is not',
    ],
    [
      'bot.ts',
      { totalShards: 4, shardList: [-1] },
      'shardList=[-1] must be of whole numbers from 0 to 3 (totalShards is 4); -1 is not',
    ],
    ['bot.ts', { shardList: [0] }, 'totalShards="auto" must be a number when shardList is given'],
    ['bot.ts', { respawn: 'yes' }, 'respawn="yes" must be true or false'],
    ['bot.ts', { workers: 0 }, 'workers=0 must be a whole number from 1 to 64'],
    ['bot.ts', { totalShards: 4, shardList: [0], workers: 2 }, 'workers=2 must be 1 when shardList is given'],
    ['bot.ts', { interpreters: [] }, 'interpreters=[] must be an object such as'],
    ['bot.ts', { interpreters: { ez: ['easylang'] } }, 'interpreters["ez"]=["easylang"] must be a command such as'],
    ['bot.ts', { interpreters: { '.ez': 'easylang' } }, 'interpreters[".ez"]="easylang" must be a command'],
    ['bot.ts', { queries: 7 }, 'queries=7 must be the path of a module'],
    ['bot.ts', { totalShards: () => 4 }, 'totalShards=a function must be'],
  ])('%j with %j', (botFile, options, complaint) => {
    const check = () => checkShardManagerOptions(botFile, options, environment);
    expect(check).toThrow(BatonError);
    expect(check).toThrow(`createShardManager: ${complaint}`);
  });

  test('a token is never shown', () => {
    expect(() => checkShardManagerOptions('bot.ts', {}, {})).toThrow('token is missing: give it, or set DISCORD_TOKEN');
    expect(() => checkShardManagerOptions('bot.ts', { token: 'my secret' }, {})).toThrow(
      /^createShardManager: token is none/,
    );
    expect(() => checkShardManagerOptions('bot.ts', { token: 'my secret' }, {})).not.toThrow(/secret/);
  });
});

import { GatewayIntentBits } from 'discord-api-types/v10';
import { describe, expect, test } from 'vitest';
import {
  intentBits,
  readDiscordConfig,
  readFleetConfig,
  readFunctionsConfig,
  readRebalanceConfig,
  readWorkerConfig,
  readDirectoryConfig,
} from '../../shared/config.ts';
import { BatonError } from '../../shared/errors.ts';

const token = 'MTE4MDAwMDAwMDAwMDAwMDAwMA.Gabcde.0123456789_abcdefghijklmnopqrstuvwxyz';
const least = { DISCORD_TOKEN: token };

function complaint(env: Record<string, string | undefined>): string {
  try {
    readWorkerConfig({ ...least, ...env });
  } catch (error) {
    expect(error).toBeInstanceOf(BatonError);
    expect((error as BatonError).code).toBe('CONFIG_INVALID');
    return (error as BatonError).message;
  }
  throw new Error('the configuration was accepted');
}

describe('a worker that is told nothing but the token', () => {
  test('gets the defaults of the contract', () => {
    expect(readWorkerConfig(least)).toEqual({
      fleet: 'baton',
      table: 'baton-coordination',
      directoryTable: 'baton-directory',
      eventsQueue: 'baton-events.fifo',
      interactionsQueue: 'baton-interactions',
      token,
      discordApiUrl: 'https://discord.com/api/v10',
      intents: undefined,
      workerId: undefined,
      maxShards: undefined,
      sharding: { mode: 'fleet', totalShards: 'auto' },
      originalCoordinator: false,
      heartbeatMs: 3000,
      missedHeartbeats: 3,
      eventTypes: undefined,
      directoryEntities: new Set(['guilds', 'channels', 'threads', 'roles']),
      lingerMs: 250,
      envelopeEncoding: 'zstd',
      compress: 'zstd-stream',
      stopTimeoutMs: 30_000,
      evalMode: 'off',
      httpPort: undefined,
      logLevel: 'info',
    });
  });

  test('reads empty variables as unset', () => {
    const names = ['BATON_FLEET', 'BATON_TOTAL_SHARDS', 'BATON_SHARD_IDS', 'DISCORD_INTENTS', 'BATON_COMPRESS'];
    const empty = Object.fromEntries(names.map((name) => [name, ' ']));
    expect(readWorkerConfig({ ...least, ...empty })).toEqual(readWorkerConfig(least));
  });
});

test('the name of the fleet is in the name of everything that has no name of its own', () => {
  expect(readFleetConfig({ BATON_FLEET: 'music', BATON_TABLE: 'mine' })).toEqual({
    fleet: 'music',
    table: 'mine',
    directoryTable: 'music-directory',
    eventsQueue: 'music-events.fifo',
    interactionsQueue: 'music-interactions',
  });
  expect(readFunctionsConfig({ ...least, BATON_FLEET: 'music' }).eventsDlq).toBe('music-events-dlq.fifo');
});

test('the rebalance function needs no token, and heartbeats as the workers have them', () => {
  expect(readRebalanceConfig({ BATON_FLEET: 'music' })).toMatchObject({
    table: 'music-coordination',
    heartbeatMs: 3000,
    missedHeartbeats: 3,
    logLevel: 'info',
  });
  expect(() => readRebalanceConfig({ BATON_HEARTBEAT_MS: '5000', BATON_MISSED_HEARTBEATS: '4' })).toThrow(
    /must be at most 15000/,
  );
});

test.each([
  { env: { BATON_TOTAL_SHARDS: '64' }, expected: { sharding: { mode: 'fleet', totalShards: 64 } } },
  { env: { BATON_TOTAL_SHARDS: 'auto' }, expected: { sharding: { mode: 'fleet', totalShards: 'auto' } } },
  { env: { BATON_SHARD_MODE: 'single' }, expected: { sharding: { mode: 'single' } } },
  { env: { BATON_SHARD_MODE: 'single', BATON_TOTAL_SHARDS: '1' }, expected: { sharding: { mode: 'single' } } },
  {
    env: { BATON_SHARD_MODE: 'explicit', BATON_TOTAL_SHARDS: '8', BATON_SHARD_IDS: '7, 4-6,0,5' },
    expected: { sharding: { mode: 'explicit', totalShards: 8, shardIds: [0, 4, 5, 6, 7] } },
  },
  { env: { DISCORD_INTENTS: '513' }, expected: { intents: 513 } },
  { env: { DISCORD_INTENTS: 'GUILDS, GUILD_MESSAGES' }, expected: { intents: 513 } },
  { env: { BATON_EVENT_TYPES: '*' }, expected: { eventTypes: '*' } },
  {
    env: { BATON_EVENT_TYPES: 'MESSAGE_CREATE, GUILD_CREATE' },
    expected: { eventTypes: new Set(['MESSAGE_CREATE', 'GUILD_CREATE']) },
  },
  {
    env: { DISCORD_API_URL: 'http://127.0.0.1:4000/api/v10/' },
    expected: { discordApiUrl: 'http://127.0.0.1:4000/api/v10' },
  },
  {
    env: { BATON_EVENTS_QUEUE: 'https://sqs.eu-west-1.amazonaws.com/1/a.fifo' },
    expected: { eventsQueue: 'https://sqs.eu-west-1.amazonaws.com/1/a.fifo' },
  },
  { env: { BATON_ORIGINAL_COORDINATOR: 'true' }, expected: { originalCoordinator: true } },
  {
    env: { BATON_HEARTBEAT_MS: '5000', BATON_MISSED_HEARTBEATS: '3' },
    expected: { heartbeatMs: 5000, missedHeartbeats: 3 },
  },
  { env: { BATON_MAX_SHARDS: ' 20 ' }, expected: { maxShards: 20 } },
])('$env is understood', ({ env, expected }) => {
  expect(readWorkerConfig({ ...least, ...env })).toMatchObject(expected);
});

describe('a wrong value', () => {
  test.each([
    { name: 'DISCORD_API_URL', value: 'discord.com', allowed: 'an http or https URL' },
    { name: 'DISCORD_API_URL', value: 'ftp://discord.com', allowed: 'an http or https URL' },
    { name: 'DISCORD_INTENTS', value: 'GUILDS,NONSENSE', allowed: 'a number, or intent names' },
    { name: 'DISCORD_INTENTS', value: '-1', allowed: 'a number, or intent names' },
    { name: 'BATON_FLEET', value: '1st', allowed: 'a letter, then up to 38' },
    { name: 'BATON_FLEET', value: 'f'.repeat(40), allowed: 'a letter, then up to 38' },
    { name: 'BATON_TABLE', value: 'no spaces', allowed: '3 to 255 letters' },
    { name: 'BATON_DIRECTORY_TABLE', value: 'ab', allowed: '3 to 255 letters' },
    { name: 'BATON_EVENTS_QUEUE', value: 'baton-events', allowed: 'a queue name or URL that ends in .fifo' },
    { name: 'BATON_INTERACTIONS_QUEUE', value: 'a b', allowed: 'a queue name or URL' },
    { name: 'BATON_WORKER_ID', value: 'a/b', allowed: '1 to 128 letters' },
    { name: 'BATON_MAX_SHARDS', value: '0', allowed: 'a whole number from 1 to 100000' },
    { name: 'BATON_TOTAL_SHARDS', value: 'abc', allowed: 'auto or a whole number from 1 to 100000' },
    { name: 'BATON_TOTAL_SHARDS', value: '0', allowed: 'auto or a whole number from 1' },
    { name: 'BATON_TOTAL_SHARDS', value: '1e3', allowed: 'auto or a whole number from 1' },
    { name: 'BATON_TOTAL_SHARDS', value: '-4', allowed: 'auto or a whole number from 1' },
    { name: 'BATON_SHARD_MODE', value: 'cluster', allowed: 'one of single, explicit, fleet' },
    { name: 'BATON_SHARD_IDS', value: '4-', allowed: 'shard ids such as 0,4-7' },
    { name: 'BATON_SHARD_IDS', value: '7-4', allowed: 'shard ids such as 0,4-7' },
    { name: 'BATON_ORIGINAL_COORDINATOR', value: 'yes', allowed: 'true or false' },
    { name: 'BATON_HEARTBEAT_MS', value: '3s', allowed: 'a whole number from 200 to 5000' },
    { name: 'BATON_HEARTBEAT_MS', value: '5001', allowed: 'a whole number from 200 to 5000' },
    { name: 'BATON_MISSED_HEARTBEATS', value: '1', allowed: 'a whole number from 2 to 10' },
    { name: 'BATON_EVENT_TYPES', value: 'messageCreate', allowed: '* or dispatch types' },
    { name: 'BATON_LINGER_MS', value: '0', allowed: 'a whole number from 10 to 5000' },
    { name: 'BATON_ENVELOPE_ENCODING', value: 'brotli', allowed: 'one of none, gzip, zstd' },
    { name: 'BATON_COMPRESS', value: 'zlib', allowed: 'one of none, zlib-stream, zstd-stream' },
    { name: 'BATON_STOP_TIMEOUT_MS', value: '120001', allowed: 'a whole number from 1000 to 120000' },
    { name: 'BATON_HTTP_PORT', value: '65536', allowed: 'a whole number from 1 to 65535' },
    { name: 'BATON_LOG_LEVEL', value: 'loud\nlouder', allowed: 'one of fatal, error' },
  ])('of $name is told with the value and what is allowed: $value', ({ name, value, allowed }) => {
    const message = complaint({ [name]: value });
    expect(message).toContain(`${name}=${JSON.stringify(value)} must be ${allowed}`);
    expect(message).not.toContain('\n');
  });

  test('is told together with all others', () => {
    const message = complaint({
      DISCORD_TOKEN: undefined,
      BATON_TOTAL_SHARDS: 'abc',
      BATON_LINGER_MS: 'slow',
      BATON_COMPRESS: 'best',
    });
    for (const name of ['DISCORD_TOKEN', 'BATON_TOTAL_SHARDS', 'BATON_LINGER_MS', 'BATON_COMPRESS']) {
      expect(message.split(name)).toHaveLength(2);
    }
    expect(message.split('; ')).toHaveLength(4);
  });
});

describe('the token', () => {
  test.each([undefined, '', '   '])('is missing when it is %j', (value) => {
    const message = 'DISCORD_TOKEN is missing: it must be the bot token from the Discord developer portal';
    expect(complaint({ DISCORD_TOKEN: value })).toBe(message);
    expect(() => readDiscordConfig({ DISCORD_TOKEN: value })).toThrow(message);
    expect(() => readFunctionsConfig({ DISCORD_TOKEN: value })).toThrow(message);
  });

  test('that is wrong is not shown', () => {
    const wrong = `Bot ${token}`;
    const message = complaint({ DISCORD_TOKEN: wrong, BATON_LINGER_MS: '0' });
    expect(message).toContain('DISCORD_TOKEN=*** must be');
    expect(message).not.toContain(token);
  });

  test('loses the white space that a file left at its end', () => {
    expect(readDiscordConfig({ DISCORD_TOKEN: `${token}\n` }).token).toBe(token);
  });
});

describe('values that do not go together', () => {
  const explicit = { BATON_SHARD_MODE: 'explicit', BATON_TOTAL_SHARDS: '8', BATON_SHARD_IDS: '0-7' };

  test.each([
    {
      name: 'a shard id beyond the total',
      env: { ...explicit, BATON_SHARD_IDS: '0,8,9' },
      problem: 'BATON_SHARD_IDS holds 8: shard ids must be below BATON_TOTAL_SHARDS=8',
    },
    {
      name: 'explicit shards of an unknown total',
      env: { ...explicit, BATON_TOTAL_SHARDS: 'auto' },
      problem: 'BATON_TOTAL_SHARDS must be a number when BATON_SHARD_MODE is explicit',
    },
    {
      name: 'explicit shards without a total',
      env: { ...explicit, BATON_TOTAL_SHARDS: '' },
      problem: 'BATON_TOTAL_SHARDS must be a number when BATON_SHARD_MODE is explicit',
    },
    {
      name: 'explicit shards without ids',
      env: { ...explicit, BATON_SHARD_IDS: undefined },
      problem: 'BATON_SHARD_IDS is missing: it must be shard ids such as 0,4-7 when BATON_SHARD_MODE is explicit',
    },
    {
      name: 'ids for the fleet to ignore',
      env: { BATON_SHARD_IDS: '0' },
      problem: 'BATON_SHARD_IDS must be unset when BATON_SHARD_MODE is fleet',
    },
    {
      name: 'ids of the only shard',
      env: { BATON_SHARD_MODE: 'single', BATON_SHARD_IDS: '0' },
      problem: 'BATON_SHARD_IDS must be unset when BATON_SHARD_MODE is single',
    },
    {
      name: 'one shard of two',
      env: { BATON_SHARD_MODE: 'single', BATON_TOTAL_SHARDS: '2' },
      problem: 'BATON_TOTAL_SHARDS=2 must be 1 or unset when BATON_SHARD_MODE is single',
    },
  ])('$name', ({ env, problem }) => {
    expect(complaint(env)).toBe(problem);
  });

  test('a death that is noticed later than Discord keeps events', () => {
    expect(complaint({ BATON_HEARTBEAT_MS: '5000', BATON_MISSED_HEARTBEATS: '4' })).toMatch(
      /is 20000: it must be at most 15000/,
    );
  });

  test('a wrong value is complained about once, not again as missing', () => {
    expect(complaint({ ...explicit, BATON_SHARD_IDS: '4-' })).toBe(
      'BATON_SHARD_IDS="4-" must be shard ids such as 0,4-7',
    );
    expect(complaint({ ...explicit, BATON_TOTAL_SHARDS: 'x' })).toBe(
      'BATON_TOTAL_SHARDS="x" must be auto or a whole number from 1 to 100000',
    );
  });
});

describe('the consumer guard', () => {
  test.each([
    { value: undefined, on: false },
    { value: 'off', on: false },
    { value: 'on', on: true },
  ])('is $on when told $value', ({ value, on }) => {
    expect(readFunctionsConfig({ ...least, BATON_CONSUMER_GUARD: value }).consumerGuard).toBe(on);
  });

  test('is not guessed', () => {
    expect(() => readFunctionsConfig({ ...least, BATON_CONSUMER_GUARD: 'true' })).toThrow(
      'BATON_CONSUMER_GUARD="true" must be one of on, off',
    );
  });
});

test("intents have Discord's names", () => {
  expect(intentBits.get('GUILD_MESSAGE_REACTIONS')).toBe(GatewayIntentBits.GuildMessageReactions);
  expect(intentBits.get('MESSAGE_CONTENT')).toBe(GatewayIntentBits.MessageContent);
  expect(intentBits.get('AUTO_MODERATION_CONFIGURATION')).toBe(GatewayIntentBits.AutoModerationConfiguration);
  expect([...intentBits.keys()].filter((name) => !/^[A-Z]+(_[A-Z]+)*$/.test(name))).toEqual([]);
});

describe('the directory function', () => {
  const token = { DISCORD_TOKEN: 'token' };

  test('keeps guilds with whatever else is named, or nothing', () => {
    const entities = (BATON_DIRECTORY: string) => [
      ...readDirectoryConfig({ ...token, BATON_DIRECTORY }).directoryEntities,
    ];
    expect(entities('roles, members')).toEqual(['guilds', 'roles', 'members']);
    expect(entities('off')).toEqual([]);
    expect(() => entities('guilds,messages')).toThrow(/BATON_DIRECTORY="guilds,messages" must be off or entities/);
  });

  test('preloads members only where members are kept', () => {
    const config = (more: object) => readDirectoryConfig({ ...token, BATON_DIRECTORY_PRELOAD: 'members', ...more });
    expect(() => config({})).toThrow(/BATON_DIRECTORY must name them, too/);
    expect([...config({ BATON_DIRECTORY: 'members' }).directoryPreload]).toEqual(['members']);
  });
});

import { extname } from 'node:path';
import { BatonError } from '../errors.ts';

/** Options of `createShardManager`; those of discord.js's ShardingManager have its names and defaults. */
export interface ShardManagerOptions {
  /** @default the environment's DISCORD_TOKEN */
  readonly token?: string;
  /** `auto`: what Discord recommends. @default 'auto' */
  readonly totalShards?: number | 'auto';
  /** The shards to run, when others run elsewhere; needs `totalShards` as a number. @default 'auto', all of them */
  readonly shardList?: readonly number[] | 'auto';
  /** Whether worker processes that crash are started again, with a growing pause. @default true */
  readonly respawn?: boolean;
  /** Worker processes. @default 2, or 1 for one shard or a list of shards */
  readonly workers?: number;
  /** Commands that run bot files of other languages, by extension: `{ '.ez': ['easylang'] }`. @default none */
  readonly interpreters?: Readonly<Record<string, readonly string[]>>;
  /** A module that exports queries, as `defineQuery` returns them. @default the registered ones */
  readonly queries?: string;
}

/** The options with every default filled in and every rule kept. */
export interface CheckedOptions {
  readonly token: string;
  readonly totalShards: number | 'auto';
  readonly shardList: readonly number[] | 'auto';
  readonly respawn: boolean;
  readonly workers: number;
  readonly bot: BotFile;
  readonly queries: string | undefined;
}

/** A bot is a module of handlers, or a file that an interpreter runs. */
export type BotFile =
  | { readonly kind: 'module'; readonly file: string }
  | { readonly kind: 'interpreted'; readonly file: string; readonly command: readonly string[] };

export const maxTotalShards = 100_000;
const maxWorkers = 64;
const moduleExtensions = ['.ts', '.mts', '.js', '.mjs'];

/**
 * Checks what `createShardManager` is given; whether files exist is not looked at here.
 * @throws {BatonError} `REQUEST_INVALID`, naming the option, its value and what it may be.
 */
export function checkShardManagerOptions(
  botFile: unknown,
  options: unknown,
  environment: Readonly<Record<string, string | undefined>>,
): CheckedOptions {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    refuse('options', options, 'an object');
  const given = options as Readonly<Record<keyof ShardManagerOptions, unknown>>;
  const unknownName = Object.keys(given).find((name) => !optionNames.has(name));
  if (unknownName !== undefined) {
    const names = [...optionNames].join(', ');
    throw new BatonError(
      'REQUEST_INVALID',
      `createShardManager: there is no option ${unknownName}; there are ${names}`,
    );
  }
  const totalShards = totalShardsOf(given.totalShards);
  const shardList = shardListOf(given.shardList, totalShards);
  const respawn = given.respawn ?? true;
  if (typeof respawn !== 'boolean') refuse('respawn', respawn, 'true or false');
  const { queries } = given;
  if (queries !== undefined && (typeof queries !== 'string' || queries === ''))
    refuse('queries', queries, 'the path of a module');
  return {
    token: tokenOf(given.token ?? environment['DISCORD_TOKEN']),
    totalShards,
    shardList,
    respawn,
    workers: workersOf(given.workers, totalShards, shardList),
    bot: botFileOf(botFile, given.interpreters),
    queries,
  };
}

const optionNames: ReadonlySet<string> = new Set<keyof ShardManagerOptions>([
  'token',
  'totalShards',
  'shardList',
  'respawn',
  'workers',
  'interpreters',
  'queries',
]);

function refuse(name: string, value: unknown, allowed: string): never {
  throw new BatonError('REQUEST_INVALID', `createShardManager: ${name}=${shown(value)} must be ${allowed}`);
}

/** A value in a message, short. */
export function shown(value: unknown): string {
  if (typeof value === 'function') return 'a function';
  if (typeof value === 'number') return String(value);
  const json =
    typeof value === 'bigint' || typeof value === 'symbol' ? String(value) : (JSON.stringify(value) ?? 'undefined');
  return json.length > 100 ? `${json.slice(0, 100)}…` : json;
}

/** The token is never shown. */
function tokenOf(token: unknown): string {
  const bare = typeof token === 'string' ? token.trim().replace(/^Bot\s+/i, '') : '';
  if (/^[\x21-\x7e]{1,200}$/.test(bare)) return bare;
  const problem = token === undefined || token === '' ? 'is missing: give it, or set DISCORD_TOKEN' : 'is none';
  throw new BatonError(
    'REQUEST_INVALID',
    `createShardManager: token ${problem}; it is on the bot's page of the Discord developer portal`,
  );
}

function totalShardsOf(value: unknown = 'auto'): number | 'auto' {
  if (value === 'auto') return 'auto';
  if (!isWholeNumber(value, 1, maxTotalShards)) {
    refuse('totalShards', value, `'auto' or a whole number from 1 to ${maxTotalShards}`);
  }
  return value;
}

function shardListOf(value: unknown = 'auto', totalShards: number | 'auto'): readonly number[] | 'auto' {
  if (value === 'auto') return 'auto';
  if (!Array.isArray(value) || value.length === 0)
    refuse('shardList', value, "'auto' or an array of at least one shard id");
  if (totalShards === 'auto') refuse('totalShards', totalShards, 'a number when shardList is given');
  for (const id of value as unknown[]) {
    if (!isWholeNumber(id, 0, totalShards - 1)) {
      refuse(
        'shardList',
        value,
        `of whole numbers from 0 to ${totalShards - 1} (totalShards is ${totalShards}); ${shown(id)} is not`,
      );
    }
  }
  return [...new Set(value as number[])].sort((one, other) => one - other);
}

function workersOf(value: unknown, totalShards: number | 'auto', shardList: readonly number[] | 'auto'): number {
  if (value === undefined) return totalShards === 1 || shardList !== 'auto' ? 1 : 2;
  if (!isWholeNumber(value, 1, maxWorkers)) refuse('workers', value, `a whole number from 1 to ${maxWorkers}`);
  if (value > 1 && shardList !== 'auto')
    refuse('workers', value, '1 when shardList is given: one worker runs the list');
  return value;
}

function botFileOf(value: unknown, interpreters: unknown = {}): BotFile {
  if (typeof value !== 'string' || value === '') refuse('botFile', value, 'the path of a bot file');
  const commands = interpretersOf(interpreters);
  const extension = extname(value).toLowerCase();
  const command = commands.get(extension);
  if (command !== undefined) return { kind: 'interpreted', file: value, command };
  if (moduleExtensions.includes(extension)) return { kind: 'module', file: value };
  const allowed = [...moduleExtensions, ...commands.keys()].join(', ');
  return refuse(
    'botFile',
    value,
    `a file with one of the extensions ${allowed}; name the command of another in interpreters`,
  );
}

function interpretersOf(value: unknown): ReadonlyMap<string, readonly string[]> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    refuse('interpreters', value, "an object such as { '.ez': ['easylang'] }");
  }
  const commands = new Map<string, readonly string[]>();
  for (const [extension, command] of Object.entries(value)) {
    const isCommand =
      Array.isArray(command) && command.length > 0 && command.every((part) => typeof part === 'string' && part !== '');
    if (!/^\.\w+$/.test(extension) || !isCommand) {
      refuse(
        `interpreters[${shown(extension)}]`,
        command,
        "a command such as ['easylang', 'run'], under an extension such as .ez",
      );
    }
    commands.set(extension.toLowerCase(), command as string[]);
  }
  return commands;
}

function isWholeNumber(value: unknown, min: number, max: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max;
}

import type { ShardAnswer } from '../control/answers.ts';
import type { ShardManager } from '../control/shard-manager.ts';
import { maxTotalShards, type ShardManagerOptions } from '../control/shard-manager-options.ts';
import { BatonError, messageOf } from '../errors.ts';
import {
  easyArray,
  easyBoolean,
  type EasyObject,
  easyNull,
  easyNumber,
  easyObject,
  easyString,
  type EasyValue,
  type NativeFunction,
  showEasyValue,
  toEasyValue,
} from './values.ts';

export interface ShardingHost {
  /** `createShardManager`, or something that gives a manager of a fleet that is deployed. */
  createShardManager(botFile: string, options: ShardManagerOptions): ShardManager;
  /** Commands that run bot files, by extension; scripts do not choose them. @default none */
  readonly interpreters?: ShardManagerOptions['interpreters'];
}

/** Names of the seven built-ins, as scripts call them. */
export const shardingBuiltinNames = [
  'create_shard_manager',
  'spawn_shards',
  'get_shard_info',
  'broadcast_eval',
  'fetch_client_values',
  'respawn_shard',
  'get_shard_stats',
] as const;
export type ShardingBuiltinName = (typeof shardingBuiltinNames)[number];

/**
 * The seven sharding built-ins of EasyLang over Baton's `ShardManager`. A host defines each under its name; every one
 * is asynchronous, and what a script did wrong is a `BatonError` (`REQUEST_INVALID`) whose message begins with the
 * built-in's name:
 *
 * - `create_shard_manager(bot_file, options?)`: a manager; options `token`, `total_shards`, `shard_list`, `respawn`
 * - `spawn_shards(manager)`: starts the shards and waits until they are ready; the array of their info
 * - `get_shard_info(manager)`: an array of `shard_id, total_shards, status, ready, worker, guild_count, latency_ms`
 * - `broadcast_eval(manager, code)`: runs code on every shard; the array of results, in order of the shards
 * - `fetch_client_values(manager, path)`: the array of the property's values; null where it does not exist
 * - `respawn_shard(manager, shard_id)`: connects a shard anew; `shard_id, how, took_ms`
 * - `get_shard_stats(manager)`: an array of `shard_id, guild_count, user_count, ping, memory_mb, uptime_ms, ready`
 *
 * In all of them a shard that cannot answer is an object of `shard_id` and `error`.
 */
export function createShardingBuiltins(host: ShardingHost): Readonly<Record<ShardingBuiltinName, NativeFunction>> {
  /** The manager behind each object that a script holds. */
  const managers = new WeakMap<EasyObject, ShardManager>();
  const managerAt = (call: Call): ShardManager => {
    const value = call.at(0);
    const manager = value.kind === 'object' ? managers.get(value) : undefined;
    return manager ?? call.refuse('argument 1 must be a shard manager, as create_shard_manager returns it', value);
  };

  return {
    create_shard_manager: builtin('create_shard_manager', [1, 2], async (call) => {
      const botFile = call.string(0, 'the path of a bot file');
      const options = optionsOf(call);
      const manager = host.createShardManager(botFile, {
        ...options,
        ...(host.interpreters && { interpreters: host.interpreters }),
      });
      const object = easyObject({
        bot_file: easyString(botFile),
        total_shards: toEasyValue(options.totalShards ?? 'auto'),
        shard_list: toEasyValue(options.shardList ?? 'auto'),
        respawn: easyBoolean(options.respawn ?? true),
      });
      managers.set(object, manager);
      return object;
    }),
    spawn_shards: builtin('spawn_shards', [1, 1], async (call) => records(await managerAt(call).spawnShards())),
    get_shard_info: builtin('get_shard_info', [1, 1], async (call) => records(await managerAt(call).getShardInfo())),
    broadcast_eval: builtin('broadcast_eval', [2, 2], async (call) => {
      const manager = managerAt(call);
      const code = call.at(1);
      if (code.kind === 'native function') {
        call.refuse(
          'argument 2 must be code in a string: a function cannot travel to other machines; write it as text',
          code,
        );
      }
      return answers(await manager.broadcastEval(call.string(1, 'code in a string')));
    }),
    fetch_client_values: builtin('fetch_client_values', [2, 2], async (call) =>
      answers(await managerAt(call).fetchClientValues(call.string(1, 'a property path such as "guilds.cache.size"'))),
    ),
    respawn_shard: builtin('respawn_shard', [2, 2], async (call) => {
      const manager = managerAt(call);
      return record(await manager.respawnShard(call.wholeNumber(1, 'a shard id', 0, maxTotalShards - 1)));
    }),
    get_shard_stats: builtin('get_shard_stats', [1, 1], async (call) => records(await managerAt(call).getShardStats())),
  };
}

/** One call of a built-in: its arguments, checked as they are taken. */
class Call {
  readonly #name: string;
  readonly #args: readonly EasyValue[];

  constructor(name: string, args: readonly EasyValue[]) {
    this.#name = name;
    this.#args = args;
  }

  at(index: number): EasyValue {
    return this.#args[index] ?? easyNull;
  }

  string(index: number, what: string): string {
    const value = this.at(index);
    if (value.kind === 'string' && value.value !== '') return value.value;
    return this.refuse(`argument ${index + 1} must be ${what}`, value);
  }

  wholeNumber(index: number, what: string, min: number, max: number): number {
    return this.wholeNumberIn(this.at(index), `argument ${index + 1} must be ${what}`, min, max);
  }

  wholeNumberIn(value: EasyValue, problem: string, min: number, max: number): number {
    const isAllowed =
      value.kind === 'number' && Number.isInteger(value.value) && value.value >= min && value.value <= max;
    return isAllowed ? value.value : this.refuse(`${problem}, a whole number from ${min} to ${max}`, value);
  }

  refuse(problem: string, got: EasyValue): never {
    throw new BatonError('REQUEST_INVALID', `${this.#name}: ${problem}, got ${showEasyValue(got)}`);
  }
}

function builtin(
  name: ShardingBuiltinName,
  [least, most]: readonly [number, number],
  run: (call: Call) => Promise<EasyValue>,
): NativeFunction {
  return {
    kind: 'native function',
    name,
    async call(args) {
      if (args.length < least || args.length > most) {
        const count = least === most ? String(least) : `${least} or ${most}`;
        throw new BatonError(
          'REQUEST_INVALID',
          `${name} expects ${count} argument${most === 1 ? '' : 's'}, got ${args.length}`,
        );
      }
      try {
        return await run(new Call(name, args));
      } catch (error) {
        throw inScriptsWords(name, error);
      }
    },
  };
}

/** Errors of the manager speak of its own methods and options; a script knows them by other names. */
function inScriptsWords(name: ShardingBuiltinName, error: unknown): unknown {
  if (!(error instanceof BatonError) || error.message.startsWith(`${name}:`)) return error;
  const said = messageOf(error).replace(
    /^(createShardManager|spawnShards|getShardInfo|broadcastEval|fetchClientValues|respawnShard|getShardStats): /,
    '',
  );
  return new BatonError(error.code, `${name}: ${said}`, { cause: error });
}

const optionNames = ['token', 'total_shards', 'shard_list', 'respawn'];

function optionsOf(call: Call): Pick<ShardManagerOptions, 'token' | 'totalShards' | 'shardList' | 'respawn'> {
  const options = call.at(1);
  if (options.kind === 'null') return {};
  if (options.kind !== 'object') return call.refuse('argument 2 must be an object of options', options);
  for (const [name, value] of options.fields) {
    if (!optionNames.includes(name))
      call.refuse(`there is no option ${name}; there are ${optionNames.join(', ')}`, value);
  }
  const given = (name: string): EasyValue | undefined => {
    const value = options.fields.get(name);
    return value?.kind === 'null' ? undefined : value;
  };
  const token = given('token');
  const respawn = given('respawn');
  const totalShards = given('total_shards');
  const shardList = given('shard_list');
  // A token is never shown, not even a wrong one.
  if (token !== undefined && token.kind !== 'string') {
    throw new BatonError(
      'REQUEST_INVALID',
      `create_shard_manager: token must be a string, got a value of type ${token.kind}`,
    );
  }
  if (respawn !== undefined && respawn.kind !== 'boolean') call.refuse('respawn must be true or false', respawn);
  return {
    ...(token !== undefined && { token: token.value }),
    ...(totalShards !== undefined && { totalShards: totalShardsOf(call, totalShards) }),
    ...(shardList !== undefined && { shardList: shardListOf(call, shardList) }),
    ...(respawn?.kind === 'boolean' && { respawn: respawn.value }),
  };
}

function totalShardsOf(call: Call, value: EasyValue): number | 'auto' {
  if (value.kind === 'string' && value.value === 'auto') return 'auto';
  return call.wholeNumberIn(value, 'total_shards must be "auto" or a number of shards', 1, maxTotalShards);
}

function shardListOf(call: Call, value: EasyValue): readonly number[] | 'auto' {
  if (value.kind === 'string' && value.value === 'auto') return 'auto';
  if (value.kind !== 'array') return call.refuse('shard_list must be "auto" or an array of shard ids', value);
  if (value.elements.length === 0) call.refuse('shard_list must have at least one shard id', value);
  return value.elements.map((element, index) =>
    call.wholeNumberIn(element, `shard_list[${index}] must be a shard id`, 0, maxTotalShards - 1),
  );
}

/** Results and missing shards in one array, in order of the shards. */
function answers({ results, missing }: ShardAnswer<unknown>): EasyValue {
  const all = [
    ...results.map(({ shard, value }) => ({ shard, value: toEasyValue(value) })),
    ...missing.map(({ shard, reason }) => ({
      shard,
      value: easyObject({ shard_id: easyNumber(shard), error: easyString(reason) }),
    })),
  ];
  return easyArray(all.sort((one, other) => one.shard - other.shard).map(({ value }) => value));
}

function records(items: readonly object[]): EasyValue {
  return easyArray(items.map(record));
}

/** Fields under their names in the language: snake case. */
function record(item: object): EasyValue {
  const fields = Object.entries(item).map(([name, value]) => [snakeCase(name), toEasyValue(value)] as const);
  return easyObject(Object.fromEntries(fields));
}

function snakeCase(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

import { GatewayIntentBits } from 'discord-api-types/v10';
import * as z from 'zod';
import {
  type DirectoryEntities,
  defaultDirectoryEntities,
  directoryEntitiesAllowed,
  type DirectoryPreload,
  directoryPreloadAllowed,
  parseDirectoryEntities,
  parseDirectoryPreload,
} from './directory/directory-options.ts';
import { bestEnvelopeEncoding, envelopeEncodings } from './envelope.ts';
import { BatonError } from './errors.ts';

/** Transport compression of the gateway. */
export const gatewayCompressions = ['none', 'zlib-stream', 'zstd-stream'] as const;
export type GatewayCompression = (typeof gatewayCompressions)[number];

/** Which shards a worker runs: one unsharded, a fixed list, or what the fleet assigns. */
export type ShardMode =
  | { readonly mode: 'single' }
  | { readonly mode: 'explicit'; readonly shardIds: readonly number[]; readonly totalShards: number }
  | { readonly mode: 'fleet'; readonly totalShards: number | 'auto' };

/** Names of the fleet's resources; queues by name or URL. */
export interface FleetConfig {
  readonly fleet: string;
  readonly table: string;
  readonly directoryTable: string;
  readonly eventsQueue: string;
  readonly interactionsQueue: string;
}

/** Everything a worker is told from outside (contract, section 2). Durations are milliseconds. */
export interface WorkerConfig extends FleetConfig {
  readonly token: string;
  readonly discordApiUrl: string;
  /** Bits, or `undefined` to take what the handlers need. */
  readonly intents: number | undefined;
  /** `undefined`: the host's name and a random suffix. */
  readonly workerId: string | undefined;
  readonly maxShards: number | undefined;
  readonly sharding: ShardMode;
  readonly originalCoordinator: boolean;
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  /** Dispatch types to forward, `*` for all, or `undefined` to take what the handlers need. */
  readonly eventTypes: ReadonlySet<string> | '*' | undefined;
  /** What of guilds the directory keeps: their events are forwarded, too, where {@link eventTypes} is left to the handlers. */
  readonly directoryEntities: DirectoryEntities;
  readonly lingerMs: number;
  readonly envelopeEncoding: (typeof envelopeEncodings)[number];
  readonly compress: GatewayCompression;
  readonly stopTimeoutMs: number;
  /** Whether operators may run code in the sandbox. */
  readonly evalMode: EvalMode;
  readonly httpPort: number | undefined;
  readonly logLevel: LogLevel;
}

/** What a worker does with code that operators send: nothing, or run it in the sandbox. */
export const evalModes = ['off', 'sandbox'] as const;
export type EvalMode = (typeof evalModes)[number];

export const logLevels = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof logLevels)[number];

type Environment = Readonly<Record<string, string | undefined>>;

/** A parser of one variable, and words for what it accepts. */
interface Variable<T> {
  readonly allowed: string;
  readonly schema: z.ZodType<T, string>;
}

const wholeNumber = (min: number, max: number): Variable<number> => ({
  allowed: `a whole number from ${min} to ${max}`,
  schema: z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.number().min(min).max(max)),
});

const oneOf = <T extends string>(values: readonly T[]): Variable<T> => ({
  allowed: `one of ${values.join(', ')}`,
  schema: z.enum(values),
});

const pattern = (regex: RegExp, allowed: string): Variable<string> => ({ allowed, schema: z.string().regex(regex) });

const flag: Variable<boolean> = {
  allowed: 'true or false',
  schema: z.enum(['true', 'false']).transform((value) => value === 'true'),
};

const httpUrl: Variable<string> = {
  allowed: 'an http or https URL',
  schema: z
    .string()
    .refine((value) => URL.canParse(value) && /^https?:$/.test(new URL(value).protocol))
    .transform((value) => value.replace(/\/+$/, '')),
};

const intents: Variable<number> = {
  allowed: 'a number, or intent names such as GUILDS,GUILD_MESSAGES',
  schema: z.string().transform((value, context) => {
    const bits = parseIntents(value);
    if (bits === undefined) {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
    return bits;
  }),
};

const eventTypes: Variable<ReadonlySet<string> | '*'> = {
  allowed: '* or dispatch types such as MESSAGE_CREATE,GUILD_CREATE',
  schema: z
    .string()
    .regex(/^(\*|[A-Z_]+(\s*,\s*[A-Z_]+)*)$/)
    .transform((value) => (value === '*' ? ('*' as const) : new Set(value.split(/\s*,\s*/)))),
};

const directoryVariable: Variable<DirectoryEntities> = {
  allowed: directoryEntitiesAllowed,
  schema: z.string().transform((value, context) => {
    const entities = parseDirectoryEntities(value);
    if (entities === undefined) {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
    return entities;
  }),
};

const preloadVariable: Variable<ReadonlySet<DirectoryPreload>> = {
  allowed: directoryPreloadAllowed,
  schema: z.string().transform((value, context) => {
    const preload = parseDirectoryPreload(value);
    if (preload === undefined) {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
    return preload;
  }),
};

/** What of guilds the directory keeps: `BATON_DIRECTORY`. @throws {BatonError} `CONFIG_INVALID`. */
export function readDirectoryEntitiesOf(env: Environment): DirectoryEntities {
  const read = new EnvironmentReader(env);
  return read.finish(readDirectoryEntities(read));
}

function readDirectoryEntities(read: EnvironmentReader): DirectoryEntities {
  return read.withDefault('BATON_DIRECTORY', directoryVariable, defaultDirectoryEntities);
}

const maxShardCount = 100_000;
const totalShards: Variable<number | 'auto'> = {
  allowed: `auto or a whole number from 1 to ${maxShardCount}`,
  schema: z.union([z.literal('auto'), wholeNumber(1, maxShardCount).schema]) as z.ZodType<number | 'auto', string>,
};

const shardIds: Variable<readonly number[]> = {
  allowed: 'shard ids such as 0,4-7',
  schema: z.string().transform((value, context) => {
    const ids = parseShardIds(value);
    if (ids === undefined) {
      context.addIssue({ code: 'custom' });
      return z.NEVER;
    }
    return ids;
  }),
};

/** Reads variables one by one and keeps every complaint, so that all of them are told at once. */
class EnvironmentReader {
  readonly problems: string[] = [];
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
  }

  optional<T>(name: string, variable: Variable<T>): T | undefined {
    const value = this.#env[name];
    if (value === undefined || value.trim() === '') return undefined;
    const parsed = variable.schema.safeParse(value.trim());
    if (parsed.success) return parsed.data;
    this.problems.push(`${name}=${JSON.stringify(value)} must be ${variable.allowed}`);
    return undefined;
  }

  withDefault<T>(name: string, variable: Variable<T>, fallback: T): T {
    return this.optional(name, variable) ?? fallback;
  }

  /** What stands there, right or wrong; empty when it is unset. */
  raw(name: string): string {
    return (this.#env[name] ?? '').trim();
  }

  /** A value that no message may show. */
  secret(name: string, variable: Variable<string>): string {
    const value = this.#env[name]?.trim();
    if (value === undefined || value === '') {
      this.problems.push(`${name} is missing: it must be ${variable.allowed}`);
      return '';
    }
    if (!variable.schema.safeParse(value).success) this.problems.push(`${name}=*** must be ${variable.allowed}`);
    return value;
  }

  require(holds: boolean, problem: string): void {
    if (!holds) this.problems.push(problem);
  }

  finish<T>(config: T): T {
    if (this.problems.length > 0) throw new BatonError('CONFIG_INVALID', this.problems.join('; '));
    return config;
  }
}

const tokenVariable = pattern(/^[\x21-\x7e]{1,200}$/, 'the bot token from the Discord developer portal');

const fifoQueue = pattern(/^(https?:\/\/\S+|[\w-]{1,75})\.fifo$/, 'a queue name or URL that ends in .fifo');

const plainQueue = pattern(/^(https?:\/\/\S+|[\w-]{1,80})$/, 'a queue name or URL');

function readFleet(read: EnvironmentReader): FleetConfig {
  const fleet = read.withDefault(
    'BATON_FLEET',
    pattern(/^[a-zA-Z][\w-]{0,38}$/, 'a letter, then up to 38 letters, digits, _ or -'),
    'baton',
  );
  const tableName = pattern(/^[\w.-]{3,255}$/, '3 to 255 letters, digits, _, . or -');
  return {
    fleet,
    table: read.withDefault('BATON_TABLE', tableName, `${fleet}-coordination`),
    directoryTable: read.withDefault('BATON_DIRECTORY_TABLE', tableName, `${fleet}-directory`),
    eventsQueue: read.withDefault('BATON_EVENTS_QUEUE', fifoQueue, `${fleet}-events.fifo`),
    interactionsQueue: read.withDefault('BATON_INTERACTIONS_QUEUE', plainQueue, `${fleet}-interactions`),
  };
}

/** Names of the fleet's resources alone. @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readFleetConfig(env: Environment): FleetConfig {
  const read = new EnvironmentReader(env);
  return read.finish(readFleet(read));
}

/** What Lambda functions and commands need to talk to Discord over REST. */
export interface DiscordConfig {
  readonly token: string;
  readonly discordApiUrl: string;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readDiscordConfig(env: Environment): DiscordConfig {
  const read = new EnvironmentReader(env);
  return read.finish({ token: read.secret('DISCORD_TOKEN', tokenVariable), discordApiUrl: readApiUrl(read) });
}

/** Everything the Lambda functions that run handlers are told from outside. */
export interface FunctionsConfig extends FleetConfig, DiscordConfig {
  /** Dead letters of the events queue; name or URL. */
  readonly eventsDlq: string;
  readonly consumerGuard: boolean;
  /** What of guilds the directory keeps. */
  readonly directoryEntities: DirectoryEntities;
  readonly logLevel: LogLevel;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readFunctionsConfig(env: Environment): FunctionsConfig {
  const read = new EnvironmentReader(env);
  return read.finish(readFunctions(read));
}

function readFunctions(read: EnvironmentReader): FunctionsConfig {
  const fleet = readFleet(read);
  return {
    ...fleet,
    token: read.secret('DISCORD_TOKEN', tokenVariable),
    discordApiUrl: readApiUrl(read),
    eventsDlq: read.withDefault('BATON_EVENTS_DLQ', fifoQueue, `${fleet.fleet}-events-dlq.fifo`),
    directoryEntities: readDirectoryEntities(read),
    consumerGuard: read.withDefault('BATON_CONSUMER_GUARD', oneOf(['on', 'off'] as const), 'off') === 'on',
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
  };
}

/** What the function behind the interactions endpoint is told from outside. */
export interface EndpointConfig extends FunctionsConfig {
  /** The application's Ed25519 key, 64 hex digits. */
  readonly publicKey: string;
}

const publicKeyVariable = pattern(
  /^[0-9a-fA-F]{64}$/,
  "the 64 hex digits of the application's public key (Discord developer portal, General Information)",
);

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readEndpointConfig(env: Environment): EndpointConfig {
  const read = new EnvironmentReader(env);
  const publicKey = read.optional('DISCORD_PUBLIC_KEY', publicKeyVariable);
  read.require(
    publicKey !== undefined || read.raw('DISCORD_PUBLIC_KEY') !== '',
    `DISCORD_PUBLIC_KEY is missing: it must be ${publicKeyVariable.allowed}`,
  );
  return read.finish({ ...readFunctions(read), publicKey: publicKey ?? '' });
}

/** What the directory function is told from outside. */
export interface DirectoryConfig extends FleetConfig, DiscordConfig {
  /** What of guilds the directory keeps. */
  readonly directoryEntities: DirectoryEntities;
  /** What it fetches by itself. */
  readonly directoryPreload: ReadonlySet<DirectoryPreload>;
  readonly logLevel: LogLevel;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readDirectoryConfig(env: Environment): DirectoryConfig {
  const read = new EnvironmentReader(env);
  const directoryEntities = readDirectoryEntities(read);
  const directoryPreload = read.withDefault('BATON_DIRECTORY_PRELOAD', preloadVariable, new Set<DirectoryPreload>());
  read.require(
    directoryEntities.has('members') || !directoryPreload.has('members'),
    'BATON_DIRECTORY_PRELOAD names members: BATON_DIRECTORY must name them, too',
  );
  return read.finish({
    ...readFleet(read),
    token: read.secret('DISCORD_TOKEN', tokenVariable),
    discordApiUrl: readApiUrl(read),
    directoryEntities,
    directoryPreload,
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
  });
}

function readApiUrl(read: EnvironmentReader): string {
  return read.withDefault('DISCORD_API_URL', httpUrl, 'https://discord.com/api/v10');
}

/** What the rebalance function is told from outside. Heartbeats must be those of the workers it watches. */
export interface RebalanceConfig extends FleetConfig {
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  readonly logLevel: LogLevel;
  /** `undefined`: the number of workers is somebody else's to decide. */
  readonly service: ServiceConfig | undefined;
}

/** The ECS service of the workers, and how many there may be. */
export interface ServiceConfig {
  readonly cluster: string;
  readonly service: string;
  readonly minWorkers: number;
  readonly maxWorkers: number;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readRebalanceConfig(env: Environment): RebalanceConfig {
  const read = new EnvironmentReader(env);
  return read.finish({
    ...readFleet(read),
    ...readLiveness(read),
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
    service: readService(read),
  });
}

/** What the stats function is told from outside. Heartbeats must be those of the workers it watches; queues by name or URL. */
export interface StatsConfig extends FleetConfig {
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  readonly eventsDlq: string;
  readonly interactionsDlq: string;
  readonly logLevel: LogLevel;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readStatsConfig(env: Environment): StatsConfig {
  const read = new EnvironmentReader(env);
  const fleet = readFleet(read);
  return read.finish({
    ...fleet,
    ...readLiveness(read),
    eventsDlq: read.withDefault('BATON_EVENTS_DLQ', fifoQueue, `${fleet.fleet}-events-dlq.fifo`),
    interactionsDlq: read.withDefault('BATON_INTERACTIONS_DLQ', plainQueue, `${fleet.fleet}-interactions-dlq`),
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
  });
}

/** What the operate function is told from outside. Heartbeats must be those of the workers. */
export interface OperateConfig extends FleetConfig {
  /** Dead letters of the events queue; name or URL. */
  readonly eventsDlq: string;
  readonly heartbeatMs: number;
  readonly missedHeartbeats: number;
  readonly logLevel: LogLevel;
}

/** @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readOperateConfig(env: Environment): OperateConfig {
  const read = new EnvironmentReader(env);
  const fleet = readFleet(read);
  return read.finish({
    ...fleet,
    ...readLiveness(read),
    eventsDlq: read.withDefault('BATON_EVENTS_DLQ', fifoQueue, `${fleet.fleet}-events-dlq.fifo`),
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
  });
}

function readService(read: EnvironmentReader): ServiceConfig | undefined {
  const name = pattern(/^[\w-]{1,255}$/, '1 to 255 letters, digits, _ or -');
  const cluster = read.optional('BATON_ECS_CLUSTER', name);
  const service = read.optional('BATON_ECS_SERVICE', name);
  const minWorkers = read.withDefault('BATON_MIN_WORKERS', wholeNumber(1, 5000), 1);
  const maxWorkers = read.withDefault('BATON_MAX_WORKERS', wholeNumber(1, 5000), 5000);
  read.require(
    minWorkers <= maxWorkers,
    `BATON_MIN_WORKERS=${minWorkers} must be at most BATON_MAX_WORKERS=${maxWorkers}`,
  );
  read.require(
    (cluster === undefined) === (service === undefined),
    'BATON_ECS_CLUSTER and BATON_ECS_SERVICE must be set together',
  );
  return cluster === undefined || service === undefined ? undefined : { cluster, service, minWorkers, maxWorkers };
}

function readLiveness(read: EnvironmentReader): { heartbeatMs: number; missedHeartbeats: number } {
  const heartbeatMs = read.withDefault('BATON_HEARTBEAT_MS', wholeNumber(200, 5000), 3000);
  const missedHeartbeats = read.withDefault('BATON_MISSED_HEARTBEATS', wholeNumber(2, 10), 3);
  read.require(
    heartbeatMs * missedHeartbeats <= 15_000,
    `BATON_HEARTBEAT_MS × BATON_MISSED_HEARTBEATS is ${heartbeatMs * missedHeartbeats}: it must be at most 15000, because Discord keeps about 20 s of a busy shard for replay`,
  );
  return { heartbeatMs, missedHeartbeats };
}

/** Reads the environment of a worker. @throws {BatonError} `CONFIG_INVALID`, naming every bad variable at once. */
export function readWorkerConfig(env: Environment): WorkerConfig {
  const read = new EnvironmentReader(env);
  const fleet = readFleet(read);
  const mode = read.withDefault('BATON_SHARD_MODE', oneOf(['single', 'explicit', 'fleet'] as const), 'fleet');
  const total = read.withDefault('BATON_TOTAL_SHARDS', totalShards, 'auto');
  const ids = read.optional('BATON_SHARD_IDS', shardIds);
  const sharding = readSharding(read, mode, total, ids);
  const liveness = readLiveness(read);
  const { heartbeatMs } = liveness;
  const lingerMs = read.withDefault('BATON_LINGER_MS', wholeNumber(10, 5000), Math.min(250, heartbeatMs / 2));
  read.require(
    lingerMs * 2 <= heartbeatMs,
    `BATON_LINGER_MS=${lingerMs} must be at most half of BATON_HEARTBEAT_MS=${heartbeatMs}: a flush cycle is also the heartbeat`,
  );
  return read.finish({
    ...fleet,
    token: read.secret('DISCORD_TOKEN', tokenVariable),
    discordApiUrl: readApiUrl(read),
    intents: read.optional('DISCORD_INTENTS', intents),
    workerId: read.optional('BATON_WORKER_ID', pattern(/^[\w.:-]{1,128}$/, '1 to 128 letters, digits, _, ., : or -')),
    maxShards: read.optional('BATON_MAX_SHARDS', wholeNumber(1, maxShardCount)),
    sharding,
    originalCoordinator: read.withDefault('BATON_ORIGINAL_COORDINATOR', flag, false),
    ...liveness,
    eventTypes: read.optional('BATON_EVENT_TYPES', eventTypes),
    directoryEntities: readDirectoryEntities(read),
    lingerMs,
    envelopeEncoding: read.withDefault('BATON_ENVELOPE_ENCODING', oneOf(envelopeEncodings), bestEnvelopeEncoding),
    compress: read.withDefault('BATON_COMPRESS', oneOf(gatewayCompressions), bestGatewayCompression),
    stopTimeoutMs: read.withDefault('BATON_STOP_TIMEOUT_MS', wholeNumber(1000, 120_000), 30_000),
    evalMode: read.withDefault('BATON_EVAL', oneOf(evalModes), 'off'),
    httpPort: read.optional('BATON_HTTP_PORT', wholeNumber(1, 65_535)),
    logLevel: read.withDefault('BATON_LOG_LEVEL', oneOf(logLevels), 'info'),
  });
}

const bestGatewayCompression: GatewayCompression = bestEnvelopeEncoding === 'zstd' ? 'zstd-stream' : 'zlib-stream';

function readSharding(
  read: EnvironmentReader,
  mode: ShardMode['mode'],
  total: number | 'auto',
  ids: readonly number[] | undefined,
): ShardMode {
  switch (mode) {
    case 'single':
      read.require(
        total === 'auto' || total === 1,
        `BATON_TOTAL_SHARDS=${total} must be 1 or unset when BATON_SHARD_MODE is single`,
      );
      read.require(ids === undefined, 'BATON_SHARD_IDS must be unset when BATON_SHARD_MODE is single');
      return { mode };
    case 'explicit': {
      // A value that is wrong has been complained about already.
      read.require(
        total !== 'auto' || !['', 'auto'].includes(read.raw('BATON_TOTAL_SHARDS')),
        'BATON_TOTAL_SHARDS must be a number when BATON_SHARD_MODE is explicit',
      );
      read.require(
        ids !== undefined || read.raw('BATON_SHARD_IDS') !== '',
        'BATON_SHARD_IDS is missing: it must be shard ids such as 0,4-7 when BATON_SHARD_MODE is explicit',
      );
      const totalCount = total === 'auto' ? 1 : total;
      const outside = total === 'auto' ? undefined : ids?.find((id) => id >= totalCount);
      read.require(
        outside === undefined,
        `BATON_SHARD_IDS holds ${outside}: shard ids must be below BATON_TOTAL_SHARDS=${totalCount}`,
      );
      return { mode, shardIds: ids ?? [], totalShards: totalCount };
    }
    case 'fleet':
      read.require(ids === undefined, 'BATON_SHARD_IDS must be unset when BATON_SHARD_MODE is fleet');
      return { mode, totalShards: total };
  }
}

/** Discord's names of intents, e.g. `GUILD_MESSAGES`, to bits. `discord-api-types` spells them in camel case. */
export const intentBits: ReadonlyMap<string, number> = new Map(
  Object.entries(GatewayIntentBits).flatMap(([name, bit]) =>
    typeof bit === 'number' ? [[name.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase(), bit]] : [],
  ),
);

function parseIntents(value: string): number | undefined {
  if (/^\d{1,10}$/.test(value)) return Number(value);
  let bits = 0;
  for (const name of value.split(/\s*,\s*/)) {
    const bit = intentBits.get(name);
    if (bit === undefined) return undefined;
    bits |= bit;
  }
  return bits;
}

/** `0,4-7` to `[0, 4, 5, 6, 7]`, sorted and without repeats; `undefined` when it is not of that form. */
function parseShardIds(value: string): readonly number[] | undefined {
  const ids = new Set<number>();
  for (const part of value.split(/\s*,\s*/)) {
    const match = /^(\d{1,6})(?:-(\d{1,6}))?$/.exec(part);
    if (!match) return undefined;
    const from = Number(match[1]);
    const to = Number(match[2] ?? match[1]);
    if (to < from) return undefined;
    for (let id = from; id <= to; id += 1) ids.add(id);
  }
  return [...ids].sort((one, other) => one - other);
}

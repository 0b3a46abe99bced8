import { type Clock, systemClock } from '../../shared/clock.ts';
import { BatonError } from '../../shared/errors.ts';
import { type Random, seededRandom } from '../../shared/random.ts';
import { privilegedIntents } from './intents.ts';
import type { OnEmit, OnUndeliverable } from './sessions.ts';
import type { TrafficRates } from './traffic.ts';

/** Everything about the simulator that can be chosen. Times in milliseconds. */
export interface SimulatorOptions {
  /** Address to listen on. @default '127.0.0.1' */
  readonly host: string;
  /** Port of REST, control API and gateway. @default 0 (any) */
  readonly port: number;
  /** Port of the resume URL. @default 0 (any) */
  readonly resumePort: number;
  /** The bot's token. @default a made-up one; read it from the simulator */
  readonly token: string;

  /** Recommended shard count, over which the guilds are spread evenly. @default 16 */
  readonly shards: number;
  /** @default 10 */
  readonly guildsPerShard: number;
  /** Members of a guild, the bot among them. @default 5 */
  readonly membersPerGuild: number;

  /** Rate limit keys of IDENTIFY. @default 1 */
  readonly maxConcurrency: number;
  /** IDENTIFYs of one key are this far apart. @default 5000 */
  readonly identifyIntervalMs: number;
  /** op 9 for a violation comes this late. @default 1000 */
  readonly identifyViolationDelayMs: number;
  /** Daily budget of IDENTIFYs. @default 1000 */
  readonly sessionStartTotal: number;
  /** What is left of it at the start. @default the whole budget */
  readonly sessionStartRemaining: number;
  /** The budget is renewed this often. @default 86400000 (a day) */
  readonly sessionStartResetMs: number;
  /** Privileged intents that the application may use, as bits. @default all three */
  readonly privilegedIntents: number;
  /** Shard counts must be a multiple of this. @default 1 */
  readonly shardCountMultiple: number;

  /** @default 41250 */
  readonly heartbeatIntervalMs: number;
  /** A connection without heartbeat for this many intervals is closed with 4009. @default 1.5 */
  readonly heartbeatGrace: number;
  /** A connection that has neither identified nor resumed by then is closed with 4009. @default 30000 */
  readonly identifyTimeoutMs: number;
  /** How long a session without connection can be resumed. @default 120000 */
  readonly resumeWindowMs: number;
  /** Dispatches kept per session for replay, by its guilds. @default max(100, min(3500, guilds * 75)) */
  readonly replayMaxEvents: (guilds: number) => number;
  /**
   * Dispatches younger than this are kept beyond that number. 20000 makes a busy shard with few, lively guilds keep
   * the last 20 s. @default 0
   */
  readonly replayMinAgeMs: number;
  /** Whether op 9 is followed by a close (4000). @default false: the socket may be used again */
  readonly invalidSessionCloses: boolean;
  /** Close code of the older connection when a session is resumed elsewhere. @default 4006 */
  readonly doubleResumeCloseCode: number;
  /** After op 7 the connection is closed this much later. @default 5000 */
  readonly reconnectGraceMs: number;
  /** Client frames per connection. @default 120 in 60000 ms */
  readonly sendLimit: { readonly frames: number; readonly perMs: number };
  /** A connection with this much unread data is cut. @default 16777216 (16 MiB) */
  readonly maxBufferedBytes: number;

  /** The first answer to an interaction is due within this time. @default 3000 */
  readonly interactionDeadlineMs: number;
  /** Life of an interaction token. @default 900000 */
  readonly interactionTokenMs: number;
  /** After so many interactions the endpoint gets a request with a wrong signature. @default 50 */
  readonly probeEvery: number;
  /** REST requests per bucket. @default 50 in 1000 ms */
  readonly restBucket: { readonly requests: number; readonly perMs: number };
  /** REST requests per second with the bot's token. @default 50 */
  readonly restGlobalPerSecond: number;

  /** Traffic, not started yet. @default no events, mix `no_privileged`, 1 % in the DM */
  readonly traffic: TrafficRates;
  /** Called for each event that at least one session took into its stream. */
  readonly onEmit: OnEmit;
  /** Called for each event that the simulator no longer had for the session that took it. */
  readonly onUndeliverable: OnUndeliverable;
  /** @default the machine's clock */
  readonly clock: Clock;
  /** Decides ids, order of guilds and the choice of events. @default seed 1 */
  readonly random: Random;
}

/** The options with every default filled in. @throws {BatonError} `CONFIG_INVALID` naming each value out of range. */
export function resolveOptions(given: Partial<SimulatorOptions>): SimulatorOptions {
  const options: SimulatorOptions = {
    host: '127.0.0.1',
    port: 0,
    resumePort: 0,
    token: 'ODE3MDAzNDQyOTk3MjY0Njgw.simulated.b25seS1mb3ItdGhlLXNpbXVsYXRvcg',
    shards: 16,
    guildsPerShard: 10,
    membersPerGuild: 5,
    maxConcurrency: 1,
    identifyIntervalMs: 5000,
    identifyViolationDelayMs: 1000,
    sessionStartTotal: 1000,
    sessionStartRemaining: given.sessionStartTotal ?? 1000,
    sessionStartResetMs: 86_400_000,
    privilegedIntents,
    shardCountMultiple: 1,
    heartbeatIntervalMs: 41_250,
    heartbeatGrace: 1.5,
    identifyTimeoutMs: 30_000,
    resumeWindowMs: 120_000,
    replayMaxEvents: (guilds) => Math.max(100, Math.min(3500, guilds * 75)),
    replayMinAgeMs: 0,
    invalidSessionCloses: false,
    doubleResumeCloseCode: 4006,
    reconnectGraceMs: 5000,
    sendLimit: { frames: 120, perMs: 60_000 },
    maxBufferedBytes: 16 * 1024 * 1024,
    interactionDeadlineMs: 3000,
    interactionTokenMs: 900_000,
    probeEvery: 50,
    restBucket: { requests: 50, perMs: 1000 },
    restGlobalPerSecond: 50,
    traffic: {
      eventsPerSecond: 0,
      interactionsPerSecond: 0,
      mix: 'no_privileged',
      directMessageShare: 0.01,
    },
    onEmit() {},
    onUndeliverable() {},
    clock: systemClock,
    random: seededRandom(1),
    ...given,
  };
  const atLeast: readonly [keyof SimulatorOptions, number][] = [
    ['shards', 1],
    ['guildsPerShard', 0],
    ['membersPerGuild', 1],
    ['maxConcurrency', 1],
    ['sessionStartTotal', 1],
    ['sessionStartRemaining', 0],
    ['shardCountMultiple', 1],
  ];
  const problems = atLeast
    .filter(([name, least]) => !Number.isInteger(options[name]) || (options[name] as number) < least)
    .map(
      ([name, least]) => `${name} must be a whole number of at least ${least}, not ${JSON.stringify(options[name])}`,
    );
  // Guilds are made a minute apart at least, and the place for a shard is found within a minute.
  if (options.shards > 60_000) problems.push(`shards must be at most 60000, not ${options.shards}`);
  if (options.token === '') problems.push('token must not be empty');
  if (problems.length > 0) throw new BatonError('CONFIG_INVALID', `simulator: ${problems.join('; ')}`);
  return options;
}

import type { ObservedEvent } from '../functions/events/events-invocation.ts';
import type { ObservedInteraction } from '../functions/interactions/run-interaction.ts';
import { deriveManifest } from '../functions/kit/handler-manifest.ts';
import { loadHandlers } from '../functions/kit/load-handlers.ts';
import { createRegistry, type HandlerFile } from '../functions/kit/registry.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../shared/aws-clients.ts';
import type { Clock } from '../shared/clock.ts';
import {
  type DiscordConfig,
  readDirectoryConfig,
  readDirectoryEntitiesOf,
  readEndpointConfig,
  readFunctionsConfig,
  readRebalanceConfig,
  readStatsConfig,
  readWorkerConfig,
} from '../shared/config.ts';
import { Directory } from '../shared/directory/directory.ts';
import { directoryEventTypes, directoryIntents } from '../shared/directory/directory-options.ts';
import type { ControlPlane } from '../shared/control/control-queue.ts';
import { DynamoDbReplies } from '../shared/control/dynamodb-replies.ts';
import { Fleet } from '../shared/control/fleet.ts';
import { DynamoDbStore } from '../shared/coordination/dynamodb-store.ts';
import { BatonError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { provision } from '../shared/provision.ts';
import type { Random } from '../shared/random.ts';
import { SqsControlPlane } from '../shared/control/sqs-control-queue.ts';
import { AwsFaults } from './aws-faults.ts';
import { startEmbeddedCloud } from './cloud/embedded-cloud.ts';
import { endpointInteractionStream, interactionStream, readIdentity } from './discord/event-identity.ts';
import { allIntents } from './discord/intents.ts';
import { CoordinatorGaps } from './coordinator-gaps.ts';
import { FleetConsole } from './fleet-console.ts';
import { FleetMonitor } from './fleet-monitor.ts';
import { HandoverTimes } from './handover-times.ts';
import { Ledger } from './ledger.ts';
import { LiveRegistry } from './live-registry.ts';
import { LocalFunctions } from './local-functions.ts';
import { operatorName } from './operator-name.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { ShardMigrations } from './shard-migrations.ts';
import { type ShardMove, ShardMoves } from './shard-moves.ts';
import { SimulatedDiscord } from './simulated-discord.ts';
import { WorkerFleet, type WorkerLogLine, type WorkerSlot } from './worker-fleet.ts';

export interface LocalFleetOptions {
  /** The user's environment: `BATON_*` and, for the real Discord, `DISCORD_TOKEN`. */
  readonly environment: Environment;
  /** Shards that the simulated Discord recommends; with the real one, what to run instead of its recommendation. */
  readonly shards: number | undefined;
  readonly workers: number;
  readonly dataDirectory: string | undefined;
  /** Port of the interactions endpoint. @default any */
  readonly endpointPort?: number | undefined;
  /** Which DynamoDB the cloud has. @default 'embedded' */
  readonly dynamodb?: 'embedded' | 'local';
  /** Puts a proxy between each worker and AWS that misbehaves on demand. @default false */
  readonly faultProxies?: boolean;
  readonly logDirectory: string;
  /** @default every module of the folder of handlers */
  readonly handlers?: readonly HandlerFile[];
  /** Folder of the bot's handlers. @default functions/handlers */
  readonly handlersDirectory?: string | undefined;
  /** A module of the queries that workers answer. @default the registered ones */
  readonly queriesFile?: string | undefined;
  /**
   * Whether workers that crash are started again, once they had registered.
   * @default yes, but one that crashes before the fleet is ready is the fleet's failure
   */
  readonly respawn?: boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

type Environment = Readonly<Record<string, string | undefined>>;

const defaultShards = 16;
/** Of it a worker keeps 10 s for what finds no target, so 2 s are left to find one. */
const stopTimeoutMs = 12_000;
/** What is under way for longer than any takeover takes will not come. */
const settlingMs = 90_000;
const lookEveryMs = 1000;
/** For the announcements of all guilds to come through; they are hundreds of items in the directory. */
const announcementsWithinMs = 30_000;

/**
 * Starts everything but the traffic.
 * @throws {BatonError} `CONFIG_INVALID` for a wrong environment, `EMULATOR_FAILED`, `HANDLERS_INVALID`.
 */
export async function startFleet(options: LocalFleetOptions): Promise<LocalFleet> {
  const { environment, clock, random, logger } = options;
  const isSimulated = (environment['DISCORD_TOKEN'] ?? '').trim() === '';
  const registry = new LiveRegistry(
    createRegistry(options.handlers ?? (await loadHandlers(options.handlersDirectory))),
  );
  const manifest = deriveManifest(registry);
  const directoryEntities = readDirectoryEntitiesOf(environment);
  const intents = manifest.intents | directoryIntents(directoryEntities);
  const wantedTypes = new Set([...manifest.eventTypes, ...directoryEventTypes(directoryEntities, intents)]);
  const defaults = {
    // With the simulator everything goes all the way, so that the ledger has something to count.
    DISCORD_INTENTS: String(isSimulated ? allIntents : intents),
    BATON_EVENT_TYPES: isSimulated ? '*' : [...wantedTypes].join(','),
    BATON_STOP_TIMEOUT_MS: String(stopTimeoutMs),
    ...(!isSimulated && options.shards !== undefined && { BATON_TOTAL_SHARDS: String(options.shards) }),
  };
  const settings: Environment = { ...defaults, ...present(environment) };
  // Before anything is started, so that a mistake costs no time. The simulator brings its own token.
  const { eventTypes } = readWorkerConfig({ ...settings, ...(isSimulated && { DISCORD_TOKEN: 'simulated' }) });
  const isWanted = (type: string): boolean => eventTypes === '*' || eventTypes?.has(type) === true;

  const closers: (() => Promise<void> | void)[] = [];
  const closeAll = async (): Promise<void> => {
    for (const close of closers.splice(0).reverse()) await close();
  };
  try {
    const { dataDirectory, dynamodb: whichDynamodb = 'embedded' } = options;
    const cloud = await startEmbeddedCloud({ dataDirectory, dynamodb: whichDynamodb, logger, clock });
    closers.push(() => cloud.stop());
    const ledger = new Ledger({ settlingMs, unordered: [interactionStream, endpointInteractionStream] });
    const discord = isSimulated
      ? await SimulatedDiscord.start({
          shards: options.shards ?? defaultShards,
          isWanted,
          ledger,
          clock,
          random,
          logger,
        })
      : undefined;
    if (discord) closers.push(() => discord.stop());
    const workerIds = Array.from({ length: options.workers }, (_, index) => `worker-${index + 1}`);
    const awsFaults = options.faultProxies
      ? await AwsFaults.start({ workerIds, cloud: cloud.environment, clock, random })
      : undefined;
    if (awsFaults) closers.push(() => awsFaults.stop());
    const whole = { ...settings, ...discord?.environment, ...cloud.environment };
    const config = readFunctionsConfig(whole);
    // With the real Discord an endpoint is served when there is a key; a tunnel brings Discord's requests to it.
    const { publicKey } = present(whole)['DISCORD_PUBLIC_KEY'] ? readEndpointConfig(whole) : {};

    const aws = awsSettings(cloud.environment);
    const dynamodb = createDynamoDBClient('general', aws.dynamodb);
    const documents = createDynamoDBDocumentClient('general', aws.dynamodb);
    const coordination = createDynamoDBDocumentClient('coordination', aws.dynamodb);
    const sqs = createSqsClient('general', aws.sqs);
    const receivingSqs = createSqsClient('receiving', aws.sqs);
    closers.push(() => {
      for (const client of [dynamodb, documents, coordination, sqs, receivingSqs]) client.destroy();
    });
    const queues = await provision(config, { dynamodb, sqs }, { clock });

    const store = new DynamoDbStore(documents, config.table, clock);
    const control = new SqsControlPlane({ fleet: config.fleet, client: sqs, pollingClient: receivingSqs, logger });
    const requests = new Fleet({
      store,
      control,
      replies: new DynamoDbReplies(documents, config.table, clock),
      clock,
      random,
      logger,
    });
    let functions: LocalFunctions | undefined = undefined;
    const fleet: LocalFleet = new LocalFleet({
      registry,
      discordConfig: config,
      ledger,
      discord,
      awsFaults,
      store,
      directory: new Directory({
        documents,
        table: config.directoryTable,
        clock,
        keepsMembers: config.directoryEntities.has('members'),
      }),
      control,
      requests,
      console: new FleetConsole({
        config: readStatsConfig(whole),
        store,
        fleet: requests,
        documents,
        sqs,
        control,
        readQueueAges: () => Promise.resolve({ events: fleet.queueAgeSeconds }),
        rebalance: (request) => {
          if (functions) return functions.rebalance(request);
          return Promise.reject(new BatonError('REQUEST_FAILED', 'the fleet is still starting'));
        },
        snapshot: () => fleet.monitor.snapshot('running', undefined),
        operator: operatorName(),
        clock,
        random,
        logger,
      }),
      workerEnvironment: present(whole),
      queriesFile: options.queriesFile,
      respawn: options.respawn,
      isWanted,
      logDirectory: options.logDirectory,
      clock,
      logger,
      closeAll,
    });
    cloud.failed.catch((error: unknown) => fleet.fail(error));
    const started = await LocalFunctions.start({
      config,
      rebalance: readRebalanceConfig(whole),
      directory: readDirectoryConfig(whole),
      coordination: new DynamoDbStore(coordination, config.table, clock),
      queues,
      registry,
      sqs,
      receivingSqs,
      documents,
      clock,
      random,
      logger,
      publicKey,
      endpointPort: options.endpointPort ?? 0,
      keepMinute: () => fleet.console.keepMinute(),
      onEvent: (event) => fleet.takeEvent(event),
      onInteraction: (interaction) => fleet.takeInteraction(interaction),
    });
    functions = started;
    closers.push(() => started.stop());
    fleet.endpointUrl = started.endpoint?.url;
    if (started.endpoint) await discord?.useEndpoint(started.endpoint.url);
    for (const workerId of workerIds) fleet.workers.start(workerId);
    return fleet;
  } catch (error) {
    await closeAll();
    throw error;
  }
}

function describeLine({ msg, error }: WorkerLogLine): string {
  return typeof error === 'string' ? `${msg}, ${error}` : msg;
}

function present(environment: Environment): Record<string, string> {
  return Object.fromEntries(
    Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

/** The embedded cloud's environment as settings of clients in this process, which has an environment of its own. */
function awsSettings(environment: Readonly<Record<string, string>>) {
  const common = {
    region: environment['AWS_REGION'] as string,
    credentials: {
      accessKeyId: environment['AWS_ACCESS_KEY_ID'] as string,
      secretAccessKey: environment['AWS_SECRET_ACCESS_KEY'] as string,
    },
  };
  return {
    dynamodb: { ...common, endpoint: environment['AWS_ENDPOINT_URL_DYNAMODB'] as string },
    sqs: { ...common, endpoint: environment['AWS_ENDPOINT_URL_SQS'] as string },
  };
}

/**
 * A whole fleet on this machine: embedded cloud, simulated (or real) Discord, functions on their triggers, and workers
 * in processes of their own. Built by {@link startFleet}.
 */
export class LocalFleet {
  /** What the functions run; {@link LiveRegistry.replace} gives them other handlers. */
  readonly registry: LiveRegistry;
  /** Token and address of the simulated or real Discord. */
  readonly discordConfig: DiscordConfig;
  readonly monitor: FleetMonitor;
  readonly ledger: Ledger;
  readonly moves = new ShardMoves();
  readonly handovers = new HandoverTimes();
  readonly coordinatorGaps = new CoordinatorGaps();
  readonly migrations: ShardMigrations;
  readonly workers: WorkerFleet;
  /** With it commands in other processes find this fleet. */
  readonly environment: Readonly<Record<string, string>>;
  /** Absent with the real Discord. */
  readonly discord: SimulatedDiscord | undefined;
  /** Absent unless asked for. */
  readonly awsFaults: AwsFaults | undefined;
  readonly store: DynamoDbStore;
  /** What the fleet knows of guilds, without asking Discord. */
  readonly directory: Directory;
  /** What the console shows and does. */
  readonly console: FleetConsole;
  /** Asks workers and shards. */
  readonly requests: Fleet;
  /** Where interactions are taken over HTTP; `undefined` without a public key. */
  endpointUrl: string | undefined;
  /** Rejects when the fleet cannot go on: an emulator died, or a worker did before the fleet was ready. */
  readonly failed: Promise<never>;
  readonly #fail: (error: unknown) => void;
  readonly #isWanted: (type: string) => boolean;
  readonly #respawn: boolean | undefined;
  readonly #backoff = new RestartBackoff();
  /** Workers that have been part of the fleet, under whatever incarnation. */
  readonly #registered = new Set<string>();
  #lastTrouble: string | undefined;
  /** Workers that stay down, and why. */
  readonly #down = new Map<string, string>();
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #closeAll: () => Promise<void>;
  readonly #stopping = new AbortController();
  readonly #newMoves: ShardMove[] = [];
  readonly #unfencedEnvelopes = new Set<string>();
  #deadLetters = 0;
  #crashes = 0;
  #lastSentAtMs: number | undefined;
  #expiredInteractions = 0;
  #isReady = false;
  readonly #announcedGuilds = new Set<string>();

  constructor(options: {
    registry: LiveRegistry;
    discordConfig: DiscordConfig;
    ledger: Ledger;
    discord: SimulatedDiscord | undefined;
    awsFaults: AwsFaults | undefined;
    store: DynamoDbStore;
    directory: Directory;
    control: ControlPlane;
    console: FleetConsole;
    requests: Fleet;
    workerEnvironment: Readonly<Record<string, string>>;
    queriesFile: string | undefined;
    respawn: boolean | undefined;
    isWanted: (type: string) => boolean;
    logDirectory: string;
    clock: Clock;
    logger: Logger;
    closeAll: () => Promise<void>;
  }) {
    const { ledger, discord, awsFaults, store, workerEnvironment, logDirectory, clock, logger } = options;
    const { promise, reject } = Promise.withResolvers<never>();
    // Whoever waits for something of the fleet races it; nobody may be waiting at the moment.
    promise.catch(() => {});
    this.failed = promise;
    this.#fail = reject;
    this.registry = options.registry;
    this.discordConfig = options.discordConfig;
    this.ledger = ledger;
    this.discord = discord;
    this.awsFaults = awsFaults;
    this.store = store;
    this.directory = options.directory;
    this.console = options.console;
    this.requests = options.requests;
    this.#respawn = options.respawn;
    this.migrations = new ShardMigrations({ store, control: options.control, logger });
    this.#isWanted = options.isWanted;
    this.#clock = clock;
    this.#logger = logger;
    this.#closeAll = options.closeAll;
    this.environment = workerEnvironment;
    this.workers = new WorkerFleet({
      environment: workerEnvironment,
      ...(awsFaults && { environmentOf: (workerId) => awsFaults.environmentOf(workerId) }),
      ...(options.queriesFile !== undefined && { queriesFile: options.queriesFile }),
      logDirectory,
      clock,
      onLogLine: (workerId, line) => this.#takeLogLine(workerId, line),
      onCrash: (worker, end) => this.#takeCrash(worker, end),
    });
    this.monitor = new FleetMonitor({
      store,
      workers: this.workers,
      ledger,
      moves: this.moves,
      discord,
      clock,
      logger,
    });
  }

  /** Dead letters of handlers so far. */
  get deadLetters(): number {
    return this.#deadLetters;
  }

  /** How long ago the envelope that came last was sent: SQS hands out the oldest first, so what waits is hardly older. */
  get queueAgeSeconds(): number {
    const sentAtMs = this.#lastSentAtMs;
    if (sentAtMs === undefined) return 0;
    return Math.max(0, Math.round((this.#clock.wallClockMs() - sentAtMs) / 100) / 10);
  }

  get unfencedEnvelopes(): number {
    return this.#unfencedEnvelopes.size;
  }

  /** Workers that ended though nobody had told them to, and were started again. */
  get crashes(): number {
    return this.#crashes;
  }

  /** Interactions that reached their handler after the three seconds in which Discord takes an answer. */
  get expiredInteractions(): number {
    return this.#expiredInteractions;
  }

  /** Why a worker stays down; `undefined` for one that does not. */
  downReason(workerId: string): string | undefined {
    return this.#down.get(workerId);
  }

  /** What a worker last complained about in its log. */
  get lastTrouble(): string | undefined {
    return this.#lastTrouble;
  }

  fail(error: unknown): void {
    this.#fail(error);
  }

  /** Looks at the fleet every second until `signal` aborts. */
  async watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.monitor.look();
      this.#noteMoves();
      this.ledger.sweep(this.#clock.wallClockMs());
      await this.#clock.sleep(lookEveryMs, signal);
    }
  }

  /**
   * Waits until every shard is ready and all its guilds are announced, or `signal` aborts.
   * @throws {Error} when that takes longer than the identify buckets and some patience allow.
   */
  async untilReady(withinMs: number, signal: AbortSignal): Promise<void> {
    const startedAtMs = this.#clock.monotonicMs();
    for (;;) {
      const { shards } = this.monitor.snapshot('starting', undefined);
      const ready = shards.filter((shard) => shard.ready).length;
      if ((shards.length > 0 && ready === shards.length) || signal.aborted) break;
      if (this.#clock.monotonicMs() - startedAtMs > withinMs) {
        throw new Error(`only ${ready} of ${shards.length} shards were ready after ${Math.round(withinMs / 1000)} s`);
      }
      await this.#clock.sleep(100, signal);
    }
    this.#isReady = true;
  }

  /**
   * Waits, with the simulated Discord, until the events function has dealt with the announcements of a fresh fleet's
   * guilds, so that what comes next is not behind them; or until `signal` aborts, or the machine has had its time.
   */
  async untilAnnounced(signal: AbortSignal): Promise<void> {
    const quietAtMs = this.#clock.monotonicMs() + announcementsWithinMs;
    while (this.#isAnnouncing() && !signal.aborted && this.#clock.monotonicMs() < quietAtMs) {
      await this.#clock.sleep(100, signal);
    }
  }

  #isAnnouncing(): boolean {
    if (this.discord === undefined || !this.#isWanted('GUILD_CREATE')) return false;
    return this.#announcedGuilds.size < this.discord.announcedGuildCount;
  }

  takeEvent({ type, data, header, outcome, group, seq, receiveCount, guildId }: ObservedEvent): void {
    if (type === 'GUILD_CREATE' && guildId !== undefined) this.#announcedGuilds.add(guildId);
    if (outcome === 'dead-lettered') this.#deadLetters += 1;
    this.#lastSentAtMs = header.at;
    if (header.unfenced === true) this.#unfencedEnvelopes.add(`${group} ${header.session} ${header.first}`);
    const identity = readIdentity(data);
    if (this.discord === undefined) this.monitor.countDelivery();
    if (identity === undefined || !this.#isWanted(type)) return;
    this.monitor.countDelivery();
    this.handovers.delivered(header.shard[0], header.epoch, this.#clock.monotonicMs());
    const verdict = this.ledger.delivered(identity.stream, identity.n, this.#clock.wallClockMs(), {
      unfenced: header.unfenced === true,
    });
    // The broken promise with all there is to find out why.
    if (verdict !== 'first')
      this.#logger.error({ verdict, ...identity, seq, type, receiveCount, header }, 'ledger.fault');
  }

  takeInteraction({ outcome, interaction }: ObservedInteraction): void {
    // A standard queue may deliver twice, a request may be replayed; the claim keeps the handler from running twice.
    if (outcome === 'duplicate') return;
    const identity = readIdentity(interaction);
    if (identity === undefined) return;
    if (outcome === 'expired') {
      // It came too late to be answered, or is a late copy of one that was.
      this.#expiredInteractions += 1;
      this.ledger.givenUp(identity.stream, identity.n, 'undeliverable');
      return;
    }
    this.monitor.countDelivery();
    this.ledger.delivered(identity.stream, identity.n, this.#clock.wallClockMs(), { unfenced: false });
  }

  /** Hands every shard over to nobody and ends the workers; those that take longer than `withinMs` are killed. */
  async drain(withinMs: number): Promise<void> {
    this.#stopping.abort();
    await this.workers.stop(withinMs);
  }

  /** Ends everything, workers that still run by force. */
  async close(): Promise<void> {
    this.#stopping.abort();
    await this.workers.kill();
    await this.#closeAll();
  }

  #takeLogLine(workerId: string, line: WorkerLogLine): void {
    this.coordinatorGaps.take(workerId, line, this.#clock.monotonicMs());
    const move = this.moves.take(workerId, line);
    if (move !== undefined) this.#newMoves.push(move);
    if (['warn', 'error', 'fatal'].includes(line.level)) this.#lastTrouble = `${workerId}: ${describeLine(line)}`;
    if (line.msg === 'worker.registered') this.#registered.add(workerId);
    if (line.msg === 'shard.ready') this.monitor.countSession('identify');
    if (line.msg === 'shard.resumed') this.monitor.countSession('resume');
  }

  /** What moved since the last look, by where from and where to: a worker that ends moves many shards at once. */
  #noteMoves(): void {
    const ways = Map.groupBy(
      this.#newMoves.splice(0),
      (move) => `${move.from} -> ${move.to} (${this.moves.isTakeover(move) ? 'takeover' : 'handoff'})`,
    );
    for (const [way, moves] of ways) {
      const shards = moves.map((move) => move.shard).sort((one, other) => one - other);
      this.monitor.note(`${shards.length === 1 ? 'shard' : 'shards'} ${shards.join(', ')}: ${way}`);
    }
  }

  #takeCrash(worker: WorkerSlot, { code, said }: { code: number | null; said: string }): void {
    const { workerId } = worker;
    const how = said === '' ? `${workerId} ended ${worker.tally.ends.at(-1) ?? `with ${code}`}` : said;
    if (!this.#isReady && (this.#respawn === undefined || !this.#registered.has(workerId))) {
      this.#fail(code === 2 ? new BatonError('CONFIG_INVALID', how) : new Error(how));
      return;
    }
    // Drained by an operator it ends with 0, which is no crash.
    if (code !== 0) this.#crashes += 1;
    this.#logger.warn({ worker: workerId, code, said, respawn: this.#respawn ?? true }, 'fleet.worker_crashed');
    if (this.#respawn === false) {
      this.#down.set(workerId, `${how}; it stays down (respawn is false)`);
      this.monitor.note(`${how}; it stays down`);
      return;
    }
    this.monitor.note(`${how}; starting it again`);
    const pauseMs = this.#backoff.pauseMs(workerId, this.#clock.monotonicMs());
    void this.#clock.sleep(pauseMs, this.#stopping.signal).then(() => {
      if (!this.#stopping.signal.aborted) this.workers.start(workerId);
    });
  }
}

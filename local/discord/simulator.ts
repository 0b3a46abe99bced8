import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import { ApplicationCommands } from './application-commands.ts';
import { ControlApi } from './control-api.ts';
import { loadCorpus } from './corpus.ts';
import { EventFactory } from './event-factory.ts';
import { Faults } from './faults.ts';
import { GatewayCommands } from './gateway-commands.ts';
import { GatewayServer, listen } from './gateway-server.ts';
import { sendJson } from './http-json.ts';
import { IdentifyLimits } from './identify-limits.ts';
import { intentsFor } from './intents.ts';
import { type EndpointTotals, InteractionsEndpoint } from './interactions-endpoint.ts';
import { type InteractionTotals, Interactions } from './interactions.ts';
import { RestApi } from './rest-api.ts';
import { RestRateLimits } from './rest-rate-limits.ts';
import { Sessions } from './sessions.ts';
import { resolveOptions, type SimulatorOptions } from './simulator-options.ts';
import { newStats, type SimulatorStats } from './simulator-stats.ts';
import { Traffic } from './traffic.ts';
import { World } from './world.ts';

/** A session as `state()` shows it. */
export interface SessionSnapshot {
  readonly id: string;
  /** `[shard_id, num_shards]`; null when IDENTIFY named none. */
  readonly shard: readonly [number, number] | null;
  readonly state: 'connected' | 'disconnected';
  readonly intents: number;
  readonly seq: number;
  readonly replayable: number;
  readonly acknowledgedSeq: number;
  readonly presence: unknown;
}

/** What is going on right now: the body of `GET /_control/state`. */
export interface SimulatorState {
  readonly sessions: readonly SessionSnapshot[];
  /** Open connections by `num_shards.shard_id`; those not identified yet are under `none`. */
  readonly connectionsByShard: Readonly<Record<string, number>>;
  readonly sessionStartLimit: ReturnType<IdentifyLimits['snapshot']>;
  readonly faults: ReturnType<Faults['state']>;
  readonly traffic: { readonly running: boolean; readonly rates: Traffic['rates'] };
  readonly interactions: InteractionTotals;
  /** The interactions endpoint, if one is set. */
  readonly endpoint: { readonly url: string | undefined } & EndpointTotals;
  readonly stats: SimulatorStats;
}

const sweepEveryMs = 1000;

/** Discord on this machine: REST and gateway, a world with guilds, traffic, and faults on demand. */
export class DiscordSimulator {
  readonly world: World;
  readonly stats: SimulatorStats = newStats();
  readonly traffic: Traffic;
  readonly faults: Faults;
  readonly interactions: Interactions;
  readonly endpoint: InteractionsEndpoint;
  readonly commands: ApplicationCommands;
  readonly identifyLimits: IdentifyLimits;
  /** What `GET /gateway/bot` recommends. */
  recommendedShards: number;
  readonly #options: SimulatorOptions;
  readonly #sessions: Sessions;
  readonly #gateway: GatewayServer;
  readonly #rest: RestApi;
  readonly #control: ControlApi;
  readonly #http: Server;
  #token: string | undefined;
  #sweepTimer: Timer | undefined;
  #port = 0;

  /** Use {@link startSimulator}. */
  constructor(options: SimulatorOptions) {
    this.#options = options;
    this.#token = options.token;
    this.recommendedShards = options.shards;
    const { clock, random } = options;
    const corpus = loadCorpus();
    const { stats } = this;
    const world = new World(options, corpus, clock, random);
    this.world = world;
    this.identifyLimits = new IdentifyLimits(options, clock);
    this.#sessions = new Sessions({
      options,
      world,
      clock,
      random,
      stats,
      resumeGatewayUrl: () => this.resumeGatewayUrl,
      onEmit: options.onEmit,
      onUndeliverable: options.onUndeliverable,
    });
    const sessions = this.#sessions;
    this.#gateway = new GatewayServer(options.host, {
      options,
      clock,
      stats,
      sessions,
      limits: this.identifyLimits,
      commands: new GatewayCommands({ world, sessions, clock, random }),
      identifyRules: {
        acceptsToken: (token) => this.#accepts(token),
        privilegedIntents: options.privilegedIntents,
        shardCountMultiple: options.shardCountMultiple,
        guildsOn: (shard) => world.guildsOn(shard).length,
      },
      onBudgetExhausted: () => this.resetToken(),
    });
    this.faults = new Faults({ server: this.#gateway, sessions, random, unknownEvents: corpus.unknownEvents });
    this.interactions = new Interactions({ options, world, clock, random });
    const { interactions } = this;
    const { interactionDeadlineMs, probeEvery } = options;
    this.endpoint = new InteractionsEndpoint({ world, interactions, clock, interactionDeadlineMs, probeEvery });
    const { endpoint } = this;
    this.commands = new ApplicationCommands(world);
    const factory = new EventFactory({ corpus, world, clock, random });
    this.traffic = new Traffic(
      { world, sessions, factory, interactions, endpoint, mixes: corpus.mixes, clock, random, stats },
      options.traffic,
    );
    this.#rest = new RestApi({
      world,
      interactions,
      endpoint,
      commands: this.commands,
      limits: new RestRateLimits({ bucket: options.restBucket, globalPerSecond: options.restGlobalPerSecond }, clock),
      faults: this.faults,
      stats,
      clock,
      acceptsToken: (authorization) =>
        authorization?.startsWith('Bot ') === true && this.#accepts(authorization.slice('Bot '.length)),
      gatewayUrl: () => this.gatewayUrl,
      gatewayBot: () => ({
        url: this.gatewayUrl,
        shards: this.recommendedShards,
        session_start_limit: this.identifyLimits.snapshot(),
      }),
      onMessage: (channelId, message) => this.#announceMessage(channelId, message),
    });
    this.#control = new ControlApi({
      faults: this.faults,
      traffic: this.traffic,
      limits: this.identifyLimits,
      state: () => this.state(),
      issueToken: () => this.issueToken(),
      setRecommendedShards: (shards) => {
        this.recommendedShards = shards;
      },
    });
    this.#http = createServer((request, response) => this.#onRequest(request, response));
    this.#http.on('upgrade', (request, socket, head) => this.#gateway.accept(request, socket, head, false));
  }

  /** Base of REST calls, with the version: the value of `DISCORD_API_URL`. */
  get apiUrl(): string {
    return `${this.apiBaseUrl}/v10`;
  }

  /** Base of REST calls without the version: what discord.js takes as `rest.api`. */
  get apiBaseUrl(): string {
    return `http://${this.#options.host}:${this.#port}/api`;
  }

  get gatewayUrl(): string {
    return `ws://${this.#options.host}:${this.#port}`;
  }

  /** `resume_gateway_url` of READY: another port than {@link gatewayUrl}. */
  get resumeGatewayUrl(): string {
    return this.#gateway.resumeUrl;
  }

  get controlUrl(): string {
    return `http://${this.#options.host}:${this.#port}/_control`;
  }

  /** The application's Ed25519 public key, 64 hex digits: the value of `DISCORD_PUBLIC_KEY`. */
  get publicKey(): string {
    return this.world.publicKey;
  }

  /** The bot's token; `undefined` after a reset, until {@link issueToken}. */
  get token(): string | undefined {
    return this.#token;
  }

  /** Opens both ports. @throws {BatonError} `PORT_IN_USE`. */
  async open(): Promise<void> {
    await listen(this.#http, this.#options.host, this.#options.port);
    this.#port = (this.#http.address() as AddressInfo).port;
    await this.#gateway.listenForResumes(this.#options.resumePort);
    this.#sweepSoon();
  }

  /** What Discord does when the daily budget of IDENTIFYs is overrun: every session ends and the token is void. */
  resetToken(): void {
    this.#token = undefined;
    for (const connection of this.#gateway.connections) connection.close(4004, 'Authentication failed.');
    for (const session of this.#sessions.live()) this.#sessions.end(session, 'invalidated');
  }

  /** Makes a new token, as the owner does after a reset. */
  issueToken(): string {
    this.#token = `ODE3MDAzNDQyOTk3MjY0Njgw.renewed.${this.#options.random.uuid().replaceAll('-', '')}`;
    return this.#token;
  }

  state(): SimulatorState {
    const connectionsByShard: Record<string, number> = {};
    for (const { session } of this.#gateway.connections) {
      const { shardId, shardCount } = session?.shard ?? { shardId: 0, shardCount: 1 };
      const key = session ? `${shardCount}.${shardId}` : 'none';
      connectionsByShard[key] = (connectionsByShard[key] ?? 0) + 1;
    }
    return {
      sessions: [...this.#sessions.live()].map((session) => ({
        id: session.id,
        shard: session.shard ? [session.shard.shardId, session.shard.shardCount] : null,
        state: session.state.kind === 'connected' ? 'connected' : 'disconnected',
        intents: session.intents,
        seq: session.buffer.lastSeq,
        replayable: session.buffer.size,
        acknowledgedSeq: session.acknowledgedSeq,
        presence: session.presence,
      })),
      connectionsByShard,
      sessionStartLimit: this.identifyLimits.snapshot(),
      faults: this.faults.state(),
      traffic: { running: this.traffic.running, rates: this.traffic.rates },
      interactions: this.interactions.totals,
      endpoint: { url: this.endpoint.url, ...this.endpoint.totals },
      stats: this.stats,
    };
  }

  /** Drops every connection and closes the ports; nothing of the simulator runs afterwards. */
  async stop(): Promise<void> {
    this.traffic.stop();
    this.#sweepTimer?.cancel();
    this.#rest.stop();
    this.#sessions.stop();
    this.#gateway.stop();
    await this.endpoint.stop();
    const closed = new Promise<void>((resolve) => this.#http.close(() => resolve()));
    this.#http.closeAllConnections();
    await closed;
  }

  #accepts(token: string): boolean {
    return this.#token !== undefined && token.replace(/^Bot /, '') === this.#token;
  }

  #onRequest(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? '/';
    const handled = path.startsWith('/_control')
      ? this.#control.handle(request, response)
      : path.startsWith('/api')
        ? this.#rest.handle(request, response)
        : Promise.resolve(sendJson(response, 404, { message: '404: Not Found', code: 0 }));
    handled.catch((error: unknown) => {
      // A client that goes away while its body is read is no mistake of ours; anything else shows as a 500.
      if (response.destroyed || response.headersSent) return;
      sendJson(response, 500, { message: `simulator: ${messageOf(error)}`, code: 0 });
    });
  }

  /** The bot's own messages come back over the gateway, like everybody's. */
  #announceMessage(channelId: string, message: Record<string, unknown>): void {
    const guild = this.world.guildOfChannel(channelId);
    const targets = this.#sessions.targets(guild, intentsFor('MESSAGE_CREATE', guild ? 'guild' : 'direct'));
    if (targets.length === 0) return;
    const body = JSON.stringify(guild ? { ...message, guild_id: guild.id } : message);
    this.#sessions.emit(targets, { type: 'MESSAGE_CREATE', body }, guild);
  }

  #sweepSoon(): void {
    this.#sweepTimer = this.#options.clock.schedule(sweepEveryMs, () => {
      this.#gateway.sweep();
      this.#sessions.sweep();
      this.#sweepSoon();
    });
  }
}

/**
 * Starts a simulator; `stop()` ends it.
 * @throws {BatonError} `CONFIG_INVALID` or `PORT_IN_USE`.
 */
export async function startSimulator(options: Partial<SimulatorOptions> = {}): Promise<DiscordSimulator> {
  const simulator = new DiscordSimulator(resolveOptions(options));
  await simulator.open();
  return simulator;
}

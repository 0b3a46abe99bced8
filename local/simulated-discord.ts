import type { Clock } from '../shared/clock.ts';
import { BatonError } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { Random } from '../shared/random.ts';
import { endpointInteractionStream, interactionStream } from './discord/event-identity.ts';
import type { EndpointTotals } from './discord/interactions-endpoint.ts';
import { intentBits } from './discord/intents.ts';
import type { InteractionTotals } from './discord/interactions.ts';
import { type DiscordSimulator, startSimulator } from './discord/simulator.ts';
import type { DiscordView } from './fleet-monitor.ts';
import type { Ledger } from './ledger.ts';

export interface SimulatedDiscordOptions {
  readonly shards: number;
  /** Events of other types are not counted: no worker forwards them. */
  readonly isWanted: (type: string) => boolean;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

const guildsPerShard = 25;
/** Dispatches that a session of that size keeps for replay. */
const replayedEvents = guildsPerShard * 75;
/** And, however lively its guilds are, those of the last twenty seconds or so. */
const replayedForMs = 20_000;
const interactionStreams: ReadonlySet<string> = new Set([interactionStream, endpointInteractionStream]);
/** Slash commands a second, over gateway and endpoint in turn, when there is traffic at all. */
const interactionsPerSecond = 4;
/** A bot of middle size: sixteen shards identify at once, the seventeenth five seconds later. */
const maxConcurrency = 16;

/** The Discord simulator as part of a local fleet: what it sends goes into the ledger. */
export class SimulatedDiscord implements DiscordView {
  readonly simulator: DiscordSimulator;

  /** Starts it, without traffic. */
  static async start(options: SimulatedDiscordOptions): Promise<SimulatedDiscord> {
    const { shards, isWanted, ledger, clock, random, logger } = options;
    const simulator = await startSimulator({
      shards,
      guildsPerShard,
      maxConcurrency,
      sessionStartTotal: Math.max(1000, shards * 4),
      replayMaxEvents: () => replayedEvents,
      replayMinAgeMs: replayedForMs,
      clock,
      random,
      onEmit: (stream, n, type, atMs) => {
        if (interactionStreams.has(stream) || isWanted(type)) ledger.emitted(stream, n, atMs);
      },
      onUndeliverable: (stream, n, reason) => {
        logger.warn({ stream, n, reason }, 'discord.event_given_up');
        // What Discord ended by itself is nobody's fault; the rest was fetched too late or thrown away.
        ledger.givenUp(stream, n, reason === 'invalidated' ? 'undeliverable' : 'lost');
      },
    });
    return new SimulatedDiscord(simulator);
  }

  private constructor(simulator: DiscordSimulator) {
    this.simulator = simulator;
  }

  /** What a worker needs in its environment to talk to this Discord. */
  get environment(): { DISCORD_TOKEN: string; DISCORD_API_URL: string; DISCORD_PUBLIC_KEY: string } {
    const { token = '', apiUrl, publicKey } = this.simulator;
    return { DISCORD_TOKEN: token, DISCORD_API_URL: apiUrl, DISCORD_PUBLIC_KEY: publicKey };
  }

  connectedShards(): ReadonlySet<number> {
    const connected = this.simulator.state().sessions.filter((session) => session.state === 'connected');
    return new Set(connected.map((session) => session.shard?.[0] ?? 0));
  }

  get shardCount(): number {
    return this.simulator.recommendedShards;
  }

  get guildCount(): number {
    return this.simulator.world.guilds.length;
  }

  /** Guilds that a fresh fleet is told about; none without the intent for it. */
  get announcedGuildCount(): number {
    const { sessions } = this.simulator.state();
    if (!sessions.some(({ intents }) => (intents & intentBits.GUILDS) !== 0)) return 0;
    return this.simulator.world.guilds.filter(({ unavailable, left }) => !unavailable && !left).length;
  }

  /** How far back a shard can be replayed when its fleet gets so many events a second, in milliseconds. */
  replayMs(eventsPerSecond: number): number {
    const perShard = Math.max(1, eventsPerSecond / this.shardCount);
    return Math.max(replayedForMs, (replayedEvents / perShard) * 1000);
  }

  /** IDENTIFYs with a readable payload, accepted or not. */
  get identifies(): number {
    return this.simulator.stats.identifies.length;
  }

  /** From the first IDENTIFY to the last, in milliseconds. */
  get identifyingMs(): number {
    const { identifies } = this.simulator.stats;
    return (identifies.at(-1)?.atMs ?? 0) - (identifies[0]?.atMs ?? 0);
  }

  /** RESUMEs that were accepted. */
  get resumes(): number {
    return this.simulator.stats.resumes.filter((resume) => resume.outcome === 'resumed').length;
  }

  get identifyViolations(): number {
    return this.simulator.stats.identifyViolations;
  }

  /**
   * Sets the interactions endpoint, as the bot's owner does. Interactions then take both ways in turn, so that a run
   * shows both; the real Discord sends all of them to the endpoint.
   * @throws {BatonError} `CONFIG_INVALID` when Discord does not find the endpoint good.
   */
  async useEndpoint(url: string): Promise<void> {
    const { status, body } = await this.simulator.endpoint.set(url);
    if (status !== 200) throw new BatonError('CONFIG_INVALID', `interactions endpoint ${url}: ${JSON.stringify(body)}`);
  }

  /** First answers that Discord took, that came late, and that came although there was one; requests to the endpoint. */
  get interactions(): InteractionTotals & { readonly endpoint: EndpointTotals } {
    return { ...this.simulator.interactions.totals, endpoint: this.simulator.endpoint.totals };
  }

  startTraffic(eventsPerSecond: number): void {
    const commands = eventsPerSecond > 0 ? interactionsPerSecond : 0;
    this.simulator.traffic.start({ eventsPerSecond, interactionsPerSecond: commands, alternatesInteractions: true });
  }

  stopTraffic(): void {
    this.simulator.traffic.stop();
  }

  async stop(): Promise<void> {
    await this.simulator.stop();
  }
}

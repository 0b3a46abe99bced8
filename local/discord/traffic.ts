import type { Clock, Timer } from '../../shared/clock.ts';
import { type Random, randomBelow } from '../../shared/random.ts';
import type { MixProfile } from './corpus.ts';
import type { EventFactory } from './event-factory.ts';
import { endpointInteractionStream, type EventIdentity, interactionStream } from './event-identity.ts';
import { intentsFor } from './intents.ts';
import type { InteractionsEndpoint } from './interactions-endpoint.ts';
import type { InteractionRecord, Interactions } from './interactions.ts';
import type { Sessions } from './sessions.ts';
import type { SimulatorStats } from './simulator-stats.ts';
import type { Guild, World } from './world.ts';

/** How many events are sent, and of what kind. */
export interface TrafficRates {
  /** Events per second over all shards, interactions not counted. */
  readonly eventsPerSecond: number;
  /** Slash commands (`/ping` and `/shard` in turn) per second over all guilds. */
  readonly interactionsPerSecond: number;
  /**
   * With an interactions endpoint, every other interaction goes over the gateway all the same. Discord itself sends all
   * of them to the endpoint. @default false
   */
  readonly alternatesInteractions?: boolean;
  /** Frequency of the event types: a profile of `corpus/mix.json`, or weights by type. INTERACTION_CREATE is left out. */
  readonly mix: MixProfile | Readonly<Record<string, number>>;
  /** Share, 0 to 1, of the events that happen in a DM (shard 0), where their type allows it. */
  readonly directMessageShare: number;
}

export interface TrafficDeps {
  readonly world: World;
  readonly sessions: Sessions;
  readonly factory: EventFactory;
  readonly interactions: Interactions;
  readonly endpoint: InteractionsEndpoint;
  readonly mixes: Readonly<Record<MixProfile, Readonly<Record<string, number>>>>;
  readonly clock: Clock;
  readonly random: Random;
  readonly stats: SimulatorStats;
}

const tickMs = 10;
/** After a stall what is owed is sent at no more than this many times the rate, so that the stall does not end in another. */
const catchUpFactor = 5;
/** At most one guild in so many is in an outage at a time. */
const guildsPerOutage = 20;
const commands = ['ping', 'shard'] as const;

/** Counts what is due at a steady rate, from a start. */
class Pace {
  #perSecond = 0;
  #sinceMs = 0;
  #done = 0;

  set(perSecond: number, nowMs: number): void {
    this.#perSecond = perSecond;
    this.#sinceMs = nowMs;
    this.#done = 0;
  }

  /** Takes what is due now: all of it, unless the rate is far behind. */
  take(nowMs: number): number {
    const owed = Math.floor(((nowMs - this.#sinceMs) * this.#perSecond) / 1000) - this.#done;
    const most = Math.ceil((this.#perSecond * tickMs * catchUpFactor) / 1000);
    const due = Math.max(0, Math.min(owed, most));
    this.#done += due;
    return due;
  }
}

/** Sends events at a rate, in the proportions of a mix, to whoever has a session for them. */
export class Traffic {
  readonly #deps: TrafficDeps;
  readonly #pace = new Pace();
  readonly #interactionPace = new Pace();
  #rates: TrafficRates;
  #types: string[] = [];
  /** Upper ends of the types' shares, growing to 1. */
  #shares: number[] = [];
  #outages: Guild[] = [];
  #commandNumber = 0;
  #viaGateway = false;
  #timer: Timer | undefined;

  /** @throws {RangeError} when the mix names no type that can be sent. */
  constructor(deps: TrafficDeps, rates: TrafficRates) {
    this.#deps = deps;
    this.#rates = rates;
    this.#readMix();
  }

  get running(): boolean {
    return this.#timer !== undefined;
  }

  get rates(): TrafficRates {
    return this.#rates;
  }

  /** Starts, or goes on with other rates. @throws {RangeError} when the mix names no type that can be sent. */
  start(rates: Partial<TrafficRates> = {}): void {
    this.#rates = { ...this.#rates, ...rates };
    this.#readMix();
    const nowMs = this.#deps.clock.monotonicMs();
    this.#pace.set(this.#rates.eventsPerSecond, nowMs);
    this.#interactionPace.set(this.#rates.interactionsPerSecond, nowMs);
    this.#timer ??= this.#deps.clock.schedule(tickMs, () => this.#tick());
  }

  /** Sends no more; what was sent stays in the sessions. */
  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Sends one event now: in `guild`, or outside guilds. `undefined` when no session was there to take it.
   * @throws {RangeError} when the corpus has no such event for that place.
   */
  send(type: string, guild: Guild | undefined): EventIdentity | undefined {
    const { sessions, factory, stats } = this.#deps;
    if (!(guild ? factory.makesInGuild(type) : factory.makesDirect(type))) {
      throw new RangeError(`no ${type} ${guild ? 'in a guild' : 'outside guilds'}`);
    }
    const targets = sessions.targets(guild, intentsFor(type, guild ? 'guild' : 'direct'));
    if (targets.length === 0) {
      stats.skipped += 1;
      return undefined;
    }
    return sessions.emit(targets, factory.make(type, guild), guild);
  }

  /** Sends a slash command now: to the endpoint, where there is one. `undefined` when no session was there to take it. */
  sendCommand(command: string, guild: Guild): InteractionRecord | undefined {
    const { endpoint } = this.#deps;
    if (endpoint.url === undefined) return this.#sendCommandToSessions(command, guild);
    this.#viaGateway = this.#rates.alternatesInteractions === true && !this.#viaGateway;
    return this.#viaGateway ? this.#sendCommandToSessions(command, guild) : this.#sendCommandToEndpoint(command, guild);
  }

  #sendCommandToEndpoint(command: string, guild: Guild): InteractionRecord {
    const { sessions, factory, endpoint } = this.#deps;
    const interaction = this.#openCommand(command, guild);
    endpoint.deliver(
      interaction,
      sessions.numbered(factory.makeCommand(interaction, guild), endpointInteractionStream),
    );
    return interaction;
  }

  #sendCommandToSessions(command: string, guild: Guild): InteractionRecord | undefined {
    const { sessions, factory, stats } = this.#deps;
    const targets = sessions.targets(guild, intentsFor('INTERACTION_CREATE', 'guild'));
    if (targets.length === 0) {
      stats.skipped += 1;
      return undefined;
    }
    const interaction = this.#openCommand(command, guild);
    sessions.emit(targets, factory.makeCommand(interaction, guild), guild, interactionStream);
    return interaction;
  }

  #openCommand(command: string, guild: Guild): InteractionRecord {
    const channelId = guild.textChannelIds[0] as string;
    return this.#deps.interactions.open({ type: 2, command, guildId: guild.id, channelId });
  }

  #tick(): void {
    const { clock } = this.#deps;
    this.#timer = clock.schedule(tickMs, () => this.#tick());
    const nowMs = clock.monotonicMs();
    for (let due = this.#pace.take(nowMs); due > 0; due--) this.#sendAny();
    for (let due = this.#interactionPace.take(nowMs); due > 0; due--) {
      const guild = this.#anyGuild();
      if (guild.unavailable) continue;
      this.sendCommand(commands[this.#commandNumber++ % commands.length] as string, guild);
    }
  }

  #sendAny(): void {
    const { factory, random, world } = this.#deps;
    let type = this.#anyType();
    if (factory.makesDirect(type) && (!factory.makesInGuild(type) || random.next() < this.#rates.directMessageShare)) {
      this.send(type, undefined);
      return;
    }
    if (this.#outages[0]?.unavailable === false) this.#outages.shift();
    const outageOver = this.#outages[0];
    const tooManyOutages = (this.#outages.length + 1) * guildsPerOutage > world.guilds.length;
    if (type === 'GUILD_DELETE' && tooManyOutages) type = 'GUILD_CREATE';
    if (type === 'GUILD_CREATE' && outageOver) {
      // Where nobody takes the news, the guild stays as it is and is announced later.
      if (this.send(type, outageOver)) this.#outages.shift();
      else this.#outages.push(this.#outages.shift() as Guild);
      return;
    }
    let guild = this.#anyGuild();
    while (guild.unavailable) guild = this.#anyGuild();
    if (this.send(type, guild) && type === 'GUILD_DELETE') this.#outages.push(guild);
  }

  #anyGuild(): Guild {
    const { guilds } = this.#deps.world;
    return guilds[randomBelow(this.#deps.random, guilds.length)] as Guild;
  }

  #anyType(): string {
    const at = this.#deps.random.next();
    let low = 0;
    let high = this.#shares.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (at < (this.#shares[middle] as number)) high = middle;
      else low = middle + 1;
    }
    return this.#types[low] as string;
  }

  #readMix(): void {
    const { mixes, factory } = this.#deps;
    const { mix } = this.#rates;
    const weights = Object.entries(typeof mix === 'string' ? mixes[mix] : mix).filter(
      ([type, weight]) => weight > 0 && (factory.makesInGuild(type) || factory.makesDirect(type)),
    );
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    if (total === 0) throw new RangeError('the mix names no event type that can be sent');
    let share = 0;
    this.#types = weights.map(([type]) => type);
    this.#shares = weights.map(([, weight]) => {
      share += weight / total;
      return share;
    });
  }
}

import { LatencyHistogram } from './latency-histogram.ts';

/** What the ledger has to say about a run. `emitted = delivered + undeliverable + lost + pending`. */
export interface LedgerTotals {
  readonly emitted: number;
  /** Events that reached a handler at least once. */
  readonly delivered: number;
  /** Events that nobody owes any more, e.g. because Discord had ended the session they belonged to. */
  readonly undeliverable: number;
  /** Emitted and not delivered within the settling time. An event that arrives after all is no longer lost, but reordered. */
  readonly lost: number;
  /** Emitted and not delivered, with the settling time still running. */
  readonly pending: number;
  /** Deliveries of an event that had been delivered before, outside the stretches where exactly-once is not claimed. */
  readonly duplicated: number;
  /** The same where either copy came in an envelope marked `unfenced`: there it may happen (design, rule 5). */
  readonly duplicatedUnfenced: number;
  /** First deliveries of an event after a later event of its guild. */
  readonly reordered: number;
  /** Deliveries of something that was never emitted. */
  readonly unknown: number;
}

/** What a delivery turned out to be. */
export type DeliveryVerdict = 'first' | 'reordered' | 'duplicate' | 'duplicateUnfenced' | 'unknown';

/** What is known of one guild. Its events are numbered in the order Discord emitted them. */
interface GuildAccount {
  emittedUpTo: number;
  highestDelivered: number;
  /** Emission times of the events under way, in order of their numbers. */
  readonly pending: Map<number, number>;
  /** Events given up, in case they come after all. Whatever is in neither collection was delivered. */
  readonly givenUp: Map<number, 'lost' | 'undeliverable'>;
  /** Events that came in a marked envelope: exactly-once is not claimed for them, whichever copy came first. */
  readonly unfenced: Set<number>;
}

/**
 * Follows every event of every guild from Discord to its handler and tells loss, duplication and reordering apart.
 * Memory grows with the events in flight and with the events lost, not with the length of the run.
 */
export class Ledger {
  readonly #settlingMs: number;
  readonly #unordered: ReadonlySet<string>;
  readonly #guilds = new Map<string, GuildAccount>();
  readonly #latency = new LatencyHistogram();
  readonly #recentLatency = new LatencyHistogram();
  #emitted = 0;
  #delivered = 0;
  #undeliverable = 0;
  #lost = 0;
  #duplicated = 0;
  #duplicatedUnfenced = 0;
  #reordered = 0;
  #unknown = 0;
  #lastDeliveryAtMs = Number.NEGATIVE_INFINITY;

  /**
   * `settlingMs`: how long an event may be under way before {@link sweep} gives it up. `unordered`: ids of streams that
   * promise no order, such as interactions.
   */
  constructor({ settlingMs, unordered = [] }: { settlingMs: number; unordered?: Iterable<string> }) {
    this.#settlingMs = settlingMs;
    this.#unordered = new Set(unordered);
  }

  /** Event number `n` of a guild left Discord. @throws {RangeError} when numbers do not grow. */
  emitted(guildId: string, n: number, atMs: number): void {
    const guild = this.#account(guildId);
    if (n <= guild.emittedUpTo) {
      throw new RangeError(`guild ${guildId}: event ${n} was emitted after ${guild.emittedUpTo}`);
    }
    guild.emittedUpTo = n;
    guild.pending.set(n, atMs);
    this.#emitted += 1;
  }

  /** Event `n` reached its handler; `unfenced` when its envelope said so. */
  delivered(guildId: string, n: number, atMs: number, { unfenced }: { unfenced: boolean }): DeliveryVerdict {
    const guild = this.#account(guildId);
    if (n > guild.emittedUpTo || n < 1) {
      this.#unknown += 1;
      return 'unknown';
    }
    if (unfenced) guild.unfenced.add(n);
    const emittedAtMs = guild.pending.get(n);
    const givenUp = guild.givenUp.get(n);
    if (emittedAtMs !== undefined) {
      guild.pending.delete(n);
      this.#latency.add(atMs - emittedAtMs);
      this.#recentLatency.add(atMs - emittedAtMs);
    } else if (givenUp !== undefined) {
      guild.givenUp.delete(n);
      if (givenUp === 'lost') this.#lost -= 1;
      else this.#undeliverable -= 1;
    } else {
      const isMarked = guild.unfenced.has(n);
      if (isMarked) this.#duplicatedUnfenced += 1;
      else this.#duplicated += 1;
      return isMarked ? 'duplicateUnfenced' : 'duplicate';
    }
    this.#delivered += 1;
    this.#lastDeliveryAtMs = atMs;
    if (n > guild.highestDelivered) {
      guild.highestDelivered = n;
      return 'first';
    }
    if (this.#unordered.has(guildId)) return 'first';
    this.#reordered += 1;
    return 'reordered';
  }

  /**
   * Discord has event `n` no longer and it was not delivered so far: `undeliverable` when Discord itself ended the
   * session, `lost` when nobody came for it in time.
   */
  givenUp(guildId: string, n: number, how: 'undeliverable' | 'lost'): void {
    const guild = this.#account(guildId);
    if (!guild.pending.delete(n)) return;
    if (how === 'lost') this.#lost += 1;
    else this.#undeliverable += 1;
    guild.givenUp.set(n, how);
  }

  /** Gives up events that are under way for longer than the settling time. */
  sweep(nowMs: number): void {
    for (const guild of this.#guilds.values()) {
      for (const [n, emittedAtMs] of guild.pending) {
        if (nowMs - emittedAtMs < this.#settlingMs) break;
        guild.pending.delete(n);
        guild.givenUp.set(n, 'lost');
        this.#lost += 1;
      }
    }
  }

  /** Ends the run: whatever is still under way is lost. */
  close(): void {
    this.sweep(Number.POSITIVE_INFINITY);
  }

  /** When the last first delivery was; minus infinity before there was one. */
  get lastDeliveryAtMs(): number {
    return this.#lastDeliveryAtMs;
  }

  get totals(): LedgerTotals {
    return {
      emitted: this.#emitted,
      delivered: this.#delivered,
      undeliverable: this.#undeliverable,
      lost: this.#lost,
      pending: this.#emitted - this.#delivered - this.#undeliverable - this.#lost,
      duplicated: this.#duplicated,
      duplicatedUnfenced: this.#duplicatedUnfenced,
      reordered: this.#reordered,
      unknown: this.#unknown,
    };
  }

  /** Milliseconds from Discord's emission to the handler, over the whole run. */
  get latencyMs(): { p50: number; p99: number } {
    return percentiles(this.#latency);
  }

  /** The same since this was last asked for. */
  takeRecentLatencyMs(): { p50: number; p99: number } {
    const recent = percentiles(this.#recentLatency);
    this.#recentLatency.clear();
    return recent;
  }

  /** Up to `limit` events that were lost, for the report. */
  lostEvents(limit: number): { guildId: string; n: number }[] {
    const lost: { guildId: string; n: number }[] = [];
    for (const [guildId, guild] of this.#guilds) {
      for (const [n, how] of guild.givenUp) {
        if (lost.length >= limit) return lost;
        if (how === 'lost') lost.push({ guildId, n });
      }
    }
    return lost;
  }

  #account(guildId: string): GuildAccount {
    let guild = this.#guilds.get(guildId);
    if (guild === undefined) {
      guild = { emittedUpTo: 0, highestDelivered: 0, pending: new Map(), givenUp: new Map(), unfenced: new Set() };
      this.#guilds.set(guildId, guild);
    }
    return guild;
  }
}

function percentiles(histogram: LatencyHistogram): { p50: number; p99: number } {
  return { p50: histogram.percentileMs(0.5), p99: histogram.percentileMs(0.99) };
}

import type { Clock, Timer } from '../../shared/clock.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ShardAddress } from '../../shared/sharding.ts';

/** Changes are gathered this long before they are stored: a shard's start brings thousands of GUILD_CREATEs. */
const gatherMs = 1000;
const retryMs = 2000;

export interface RosterKeeperOptions {
  readonly shard: ShardAddress;
  readonly store: CoordinationStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * The bot user and the guilds of one shard, kept because a RESUME does not tell them again (design, rule 11). A change
 * holds the checkpoint back until it is stored, so whoever takes the shard over has it, or gets it replayed.
 */
export class RosterKeeper {
  readonly #options: RosterKeeperOptions;
  readonly #guilds = new Map<string, number>();
  #userId = '';
  #applicationId = '';
  /** Called once the changes they belong to are stored. */
  #releases: (() => void)[] = [];
  #isDirty = false;
  #timer: Timer | undefined;
  #storing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: RosterKeeperOptions) {
    this.#options = options;
  }

  get guildCount(): number {
    return this.#guilds.size;
  }

  get guilds(): ReadonlyMap<string, number> {
    return this.#guilds;
  }

  /** Loads what a previous owner stored. Rejects with `StoreUnavailable`. */
  async restore(): Promise<void> {
    const roster = await this.#options.store.readRoster(this.#options.shard);
    if (!roster || this.#userId !== '') return;
    this.#userId = roster.userId;
    this.#applicationId = roster.applicationId;
    for (const [guildId, memberCount] of roster.guilds) {
      if (!this.#guilds.has(guildId)) this.#guilds.set(guildId, memberCount);
    }
  }

  /** READY begins anew: all guilds of the shard, unavailable until their GUILD_CREATE. */
  begin(ready: { userId: string; applicationId: string; guildIds: readonly string[] }): void {
    this.#userId = ready.userId;
    this.#applicationId = ready.applicationId;
    const memberCounts = new Map(this.#guilds);
    this.#guilds.clear();
    for (const guildId of ready.guildIds) this.#guilds.set(guildId, memberCounts.get(guildId) ?? 0);
    this.#changed();
  }

  /** Takes a GUILD_CREATE into account; `false` when it tells nothing new. */
  guildCreated(guildId: string, memberCount: number | undefined): boolean {
    const before = this.#guilds.get(guildId);
    const next = memberCount ?? before ?? 0;
    if (before === next) return false;
    this.#guilds.set(guildId, next);
    this.#changed();
    return true;
  }

  /** Takes a GUILD_DELETE that is not an outage into account; `false` when the guild was not known. */
  guildDeleted(guildId: string): boolean {
    if (!this.#guilds.delete(guildId)) return false;
    this.#changed();
    return true;
  }

  /** Calls `release` once everything that changed so far is stored. */
  afterStoring(release: () => void): void {
    this.#releases.push(release);
  }

  /** Stops storing; waits for a write that is under way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#timer?.cancel();
    await this.#storing;
  }

  #changed(): void {
    this.#isDirty = true;
    this.#storeIn(gatherMs);
  }

  #storeIn(durationMs: number): void {
    if (this.#timer !== undefined || this.#storing !== undefined || this.#isClosed) return;
    this.#timer = this.#options.clock.schedule(durationMs, () => {
      this.#timer = undefined;
      this.#storing = this.#store().finally(() => {
        this.#storing = undefined;
        if (this.#isDirty) this.#storeIn(retryMs);
      });
    });
  }

  async #store(): Promise<void> {
    const { store, shard, logger } = this.#options;
    const releases = this.#releases;
    this.#releases = [];
    this.#isDirty = false;
    try {
      const guilds = new Map(this.#guilds);
      await store.writeRoster(shard, { userId: this.#userId, applicationId: this.#applicationId, guilds });
      for (const release of releases) release();
    } catch (error) {
      this.#releases = [...releases, ...this.#releases];
      this.#isDirty = true;
      logger.warn({ error: messageOf(error) }, 'roster.not_stored');
    }
  }
}

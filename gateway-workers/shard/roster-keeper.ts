import type { Clock, Timer } from '../../shared/clock.ts';
import type { ShardRoster } from '../../shared/coordination/model.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ShardAddress } from '../../shared/sharding.ts';

/** Changes are gathered this long before they are stored: a shard's start brings thousands of GUILD_CREATEs. */
const gatherMs = 1000;
const retryMs = 2000;

export interface RosterKeeperOptions {
  readonly shard: ShardAddress;
  /** The lease's epoch: a roster of a later owner is not overwritten. */
  readonly epoch: () => number;
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
  /** Guilds that were left before it was known which there are. */
  readonly #leftEarly = new Set<string>();
  #userId = '';
  #applicationId = '';
  #readyAtMs: number | undefined;
  #session: string | undefined;
  /** What there was before is known: from the table, or from a READY. Nothing is stored earlier. */
  #isComplete = false;
  /** Called once the changes they belong to are stored. */
  #releases: (() => void)[] = [];
  #isDirty = false;
  #timer: Timer | undefined;
  #storing: Promise<void> | undefined;
  #isClosed = false;

  constructor(options: RosterKeeperOptions) {
    this.#options = options;
  }

  get isComplete(): boolean {
    return this.#isComplete;
  }

  get guildCount(): number {
    return this.#guilds.size;
  }

  /** As it is now; it changes with the events that come. */
  get roster(): Pick<ShardRoster, 'userId' | 'applicationId' | 'guilds'> {
    return { userId: this.#userId, applicationId: this.#applicationId, guilds: this.#guilds };
  }

  /** Members of all guilds, as far as Discord has told. */
  get memberCount(): number {
    let members = 0;
    for (const memberCount of this.#guilds.values()) members += memberCount;
    return members;
  }

  /** When the session began, in Unix milliseconds; `undefined` while nobody told. */
  get readyAtMs(): number | undefined {
    return this.#readyAtMs;
  }

  /** Loads what a previous owner stored. Rejects with `StoreUnavailable`. */
  async restore(): Promise<void> {
    const roster = await this.#options.store.readRoster(this.#options.shard);
    if (this.#isComplete) return;
    this.#isComplete = true;
    if (roster) {
      this.#userId = roster.userId;
      this.#applicationId = roster.applicationId;
      this.#readyAtMs = roster.readyAtMs;
      this.#session = roster.session;
      for (const [guildId, memberCount] of roster.guilds) {
        if (!this.#guilds.has(guildId) && !this.#leftEarly.has(guildId)) this.#guilds.set(guildId, memberCount);
      }
    }
    this.#leftEarly.clear();
    if (this.#isDirty) this.#storeIn(0);
  }

  /** READY begins anew: all guilds of the shard, unavailable until their GUILD_CREATE. Stored at once. */
  begin(session: string, ready: { userId: string; applicationId: string; guildIds: readonly string[] }): void {
    this.#session = session;
    this.#userId = ready.userId;
    this.#applicationId = ready.applicationId;
    this.#readyAtMs = Math.round(this.#options.clock.wallClockMs());
    const memberCounts = new Map(this.#guilds);
    this.#guilds.clear();
    for (const guildId of ready.guildIds) this.#guilds.set(guildId, memberCounts.get(guildId) ?? 0);
    this.#isComplete = true;
    this.#isDirty = true;
    this.#storeIn(0);
  }

  /** Takes a GUILD_CREATE into account; `false` when it tells nothing new. */
  guildCreated(guildId: string, memberCount: number | undefined): boolean {
    const before = this.#guilds.get(guildId);
    const next = memberCount ?? before ?? 0;
    if (before === next) return false;
    this.#leftEarly.delete(guildId);
    this.#guilds.set(guildId, next);
    this.#changed();
    return true;
  }

  /** Takes a GUILD_DELETE that is not an outage into account; `false` when the guild was not known. */
  guildDeleted(guildId: string): boolean {
    if (!this.#isComplete) this.#leftEarly.add(guildId);
    if (!this.#guilds.delete(guildId) && this.#isComplete) return false;
    this.#changed();
    return true;
  }

  /** Calls `release` once everything that changed so far is stored. */
  afterStoring(release: () => void): void {
    this.#releases.push(release);
  }

  /** Stores what is not stored yet, one attempt. Never rejects. */
  async storeNow(): Promise<void> {
    await this.#storing;
    if (!this.#isDirty || !this.#isComplete) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    await this.#startStoring();
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
    if (this.#storing !== undefined || this.#isClosed || !this.#isComplete) return;
    if (this.#timer !== undefined && durationMs > 0) return;
    this.#timer?.cancel();
    this.#timer = this.#options.clock.schedule(durationMs, () => {
      this.#timer = undefined;
      void this.#startStoring();
    });
  }

  #startStoring(): Promise<void> {
    this.#storing = this.#store().finally(() => {
      this.#storing = undefined;
      if (this.#isDirty) this.#storeIn(retryMs);
    });
    return this.#storing;
  }

  async #store(): Promise<void> {
    const { store, shard, epoch, logger } = this.#options;
    const releases = this.#releases;
    this.#releases = [];
    this.#isDirty = false;
    try {
      const roster = {
        userId: this.#userId,
        applicationId: this.#applicationId,
        guilds: new Map(this.#guilds),
        ...(this.#readyAtMs !== undefined && { readyAtMs: this.#readyAtMs }),
        ...(this.#session !== undefined && { session: this.#session }),
      };
      // Refused: the shard has another owner, and what this one knows is of no use any more.
      if (!(await store.writeRoster(shard, epoch(), roster))) logger.warn({ epoch: epoch() }, 'roster.outdated');
      for (const release of releases) release();
    } catch (error) {
      this.#releases = [...releases, ...this.#releases];
      this.#isDirty = true;
      logger.warn({ error: messageOf(error) }, 'roster.not_stored');
    }
  }
}

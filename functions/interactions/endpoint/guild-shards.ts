import type { Clock } from '../../../shared/clock.ts';
import type { CoordinationStore } from '../../../shared/coordination/store.ts';
import { messageOf } from '../../../shared/errors.ts';
import type { Logger } from '../../../shared/logger.ts';
import { shardIdOfGuild } from '../../../shared/sharding.ts';
import { type ShardContext, shardContext, type ShardReader } from '../../kit/shard-context.ts';

/** The number of shards changes when a fleet is resharded, which takes longer. */
const freshMs = 30_000;
/** The user waits; a handler that never asks for its shard must not be late for it. */
const waitAtMostMs = 500;

export interface GuildShardsDeps {
  readonly store: Pick<CoordinationStore, 'readFleet'>;
  readonly shards: ShardReader;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Which shard a guild is on, for interactions that came past all shards. Their epoch is 0: no worker sent them. */
export class GuildShards {
  readonly #deps: GuildShardsDeps;
  #shardCount = 1;
  #readAtMs: number | undefined;
  #reading: Promise<void> | undefined;

  constructor(deps: GuildShardsDeps) {
    this.#deps = deps;
  }

  /**
   * The shard of a guild, or of direct messages, by the fleet's last known number of shards. A bot without workers, or
   * whose table gives no answer, counts as not sharded.
   */
  async of(guildId: string | undefined): Promise<ShardContext> {
    const { clock, shards } = this.#deps;
    if (this.#readAtMs === undefined || clock.monotonicMs() - this.#readAtMs > freshMs) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
      const over = new AbortController();
      await Promise.race([this.#reading, clock.sleep(waitAtMostMs, over.signal)]);
      over.abort();
    }
    const total = this.#shardCount;
    return shardContext([guildId === undefined ? 0 : shardIdOfGuild(guildId, total), total], 0, shards);
  }

  async #read(): Promise<void> {
    const { store, clock, logger } = this.#deps;
    try {
      const fleet = await store.readFleet();
      this.#shardCount = fleet?.shardCount ?? 1;
      this.#readAtMs = clock.monotonicMs();
    } catch (error) {
      logger.warn({ error: messageOf(error) }, 'interactions.shard_count_unknown');
    }
  }
}

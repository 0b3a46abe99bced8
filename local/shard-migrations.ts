import type { ControlPlane } from '../shared/control/control-queue.ts';
import type { Incarnation } from '../shared/coordination/model.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { type ShardAddress, shardKey } from '../shared/sharding.ts';

export interface ShardMigrationsOptions {
  readonly store: CoordinationStore;
  readonly control: Pick<ControlPlane, 'send'>;
  readonly logger: Logger;
}

/** Asks workers to hand shards over, as the rebalancer does: a wish on the lease, and a word to both sides. */
export class ShardMigrations {
  readonly #options: ShardMigrationsOptions;

  constructor(options: ShardMigrationsOptions) {
    this.#options = options;
  }

  /** Resolves to whether the wish was noted: not when the shard is already there, unheld or about to move. */
  async ask(shard: ShardAddress, to: Incarnation): Promise<boolean> {
    const { store } = this.#options;
    const [lease] = await store.readLeases([shard]);
    if (lease?.owner === undefined || lease.owner === to || lease.want !== undefined) return false;
    const { owner, epoch } = lease;
    const outcome = await store.setWant(shard, { owner, epoch, want: to });
    if (outcome.kind === 'refused') return false;
    await this.#nudge([to, owner], shard);
    return true;
  }

  /** The target first: it has a socket to open. */
  async #nudge(incarnations: readonly Incarnation[], shard: ShardAddress): Promise<void> {
    const { store, control, logger } = this.#options;
    const urls = new Map((await store.listWorkers()).map((worker) => [worker.incarnation, worker.controlQueueUrl]));
    for (const incarnation of incarnations) {
      const url = urls.get(incarnation);
      if (url === undefined) continue;
      // They read their leases every few seconds anyway.
      await control.send(url, { kind: 'nudge', shards: [shardKey(shard)] }).catch((error: unknown) => {
        logger.warn({ to: incarnation, error: messageOf(error) }, 'migration.not_nudged');
      });
    }
  }
}

import type { CoordinationStore } from '../../shared/coordination/store.ts';
import type { Directory } from '../../shared/directory/directory.ts';
import type { ShardItem } from '../../shared/directory/directory-items.ts';
import { collect, type DirectoryReader } from '../../shared/directory/directory-reader.ts';
import type { DirectoryWriter } from '../../shared/directory/directory-writer.ts';
import type { SessionNumbers } from '../../shared/directory/session-numbers.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { parseShardKey, type ShardKey } from '../../shared/sharding.ts';

export interface SweepDeps {
  readonly reader: Pick<DirectoryReader, 'shards'>;
  readonly directory: Pick<Directory, 'guildIdsOnShard'>;
  readonly writer: Pick<DirectoryWriter, 'removeGuild'>;
  readonly sessions: Pick<SessionNumbers, 'numberOf' | 'markSwept'>;
  readonly rosters: Pick<CoordinationStore, 'readRoster'>;
  readonly logger: Logger;
}

/** What a sweep did, in numbers. */
export interface SweepTotals {
  /** Shards whose session is new since the last sweep. */
  shards: number;
  /** Guilds that the bot had left while the shard had no session. */
  removed: number;
  failed: number;
}

/**
 * Takes guilds out that the bot has left while no session was there to tell. A new session says in READY which guilds
 * there are; READY goes into no queue, but the workers keep its list as the shard's roster. So after each new session
 * the directory is compared with the roster, once. Stops between shards when `signal` aborts. Never rejects.
 */
export async function sweepDirectory(deps: SweepDeps, signal: AbortSignal): Promise<SweepTotals> {
  const totals: SweepTotals = { shards: 0, removed: 0, failed: 0 };
  for (const item of await collect(deps.reader.shards({ consistent: true }))) {
    if (signal.aborted) break;
    try {
      const removed = await sweepShard(deps, item);
      if (removed === undefined) continue;
      totals.shards += 1;
      totals.removed += removed;
      if (removed > 0) deps.logger.info({ shard: item.shard, removed }, 'directory.guilds_removed');
    } catch (error) {
      totals.failed += 1;
      deps.logger.error({ shard: item.shard, error: messageOf(error) }, 'directory.sweep_failed');
    }
  }
  return totals;
}

/** The number of guilds removed; `undefined` when there is nothing to compare. */
async function sweepShard(
  { directory, writer, sessions, rosters }: SweepDeps,
  item: ShardItem & { readonly shard: ShardKey },
): Promise<number | undefined> {
  const address = parseShardKey(item.shard);
  const roster = await rosters.readRoster(address);
  const session = roster?.session;
  if (roster === undefined || session === undefined || session === item.sweptSession) return undefined;
  // The roster can lag behind the events; then it will be there at the next sweep.
  if (session !== item.session && item.earlier.some(([earlier]) => earlier === session)) return undefined;
  // A session that brought no event yet, because all its guilds are gone, is made known here.
  const number = (await sessions.numberOf(item.shard, session, { mayBegin: true })) as number;
  let removed = 0;
  for await (const guildId of directory.guildIdsOnShard(address.shardId, { totalShards: address.shardCount })) {
    if (!roster.guilds.has(guildId) && (await writer.removeGuild(guildId, number))) removed += 1;
  }
  await sessions.markSwept(item.shard, session);
  return removed;
}

import type { API } from '@discordjs/core';
import type { Clock } from '../../shared/clock.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import type { DirectoryEntities, DirectoryPreload } from '../../shared/directory/directory-options.ts';
import { collect, type DirectoryReader } from '../../shared/directory/directory-reader.ts';
import type { DirectoryWriter } from '../../shared/directory/directory-writer.ts';
import { fullListNonce } from '../../shared/directory/member-fold.ts';
import type { SessionNumbers } from '../../shared/directory/session-numbers.ts';
import { positionBehind, streamPosition } from '../../shared/directory/stream-position.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { type ShardKey, shardKey } from '../../shared/sharding.ts';
import type { FleetAccess } from '../kit/fleet-access.ts';

export interface PreloadDeps {
  readonly preload: ReadonlySet<DirectoryPreload>;
  readonly entities: DirectoryEntities;
  readonly reader: Pick<DirectoryReader, 'shardGuilds' | 'newestPosition'>;
  readonly writer: Pick<DirectoryWriter, 'fold' | 'noteMembersAsked'>;
  readonly sessions: Pick<SessionNumbers, 'numberOf'>;
  readonly store: Pick<CoordinationStore, 'readFleet' | 'readRoster'>;
  readonly api: Pick<API, 'guilds'>;
  readonly fleet: Pick<FleetAccess, 'requestMembers'>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** What a round of preloading did, in numbers. */
export interface PreloadTotals {
  /** Guilds fetched from Discord. */
  fetched: number;
  /** Guilds whose members were asked for. */
  asked: number;
  failed: number;
}

/** Of a guild in which something happens all the time. */
const fetchAttempts = 5;
/** Six REST requests each, of the fifty a second that a bot has. */
const guildsPerRound = 40;
/** A shard may send 120 commands a minute; what the bot itself sends comes first. */
const asksPerShardAndRound = 30;
/** A list that has not arrived in full by then is asked for again. */
const askAgainAfterSeconds = 15 * 60;

/**
 * Fills in what no event has told: guilds of sessions that began before there was a directory, over REST, and members,
 * with gateway requests whose answers come as events. A round does so much and no more; the next goes on. Never rejects.
 */
export async function preloadDirectory(deps: PreloadDeps, signal: AbortSignal): Promise<PreloadTotals> {
  const { preload, store, sessions, reader, logger } = deps;
  const totals: PreloadTotals = { fetched: 0, asked: 0, failed: 0 };
  if (preload.size === 0) return totals;
  const shardCount = (await store.readFleet())?.shardCount ?? 0;
  for (let shardId = 0; shardId < shardCount && !signal.aborted; shardId += 1) {
    const shard = shardKey({ shardId, shardCount });
    try {
      const roster = await store.readRoster({ shardId, shardCount });
      if (roster?.session === undefined) continue;
      const number = (await sessions.numberOf(shard, roster.session, { mayBegin: true })) as number;
      const known = new Map((await collect(reader.shardGuilds(shard))).map((item) => [item.sk, item]));
      const missing = [...roster.guilds.keys()].filter((guildId) => !known.has(guildId));
      if (preload.has('guilds')) {
        for (const guildId of missing.slice(0, Math.max(0, guildsPerRound - totals.fetched))) {
          if (signal.aborted) break;
          await count(deps, totals, 'fetched', guildId, () => fetchGuild(deps, shard, number, guildId));
        }
      }
      if (!preload.has('members')) continue;
      const nowSeconds = Math.floor(deps.clock.wallClockMs() / 1000);
      const due = [...known.values()].filter(
        ({ membersNumber, membersAskedAt = 0 }) =>
          membersNumber !== number && nowSeconds - membersAskedAt > askAgainAfterSeconds,
      );
      for (const { sk: guildId } of due.slice(0, asksPerShardAndRound)) {
        if (signal.aborted) break;
        await count(deps, totals, 'asked', guildId, () => askForMembers(deps, shard, guildId, nowSeconds));
      }
    } catch (error) {
      totals.failed += 1;
      logger.error({ shard, error: messageOf(error) }, 'directory.preload_failed');
    }
  }
  return totals;
}

async function count(
  { logger }: PreloadDeps,
  totals: PreloadTotals,
  what: 'fetched' | 'asked',
  guildId: string,
  act: () => Promise<unknown>,
): Promise<void> {
  try {
    await act();
    totals[what] += 1;
  } catch (error) {
    totals.failed += 1;
    logger.warn({ guild: guildId, what, error: messageOf(error) }, 'directory.guild_not_preloaded');
  }
}

/**
 * As if the session had begun with the guild's GUILD_CREATE. Events of a guild that the directory does not know yet are
 * passed over, and those that come between a snapshot and its being stored keep out what they do not know: so it is
 * fetched again, each time as if it stood right behind the last event, until no event came in between.
 */
async function fetchGuild(
  { api, writer, reader, entities }: PreloadDeps,
  shard: ShardKey,
  sessionNumber: number,
  guildId: string,
): Promise<void> {
  // A session's first event is READY, its number 1: this stands before everything that the session tells.
  let position = streamPosition(sessionNumber, 0);
  for (let attempt = 1; attempt <= fetchAttempts; attempt += 1) {
    const guild = await api.guilds.get(guildId, { with_counts: true });
    const channels = entities.has('channels') ? await api.guilds.getChannels(guildId) : [];
    const { threads } = entities.has('threads') ? await api.guilds.getActiveThreads(guildId) : { threads: [] };
    const data = { ...guild, member_count: guild.approximate_member_count, channels, threads, unavailable: false };
    await writer.fold(guildId, [{ type: 'GUILD_CREATE', guildId, shard, position, data }]);
    const newest = await reader.newestPosition(guildId);
    if (newest === undefined || (newest <= position && attempt > 1)) return;
    position = positionBehind(newest);
  }
}

async function askForMembers(
  { fleet, writer }: PreloadDeps,
  shard: ShardKey,
  guildId: string,
  nowSeconds: number,
): Promise<void> {
  await fleet.requestMembers(guildId, { query: '', limit: 0, nonce: fullListNonce });
  await writer.noteMembersAsked(shard, guildId, nowSeconds);
}

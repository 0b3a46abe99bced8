import type { API } from '@discordjs/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { preloadDirectory } from '../../../functions/directory/directory-preload.ts';
import { sweepDirectory } from '../../../functions/directory/directory-sweep.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import type { DirectoryPreload } from '../../../shared/directory/directory-options.ts';
import { collect, DirectoryReader } from '../../../shared/directory/directory-reader.ts';
import { SessionNumbers } from '../../../shared/directory/session-numbers.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { channel, DirectoryFixture, entities, GuildStream } from '../../shared/directory/directory-fixture.ts';

let fixture: DirectoryFixture;
let store: MemoryStore;
beforeAll(async () => {
  fixture = await DirectoryFixture.start();
  store = new MemoryStore(fixture.clock);
  await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 1, gatewayUrl: 'ws://127.0.0.1' });
});
afterAll(() => fixture[Symbol.asyncDispose]());

const shard = '2.0' as const;
const address = { shardId: 0, shardCount: 2 };
const kept = entities('guilds', 'channels', 'threads', 'roles', 'members');
/** Ids of guilds of shard 0 of 2. */
const guildIds = Array.from({ length: 6 }, (_, index) => String((BigInt(index + 1) * 2n) << 22n));
const [first, second, third, fourth, missing] = guildIds as [string, string, string, string, string, string];

const ports = () => ({
  reader: new DirectoryReader(fixture.documents, fixture.table),
  directory: fixture.directory(),
  writer: fixture.writer(kept),
  sessions: new SessionNumbers(fixture.documents, fixture.table),
  rosters: store,
  logger: silentLogger,
});

const writeRoster = (session: string, guilds: readonly string[]) =>
  store.writeRoster(address, 1, {
    userId: '1',
    applicationId: '1',
    guilds: new Map(guilds.map((guildId) => [guildId, 10])),
    session,
  });

async function announce(session: string, guildId: string): Promise<void> {
  const { sessions, writer } = ports();
  const sessionNumber = (await sessions.numberOf(shard, session, { mayBegin: true })) as number;
  await writer.fold(guildId, [new GuildStream(guildId, { shard, sessionNumber }).created()]);
}

const known = async () => (await collect(fixture.directory().guildIdsOnShard(0, { totalShards: 2 }))).sort();
const never = new AbortController().signal;

test('guilds that a new session does not know are taken out, once', async () => {
  for (const guildId of [first, second, third]) await announce('before', guildId);
  await writeRoster('before', [first, second, third]);
  expect(await sweepDirectory(ports(), never)).toEqual({ shards: 1, removed: 0, failed: 0 });
  expect(await sweepDirectory(ports(), never)).toEqual({ shards: 0, removed: 0, failed: 0 });

  // The new session has begun in the queue; its roster is not stored yet.
  await announce('after', first);
  expect(await sweepDirectory(ports(), never)).toMatchObject({ removed: 0 });
  // It joined a guild that the roster does not name yet, is out of another, and a third is in an outage.
  await announce('after', fourth);
  await writeRoster('after', [first, third]);
  expect(await sweepDirectory(ports(), never)).toEqual({ shards: 1, removed: 1, failed: 0 });
  expect(await known()).toEqual([first, third, fourth].sort());
});

test('a session without any guild takes out all, though no event of it ever comes', async () => {
  await writeRoster('lonely', []);
  expect(await sweepDirectory(ports(), never)).toMatchObject({ removed: 3 });
  expect(await known()).toEqual([]);
  expect(await collect(fixture.directory().guilds())).toEqual([]);
});

test('preload fetches guilds that no event told about, without losing what changes meanwhile, and asks for members', async () => {
  await writeRoster('resumed', [missing]);
  const { sessions, writer } = ports();
  const sessionNumber = (await sessions.numberOf(shard, 'resumed', { mayBegin: true })) as number;
  const stream = new GuildStream(missing, { shard, sessionNumber });
  let rounds = 0;
  const api = {
    guilds: {
      get: async () => ({ id: missing, name: 'fetched', approximate_member_count: 12, roles: [{ id: missing }] }),
      getChannels: async () => {
        rounds += 1;
        if (rounds === 1) {
          // Between the snapshot and its being stored: the directory does not know the guild yet.
          await writer.fold(missing, [stream.event('CHANNEL_CREATE', channel('2'))]);
          return [channel('1'), channel('3')];
        }
        if (rounds > 2) return [channel('1'), channel('2'), channel('3', { name: 'newer' })];
        // After it: an event that the second snapshot is too old for.
        const snapshot = [channel('1'), channel('2'), channel('3')];
        await writer.fold(missing, [stream.event('CHANNEL_UPDATE', channel('3', { name: 'newer' }))]);
        return snapshot;
      },
      getActiveThreads: async () => ({ threads: [channel('9', { type: 11, parent_id: '1' })], members: [] }),
    },
  } as unknown as Pick<API, 'guilds'>;
  const asked: [string, unknown][] = [];
  const round = (...preload: DirectoryPreload[]) =>
    preloadDirectory(
      {
        ...ports(),
        preload: new Set(preload),
        entities: kept,
        store,
        api,
        fleet: {
          requestMembers: async (guildId, request) => {
            asked.push([guildId, request]);
            return {} as never;
          },
        },
        clock: fixture.clock,
      },
      never,
    );
  expect(await round()).toEqual({ fetched: 0, asked: 0, failed: 0 });
  await fixture.clock.advance(60 * 60_000);
  expect(await round('guilds', 'members')).toEqual({ fetched: 1, asked: 0, failed: 0 });
  const directory = fixture.directory();
  expect(await directory.guild(missing)).toMatchObject({ name: 'fetched', member_count: 12, shard });
  expect((await directory.channels(missing)).map(({ id, name }) => [id, name])).toEqual([
    ['1', 'channel 1'],
    ['2', 'channel 2'],
    ['3', 'newer'],
  ]);
  expect(await directory.threads(missing)).toHaveLength(1);

  expect(await round('guilds', 'members')).toEqual({ fetched: 0, asked: 1, failed: 0 });
  expect(asked).toEqual([[missing, { query: '', limit: 0, nonce: 'directory' }]]);
  expect(await round('members')).toMatchObject({ asked: 0 });
  // No list came: it is asked for again, until it has.
  await fixture.clock.advance(16 * 60_000);
  expect(await round('members')).toMatchObject({ asked: 1 });
  const list = {
    guild_id: missing,
    members: [{ user: { id: '5' } }],
    chunk_index: 0,
    chunk_count: 1,
    nonce: 'directory',
  };
  await writer.fold(missing, [stream.event('GUILD_MEMBERS_CHUNK', list)]);
  await fixture.clock.advance(16 * 60_000);
  expect(await round('members')).toMatchObject({ asked: 0 });
});

test('a guild that Discord does not show is passed over, and the round goes on', async () => {
  await writeRoster('next', [first, second]);
  const api = {
    guilds: { get: async (id: string) => Promise.reject(new Error(`no ${id}`)) },
  } as unknown as Pick<API, 'guilds'>;
  const totals = await preloadDirectory(
    {
      ...ports(),
      preload: new Set(['guilds'] as const),
      entities: kept,
      store,
      api,
      fleet: { requestMembers: () => Promise.reject(new Error('not asked for')) },
      clock: fixture.clock,
    },
    never,
  );
  expect(totals).toEqual({ fetched: 0, asked: 0, failed: 2 });
});

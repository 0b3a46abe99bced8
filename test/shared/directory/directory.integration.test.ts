import type { API } from '@discordjs/core';
import { DiscordAPIError } from '@discordjs/rest';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { collect } from '../../../shared/directory/directory-reader.ts';
import { SessionNumbers } from '../../../shared/directory/session-numbers.ts';
import { shardIdOfGuild } from '../../../shared/sharding.ts';
import { channel, DirectoryFixture, GuildStream } from './directory-fixture.ts';

let fixture: DirectoryFixture;
beforeAll(async () => {
  fixture = await DirectoryFixture.start();
});
afterAll(() => fixture[Symbol.asyncDispose]());

/** A guild that is on `shardId` of eight. */
const guildOn = (shardId: number, nth = 0): string => String((BigInt(shardId + 8 * (nth + 1)) << 22n) + 5n);

describe('what the table does not know is asked of Discord', () => {
  const asked: string[] = [];
  const unknown = () =>
    new DiscordAPIError({ code: 10_007, message: 'Unknown Member' }, 10_007, 404, 'GET', 'here', {
      files: [],
      body: {},
    });
  const api = {
    guilds: {
      getMember: async (guildId: string, userId: string) => {
        asked.push(`${guildId} ${userId}`);
        if (userId === '404') throw unknown();
        return { user: { id: userId }, nick: `asked ${asked.length}`, roles: [] };
      },
    },
    channels: {
      get: async (id: string) => {
        asked.push(id);
        if (id === '404') throw unknown();
        return id === '700' ? { id, type: 1 } : { id, type: 0, guild_id: '300' };
      },
    },
  } as unknown as Pick<API, 'guilds' | 'channels'>;
  beforeEach(() => asked.splice(0));

  test('a member is remembered for ten minutes', async () => {
    const directory = fixture.directory({ api });
    const first = await directory.member('300', '40');
    expect(first).toMatchObject({ user: { id: '40' }, nick: 'asked 1', guild_id: '300' });
    await fixture.clock.advance(9 * 60_000);
    expect(await directory.member('300', '40')).toEqual(first);
    expect(asked).toEqual(['300 40']);
    await fixture.clock.advance(2 * 60_000);
    expect(await directory.member('300', '40')).toMatchObject({ nick: 'asked 2' });
    expect(await directory.member('300', '404')).toBeUndefined();
    expect(await fixture.directory().member('300', '41')).toBeUndefined();
  });

  test('a channel’s guild is remembered, the channel itself is read anew', async () => {
    const stream = new GuildStream('300');
    await fixture
      .writer()
      .fold('300', [
        stream.created({ channels: [channel('600')], threads: [channel('601', { type: 11, parent_id: '600' })] }),
      ]);
    const directory = fixture.directory({ api });
    expect(await directory.channel('600', { guildId: '300' })).toMatchObject({ id: '600', guild_id: '300' });
    expect(asked).toEqual([]);
    expect(await directory.channel('600')).toMatchObject({ name: 'channel 600' });
    await fixture.writer().fold('300', [stream.event('CHANNEL_UPDATE', channel('600', { name: 'other' }))]);
    expect(await directory.channel('600')).toMatchObject({ name: 'other' });
    expect(await directory.channel('601')).toMatchObject({ id: '601', parent_id: '600' });
    expect(asked).toEqual(['600', '601']);
    expect(await directory.channel('700')).toBeUndefined();
    expect(await directory.channel('404')).toBeUndefined();
  });

  test('another answer of Discord is not taken for "there is none"', async () => {
    const failing = { ...api, guilds: { getMember: () => Promise.reject(new Error('503')) } } as unknown as typeof api;
    await expect(fixture.directory({ api: failing }).member('300', '42')).rejects.toThrow('503');
  });
});

describe('shards', () => {
  const guilds = [guildOn(1), guildOn(1, 1), guildOn(3), guildOn(5)];
  beforeAll(async () => {
    const sessions = new SessionNumbers(fixture.documents, fixture.table);
    for (const guildId of guilds) {
      const shard = `4.${shardIdOfGuild(guildId, 4)}` as const;
      const sessionNumber = (await sessions.numberOf(shard, `session of ${shard}`, { mayBegin: true })) as number;
      const stream = new GuildStream(guildId, { shard, sessionNumber });
      await fixture
        .writer()
        .fold(guildId, [
          stream.created({ channels: [channel(`${guildId}1`)], roles: [{ id: guildId }], member_count: 7 }),
        ]);
    }
  });

  const idsOf = async (list: AsyncIterable<{ id: string }>): Promise<string[]> =>
    (await collect(list)).map(({ id }) => id).sort();

  test('have their guilds, channels and roles, in the newest generation or another', async () => {
    const directory = fixture.directory();
    expect(await idsOf(directory.guildsOnShard(1))).toEqual([guildOn(1), guildOn(1, 1), guildOn(5)].sort());
    expect(await idsOf(directory.guildsOnShard(5, { totalShards: 8 }))).toEqual([guildOn(5)]);
    expect(await idsOf(directory.guildsOnShard(1, { totalShards: 2 }))).toEqual([...guilds].sort());
    expect(await idsOf(directory.channelsOnShard(3))).toEqual([`${guildOn(3)}1`]);
    expect(await idsOf(directory.rolesOnShard(3))).toEqual([guildOn(3)]);
    expect(await idsOf(directory.guilds())).toEqual(expect.arrayContaining([...guilds]));
    expect(await directory.counts({ shardId: 1 })).toEqual({ guilds: 3, unavailableGuilds: 0, members: 21 });
  });

  test('of a new generation take guilds over as their events come, and none is lost or doubled meanwhile', async () => {
    const sessions = new SessionNumbers(fixture.documents, fixture.table);
    const guildId = guildOn(5);
    const sessionNumber = (await sessions.numberOf('8.5', 'of eight', { mayBegin: true })) as number;
    const stream = new GuildStream(guildId, { shard: '8.5', sessionNumber });
    await fixture.writer().fold(guildId, [stream.event('CHANNEL_CREATE', channel('9'))]);
    const directory = fixture.directory();
    expect(await idsOf(directory.guildsOnShard(5))).toEqual([guildId]);
    // Of the other guilds no event has come through the new generation yet.
    expect(await idsOf(directory.guildsOnShard(1))).toEqual([guildOn(1), guildOn(1, 1)].sort());
    expect(await idsOf(directory.guildsOnShard(1, { totalShards: 4 }))).toEqual(
      [guildOn(1), guildOn(1, 1), guildId].sort(),
    );
  });
});

describe('sessions are numbered', () => {
  const numbers = () => new SessionNumbers(fixture.documents, fixture.table);

  test('in the order in which they are first seen, over all shards, and by everybody the same', async () => {
    const ask = (shard: '2.0' | '2.1', session: string, mayBegin = true) =>
      numbers().numberOf(shard, session, { mayBegin });
    const first = (await ask('2.0', 'a')) as number;
    const second = (await ask('2.1', 'b')) as number;
    const third = (await ask('2.0', 'c')) as number;
    expect([second > first, third > second]).toEqual([true, true]);
    expect(await Promise.all([ask('2.0', 'a'), ask('2.0', 'c'), ask('2.1', 'b', false)])).toEqual([
      first,
      third,
      second,
    ]);
    expect(await ask('2.0', 'never seen', false)).toBeUndefined();
  });

  test('once, whoever asks at the same time', async () => {
    const answers = await Promise.all(
      Array.from({ length: 8 }, () => numbers().numberOf('2.1', 'contested', { mayBegin: true })),
    );
    expect(new Set(answers).size).toBe(1);
  });
});

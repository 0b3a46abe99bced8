import { QueryCommand, ScanCommand } from '@aws-sdk/lib-dynamodb';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collect } from '../../../shared/directory/directory-reader.ts';
import type { DirectoryWriter } from '../../../shared/directory/directory-writer.ts';
import type { GuildEvent } from '../../../shared/directory/guild-state.ts';
import { type Random, randomBelow, seededRandom } from '../../../shared/random.ts';
import { channel, DirectoryFixture, entities, GuildStream } from './directory-fixture.ts';

let fixture: DirectoryFixture;
let writer: DirectoryWriter;
beforeAll(async () => {
  fixture = await DirectoryFixture.start();
  writer = fixture.writer();
});
afterAll(() => fixture[Symbol.asyncDispose]());

const ids = (list: readonly { id: string }[]): string[] => list.map(({ id }) => id).sort();

async function stateOf(guildId: string) {
  const directory = fixture.directory();
  const [guild, channels, threads, roles] = await Promise.all([
    directory.guild(guildId),
    directory.channels(guildId),
    directory.threads(guildId),
    directory.roles(guildId),
  ]);
  return { guild, channels, threads, roles };
}

describe('a guild', () => {
  test('is what its events say, one after the other', async () => {
    const stream = new GuildStream('100');
    const everything = [
      stream.created({
        channels: [channel('1'), channel('2', { type: 15 })],
        threads: [channel('9', { type: 11, parent_id: '1', member: { flags: 1 }, message_count: 4 })],
        roles: [{ id: '100', name: '@everyone' }],
      }),
      stream.event('CHANNEL_CREATE', channel('3', { guild_id: '100' })),
      stream.event('CHANNEL_UPDATE', channel('1', { guild_id: '100', topic: 'new', last_message_id: '77' })),
      stream.event('CHANNEL_DELETE', channel('2', { guild_id: '100' })),
      stream.event('THREAD_CREATE', channel('10', { type: 11, parent_id: '3', newly_created: true })),
      stream.event('THREAD_CREATE', channel('11', { type: 11, parent_id: '1' })),
      stream.event('THREAD_UPDATE', channel('9', { type: 11, parent_id: '1', thread_metadata: { archived: true } })),
      stream.event('CHANNEL_DELETE', channel('3', { guild_id: '100' })),
      stream.event('GUILD_ROLE_CREATE', { guild_id: '100', role: { id: '5', name: 'mods' } }),
      stream.event('GUILD_ROLE_UPDATE', { guild_id: '100', role: { id: '5', name: 'moderators' } }),
      stream.event('GUILD_UPDATE', { id: '100', name: 'renamed', roles: [] }),
      stream.event('GUILD_MEMBER_ADD', { guild_id: '100', user: { id: '50' } }),
      stream.event('GUILD_MEMBER_ADD', { guild_id: '100', user: { id: '51' } }),
      stream.event('GUILD_MEMBER_REMOVE', { guild_id: '100', user: { id: '50' } }),
    ];
    const totals = await writer.fold('100', everything);
    expect(totals).toEqual({ folded: everything.length, stale: 0, unknownGuild: 0, invalid: 0 });
    const { guild, channels, threads, roles } = await stateOf('100');
    expect(guild).toMatchObject({ id: '100', name: 'renamed', member_count: 11, unavailable: false, shard: '4.1' });
    expect(guild).not.toHaveProperty('channels');
    expect(channels).toEqual([channel('1', { guild_id: '100', topic: 'new' })]);
    expect(ids(threads)).toEqual(['11']);
    expect(roles).toEqual([
      { id: '5', name: 'moderators', guild_id: '100' },
      { id: '100', name: '@everyone', guild_id: '100' },
    ]);
  });

  test('keeps ids of 64 bits and fields that nobody knows, and passes over payloads that lack what they must have', async () => {
    const big = '18446744073709551615';
    const stream = new GuildStream('18446744073709551614');
    const totals = await writer.fold(stream.guildId, [
      stream.created({
        channels: [channel(big, { shape: { of: ['tomorrow'] } }), { name: 'no id' }, null],
        roles: null,
      }),
      stream.event('CHANNEL_UPDATE', { guild_id: stream.guildId, name: 'no id' }),
      stream.event('GUILD_ROLE_CREATE', { guild_id: stream.guildId }),
      stream.event('THREAD_DELETE', null),
      stream.event('THREAD_LIST_SYNC', { guild_id: stream.guildId }),
    ]);
    expect(totals).toEqual({ folded: 2, stale: 0, unknownGuild: 0, invalid: 3 });
    const { channels } = await stateOf(stream.guildId);
    expect(channels).toMatchObject([{ id: big, shape: { of: ['tomorrow'] } }]);
  });

  test('that is not known, or was left, takes no changes', async () => {
    const stream = new GuildStream('101');
    const update = stream.event('CHANNEL_UPDATE', channel('1'));
    expect(await writer.fold('101', [update])).toMatchObject({ unknownGuild: 1 });
    await writer.fold('101', [
      stream.created({ channels: [channel('1')] }),
      stream.event('GUILD_DELETE', { id: '101' }),
    ]);
    expect(await writer.fold('101', [stream.event('CHANNEL_UPDATE', channel('1'))])).toMatchObject({ unknownGuild: 1 });
    expect(await stateOf('101')).toEqual({ guild: undefined, channels: [], threads: [], roles: [] });
  });
});

describe('leaving and outage', () => {
  test('an outage keeps what is known, and the end of it brings it up to date', async () => {
    const stream = new GuildStream('102');
    await writer.fold('102', [stream.created({ channels: [channel('1'), channel('2')] })]);
    await writer.fold('102', [stream.event('GUILD_DELETE', { id: '102', unavailable: true })]);
    const during = await stateOf('102');
    expect(during.guild).toMatchObject({ unavailable: true, name: 'guild 102' });
    expect(ids(during.channels)).toEqual(['1', '2']);
    await writer.fold('102', [stream.created({ channels: [channel('2'), channel('3')] })]);
    const after = await stateOf('102');
    expect(after.guild).toMatchObject({ unavailable: false });
    expect(ids(after.channels)).toEqual(['2', '3']);
  });

  test('leaving removes everything, also for a late copy of an event, until the bot joins again', async () => {
    const stream = new GuildStream('103');
    const created = stream.created({ channels: [channel('1')], roles: [{ id: '103' }] });
    await writer.fold('103', [created]);
    await writer.fold('103', [stream.event('GUILD_DELETE', { id: '103' })]);
    expect(await writer.fold('103', [created])).toMatchObject({ stale: 1 });
    expect(await stateOf('103')).toEqual({ guild: undefined, channels: [], threads: [], roles: [] });
    expect(await collect(fixture.directory().guildIdsOnShard(1, { totalShards: 4 }))).not.toContain('103');
    await writer.fold('103', [stream.created({ channels: [channel('4')] })]);
    expect(ids((await stateOf('103')).channels)).toEqual(['4']);
  });

  test('a session’s fresh GUILD_CREATE removes what is gone, and the session before it has nothing more to say', async () => {
    const before = new GuildStream('104', { sessionNumber: 7 });
    const after = new GuildStream('104', { sessionNumber: 8 });
    await writer.fold('104', [
      before.created({ channels: [channel('1'), channel('2')], roles: [{ id: '104' }, { id: '6' }] }),
    ]);
    const late = before.event('CHANNEL_CREATE', channel('3'));
    await writer.fold('104', [after.created({ channels: [channel('2')], roles: [{ id: '104' }] })]);
    expect(await writer.fold('104', [late])).toMatchObject({ stale: 1 });
    const { channels, roles } = await stateOf('104');
    expect([ids(channels), ids(roles)]).toEqual([['2'], ['104']]);
  });

  test('a guild that another generation’s shard tells about is on that shard', async () => {
    const old = new GuildStream('4194304', { shard: '4.1', sessionNumber: 1 });
    const next = new GuildStream('4194304', { shard: '8.1', sessionNumber: 2 });
    await writer.fold(old.guildId, [old.created()]);
    await writer.fold(old.guildId, [next.event('CHANNEL_CREATE', channel('1'))]);
    expect(await writer.fold(old.guildId, [old.event('CHANNEL_CREATE', channel('2'))])).toMatchObject({ stale: 1 });
    const { guild, channels } = await stateOf(old.guildId);
    expect([guild?.shard, ids(channels)]).toEqual(['8.1', ['1']]);
  });

  test('a guild that was left while nobody listened is taken out, unless a newer session knows it', async () => {
    const stream = new GuildStream('105', { sessionNumber: 3 });
    await writer.fold('105', [stream.created()]);
    expect(await writer.removeGuild('105', 3)).toBe(false);
    expect(await writer.removeGuild('105', 4)).toBe(true);
    expect((await stateOf('105')).guild).toBeUndefined();
    expect(await writer.removeGuild('105', 4)).toBe(false);
  });
});

test('a guild too large for one item is spread over many, and a change writes one', { timeout: 240_000 }, async () => {
  const stream = new GuildStream('106');
  const overwrites = Array.from({ length: 100 }, (_, index) => ({
    id: String(10n ** 18n + BigInt(index) * 7_919n),
    type: 0,
    allow: String(index * 104_729),
    deny: '0',
  }));
  const channels = Array.from({ length: 500 }, (_, index) =>
    channel(String(1_000_000 + index), {
      topic: `${index} ${'深海 '.repeat(index % 50)}`,
      permission_overwrites: overwrites,
    }),
  );
  await writer.fold('106', [stream.created({ channels })]);
  expect(await fixture.directory().channels('106')).toHaveLength(500);
  const { sizes, written } = await watchingWrites(async (watched) => {
    await watched.fold('106', [stream.event('CHANNEL_UPDATE', { ...channel('1000000'), topic: 'small' })]);
  });
  expect(written).toBe(1);
  expect(Math.max(...sizes)).toBeLessThan(20_000);
  const again = await watchingWrites(async (watched) => {
    await watched.fold('106', [stream.created({ channels: await fixture.directory().channels('106') })]);
  });
  // The head alone: what is announced again unchanged costs nothing.
  expect(again.written).toBe(1);
  const all = await fixture.documents.send(new ScanCommand({ TableName: fixture.table }));
  const largest = Math.max(...(all.Items ?? []).map((item) => (item['data'] as Uint8Array | undefined)?.length ?? 0));
  expect(largest).toBeLessThan(400_000);
});

test('a guild that grows event by event is spread over more items as it does', async () => {
  const stream = new GuildStream('107');
  await writer.fold('107', [stream.created({ channels: [channel('1')] })]);
  for (let start = 0; start < 400; start += 40) {
    const events = Array.from({ length: 40 }, (_, index) =>
      stream.event('CHANNEL_CREATE', channel(String(100 + start + index), { topic: 'x'.repeat(400) })),
    );
    await writer.fold('107', events);
  }
  expect(await fixture.directory().channels('107')).toHaveLength(401);
  expect((await fixture.directory().guildCounts('107')).channels).toBe(401);
  const { sizes } = await watchingWrites(async (watched) => {
    await watched.fold('107', [stream.event('CHANNEL_DELETE', channel('150'))]);
  });
  expect(Math.max(...sizes)).toBeLessThan(20_000);
});

describe.each([0, 1, 2, 4, 7, 11])('a spread of which %i writes came through', (writes) => {
  test.each([1, 40])('is finished by the next fold (%i channels before)', async (channelsBefore) => {
    const guildId = String(110_000 + 100 * writes + channelsBefore);
    const stream = new GuildStream(guildId);
    const before = Array.from({ length: channelsBefore }, (_, index) =>
      channel(String(1000 + index), { topic: `first ${index} ${'y'.repeat(500)}` }),
    );
    await writer.fold(guildId, [stream.created({ channels: before })]);
    const growth = Array.from({ length: 300 }, (_, index) =>
      stream.event('CHANNEL_CREATE', channel(String(5000 + index), { topic: `${index} ${'x'.repeat(500)}` })),
    );
    const all = [...before.map(({ id }) => id), ...growth.map(({ data }) => (data as { id: string }).id)].sort();
    await expect(
      fixture.writer(undefined, dyingAfter(writes, fixture.documents)).fold(guildId, growth),
    ).rejects.toThrow('killed');
    // Whoever reads meanwhile misses nothing that was there before.
    expect(ids(await fixture.directory().channels(guildId))).toEqual(expect.arrayContaining(ids(before)));

    await writer.fold(guildId, [...growth, stream.event('CHANNEL_UPDATE', channel('1000', { topic: 'later' }))]);
    const channels = await fixture.directory().channels(guildId);
    expect(ids(channels)).toEqual(all);
    expect(channels.find(({ id }) => id === '1000')).toMatchObject({ topic: 'later' });
    expect((await fixture.directory().guildCounts(guildId)).channels).toBe(all.length);
    // All of one spread: nothing of the one before is left.
    const { Items = [] } = await fixture.documents.send(
      new QueryCommand({
        TableName: fixture.table,
        KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
        ExpressionAttributeValues: { ':pk': `GUILD#${guildId}`, ':sk': 'CHANNELS#' },
      }),
    );
    expect(new Set(Items.map((item) => item['of'] as number))).toEqual(new Set([Items.length]));
  });
});

test('members are kept when they are asked for, and a full list ends what is gone', async () => {
  const withMembers = fixture.writer(entities('guilds', 'members'));
  const directory = fixture.directory({ keepsMembers: true });
  const member = (id: string, nick: string | null = null) => ({ user: { id }, nick, roles: [] });
  const before = new GuildStream('108', { sessionNumber: 1 });
  await withMembers.fold('108', [
    before.created({ members: [member('1'), member('2')] }),
    before.event('GUILD_MEMBER_ADD', { guild_id: '108', ...member('3') }),
    before.event('GUILD_MEMBER_UPDATE', { guild_id: '108', ...member('2', 'two') }),
    before.event('GUILD_MEMBER_REMOVE', { guild_id: '108', user: { id: '1' } }),
  ]);
  expect(await directory.member('108', '2')).toMatchObject({ nick: 'two', guild_id: '108' });
  expect((await collect(directory.members('108'))).map(({ user }) => user.id).sort()).toEqual(['2', '3']);
  const after = new GuildStream('108', { sessionNumber: 2 });
  const chunk = (index: number, ...members: object[]) =>
    after.event('GUILD_MEMBERS_CHUNK', {
      guild_id: '108',
      members,
      chunk_index: index,
      chunk_count: 2,
      nonce: 'directory',
    });
  await withMembers.fold('108', [after.created(), chunk(0, member('3')), chunk(1, member('4'))]);
  expect((await collect(directory.members('108'))).map(({ user }) => user.id).sort()).toEqual(['3', '4']);
  await withMembers.fold('108', [after.event('GUILD_DELETE', { id: '108' })]);
  expect(await collect(directory.members('108'))).toEqual([]);
});

describe.each([1, 2, 3])('whatever happens to its invocations (seed %i)', (seed) => {
  test('a guild ends as its events say', { timeout: 60_000 }, async () => {
    const random = seededRandom(seed);
    const guildId = String(200 + seed);
    const { events, expected } = randomEvents(guildId, random);
    const flaky = fixture.writer(undefined, unreliable(fixture.documents, random));
    // As the queue does it: an envelope comes again until it was handled, and those behind it wait.
    for (let next = 0; next < events.length; ) {
      const batch = events.slice(next, next + 1 + randomBelow(random, 12));
      for (;;) {
        // Of a batch that failed, the next delivery may bring less.
        const delivered = batch.slice(0, 1 + randomBelow(random, batch.length));
        try {
          await flaky.fold(guildId, delivered);
          next += delivered.length;
          break;
        } catch {
          expect(delivered.length).toBeGreaterThan(0);
        }
      }
      // A copy that comes late changes nothing.
      if (random.next() < 0.3) {
        const from = randomBelow(random, next);
        await writer.fold(guildId, events.slice(from, Math.min(next, from + 5)));
      }
    }
    const { guild, channels, threads, roles } = await stateOf(guildId);
    expect(guild?.member_count).toBe(expected.memberCount);
    expect([ids(channels), ids(threads), ids(roles)]).toEqual([expected.channels, expected.threads, expected.roles]);
    expect(Object.fromEntries(channels.map(({ id, name }) => [id, name]))).toEqual(expected.names);
  });
});

/** Counts the writes of a fold, with the bytes of their data. */
async function watchingWrites(act: (watched: DirectoryWriter) => Promise<void>) {
  const sizes: number[] = [];
  const documents = intercepted(fixture.documents, async (command, send) => {
    const { input, constructor } = command as {
      input: { Item?: { data?: Uint8Array } };
      constructor: { name: string };
    };
    if (/^(Put|Delete|Update|BatchWrite)Command$/.test(constructor.name)) sizes.push(input.Item?.data?.length ?? 0);
    return send();
  });
  await act(fixture.writer(undefined, documents));
  return { sizes, written: sizes.length };
}

/** An invocation that is killed when so many of its writes have been made. */
function dyingAfter(writes: number, documents: DynamoDBDocumentClient): DynamoDBDocumentClient {
  let left = writes;
  return intercepted(documents, async (command, send) => {
    if (!/^(Put|Delete|Update|BatchWrite)Command$/.test(command.constructor.name)) return send();
    left -= 1;
    if (left < 0) throw new Error('killed');
    return send();
  });
}

/** Loses one request in fifteen on its way, and one answer in fifteen on its way back. */
function unreliable(documents: DynamoDBDocumentClient, random: Random): DynamoDBDocumentClient {
  return intercepted(documents, async (_command, send) => {
    const draw = random.next();
    if (draw < 1 / 15) throw new Error('lost on its way');
    const answer = await send();
    if (draw > 14 / 15) throw new Error('its answer was lost');
    return answer;
  });
}

function intercepted(
  documents: DynamoDBDocumentClient,
  intercept: (command: object, send: () => Promise<unknown>) => Promise<unknown>,
): DynamoDBDocumentClient {
  const send = (command: never): Promise<unknown> => intercept(command, () => documents.send(command));
  return { send } as unknown as DynamoDBDocumentClient;
}

/** A guild's life over three sessions, and what must be left of it. */
function randomEvents(guildId: string, random: Random) {
  const channels = new Map<string, string>();
  const threads = new Map<string, string>();
  const roles = new Set<string>();
  let memberCount = 10;
  let fresh = 1000;
  const events: GuildEvent[] = [];
  const any = (list: Iterable<string>): string | undefined => {
    const all = [...list];
    return all[randomBelow(random, Math.max(1, all.length))];
  };
  for (const sessionNumber of [1, 2, 3]) {
    const stream = new GuildStream(guildId, { sessionNumber });
    // While no session listened, things happened too.
    for (const id of channels.keys()) if (random.next() < 0.2) channels.delete(id);
    for (const [id, parent] of threads) if (!channels.has(parent)) threads.delete(id);
    for (let count = randomBelow(random, 60); count > 0; count -= 1) channels.set(String(fresh++), 'while away');
    events.push(
      stream.created({
        member_count: memberCount,
        channels: [...channels].map(([id, name]) => channel(id, { name, topic: 'y'.repeat(200) })),
        threads: [...threads].map(([id, parent_id]) => channel(id, { type: 11, parent_id })),
        roles: [...roles].map((id) => ({ id })),
      }),
    );
    for (let step = 0; step < 80; step += 1) {
      const draw = randomBelow(random, 9);
      const known = any(channels.keys());
      if (draw < 3 || known === undefined) {
        const id = draw === 2 && known !== undefined ? known : String(fresh++);
        channels.set(id, `name ${step}`);
        events.push(
          stream.event(id === known ? 'CHANNEL_UPDATE' : 'CHANNEL_CREATE', channel(id, { name: `name ${step}` })),
        );
      } else if (draw === 3) {
        channels.delete(known);
        for (const [id, parent] of threads) if (parent === known) threads.delete(id);
        events.push(stream.event('CHANNEL_DELETE', channel(known)));
      } else if (draw === 4) {
        const id = String(fresh++);
        threads.set(id, known);
        events.push(stream.event('THREAD_CREATE', channel(id, { type: 11, parent_id: known })));
      } else if (draw === 5) {
        const id = any(threads.keys()) ?? '1';
        threads.delete(id);
        events.push(stream.event('THREAD_DELETE', { id, guild_id: guildId }));
      } else if (draw === 6) {
        const id = any(roles) ?? String(fresh++);
        if (roles.delete(id)) events.push(stream.event('GUILD_ROLE_DELETE', { guild_id: guildId, role_id: id }));
        else {
          roles.add(id);
          events.push(stream.event('GUILD_ROLE_CREATE', { guild_id: guildId, role: { id } }));
        }
      } else {
        const joins = draw === 7;
        memberCount += joins ? 1 : -1;
        events.push(
          stream.event(joins ? 'GUILD_MEMBER_ADD' : 'GUILD_MEMBER_REMOVE', { guild_id: guildId, user: { id: '1' } }),
        );
      }
    }
  }
  const sorted = (keys: Iterable<string>) => [...keys].sort();
  return {
    events,
    expected: {
      memberCount,
      channels: sorted(channels.keys()),
      threads: sorted(threads.keys()),
      roles: sorted(roles),
      names: Object.fromEntries(channels),
    },
  };
}

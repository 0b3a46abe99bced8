import { expect, test } from 'vitest';
import { type DirectoryEvent, DirectoryFold } from '../../../functions/directory/directory-fold.ts';
import type { EventsDirectory } from '../../../functions/events/events-invocation.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import type { GuildEvent } from '../../../shared/directory/guild-state.ts';
import { BatonError } from '../../../shared/errors.ts';
import { EventsBench, recordOf, redelivered } from '../events/events-fixture.ts';

const nothing = { folded: 0, stale: 0, unknownGuild: 0, invalid: 0 };

/** A directory that notes what is folded, and fails as often as it is told. */
function watched(
  story: string[],
  {
    failures = 0,
    failsFor,
    error = new Error('the table gives no answer'),
  }: { failures?: number; failsFor?: string; error?: Error } = {},
) {
  let left = failures;
  const directory: EventsDirectory = {
    takes: (type) => type.startsWith('CHANNEL_'),
    async fold(guildId, events) {
      const failsNow = guildId === failsFor && left > 0;
      if (failsNow) {
        left -= 1;
        throw error;
      }
      story.push(`fold ${guildId}: ${events.map(({ seq }) => seq).join(' ')}`);
      return nothing;
    },
  };
  return directory;
}

const handlerOf = (story: string[]) => [
  defineEvent('CHANNEL_UPDATE', (_data, ctx) => {
    story.push(`run ${ctx.guildId}: ${ctx.seq}`);
  }),
  defineEvent('MESSAGE_CREATE', (_data, ctx) => {
    story.push(`run ${ctx.guildId}: ${ctx.seq}`);
  }),
];

const change = (seq: number, guild: string) => ({ seq, guild, type: 'CHANNEL_UPDATE' });

test('the directory has a guild’s events before their handlers run, over the messages of a batch', async () => {
  const story: string[] = [];
  const bench = new EventsBench(handlerOf(story), { directory: watched(story) });
  const answer = bench.invoke([
    recordOf({ events: [change(1, '10'), { seq: 2, guild: '10' }, change(3, '20')] }),
    recordOf({ events: [change(4, '10'), { seq: 5, guild: '30' }] }),
  ]);
  await bench.pass(100);
  expect(await answer).toEqual([]);
  const of = (guild: string) => story.filter((line) => line.includes(` ${guild}:`));
  expect(of('10')).toEqual(['fold 10: 1 4', 'run 10: 1', 'run 10: 2', 'run 10: 4']);
  expect(of('20')).toEqual(['fold 20: 3', 'run 20: 3']);
  expect(of('30')).toEqual(['run 30: 5']);
});

test.each([
  new BatonError('STORE_ITEM_INVALID', 'directory: GUILD#10/GUILD does not decode'),
  Object.assign(new Error('Item size has exceeded the maximum allowed size'), { name: 'ValidationException' }),
  new RangeError('10000000000 has more than 10 digits'),
])('a guild that cannot be folded at all ($name) does not hold up its shard', async (error) => {
  const story: string[] = [];
  const directory = watched(story, { failures: Number.POSITIVE_INFINITY, failsFor: '10', error });
  const bench = new EventsBench(handlerOf(story), { directory });
  const answer = bench.invoke([recordOf({ events: [change(1, '10'), change(2, '20')] })]);
  await bench.pass(100);
  expect(await answer).toEqual([]);
  expect(story.sort()).toEqual(['fold 20: 2', 'run 10: 1', 'run 20: 2']);
});

test('a table that gives no answer for a while is asked again, and nothing comes back to the queue', async () => {
  const story: string[] = [];
  const bench = new EventsBench(handlerOf(story), { directory: watched(story, { failures: 4, failsFor: '10' }) });
  const answer = bench.invoke([recordOf({ events: [change(1, '10')] })]);
  await bench.pass(10_000);
  expect(await answer).toEqual([]);
  expect(story).toEqual(['fold 10: 1', 'run 10: 1']);
});

test('what cannot be folded comes again with its handlers not run; what was handled is folded again, not run again', async () => {
  const story: string[] = [];
  const directory = watched(story, { failures: Number.POSITIVE_INFINITY, failsFor: '10' });
  const bench = new EventsBench(handlerOf(story), { directory });
  const record = recordOf({ events: [change(1, '10'), change(2, '20')] });
  const answer = bench.invoke([record]);
  await bench.pass(30_000);
  expect(await answer).toEqual([record.messageId]);
  expect(story).toEqual(['fold 20: 2', 'run 20: 2']);

  const later: string[] = [];
  const again = new EventsBench(handlerOf(later), { directory: watched(later), marks: bench.marks });
  const second = again.invoke([redelivered(record)]);
  await again.pass(1000);
  expect(await second).toEqual([]);
  expect(later.sort()).toEqual(['fold 10: 1', 'fold 20: 2', 'run 10: 1']);
});

test('events of a session that nobody remembers are folded when it is new, and passed over when they were put back', async () => {
  const folded: GuildEvent[] = [];
  const fold = new DirectoryFold(new Set(['guilds', 'channels'] as const), {
    writer: {
      fold: async (_guildId, events) => {
        folded.push(...events);
        return { ...nothing, folded: events.length };
      },
    },
    sessions: { numberOf: async (_shard, session, { mayBegin }) => (session === 'known' || mayBegin ? 7 : undefined) },
  });
  const event = (session: string, redriven: boolean): DirectoryEvent => ({
    type: 'CHANNEL_UPDATE',
    seq: 12,
    data: {},
    header: { shard: [3, 64], session },
    redriven,
  });
  const totals = await fold.fold('1', [event('fresh', false), event('forgotten', true), event('known', true)]);
  expect(totals).toEqual({ folded: 2, stale: 1, unknownGuild: 0, invalid: 0 });
  expect(folded.map(({ shard, position }) => [shard, position])).toEqual([
    ['64.3', '0000000007.0000000012'],
    ['64.3', '0000000007.0000000012'],
  ]);
  expect([fold.takes('CHANNEL_UPDATE'), fold.takes('GUILD_MEMBER_ADD'), fold.takes('MESSAGE_CREATE')]).toEqual([
    true,
    true,
    false,
  ]);
  expect(
    new DirectoryFold(new Set(), {
      writer: { fold: async () => nothing },
      sessions: { numberOf: async () => 1 },
    }).takes('GUILD_CREATE'),
  ).toBe(false);
});

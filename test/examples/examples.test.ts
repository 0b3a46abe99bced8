import { TestBot } from 'baton/testing';
import { expect, test } from 'vitest';
import * as busy from '../../examples/busy.ts';
import * as clock from '../../examples/clock.ts';
import * as hello from '../../examples/hello.ts';
import * as menus from '../../examples/menus.ts';
import * as report from '../../examples/report.ts';
import * as score from '../../examples/score.ts';
import * as shards from '../../examples/shards.ts';
import * as team from '../../examples/team.ts';
import * as ticket from '../../examples/ticket.ts';
import * as welcome from '../../examples/welcome.ts';
import type { Logger } from '../../shared/logger.ts';

// Dice and a ticket's way are in ticket.test.ts, which the page shows.

test('hello', async () => {
  expect((await new TestBot({ ...hello }).command('hello')).content).toBe('Hello, <@5>!');
});

test('clock', async () => {
  const bot = new TestBot({ ...clock });
  expect(await bot.autocomplete('clock', 'zone', 'berl')).toEqual([{ name: 'Europe/Berlin', value: 'Europe/Berlin' }]);
  expect((await bot.command('clock', { zone: 'Europe/Berlin' })).content).toMatch(/^\d+:\d\d/);
  expect((await bot.command('clock', { zone: 'Mars' })).content).toBe('I know no such zone.');
});

test('menus', async () => {
  const bot = new TestBot({ ...menus });
  expect((await bot.userCommand('Who is this?', { id: '8', username: 'ben' })).content).toBe('ben, here since never');
  const message = { id: '9', content: 'hi', author: { username: 'ann' } };
  expect((await bot.messageCommand('Quote', message)).content).toBe('> hi\n— ann');
});

test('team', async () => {
  const bot = new TestBot({ ...team });
  const [asked] = (await bot.command('team')).messages;
  expect(asked?.components).toMatchObject([
    { components: [{ type: 5, custom_id: 'team:players', max_values: 5 }] },
    { components: [{ type: 3, options: [{ value: 'red' }, { value: 'blue' }] }] },
  ]);
  expect((await bot.select('team:players', [{ id: '8', username: 'ben' }])).content).toBe('Players: ben');
  expect((await bot.select('team:side', ['blue'])).content).toBe('Side: blue');
});

test('ticket, closed and explained', async () => {
  const bot = new TestBot({ ...ticket });
  expect((await bot.command('ticket rules')).messages[0]?.ephemeral).toBe(true);
  const closed = await bot.click('ticket:7:close', { id: '700', content: 'Help' });
  expect(closed.messages).toMatchObject([{ content: 'Help\n\nClosed. Thank you, <@7>!', components: [] }]);
});

test('welcome', async () => {
  const guild = async () => ({ name: 'Home', system_channel_id: '600' }) as never;
  const bot = new TestBot({ ...welcome }, { directory: { guild } });
  await bot.event('GUILD_MEMBER_ADD', { guild_id: '1', user: { id: '8' } as never });
  await bot.event('MESSAGE_CREATE', { id: '9', channel_id: '601', content: 'no such thing' });
  await bot.event('MESSAGE_UPDATE', { id: '9', channel_id: '601', content: 'a spoiler' });
  expect(bot.requests).toEqual([
    { method: 'POST', path: '/channels/600/messages', body: { content: 'Welcome to Home, <@8>!' } },
    { method: 'DELETE', path: '/channels/601/messages/9', body: undefined },
  ]);
});

test('report', async () => {
  const directory = {
    roles: async () => [{}, {}] as never,
    guildCounts: async () => ({ channels: 3, threads: 0, roles: 2, emojis: 0 }),
  };
  const answers = await new TestBot({ ...report }, { directory }).command('report');
  expect(answers).toMatchObject({ deferred: 'ephemeral', messages: [{ content: '2 roles, 3 channels.' }] });
});

test('shards', async () => {
  const shard = {
    id: 3,
    total: 64,
    figures: { worker: 'worker-1', guildCount: 12, latencyMs: 31, eventsPerSecond: 2.5 },
  };
  const sharded = await new TestBot({ ...shards }, { shard }).command('shards');
  expect(sharded.content).toBe('Shard 3 of 64 is ready on worker-1: 12 servers, 31 ms, 2.5 events/s.');
  expect((await new TestBot({ ...shards }).command('shards')).content).toMatch(/^The bot is ready on test: 0 servers/);
});

test('busy', async () => {
  const bot = new TestBot({ ...busy });
  expect((await bot.command('busy')).content).toBe('Done.');
  expect(bot.fleetCalls).toMatchObject([{ method: 'updatePresence', args: [{ status: 'dnd' }] }]);
});

test('score', async () => {
  const lines: object[] = [];
  const info = (fields: object) => void lines.push(fields);
  const log = { debug: info, info, warn: info, error: info } as unknown as Logger;
  const bot = new TestBot({ ...score }, { log });
  await bot.command('score', { points: 3 });
  expect(bot.fleetCalls).toEqual([
    { method: 'sendToGuild', args: ['100', { name: 'score-changed', data: { points: 3 } }] },
  ]);
  await bot.message(score.scoreChanged.with({ points: 3 }));
  expect(lines).toMatchObject([{ points: 3 }]);
  await expect(bot.message({ name: 'score-changed', data: { points: 'x' } })).rejects.toThrow('score-changed');
});

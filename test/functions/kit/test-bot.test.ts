import { ApplicationCommandOptionType, ChannelType } from 'discord-api-types/v10';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import {
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
} from '../../../functions/kit/define-command.ts';
import { defineComponent } from '../../../functions/kit/define-component.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import { defineMessage } from '../../../functions/kit/define-message.ts';
import { defineModal } from '../../../functions/kit/define-modal.ts';
import { routeInteraction } from '../../../functions/kit/route-interaction.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import { TestBot } from '../../../functions/kit/test-bot.ts';

const show = (value: unknown) => JSON.stringify(value);

describe('commands', () => {
  test('get the values of their options, entities as Discord sent them', async () => {
    const seen: unknown[] = [];
    const give = defineCommand({
      name: 'give',
      description: 'Gives',
      options: {
        count: { type: 'integer', description: 'c', required: true },
        who: { type: 'user', description: 'w', required: true },
        where: { type: 'channel', description: 'w', channelTypes: [ChannelType.GuildText], required: true },
        role: { type: 'role', description: 'r', required: true },
        whom: { type: 'mentionable', description: 'w', required: true },
        team: { type: 'mentionable', description: 't', required: true },
        file: { type: 'attachment', description: 'f', required: true },
        note: { type: 'string', description: 'n' },
      },
      run({ options, reply }) {
        seen.push(options);
        return reply(`${options.count} for ${options.who.username} in ${options.where.name}, ${options.note}`);
      },
    });
    const bot = new TestBot({ give });
    const answers = await bot.command('give', {
      count: 3,
      who: { id: '18446744073709551615', username: 'ann' },
      where: { id: '6', name: 'hall' },
      role: { id: '7' },
      whom: { id: '8' },
      team: { id: '9', role: true },
      file: { id: '10' },
    });
    expect(answers.messages).toEqual([{ how: 'reply', content: '3 for ann in hall, undefined' }]);
    expect(seen).toMatchObject([
      {
        who: { id: '18446744073709551615' },
        role: { id: '7' },
        whom: { kind: 'user', id: '8' },
        team: { kind: 'role', id: '9' },
        file: { id: '10' },
      },
    ]);
    await expect(bot.command('give', { other: 1 })).rejects.toThrow('"give" has no option "other"');
    await expect(bot.command('take')).rejects.toThrow('no handler');
  });

  test('run their subcommands, also in groups', async () => {
    const named = (what: string) =>
      defineSubcommand({
        description: 'd',
        options: { tag: { type: 'string', description: 't' } },
        run: ({ reply, options }) => reply(`${what} ${options.tag}`),
      });
    const ticket = defineCommand({
      name: 'ticket',
      description: 'Tickets',
      subcommands: { close: named('close'), labels: { description: 'l', subcommands: { add: named('add') } } },
    });
    const bot = new TestBot({ ticket });
    expect((await bot.command('ticket close', { tag: 'a' })).content).toBe('close a');
    expect((await bot.command('ticket labels add', { tag: 'b' })).content).toBe('add b');
    await expect(bot.command('ticket')).rejects.toThrow('no handler');
  });

  test('know who, where and which shard', async () => {
    const where = defineCommand({
      name: 'where',
      description: 'd',
      async run({ shard, guildId, channelId, userId, member, locale, reply }) {
        const { guildCount, worker } = await shard.figures();
        await reply(show([guildId, channelId, userId, member?.user.username, locale, shard.id, shard.total]));
        await reply(show([guildCount, worker, await shard.guildIds()]));
      },
    });
    const shard = { id: 3, total: 64, guildIds: ['1', '2'], figures: { worker: 'worker-1' } };
    const sharded = await new TestBot({ where }, { guildId: '77', shard }).command('where');
    expect(sharded.messages.map(({ content }) => content)).toEqual([
      '["77","600","5","somebody","en-US",3,64]',
      '[2,"worker-1",["1","2"]]',
    ]);
    const unsharded = await new TestBot({ where }).command('where');
    expect(unsharded.messages[0]?.content).toBe('["100","600","5","somebody","en-US",null,1]');
  });

  test('in menus get their target', async () => {
    const who = defineUserCommand({ name: 'Who', run: ({ target, reply }) => reply(target.username) });
    const quote = defineMessageCommand({ name: 'Quote', run: ({ target, reply }) => reply(`> ${target.content}`) });
    const bot = new TestBot({ who, quote });
    expect((await bot.userCommand('Who', { id: '8', username: 'ben' })).content).toBe('ben');
    expect((await bot.messageCommand('Quote', { id: '9', content: 'hi' })).content).toBe('> hi');
  });

  test('answer in every way', async () => {
    const talk = defineCommand({
      name: 'talk',
      description: 'd',
      async run(ctx) {
        await ctx.defer({ ephemeral: true });
        await ctx.editReply('one');
        await ctx.followUp({ content: 'two', ephemeral: true });
        await ctx.deleteReply();
      },
    });
    const answers = await new TestBot({ talk }).command('talk');
    expect(answers).toMatchObject({ deferred: 'ephemeral', deleted: true });
    expect(answers.messages).toEqual([
      { how: 'edit', content: 'one' },
      { how: 'followUp', content: 'two', ephemeral: true },
    ]);
  });
});

test('autocompletion suggests at most 25, and knows what is filled in', async () => {
  const find = defineCommand({
    name: 'find',
    description: 'd',
    options: {
      city: {
        type: 'string',
        description: 'c',
        autocomplete: ({ value, option }) => [`${option}=${value}`, { name: 'Berlin!', value: 'berlin' }],
      },
      floor: {
        type: 'integer',
        description: 'f',
        autocomplete: async () => Array.from({ length: 30 }, (_, index) => index),
      },
    },
    run: () => {},
  });
  const bot = new TestBot({ find });
  expect(await bot.autocomplete('find', 'city', 'Ber')).toEqual([
    { name: 'city=Ber', value: 'city=Ber' },
    { name: 'Berlin!', value: 'berlin' },
  ]);
  expect(await bot.autocomplete('find', 'floor', '')).toHaveLength(25);
});

describe('components', () => {
  const page = defineComponent({
    type: 'button',
    customId: 'page:{number:integer}',
    run: (ctx) => ctx.update(`page ${ctx.params.number + 1} of ${ctx.message.id}`),
  });
  const assign = defineComponent({
    type: 'user-select',
    customId: 'assign:{ticket:snowflake}',
    run: ({ values, params, reply }) => reply(`${params.ticket}: ${values.map(({ username }) => username).join()}`),
  });
  const colour = defineComponent({
    type: 'string-select',
    customId: 'colour',
    values: ['red', 'blue'],
    run: ({ values, reply }) => reply(values.join()),
  });

  test('are found by their custom id', async () => {
    const bot = new TestBot({ page, assign, colour });
    expect((await bot.click(page.customId({ number: 1 }))).messages).toEqual([
      { how: 'update', content: 'page 2 of 700' },
    ]);
    const ids = assign.customId({ ticket: '9007199254740993' });
    expect((await bot.select(ids, [{ id: '8', username: 'ben' }])).content).toBe('9007199254740993: ben');
    expect((await bot.select('colour', ['red', 'blue'])).content).toBe('red,blue');
    await expect(bot.click('page:x')).rejects.toThrow('no handler');
    await expect(bot.click('colour')).rejects.toThrow('no handler');
  });
});

test('forms come back with their fields, whatever Discord leaves out', async () => {
  const feedback = defineModal({
    customId: 'feedback:{topic}',
    title: 'Feedback',
    fields: {
      summary: { type: 'short', label: 'S', placeholder: 'p', minLength: 1, maxLength: 50, description: 'd' },
      text: { type: 'paragraph', label: 'T', required: false },
      mood: { type: 'radio-group', label: 'M', options: ['good', { value: 'bad', label: 'Bad' }], required: false },
      tags: { type: 'string-select', label: 'T', options: ['a', 'b'], minValues: 0, maxValues: 2 },
      agree: { type: 'checkbox', label: 'A' },
    },
    run: ({ fields, params, message, reply }) => reply(show([params.topic, fields, message?.id])),
  });
  const ask = defineCommand({
    name: 'ask',
    description: 'd',
    run: (ctx) =>
      ctx.showModal(feedback.open({ topic: 'bot:1' }, { title: 'Tell us', values: { summary: 'So', tags: ['b'] } })),
  });
  const bot = new TestBot({ feedback, ask });
  const { modal } = await bot.command('ask');
  expect(modal).toMatchObject({
    custom_id: 'feedback:bot%3A1',
    title: 'Tell us',
    components: [
      {
        type: 18,
        label: 'S',
        description: 'd',
        component: { type: 4, style: 1, value: 'So', min_length: 1, max_length: 50, required: true },
      },
      { component: { type: 4, style: 2, required: false } },
      {
        component: {
          type: 21,
          options: [
            { value: 'good', label: 'good' },
            { value: 'bad', label: 'Bad' },
          ],
        },
      },
      {
        component: {
          type: 3,
          min_values: 0,
          required: false,
          options: [{ value: 'a' }, { value: 'b', default: true }],
        },
      },
      { component: { type: 23 } },
    ],
  });
  if (!modal) throw new Error('no form');
  const answers = await bot.submit(modal, { summary: 'Fine', tags: ['a', 'b'], agree: true }, { id: '700' });
  expect(answers.content).toBe(show(['bot:1', { summary: 'Fine', text: '', tags: ['a', 'b'], agree: true }, '700']));
});

test('events, and what is done after them', async () => {
  const seen: string[] = [];
  const both = defineEvent(
    ['MESSAGE_CREATE', 'MESSAGE_DELETE'],
    async (message, ctx) => {
      seen.push(`${ctx.type} ${message.id} ${ctx.guildId}`);
      await ctx.api.channels.createMessage('600', { content: 'hi' });
      await ctx.fleet.broadcast({ name: 'seen', data: message.id });
    },
    { afterBatch: async () => void seen.push('after') },
  );
  const bot = new TestBot({ both }, { rest: () => ({ id: '9' }) });
  await bot.event('MESSAGE_DELETE', { id: '1', channel_id: '2', guild_id: '3' });
  expect(seen).toEqual(['MESSAGE_DELETE 1 3', 'after']);
  expect(bot.requests).toEqual([{ method: 'POST', path: '/channels/600/messages', body: { content: 'hi' } }]);
  expect(bot.fleetCalls).toEqual([{ method: 'broadcast', args: [{ name: 'seen', data: '1' }] }]);
});

test('messages are checked before they are handled', async () => {
  const seen: unknown[] = [];
  const isText = (value: unknown): value is string => typeof value === 'string';
  const bySchema = defineMessage('schema', z.object({ n: z.coerce.number() }), (data) => void seen.push(data));
  const byGuard = defineMessage('guard', isText, (data) => void seen.push(data));
  const bot = new TestBot({ bySchema, byGuard });
  await bot.message({ name: 'schema', data: { n: '5' } });
  await bot.message(byGuard.with('text'));
  expect(seen).toEqual([{ n: 5 }, 'text']);
  const refused = { code: 'MESSAGE_INVALID' };
  await expect(bot.message({ name: 'schema', data: { n: {} } })).rejects.toMatchObject(refused);
  await expect(bot.message({ name: 'guard', data: 5 })).rejects.toMatchObject(refused);
});

test('what a test does not give says so', async () => {
  const ask = defineCommand({
    name: 'ask',
    description: 'd',
    run: async ({ directory, reply }) => reply((await directory.guild('1'))?.name ?? 'unknown'),
  });
  await expect(new TestBot({ ask }).command('ask')).rejects.toThrow('gives no directory, and guild was called');
  const directory = { guild: async () => ({ id: '1', name: 'Home' }) as never };
  expect((await new TestBot({ ask }, { directory }).command('ask')).content).toBe('Home');
});

describe('payloads of another form', () => {
  const registry = createRegistry([
    {
      file: 'a.ts',
      exports: {
        who: defineCommand({
          name: 'who',
          description: 'd',
          options: { u: { type: 'user', description: 'u' } },
          run: () => {},
        }),
      },
    },
  ]);
  const route = (interaction: object) => routeInteraction(registry, interaction as never);
  const user = { name: 'u', type: ApplicationCommandOptionType.User, value: '1' };
  const run = (interaction: object) =>
    route(interaction)?.run({
      services: {},
      answers: {},
      shard: {},
      log: {},
      signal: {},
      ageMs: 0,
      remainingMs: () => 0,
    } as never);

  test('unknown types and fields are no fault', async () => {
    expect(route({ type: 99, data: {} })).toBeUndefined();
    expect(route({ type: 2, data: { type: 99, name: 'who' } })).toBeUndefined();
    expect(route({ type: 4, data: { type: 1, name: 'who', options: [] } })).toBeUndefined();
    await run({ type: 2, id: '1', novel: {}, user: { id: '5' }, data: { type: 1, name: 'who', novel: 1 } });
  });

  test('what must have come along is named', async () => {
    const data = { type: 1, name: 'who', options: [user] };
    await expect(run({ type: 2, id: '1', user: { id: '5' }, data })).rejects.toThrow('interaction without the user 1');
    await expect(run({ type: 2, id: '1', data: { ...data, options: [] } })).rejects.toThrow(
      'interaction 1 without a user',
    );
  });
});

import {
  type APIAttachment,
  type APIButtonComponentWithCustomId,
  type APIInteractionDataResolvedChannel,
  type APIMessage,
  type APIRole,
  type GatewayGuildCreateDispatchData,
  type GatewayMessageCreateDispatchData,
  type GatewayMessageUpdateDispatchData,
  ChannelType,
} from 'discord-api-types/v10';
import { expect, expectTypeOf, test } from 'vitest';
import { z } from 'zod';
import {
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
} from '../../../functions/kit/define-command.ts';
import { actionRow } from '../../../functions/kit/component-json.ts';
import { defineComponent } from '../../../functions/kit/define-component.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import { defineMessage } from '../../../functions/kit/define-message.ts';
import { defineModal } from '../../../functions/kit/define-modal.ts';
import type { ResolvedMentionable, ResolvedUser } from '../../../functions/kit/resolved-values.ts';

test('handlers get the payload of their type', () => {
  defineEvent(
    'MESSAGE_CREATE',
    (message) => void expectTypeOf(message).toEqualTypeOf<GatewayMessageCreateDispatchData>(),
  );
  defineEvent('GUILD_CREATE', (guild, ctx) => {
    expectTypeOf(guild).toEqualTypeOf<GatewayGuildCreateDispatchData>();
    expectTypeOf(ctx.type).toEqualTypeOf<'GUILD_CREATE'>();
    expectTypeOf(ctx.shard.id).toEqualTypeOf<number | null>();
  });
  defineEvent('CHANNEL_UPDATE', (channel) => void expectTypeOf(channel.id).toEqualTypeOf<string>());
  const both = defineEvent(['MESSAGE_CREATE', 'MESSAGE_UPDATE'], (message, ctx) => {
    expectTypeOf(message).toEqualTypeOf<GatewayMessageCreateDispatchData | GatewayMessageUpdateDispatchData>();
    expectTypeOf(ctx.type).toEqualTypeOf<'MESSAGE_CREATE' | 'MESSAGE_UPDATE'>();
  });
  expect(both.types).toEqual(['MESSAGE_CREATE', 'MESSAGE_UPDATE']);
  // @ts-expect-error no such type
  defineEvent('MESSAGE_CREATED', () => {});
  // @ts-expect-error interactions are not events
  defineEvent('INTERACTION_CREATE', () => {});
});

test('commands get their options as declared', () => {
  const roll = defineCommand({
    name: 'roll',
    description: 'Rolls dice',
    options: {
      sides: { type: 'integer', description: 'Sides', required: true },
      mood: { type: 'string', description: 'Mood', choices: ['calm', 'wild'] },
      size: { type: 'number', description: 'Size', choices: [{ name: 'Small', value: 1.5 }, 2], required: true },
      channel: { type: 'channel', description: 'Where' },
      secret: { type: 'boolean', description: 'Only for you', required: true },
      who: { type: 'user', description: 'Who', required: true },
      role: { type: 'role', description: 'Role', required: true },
      whom: { type: 'mentionable', description: 'Whom', required: true },
      file: { type: 'attachment', description: 'File' },
    },
    run({ options }) {
      expectTypeOf(options.sides).toEqualTypeOf<number>();
      expectTypeOf(options.mood).toEqualTypeOf<'calm' | 'wild' | undefined>();
      expectTypeOf(options.size).toEqualTypeOf<1.5 | 2>();
      expectTypeOf(options.channel).toEqualTypeOf<APIInteractionDataResolvedChannel | undefined>();
      expectTypeOf(options.secret).toEqualTypeOf<boolean>();
      expectTypeOf(options.who).toEqualTypeOf<ResolvedUser>();
      expectTypeOf(options.role).toEqualTypeOf<APIRole>();
      expectTypeOf(options.whom).toEqualTypeOf<ResolvedMentionable>();
      expectTypeOf(options.file).toEqualTypeOf<APIAttachment | undefined>();
      // @ts-expect-error never declared
      void options.other;
    },
  });
  expect(roll.kind).toBe('command');
  // @ts-expect-error a command without options has none to read
  defineCommand({ name: 'ping', description: 'Pings', run: ({ options }) => void (options.who satisfies string) });
  defineCommand({
    name: 'bad',
    description: 'Bad',
    // @ts-expect-error a user has no choices
    options: { who: { type: 'user', description: 'Who', choices: ['a'] } },
    run: () => {},
  });
});

test('autocomplete knows what is typed and what may be suggested', () => {
  defineCommand({
    name: 'find',
    description: 'Finds',
    options: {
      city: {
        type: 'string',
        description: 'City',
        required: true,
        autocomplete: (ctx) => {
          expectTypeOf(ctx.value).toEqualTypeOf<string>();
          return [`${ctx.value}burg`, { name: 'A label', value: 'a' }];
        },
      },
      floor: { type: 'integer', description: 'Floor', autocomplete: async ({ value }) => [value.length] },
    },
    run({ options }) {
      expectTypeOf(options.city).toEqualTypeOf<string>();
      expectTypeOf(options.floor).toEqualTypeOf<number | undefined>();
    },
  });
  defineCommand({
    name: 'find',
    description: 'Finds',
    // @ts-expect-error text for a number
    options: { floor: { type: 'integer', description: 'Floor', autocomplete: () => ['first'] } },
    run: () => {},
  });
});

test('each subcommand has options of its own', () => {
  const parent = defineCommand({
    name: 'ticket',
    description: 'Tickets',
    subcommands: {
      open: defineSubcommand({
        description: 'Opens',
        options: { topic: { type: 'string', description: 'Topic', required: true } },
        run: ({ options }) => void expectTypeOf(options).toEqualTypeOf<{ readonly topic: string }>(),
      }),
      labels: {
        description: 'Labels',
        subcommands: {
          add: defineSubcommand({
            description: 'Adds',
            options: { count: { type: 'integer', description: 'Count' } },
            run: ({ options }) => void expectTypeOf(options).toEqualTypeOf<{ readonly count: number | undefined }>(),
          }),
        },
      },
    },
  });
  expect(Object.keys(parent.subcommands ?? {})).toEqual(['open', 'labels']);
  // @ts-expect-error only subcommands run
  defineCommand({
    name: 'ticket',
    description: 'Tickets',
    subcommands: {},
    run: () => {},
  });
});

test('commands in menus get what they were used on', () => {
  defineUserCommand({
    name: 'Who is this',
    run: ({ target }) => void expectTypeOf(target).toEqualTypeOf<ResolvedUser>(),
  });
  defineMessageCommand({ name: 'Quote', run: ({ target }) => void expectTypeOf(target).toEqualTypeOf<APIMessage>() });
});

test('custom ids have typed parameters, in and out', () => {
  const ticket = defineComponent({
    type: 'button',
    customId: 'ticket:{id:snowflake}:{page:integer}:{open:boolean}:{action:close|claim}:{note}',
    run({ params, message }) {
      expectTypeOf(params).toEqualTypeOf<{
        readonly id: string;
        readonly page: number;
        readonly open: boolean;
        readonly action: 'close' | 'claim';
        readonly note: string;
      }>();
      expectTypeOf(message).toEqualTypeOf<APIMessage>();
    },
  });
  expect(ticket.customId({ id: '5', page: 2, open: true, action: 'close', note: 'a:b' })).toBe(
    'ticket:5:2:true:close:a%3Ab',
  );
  // @ts-expect-error no such action
  expect(() => ticket.customId({ id: '5', page: 2, open: true, action: 'open', note: '' })).toThrow('{action}');
  // @ts-expect-error parameters are missing
  expect(() => ticket.customId({ id: '5' })).toThrow('{page}');
  const plain = defineComponent({ type: 'button', customId: 'refresh', run: () => {} });
  expect(plain.customId()).toBe('refresh');
  // @ts-expect-error it has no parameters
  plain.customId({ id: '5' });
  // @ts-expect-error no such type of parameter
  defineComponent({ type: 'button', customId: 'a:{id:int}', run: () => {} });
});

test('selects have values of their kind, buttons have none', () => {
  defineComponent({
    type: 'user-select',
    customId: 'u',
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly ResolvedUser[]>(),
  });
  defineComponent({
    type: 'role-select',
    customId: 'r',
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly APIRole[]>(),
  });
  defineComponent({
    type: 'mentionable-select',
    customId: 'm',
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly ResolvedMentionable[]>(),
  });
  defineComponent({
    type: 'channel-select',
    customId: 'c',
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly APIInteractionDataResolvedChannel[]>(),
  });
  defineComponent({
    type: 'string-select',
    customId: 's',
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly string[]>(),
  });
  defineComponent({
    type: 'string-select',
    customId: 's',
    values: ['red', 'blue'],
    run: ({ values }) => void expectTypeOf(values).toEqualTypeOf<readonly ('red' | 'blue')[]>(),
  });
  // @ts-expect-error a button has no values
  defineComponent({ type: 'button', customId: 'b', run: ({ values }) => void values });
});

test('components are made with the parameters and looks of their kind', () => {
  const vote = defineComponent({ type: 'button', customId: 'vote:{poll:snowflake}', run: () => {} });
  expectTypeOf(vote.component({ label: 'Yes' }, { poll: '5' })).toEqualTypeOf<APIButtonComponentWithCustomId>();
  expect(actionRow(vote.component({ label: 'Yes', style: 'success', disabled: true }, { poll: '5' }))).toEqual({
    type: 1,
    components: [{ type: 2, style: 3, custom_id: 'vote:5', label: 'Yes', disabled: true }],
  });
  // @ts-expect-error the poll is missing
  expect(() => vote.component({ label: 'Yes' })).toThrow('{poll}');
  // @ts-expect-error a button has no placeholder
  vote.component({ placeholder: 'Yes' }, { poll: '5' });
  const colour = defineComponent({ type: 'string-select', customId: 'colour', values: ['red', 'blue'], run: () => {} });
  expect(colour.component({ placeholder: 'Colour', minValues: 0, maxValues: 2 })).toEqual({
    type: 3,
    custom_id: 'colour',
    placeholder: 'Colour',
    min_values: 0,
    max_values: 2,
    options: [
      { value: 'red', label: 'red' },
      { value: 'blue', label: 'blue' },
    ],
  });
  expect(colour.component({ options: [{ value: 'red', label: 'Red', selected: true }] }).options).toEqual([
    { value: 'red', label: 'Red', default: true },
  ]);
  // @ts-expect-error no such value
  colour.component({ options: ['green'] });
  const channel = defineComponent({ type: 'channel-select', customId: 'channel', run: () => {} });
  expect(channel.component({ channelTypes: [ChannelType.GuildText] })).toEqual({
    type: 8,
    custom_id: 'channel',
    channel_types: [0],
  });
});

test('forms have typed fields', () => {
  const feedback = defineModal({
    customId: 'feedback:{topic}',
    title: 'Feedback',
    fields: {
      summary: { type: 'short', label: 'Summary' },
      mood: { type: 'radio-group', label: 'Mood', options: ['good', { value: 'bad', label: 'Bad!' }] },
      maybe: { type: 'radio-group', label: 'Maybe', options: ['yes', 'no'], required: false },
      tags: { type: 'string-select', label: 'Tags', options: ['a', 'b'], maxValues: 2 },
      agree: { type: 'checkbox', label: 'Agree' },
    },
    run({ params, fields }) {
      expectTypeOf(params).toEqualTypeOf<{ readonly topic: string }>();
      expectTypeOf(fields).toEqualTypeOf<{
        readonly summary: string;
        readonly mood: 'good' | 'bad';
        readonly maybe: 'yes' | 'no' | undefined;
        readonly tags: readonly ('a' | 'b')[];
        readonly agree: boolean;
      }>();
    },
  });
  expect(feedback.open({ topic: 'x' }, { values: { summary: 'So far' } }).custom_id).toBe('feedback:x');
  // @ts-expect-error the topic is missing
  expect(() => feedback.open()).toThrow('{topic}');
  // @ts-expect-error no such field
  feedback.open({ topic: 'x' }, { values: { other: 'So far' } });
  defineModal({
    customId: 'files',
    title: 'Files',
    fields: { file: { type: 'file-upload', label: 'File' }, who: { type: 'user-select', label: 'Who' } },
    run({ fields }) {
      expectTypeOf(fields.file).toEqualTypeOf<readonly APIAttachment[]>();
      expectTypeOf(fields.who).toEqualTypeOf<readonly ResolvedUser[]>();
    },
  });
});

test('messages have the type of their schema, or of their guard', () => {
  const schema = defineMessage('settings', z.object({ guildId: z.string() }), (data) => {
    expectTypeOf(data).toEqualTypeOf<{ guildId: string }>();
  });
  expect(schema.with({ guildId: '5' })).toEqual({ name: 'settings', data: { guildId: '5' } });
  // @ts-expect-error not of the schema
  schema.with({ guild: '5' });
  const isNumber = (value: unknown): value is number => typeof value === 'number';
  defineMessage('count', isNumber, (data) => void expectTypeOf(data).toEqualTypeOf<number>());
});

import { describe, expect, test } from 'vitest';
import type { CommandOption } from '../../../functions/kit/command-options.ts';
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
import { createRegistry } from '../../../functions/kit/registry.ts';

const run = () => {};
const ping = defineCommand({ name: 'ping', description: 'Pings', run });
const onMessage = defineEvent('MESSAGE_CREATE', run);
const isText = (value: unknown): value is string => typeof value === 'string';

test('collects definitions by type and name, in the order of files and exports', () => {
  const again = defineEvent(['MESSAGE_CREATE', 'MESSAGE_UPDATE'], run);
  const close = defineSubcommand({ description: 'Closes', run });
  const ticket = defineCommand({
    name: 'ticket',
    description: 'Tickets',
    subcommands: { close, labels: { description: 'Labels', subcommands: { add: close } } },
  });
  const registry = createRegistry([
    { file: 'handlers/a.ts', exports: { ping, onMessage, limit: 5 } },
    { file: 'handlers/b.ts', exports: { again, ticket } },
    { file: 'handlers/c.ts', exports: { close } },
    {
      file: 'handlers/d.ts',
      exports: {
        // The same name may be that of a command of each kind.
        menu: defineUserCommand({ name: 'ping', run }),
        menu2: defineMessageCommand({ name: 'ping', run }),
        button: defineComponent({ type: 'button', customId: 'ping', run }),
        form: defineModal({ customId: 'ping', title: 'Ping', fields: { a: { type: 'short', label: 'A' } }, run }),
        news: defineMessage('ping', isText, run),
      },
    },
  ]);
  expect([...registry.commands.keys()]).toEqual(['ping', 'ticket close', 'ticket labels add']);
  expect(registry.commands.get('ticket labels add')?.name).toBe('handlers/b.ts#ticket');
  expect(registry.events.get('MESSAGE_CREATE')?.map(({ name }) => name)).toEqual([
    'handlers/a.ts#onMessage',
    'handlers/b.ts#again',
  ]);
  expect(registry.events.get('MESSAGE_UPDATE')).toHaveLength(1);
  expect(registry.commandDefinitions.map(({ kind }) => kind)).toEqual([
    'command',
    'command',
    'user-command',
    'message-command',
  ]);
  expect([...registry.userCommands.keys(), ...registry.messageCommands.keys(), ...registry.messages.keys()]).toEqual([
    'ping',
    'ping',
    'ping',
  ]);
});

describe('refuses, with file, field and rule,', () => {
  const command = (overrides: object) => ({ ...ping, ...overrides });
  const withOptions = (options: object) => ({ c: command({ options }) });
  const option = (overrides: object) => withOptions({ o: { type: 'string', description: 'o', ...overrides } });
  const numbered = (count: number, of: (index: number) => [string, unknown]) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => of(index)));
  const plain: CommandOption = { type: 'string', description: 'o' };
  const parent = (subcommands: object) => ({ c: { ...ping, run: undefined, subcommands } });
  const component = (overrides: object) => ({
    c: { ...defineComponent({ type: 'string-select', customId: 'a', run }), ...overrides },
  });
  const form = (overrides: object) => ({
    m: {
      ...defineModal({ customId: 'a', title: 'A', fields: { f: { type: 'short', label: 'F' } }, run }),
      ...overrides,
    },
  });
  const field = (overrides: object) => form({ fields: { f: { type: 'short', label: 'F', ...overrides } } });

  test.each<[string, object, string]>([
    ['a file without a definition', { limit: 5 }, 'handlers/a.ts: exports no definition'],
    ['a name twice', { ping, pong: command({}) }, '#pong: name: "ping" is taken by handlers/a.ts#ping'],
    ['a definition twice', { ping, pong: ping }, '#pong: is the same definition as'],
    ['capitals', { c: command({ name: 'Ping' }) }, '#c: name: "Ping" must be 1 to 32 lower-case'],
    ['spaces', { c: command({ name: 'p g' }) }, 'name: "p g" must be'],
    ['33 characters', { c: command({ name: 'p'.repeat(33) }) }, 'must be 1 to 32'],
    [
      'a wrong localized name',
      { c: command({ nameLocalizations: { de: 'P G' } }) },
      'nameLocalizations.de: "P G" must be',
    ],
    ['no description', { c: command({ description: '' }) }, 'description: must have 1 to 100 characters, not 0'],
    ['a long description', { c: command({ description: 'x'.repeat(101) }) }, 'must have 1 to 100 characters, not 101'],
    [
      'a long localized description',
      { c: command({ descriptionLocalizations: { de: 'x'.repeat(101) } }) },
      'descriptionLocalizations.de: must have 1 to 100',
    ],
    ['contexts without one', { c: command({ contexts: [] }) }, 'contexts: must name at least one'],
    [
      'a required option behind an optional one',
      withOptions({ a: plain, b: { ...plain, required: true } }),
      'options.b: is required and comes after "a"; required options come first',
    ],
    [
      '26 options',
      withOptions(numbered(26, (index) => [`o${index}`, plain])),
      'options: there are 26; Discord takes 25',
    ],
    ['an option with a wrong name', withOptions({ 'O o': plain }), 'options.O o: "O o" must be'],
    ['an option without a description', option({ description: '' }), 'options.o.description: must have 1 to 100'],
    ['an option of no type', option({ type: 'date' }), 'options.o.type: "date" is no type'],
    [
      '26 choices',
      option({ choices: Array.from({ length: 26 }, (_, index) => `c${index}`) }),
      'options.o.choices: there are 26',
    ],
    ['no choices', option({ choices: [] }), 'options.o.choices: must name at least one'],
    ['an empty choice', option({ choices: [''] }), 'options.o.choices: "": must have 1 to 100'],
    ['a long choice', option({ choices: ['x'.repeat(101)] }), 'must have 1 to 100 characters, not 101'],
    ['a choice with a long name', option({ choices: [{ name: 'x'.repeat(101), value: 'x' }] }), 'must have 1 to 100'],
    ['a choice twice', option({ choices: ['a', 'a'] }), 'options.o.choices: "a" is there twice'],
    ['choices and autocomplete', option({ choices: ['a'], autocomplete: () => [] }), 'exclude each other'],
    [
      'minLength above maxLength',
      option({ minLength: 5, maxLength: 4 }),
      'options.o.minLength: 5 is above maxLength 4',
    ],
    ['maxLength of 6001', option({ maxLength: 6001 }), 'options.o.maxLength: must be a whole number from 1 to 6000'],
    ['min above max', option({ type: 'integer', min: 5, max: 4 }), 'options.o.min: 5 is above max 4'],
    ['a broken integer', option({ type: 'integer', min: 0.5 }), 'options.o.min: must be a whole number'],
    ['a number that is too large', option({ type: 'number', max: 2 ** 54 }), 'options.o.max: must be a number between'],
    ['a broken choice', option({ type: 'integer', choices: [1.5] }), 'options.o.choices: 1.5 must be a whole number'],
    ['no channel types', option({ type: 'channel', channelTypes: [] }), 'options.o.channelTypes: must name'],
    ['no subcommand', parent({}), 'subcommands: there must be at least one'],
    [
      '26 subcommands',
      parent(numbered(26, (index) => [`s${index}`, defineSubcommand({ description: 's', run })])),
      'subcommands: there are 26',
    ],
    [
      'groups in groups',
      parent({ g: { description: 'g', subcommands: { h: { description: 'h', subcommands: {} } } } }),
      'subcommands.g.subcommands.h: groups cannot hold groups',
    ],
    [
      'a subcommand with a wrong option',
      parent({ s: defineSubcommand({ description: 's', options: { O: plain }, run }) }),
      'subcommands.s.options.O: "O" must be',
    ],
    [
      'more than 8000 characters',
      withOptions(
        numbered(25, (index) => [
          `o${index}`,
          { ...plain, choices: Array.from({ length: 4 }, (_, choice) => `${choice}`.padEnd(50, 'x')) },
        ]),
      ),
      'characters together; Discord takes 8000',
    ],
    [
      'a menu command with a long name',
      { c: defineUserCommand({ name: 'x'.repeat(33), run }) },
      'name: must have 1 to 32',
    ],
    [
      '16 user commands',
      numbered(16, (index) => [`c${index}`, defineUserCommand({ name: `C ${index}`, run })]),
      'there are 16 definitions of kind user-command; Discord takes 15',
    ],
    ['an unknown type', { e: { ...onMessage, types: ['MESSAGE'] } }, 'type: "MESSAGE" is no dispatch type'],
    ['no type', { e: { ...onMessage, types: [] } }, 'type: there must be at least one'],
    ['interactions as events', { e: { ...onMessage, types: ['INTERACTION_CREATE'] } }, 'type: "INTERACTION_CREATE"'],
    [
      'intents that do not carry the type',
      { e: defineEvent('TYPING_START', run, { intents: ['GUILDS'] }) },
      'intents: none of them carries TYPING_START; it needs GUILD_MESSAGE_TYPING or DIRECT_MESSAGE_TYPING',
    ],
    ['a component of no type', component({ type: 'slider' }), 'type: "slider" must be one of button'],
    ['values of a button', component({ type: 'button', values: ['a'] }), 'values: only a string-select has them'],
    ['26 values', component({ values: Array.from({ length: 26 }, String) }), 'values: must be 1 to 25, not 26'],
    ['a wrong pattern', component({ pattern: 'a:{b' }), '#c: customId: "a:{b" must be parts between colons'],
    [
      'patterns that overlap',
      {
        one: defineComponent({ type: 'button', customId: 'a:{b}', run }),
        two: defineComponent({ type: 'user-select', customId: 'a:c', run }),
      },
      '#two: customId: "a:c" can be the same id as "a:{b}" of handlers/a.ts#one; patterns must not overlap',
    ],
    ['a form without a title', form({ title: '' }), 'title: must have 1 to 45 characters, not 0'],
    ['a form without fields', form({ fields: {} }), 'fields: must be 1 to 5, not 0'],
    [
      '6 fields',
      form({ fields: numbered(6, (index) => [`f${index}`, { type: 'short', label: 'F' }]) }),
      'fields: must be 1 to 5, not 6',
    ],
    ['a long label', field({ label: 'x'.repeat(46) }), 'fields.f.label: must have 1 to 45'],
    ['a field of no type', field({ type: 'date' }), 'fields.f.type: "date" is no type of field'],
    [
      'a field with maxLength 4001',
      field({ maxLength: 4001 }),
      'fields.f.maxLength: must be a whole number from 1 to 4000',
    ],
    ['one radio button', field({ type: 'radio-group', options: ['a'] }), 'fields.f.options: must be 2 to 10, not 1'],
    ['an option twice', field({ type: 'string-select', options: ['a', 'a'] }), 'fields.f.options: "a" is there twice'],
    [
      'a required field without a value',
      field({ type: 'file-upload', minValues: 0, required: true }),
      'fields.f.minValues: 0 is nothing at all, and the field is required',
    ],
    [
      '11 files',
      field({ type: 'file-upload', maxValues: 11 }),
      'fields.f.maxValues: must be a whole number from 1 to 10',
    ],
    ['a message with a wrong name', { m: defineMessage('a b', isText, run) }, 'name: "a b" must be 1 to 64'],
    [
      'a message name twice',
      { m: defineMessage('a', isText, run), n: defineMessage('a', isText, run) },
      '#n: name: "a" is taken by handlers/a.ts#m',
    ],
    [
      'a message without a check',
      { m: { ...defineMessage('a', isText, run), check: {} } },
      'check: must be a type guard',
    ],
    ['a command without a handler', { c: command({ run: undefined }) }, '#c: run: must be a function'],
    [
      'a list of options',
      withOptions([{ ...plain, name: 'o' }]),
      '#c: options: must be an object, with a name for each',
    ],
    ['an option that is none', withOptions({ o: null }), '#c: is not of the form'],
    ['an unknown context', { c: command({ contexts: ['guild'] }) }, 'contexts: "guild" is none of GUILD, BOT_DM'],
    [
      'an unknown permission',
      { c: command({ defaultMemberPermissions: ['Rule'] }) },
      'defaultMemberPermissions: "Rule"',
    ],
    ['a subcommand of nobody’s making', parent({ s: { description: 's', run } }), 'subcommands.s: must be made with'],
    ['a form without fields', form({ fields: undefined }), 'fields: must be 1 to 5, not 0'],
    ['a type of component by inheritance', component({ type: 'constructor' }), 'type: "constructor" must be one of'],
    ['a parameter by inheritance', component({ pattern: 'a:{__proto__}' }), 'has {__proto__}, which must be'],
  ])('%s', (_what, exports, message) => {
    const create = () => createRegistry([{ file: 'handlers/a.ts', exports: exports as Record<string, unknown> }]);
    expect(create).toThrow(
      expect.objectContaining({ code: 'HANDLERS_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test('everything at once', () => {
    const create = () =>
      createRegistry([
        { file: 'handlers/a.ts', exports: {} },
        { file: 'handlers/b.ts', exports: { ping: command({ name: 'A', description: '' }) } },
      ]);
    expect(create).toThrow(/a\.ts.*b\.ts#ping: name.*b\.ts#ping: description/);
  });
});

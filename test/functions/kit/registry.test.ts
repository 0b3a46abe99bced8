import { describe, expect, test } from 'vitest';
import { defineCommand } from '../../../functions/kit/define-command.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';

const ping = defineCommand({ name: 'ping', description: 'Pings', run: () => {} });
const onMessage = defineEvent('MESSAGE_CREATE', () => {});

test('collects definitions by type and name, in the order of files and exports', () => {
  const again = defineEvent('MESSAGE_CREATE', () => {});
  const registry = createRegistry([
    { file: 'handlers/a.ts', exports: { ping, onMessage, limit: 5 } },
    { file: 'handlers/b.ts', exports: { again } },
  ]);
  expect([...registry.commands.keys()]).toEqual(['ping']);
  expect(registry.events.get('MESSAGE_CREATE')?.map(({ name }) => name)).toEqual([
    'handlers/a.ts#onMessage',
    'handlers/b.ts#again',
  ]);
});

describe('refuses, with file and rule,', () => {
  const command = (overrides: object) => ({ ...ping, ...overrides });
  test.each([
    { what: 'a file without a definition', exports: { limit: 5 }, message: 'handlers/a.ts: exports no definition' },
    {
      what: 'a name twice',
      exports: { ping, pong: command({}) },
      message: '#pong: name: "ping" is taken by handlers/a.ts#ping',
    },
    { what: 'a definition twice', exports: { ping, pong: ping }, message: '#pong: is the same definition as' },
    { what: 'capitals', exports: { ping: command({ name: 'Ping' }) }, message: 'name: "Ping" must be' },
    { what: 'spaces', exports: { ping: command({ name: 'p g' }) }, message: 'name: "p g" must be' },
    {
      what: 'no description',
      exports: { ping: command({ description: '' }) },
      message: 'description: must have 1 to 100',
    },
    {
      what: 'a required option behind an optional one',
      exports: {
        ping: command({
          options: { a: { type: 'string', description: 'a' }, b: { type: 'string', description: 'b', required: true } },
        }),
      },
      message: 'options.b: is required and comes after "a"',
    },
    {
      what: 'too many options',
      exports: {
        ping: command({
          options: Object.fromEntries(
            Array.from({ length: 26 }, (_, index) => [`o${index}`, { type: 'string', description: 'o' }]),
          ),
        }),
      },
      message: 'options: there are 26',
    },
    { what: 'an unknown type', exports: { e: { ...onMessage, types: ['MESSAGE'] } }, message: 'type: "MESSAGE"' },
    {
      what: 'interactions as events',
      exports: { e: { ...onMessage, types: ['INTERACTION_CREATE'] } },
      message: 'type: "INTERACTION_CREATE"',
    },
    {
      what: 'intents that do not carry the type',
      exports: { e: defineEvent('TYPING_START', () => {}, { intents: ['GUILDS'] }) },
      message: 'intents: none of them carries TYPING_START',
    },
  ])('$what', ({ exports, message }) => {
    const create = () => createRegistry([{ file: 'handlers/a.ts', exports }]);
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

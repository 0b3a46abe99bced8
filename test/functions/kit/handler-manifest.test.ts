import { readFileSync } from 'node:fs';
import { GatewayDispatchEvents, GatewayIntentBits } from 'discord-api-types/v10';
import { expect, test } from 'vitest';
import { defineCommand } from '../../../functions/kit/define-command.ts';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import { defaultIntents, intentsOfEvent, intentsToBits } from '../../../functions/kit/event-intents.ts';
import { generateHandlerLists, ownHandlerLists } from '../../../functions/kit/generate-handler-lists.ts';
import { deriveManifest, privilegedIntentUsers } from '../../../functions/kit/handler-manifest.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import { privilegedIntentsIn } from '../../../shared/privileged-intents.ts';

test('the generated files are up to date', async () => {
  for (const [path, text] of await generateHandlerLists(ownHandlerLists)) {
    expect(readFileSync(path, 'utf8'), `${path} is stale: run node scripts/generate-handler-lists.ts`).toBe(text);
  }
});

test('event types and intents come from the handlers; commands need none', () => {
  const registry = createRegistry([
    {
      file: 'handlers/a.ts',
      exports: {
        typing: defineEvent('TYPING_START', () => {}),
        messages: defineEvent('MESSAGE_CREATE', () => {}, { intents: ['GUILD_MESSAGES', 'MESSAGE_CONTENT'] }),
        members: defineEvent('GUILD_MEMBER_ADD', () => {}),
        ping: defineCommand({ name: 'ping', description: 'Pings', run: () => {} }),
      },
    },
  ]);
  expect(deriveManifest(registry)).toEqual({
    eventTypes: ['GUILD_MEMBER_ADD', 'MESSAGE_CREATE', 'TYPING_START'],
    intents:
      GatewayIntentBits.Guilds |
      GatewayIntentBits.GuildMembers |
      GatewayIntentBits.GuildMessages |
      GatewayIntentBits.GuildMessageTyping |
      GatewayIntentBits.DirectMessageTyping |
      GatewayIntentBits.MessageContent,
    privilegedIntents: ['GUILD_MEMBERS', 'MESSAGE_CONTENT'],
  });
});

test('privileged intents are told with the handlers that ask for them', () => {
  const exports = {
    messages: defineEvent(['MESSAGE_CREATE', 'MESSAGE_UPDATE'], () => {}, {
      intents: ['GUILD_MESSAGES', 'MESSAGE_CONTENT'],
    }),
    members: defineEvent(['GUILD_MEMBER_ADD', 'GUILD_MEMBER_REMOVE'], () => {}),
    more: defineEvent('GUILD_MEMBER_UPDATE', () => {}),
    typing: defineEvent('TYPING_START', () => {}),
  };
  const registry = createRegistry([{ file: 'a.ts', exports }]);
  expect([...privilegedIntentUsers(registry)]).toEqual([
    ['MESSAGE_CONTENT', ['a.ts#messages']],
    ['GUILD_MEMBERS', ['a.ts#members', 'a.ts#more']],
  ]);
  const { intents, privilegedIntents } = deriveManifest(registry);
  expect(privilegedIntentsIn(intents)).toEqual(privilegedIntents);
});

test('without handlers, workers still see guilds', () => {
  expect(deriveManifest(createRegistry([]))).toEqual({ eventTypes: [], intents: 1, privilegedIntents: [] });
});

test('every event type is in the table, and every intent of the table exists', () => {
  const types = Object.values(GatewayDispatchEvents).filter((type) => type !== GatewayDispatchEvents.InteractionCreate);
  expect(Object.keys(intentsOfEvent).sort()).toEqual(types.map(String).sort());
  const all = intentsToBits(new Set(Object.values(intentsOfEvent).flat()));
  // All documented bits but MESSAGE_CONTENT, which carries no event.
  expect(all | GatewayIntentBits.MessageContent).toBe(53_608_447);
});

test('a privileged intent is asked for only where nothing else carries the type', () => {
  expect(defaultIntents('THREAD_MEMBERS_UPDATE')).toEqual(['GUILDS']);
  expect(defaultIntents('PRESENCE_UPDATE')).toEqual(['GUILD_PRESENCES']);
});

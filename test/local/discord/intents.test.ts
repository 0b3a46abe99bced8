import { expect, test } from 'vitest';
import { loadCorpus } from '../../../local/discord/corpus.ts';
import { allIntents, intentBits, intentsFor, privilegedIntents, receives } from '../../../local/discord/intents.ts';

test('the documented sums', () => {
  expect(allIntents).toBe(53_608_447);
  expect(allIntents & ~privilegedIntents).toBe(53_575_421);
});

test('exactly the events that Discord always sends need no intent', () => {
  const always = [...loadCorpus().items.keys()].filter((type) => intentsFor(type, 'guild') === 0);
  expect(always.sort()).toEqual([
    'APPLICATION_COMMAND_PERMISSIONS_UPDATE',
    'CHANNEL_INFO',
    'ENTITLEMENT_CREATE',
    'ENTITLEMENT_DELETE',
    'ENTITLEMENT_UPDATE',
    'GUILD_MEMBERS_CHUNK',
    'INTERACTION_CREATE',
    'RATE_LIMITED',
    'READY',
    'RESUMED',
    'SOUNDBOARD_SOUNDS',
    'SUBSCRIPTION_CREATE',
    'SUBSCRIPTION_DELETE',
    'SUBSCRIPTION_UPDATE',
    'USER_UPDATE',
    'VOICE_SERVER_UPDATE',
  ]);
});

test('any one of the required intents is enough', () => {
  const required = intentsFor('THREAD_MEMBERS_UPDATE', 'guild');
  expect(receives(intentBits.GUILD_MEMBERS, required)).toBe(true);
  expect(receives(intentBits.GUILDS, required)).toBe(true);
  expect(receives(intentBits.GUILD_MESSAGES, required)).toBe(false);
});

test('a DM needs its own intent', () => {
  expect(intentsFor('MESSAGE_CREATE', 'direct')).toBe(intentBits.DIRECT_MESSAGES);
  expect(intentsFor('MESSAGE_CREATE', 'guild')).toBe(intentBits.GUILD_MESSAGES);
});

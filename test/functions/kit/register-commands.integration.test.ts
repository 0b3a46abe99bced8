import { API } from '@discordjs/core';
import { ApplicationCommandType, EntryPointCommandHandlerType } from 'discord-api-types/v10';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
} from '../../../functions/kit/define-command.ts';
import { registerCommands } from '../../../functions/kit/register-commands.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import { createDiscordRest } from '../../../shared/discord-rest.ts';

let simulator: DiscordSimulator;
beforeEach(async () => {
  simulator = await startSimulator({ shards: 1, guildsPerShard: 2 });
});
afterEach(() => simulator.stop());

const run = () => {};
const ping = (description: string, overrides: object = {}) =>
  defineCommand({ name: 'ping', description, run, ...overrides });
const find = defineCommand({
  name: 'find',
  nameLocalizations: { de: 'finde' },
  description: 'Finds',
  defaultMemberPermissions: ['ManageGuild'],
  contexts: ['GUILD'],
  integrationTypes: ['USER_INSTALL', 'GUILD_INSTALL'],
  options: {
    city: { type: 'string', description: 'c', required: true, choices: ['a', 'b'] },
    floor: { type: 'integer', description: 'f', autocomplete: () => [] },
  },
  run,
});
const tag = defineCommand({
  name: 'tag',
  description: 'Tags',
  subcommands: { add: defineSubcommand({ description: 'a', run }) },
});
const who = defineUserCommand({ name: 'Who', run });
const quote = defineMessageCommand({ name: 'Quote', run });

const apiOf = (token = simulator.token as string) =>
  new API(createDiscordRest({ token, discordApiUrl: simulator.apiUrl }));
function register(exports: object, options: { guildIds?: string[]; dryRun?: boolean; token?: string } = {}) {
  const registry = createRegistry(
    Object.keys(exports).length === 0 ? [] : [{ file: 'a.ts', exports: exports as Record<string, unknown> }],
  );
  const { token, ...rest } = options;
  return registerCommands({ api: apiOf(token), registry, ...rest });
}
const namesIn = async (guildId?: string) => {
  const { id } = await apiOf().applications.getCurrent();
  const { applicationCommands } = apiOf();
  const commands =
    guildId === undefined
      ? await applicationCommands.getGlobalCommands(id)
      : await applicationCommands.getGuildCommands(id, guildId);
  return commands.map(({ name }) => name).sort();
};
const nothing = { added: [], changed: [], removed: [], unchanged: [] };

test('Discord gets every command; a second time nothing is written', async () => {
  const all = { ping: ping('Pings'), find, tag, who, quote };
  const labels = ['/ping', '/find', '/tag', 'Who (user)', 'Quote (message)'];
  expect(await register(all)).toEqual([{ ...nothing, guildId: undefined, added: labels, written: true }]);
  expect(await namesIn()).toEqual(['Quote', 'Who', 'find', 'ping', 'tag']);
  expect(await register(all)).toEqual([{ ...nothing, guildId: undefined, unchanged: labels, written: false }]);
});

test('what is changed, removed and kept is told, in a dry run without doing it', async () => {
  await register({ ping: ping('Pings'), find, tag });
  const next = { ping: ping('Pings well', { nsfw: true, contexts: ['GUILD'] }), find, who };
  const changes = {
    guildId: undefined,
    added: ['Who (user)'],
    changed: [{ command: '/ping', fields: expect.arrayContaining(['description', 'nsfw', 'contexts']) }],
    removed: ['/tag'],
    unchanged: ['/find'],
  };
  expect(await register(next, { dryRun: true })).toEqual([{ ...changes, written: false }]);
  expect(await namesIn()).toEqual(['find', 'ping', 'tag']);
  expect(await register(next)).toEqual([{ ...changes, written: true }]);
  expect(await namesIn()).toEqual(['Who', 'find', 'ping']);
});

test('a setting that is taken back is a change', async () => {
  await register({ ping: ping('Pings', { contexts: ['GUILD'], nsfw: true }) });
  const [changes] = await register({ ping: ping('Pings') });
  expect(changes?.changed).toEqual([{ command: '/ping', fields: expect.arrayContaining(['contexts', 'nsfw']) }]);
  expect((await register({ ping: ping('Pings') }))[0]?.written).toBe(false);
});

test('guilds have commands of their own', async () => {
  const guildIds = simulator.world.guilds.map(({ id }) => id);
  const results = await register({ find }, { guildIds });
  expect(results.map(({ guildId, added }) => [guildId, added])).toEqual(guildIds.map((id) => [id, ['/find']]));
  expect(await namesIn(guildIds[0])).toEqual(['find']);
  expect(await namesIn()).toEqual([]);
  expect((await register({ find }, { guildIds })).every(({ written }) => !written)).toBe(true);
});

test('the command that opens an activity stays', async () => {
  const api = apiOf();
  const { id } = await api.applications.getCurrent();
  const launch = {
    type: ApplicationCommandType.PrimaryEntryPoint as const,
    name: 'launch',
    handler: EntryPointCommandHandlerType.DiscordLaunchActivity,
  };
  await api.applicationCommands.createGlobalCommand(id, launch);
  const [changes] = await register({ ping: ping('Pings') });
  expect(changes?.removed).toEqual([]);
  expect(await namesIn()).toEqual(['launch', 'ping']);
});

describe('errors', () => {
  test('a wrong token', async () => {
    await expect(register({ find }, { token: 'wrong' })).rejects.toMatchObject({ code: 'DISCORD_UNAUTHORIZED' });
  });

  test('a guild that the bot is not in', async () => {
    await expect(register({ find }, { guildIds: ['1'] })).rejects.toMatchObject({
      code: 'COMMANDS_REFUSED',
      message: expect.stringMatching(/guild 1: Discord said .*scope applications.commands/),
    });
  });

  test('nobody there', async () => {
    await simulator.stop();
    await expect(register({ find })).rejects.toMatchObject({ code: 'DISCORD_UNREACHABLE' });
  });
});

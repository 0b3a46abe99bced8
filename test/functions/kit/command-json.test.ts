import { ChannelType } from 'discord-api-types/v10';
import { expect, test } from 'vitest';
import { commandJson } from '../../../functions/kit/command-json.ts';
import {
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
} from '../../../functions/kit/define-command.ts';

const run = () => {};

test('a slash command with everything', () => {
  const definition = defineCommand({
    name: 'find',
    nameLocalizations: { de: 'finde' },
    description: 'Finds',
    descriptionLocalizations: { de: 'Findet' },
    defaultMemberPermissions: ['ManageGuild', 'KickMembers'],
    contexts: ['GUILD', 'BOT_DM'],
    integrationTypes: ['GUILD_INSTALL', 'USER_INSTALL'],
    nsfw: true,
    options: {
      city: {
        type: 'string',
        description: 'c',
        required: true,
        minLength: 1,
        maxLength: 9,
        choices: ['a', { name: 'B', value: 'b', nameLocalizations: { de: 'Be' } }],
      },
      floor: { type: 'number', description: 'f', min: -1.5, max: 2, autocomplete: () => [] },
      where: { type: 'channel', description: 'w', channelTypes: [ChannelType.GuildText] },
      who: { type: 'user', description: 'w', nameLocalizations: { de: 'wer' } },
    },
    run,
  });
  expect(commandJson(definition)).toEqual({
    type: 1,
    name: 'find',
    name_localizations: { de: 'finde' },
    description: 'Finds',
    description_localizations: { de: 'Findet' },
    default_member_permissions: '34',
    contexts: [0, 1],
    integration_types: [0, 1],
    nsfw: true,
    options: [
      {
        type: 3,
        name: 'city',
        description: 'c',
        required: true,
        min_length: 1,
        max_length: 9,
        choices: [
          { name: 'a', value: 'a' },
          { name: 'B', value: 'b', name_localizations: { de: 'Be' } },
        ],
      },
      { type: 10, name: 'floor', description: 'f', required: false, min_value: -1.5, max_value: 2, autocomplete: true },
      { type: 7, name: 'where', description: 'w', required: false, channel_types: [0] },
      { type: 6, name: 'who', name_localizations: { de: 'wer' }, description: 'w', required: false },
    ],
  });
});

test('subcommands, groups and commands of menus', () => {
  const add = defineSubcommand({ description: 'a', options: { n: { type: 'integer', description: 'n' } }, run });
  const parent = defineCommand({
    name: 'tag',
    description: 't',
    subcommands: { add, more: { description: 'm', subcommands: { add } } },
  });
  const options = [{ type: 4, name: 'n', description: 'n', required: false }];
  expect(commandJson(parent)).toEqual({
    type: 1,
    name: 'tag',
    description: 't',
    options: [
      { type: 1, name: 'add', description: 'a', options },
      { type: 2, name: 'more', description: 'm', options: [{ type: 1, name: 'add', description: 'a', options }] },
    ],
  });
  expect(commandJson(defineUserCommand({ name: 'Who Is', defaultMemberPermissions: [], run }))).toEqual({
    type: 2,
    name: 'Who Is',
    default_member_permissions: '0',
  });
  expect(commandJson(defineMessageCommand({ name: 'Quote', defaultMemberPermissions: 8n, run }))).toEqual({
    type: 3,
    name: 'Quote',
    default_member_permissions: '8',
  });
});

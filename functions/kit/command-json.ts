import {
  type APIApplicationCommandBasicOption,
  type APIApplicationCommandOption,
  type APIApplicationCommandOptionChoice,
  type APIApplicationCommandSubcommandOption,
  ApplicationCommandOptionType,
  ApplicationCommandType,
  ApplicationIntegrationType,
  InteractionContextType,
  PermissionFlagsBits,
  type RESTPostAPIApplicationCommandsJSONBody,
} from 'discord-api-types/v10';
import type { Choice, CommandOption, CommandOptions } from './command-options.ts';
import type {
  CommandDefinition,
  CommandSettings,
  MessageCommandDefinition,
  SubcommandDefinition,
  SubcommandGroup,
  UserCommandDefinition,
} from './define-command.ts';

/** Discord's numbers of the types of options. */
export const optionTypes = {
  string: ApplicationCommandOptionType.String,
  integer: ApplicationCommandOptionType.Integer,
  number: ApplicationCommandOptionType.Number,
  boolean: ApplicationCommandOptionType.Boolean,
  user: ApplicationCommandOptionType.User,
  channel: ApplicationCommandOptionType.Channel,
  role: ApplicationCommandOptionType.Role,
  mentionable: ApplicationCommandOptionType.Mentionable,
  attachment: ApplicationCommandOptionType.Attachment,
} as const satisfies Record<CommandOption['type'], ApplicationCommandOptionType>;

/** Where commands may be used. */
export const contextTypes = {
  GUILD: InteractionContextType.Guild,
  BOT_DM: InteractionContextType.BotDM,
  PRIVATE_CHANNEL: InteractionContextType.PrivateChannel,
} as const;

/** Where they may be installed. */
export const integrationTypes = {
  GUILD_INSTALL: ApplicationIntegrationType.GuildInstall,
  USER_INSTALL: ApplicationIntegrationType.UserInstall,
} as const;

/** A command of any kind, as Discord's bulk overwrite wants it. */
export function commandJson(
  definition: CommandDefinition | UserCommandDefinition | MessageCommandDefinition,
): RESTPostAPIApplicationCommandsJSONBody {
  const settings = settingsJson(definition);
  switch (definition.kind) {
    case 'user-command':
      return { type: ApplicationCommandType.User, ...settings };
    case 'message-command':
      return { type: ApplicationCommandType.Message, ...settings };
    case 'command':
      return {
        type: ApplicationCommandType.ChatInput,
        ...settings,
        ...describedJson(definition),
        options:
          definition.subcommands === undefined
            ? optionsJson(definition.options)
            : Object.entries(definition.subcommands).map(([name, each]) => subcommandJson(name, each)),
      };
  }
}

/** A choice as Discord wants it: a value alone is its own label. */
export function choiceJson<V extends string | number>(choice: Choice<V>): APIApplicationCommandOptionChoice<V> {
  if (typeof choice !== 'object') return { name: String(choice), value: choice };
  const { name, nameLocalizations, value } = choice;
  return { name, value, ...(nameLocalizations && { name_localizations: nameLocalizations }) };
}

function settingsJson(settings: CommandSettings) {
  const { name, nameLocalizations, defaultMemberPermissions, contexts, integrationTypes: installs, nsfw } = settings;
  return {
    name,
    ...(nameLocalizations && { name_localizations: nameLocalizations }),
    ...(defaultMemberPermissions !== undefined && {
      default_member_permissions: permissionBits(defaultMemberPermissions),
    }),
    ...(contexts && { contexts: contexts.map((context) => contextTypes[context]) }),
    ...(installs && { integration_types: installs.map((type) => integrationTypes[type]) }),
    ...(nsfw !== undefined && { nsfw }),
  };
}

function permissionBits(permissions: NonNullable<CommandSettings['defaultMemberPermissions']>): string {
  if (typeof permissions === 'bigint') return String(permissions);
  return String(permissions.reduce((bits, name) => bits | PermissionFlagsBits[name], 0n));
}

interface Described {
  readonly description: string;
  readonly descriptionLocalizations?: CommandDefinition['descriptionLocalizations'];
}

function describedJson({ description, descriptionLocalizations }: Described) {
  return { description, ...(descriptionLocalizations && { description_localizations: descriptionLocalizations }) };
}

function subcommandJson(name: string, definition: SubcommandDefinition | SubcommandGroup): APIApplicationCommandOption {
  const { nameLocalizations } = definition;
  const common = {
    name,
    ...(nameLocalizations && { name_localizations: nameLocalizations }),
    ...describedJson(definition),
  };
  if (!('subcommands' in definition)) {
    return { type: ApplicationCommandOptionType.Subcommand, ...common, options: optionsJson(definition.options) };
  }
  return {
    type: ApplicationCommandOptionType.SubcommandGroup,
    ...common,
    options: Object.entries(definition.subcommands).map(
      ([inner, each]) => subcommandJson(inner, each) as APIApplicationCommandSubcommandOption,
    ),
  };
}

function optionsJson(options: CommandOptions): APIApplicationCommandBasicOption[] {
  return Object.entries(options).map(([name, option]) => {
    const { type, nameLocalizations, required = false } = option;
    return {
      type: optionTypes[type],
      name,
      ...(nameLocalizations && { name_localizations: nameLocalizations }),
      ...describedJson(option),
      required,
      ...limitsJson(option),
    } as APIApplicationCommandBasicOption;
  });
}

function limitsJson(option: CommandOption) {
  switch (option.type) {
    case 'string':
      return {
        ...(option.choices && { choices: option.choices.map(choiceJson) }),
        ...(option.minLength !== undefined && { min_length: option.minLength }),
        ...(option.maxLength !== undefined && { max_length: option.maxLength }),
        ...(option.autocomplete && { autocomplete: true }),
      };
    case 'integer':
    case 'number':
      return {
        ...(option.choices && { choices: option.choices.map(choiceJson) }),
        ...(option.min !== undefined && { min_value: option.min }),
        ...(option.max !== undefined && { max_value: option.max }),
        ...(option.autocomplete && { autocomplete: true }),
      };
    case 'channel':
      return option.channelTypes ? { channel_types: [...option.channelTypes] } : {};
    case 'boolean':
    case 'user':
    case 'role':
    case 'mentionable':
    case 'attachment':
      return {};
  }
}

import type { LocalizationMap, PermissionFlagsBits } from 'discord-api-types/v10';
import type { CommandContext, MessageCommandContext, UserCommandContext } from './command-context.ts';
import type { CommandOptions, NoOptions } from './command-options.ts';
import type { InteractionSettings } from './interaction-settings.ts';

/** A permission by the name that `discord-api-types` gives it, e.g. `ManageGuild`. */
export type PermissionName = keyof typeof PermissionFlagsBits;

/** What commands of every kind have. */
export interface CommandSettings extends InteractionSettings {
  /** Unique among commands of its kind. */
  readonly name: string;
  readonly nameLocalizations?: LocalizationMap;
  /** Permissions a member needs to see the command; bits, or names. `[]`: administrators alone. @default everybody */
  readonly defaultMemberPermissions?: bigint | readonly PermissionName[];
  /** Where it may be used. @default everywhere it is installed */
  readonly contexts?: readonly ('GUILD' | 'BOT_DM' | 'PRIVATE_CHANNEL')[];
  /** Where it may be installed. @default guilds */
  readonly integrationTypes?: readonly ('GUILD_INSTALL' | 'USER_INSTALL')[];
  /** Only in age-restricted channels. @default false */
  readonly nsfw?: boolean;
}

interface Described {
  /** 1 to 100 characters, shown to the user. */
  readonly description: string;
  readonly descriptionLocalizations?: LocalizationMap;
}

/** What a slash command or subcommand does: its options, and the handler that gets their values. */
interface Runnable<O extends CommandOptions> {
  /** At most 25, required ones first. */
  readonly options: O;
  // A method, so that definitions with different options fit into one list.
  run(ctx: CommandContext<O>): Promise<void> | void;
}

export interface SubcommandDefinition<O extends CommandOptions = CommandOptions>
  extends Described,
    InteractionSettings,
    Runnable<O> {
  readonly kind: 'subcommand';
  readonly nameLocalizations?: LocalizationMap;
}

/** A level between command and subcommands. */
export interface SubcommandGroup extends Described {
  readonly nameLocalizations?: LocalizationMap;
  readonly subcommands: Readonly<Record<string, SubcommandDefinition>>;
}

/** Subcommands and groups of them, by name; at most 25. */
export type Subcommands = Readonly<Record<string, SubcommandDefinition | SubcommandGroup>>;

/** A slash command that runs by itself. */
export interface SingleCommandDefinition<O extends CommandOptions = CommandOptions>
  extends CommandSettings,
    Described,
    Runnable<O> {
  readonly kind: 'command';
  readonly subcommands?: undefined;
}

/** A slash command of which only the subcommands run. */
export interface ParentCommandDefinition extends CommandSettings, Described {
  readonly kind: 'command';
  readonly subcommands: Subcommands;
}

export type CommandDefinition = SingleCommandDefinition | ParentCommandDefinition;

export interface UserCommandDefinition extends CommandSettings {
  readonly kind: 'user-command';
  run(ctx: UserCommandContext): Promise<void> | void;
}

export interface MessageCommandDefinition extends CommandSettings {
  readonly kind: 'message-command';
  run(ctx: MessageCommandContext): Promise<void> | void;
}

// `O & CommandOptions` gives functions within options the type of their parameters while O is still being inferred.
type Declaration<D extends { kind: unknown; options: unknown }, O extends CommandOptions> = Omit<
  D,
  'kind' | 'options' | 'run' | 'subcommands'
> & {
  /** At most 25, required ones first. @default none */
  readonly options?: O & CommandOptions;
  run(ctx: CommandContext<O>): Promise<void> | void;
};

type CommandDeclaration<O extends CommandOptions> = Declaration<SingleCommandDefinition<O>, O> & {
  readonly subcommands?: undefined;
};

type ParentDeclaration = Omit<ParentCommandDefinition, 'kind'> & {
  readonly options?: undefined;
  readonly run?: undefined;
};

/**
 * A slash command. Each interaction runs once; when `run` throws, the user gets a short apology with a reference id.
 * With `subcommands` it has no `run` of its own.
 */
export function defineCommand<const O extends CommandOptions = NoOptions>(
  declaration: CommandDeclaration<O> | ParentDeclaration,
): SingleCommandDefinition<O> | ParentCommandDefinition {
  if (declaration.subcommands !== undefined) return { ...declaration, kind: 'command' };
  return { ...declaration, kind: 'command', options: declaration.options ?? ({} as O) };
}

/** A subcommand of a slash command; its name is the key it stands under. */
export function defineSubcommand<const O extends CommandOptions = NoOptions>(
  declaration: Declaration<SubcommandDefinition<O>, O>,
): SubcommandDefinition<O> {
  return { ...declaration, kind: 'subcommand', options: declaration.options ?? ({} as O) };
}

/** A command in the menu of a user. Its name may have capitals and spaces. */
export function defineUserCommand(declaration: Omit<UserCommandDefinition, 'kind'>): UserCommandDefinition {
  return { ...declaration, kind: 'user-command' };
}

/** A command in the menu of a message. Its name may have capitals and spaces. */
export function defineMessageCommand(declaration: Omit<MessageCommandDefinition, 'kind'>): MessageCommandDefinition {
  return { ...declaration, kind: 'message-command' };
}

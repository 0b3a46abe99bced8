import type { ChannelType, LocalizationMap } from 'discord-api-types/v10';
import type { AutocompleteContext } from './autocomplete-context.ts';
import type {
  ResolvedAttachment,
  ResolvedChannel,
  ResolvedMentionable,
  ResolvedRole,
  ResolvedUser,
} from './resolved-values.ts';

interface OptionBase {
  /** 1 to 100 characters, shown to the user. */
  readonly description: string;
  readonly descriptionLocalizations?: LocalizationMap;
  readonly nameLocalizations?: LocalizationMap;
  /** @default the user may leave it out */
  readonly required?: boolean;
}

/** A value to choose, which is also its label, or a value with a label of its own (1 to 100 characters). */
export type Choice<V extends string | number> =
  | V
  | { readonly name: string; readonly nameLocalizations?: LocalizationMap; readonly value: V };

/** What an autocomplete handler suggests; at most 25. The user is not bound to it. */
export type Suggestions<V extends string | number> = readonly Choice<V>[] | Promise<readonly Choice<V>[]>;

export interface StringOption extends OptionBase {
  readonly type: 'string';
  /** At most 25. Instead of {@link autocomplete}. */
  readonly choices?: readonly Choice<string>[];
  /** 0 to 6000. */
  readonly minLength?: number;
  /** 1 to 6000. */
  readonly maxLength?: number;
  /** Suggests values while the user types. */
  readonly autocomplete?: (ctx: AutocompleteContext) => Suggestions<string>;
}

export interface NumberOption extends OptionBase {
  readonly type: 'integer' | 'number';
  /** At most 25. Instead of {@link autocomplete}. */
  readonly choices?: readonly Choice<number>[];
  readonly min?: number;
  readonly max?: number;
  /** Suggests values while the user types. */
  readonly autocomplete?: (ctx: AutocompleteContext) => Suggestions<number>;
}

export interface ChannelOption extends OptionBase {
  readonly type: 'channel';
  /** @default channels of every type */
  readonly channelTypes?: readonly ChannelType[];
}

export interface PlainOption extends OptionBase {
  readonly type: 'boolean' | 'user' | 'role' | 'mentionable' | 'attachment';
}

/** An option of a slash command. Users, channels, roles, mentionables and attachments arrive as Discord's objects. */
export type CommandOption = StringOption | NumberOption | ChannelOption | PlainOption;

export type CommandOptions = Readonly<Record<string, CommandOption>>;

/** No options. */
// oxlint-disable-next-line typescript/no-generated-empty-object-type -- without names there is nothing to read.
export type NoOptions = Readonly<Record<never, never>>;

interface ValueByType {
  readonly string: string;
  readonly integer: number;
  readonly number: number;
  readonly boolean: boolean;
  readonly user: ResolvedUser;
  readonly channel: ResolvedChannel;
  readonly role: ResolvedRole;
  readonly mentionable: ResolvedMentionable;
  readonly attachment: ResolvedAttachment;
}

type ChosenValue<C> = C extends { readonly value: infer V } ? V : C;

type OptionValue<O extends CommandOption> = O extends { readonly choices: readonly (infer C)[] }
  ? ChosenValue<C>
  : ValueByType[O['type']];

/** The values a handler gets, typed from the declaration of the options. */
export type OptionValues<O extends CommandOptions> = {
  readonly [Name in keyof O]: O[Name] extends { readonly required: true }
    ? OptionValue<O[Name]>
    : OptionValue<O[Name]> | undefined;
};

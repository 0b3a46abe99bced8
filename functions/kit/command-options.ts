interface OptionBase {
  /** 1 to 100 characters, shown to the user. */
  readonly description: string;
  /** @default the user may leave it out */
  readonly required?: boolean;
}

/** An option of a slash command. Users, channels, roles, mentionables and attachments arrive as ids. */
export type CommandOption =
  | (OptionBase & {
      readonly type: 'string';
      readonly choices?: readonly string[];
      readonly minLength?: number;
      readonly maxLength?: number;
    })
  | (OptionBase & {
      readonly type: 'integer' | 'number';
      readonly choices?: readonly number[];
      readonly min?: number;
      readonly max?: number;
    })
  | (OptionBase & { readonly type: 'boolean' | 'user' | 'channel' | 'role' | 'mentionable' | 'attachment' });

export type CommandOptions = Readonly<Record<string, CommandOption>>;

type OptionValue<O extends CommandOption> = O['type'] extends 'integer' | 'number'
  ? number
  : O['type'] extends 'boolean'
    ? boolean
    : O extends { readonly choices: readonly (infer Choice)[] }
      ? Choice
      : string;

/** The values a handler gets, typed from the declaration of the options. */
export type OptionValues<O extends CommandOptions> = {
  readonly [Name in keyof O]: O[Name] extends { readonly required: true }
    ? OptionValue<O[Name]>
    : OptionValue<O[Name]> | undefined;
};

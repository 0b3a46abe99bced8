import type { CommandContext } from './command-context.ts';
import type { CommandOptions } from './command-options.ts';

export interface CommandDefinition<O extends CommandOptions = CommandOptions> {
  readonly kind: 'command';
  /** 1 to 32 lower-case letters, digits, `-` or `_`; unique in the bot. */
  readonly name: string;
  /** 1 to 100 characters, shown to the user. */
  readonly description: string;
  readonly options: O;
  /** Permission bits a member needs to see the command (Discord, "Permissions"). @default everybody */
  readonly defaultMemberPermissions?: bigint;
  /**
   * Run also when more than three seconds have passed since the user sent it: Discord takes no answer any more, so only
   * for commands whose effect matters by itself.
   * @default such an interaction is counted and dropped
   */
  readonly runsWhenExpired?: boolean;
  // A method, so that definitions with different options fit into one list.
  run(ctx: CommandContext<O>): Promise<void> | void;
}

type CommandDeclaration<O extends CommandOptions> = Omit<CommandDefinition<O>, 'kind' | 'options'> & {
  /** @default none */
  readonly options?: O;
};

/** A slash command. Each interaction runs once; when `run` throws, the user gets a short apology with a reference id. */
export function defineCommand<const O extends CommandOptions = Readonly<Record<string, never>>>(
  declaration: CommandDeclaration<O>,
): CommandDefinition<O> {
  return { ...declaration, kind: 'command', options: declaration.options ?? ({} as O) };
}

import type {
  APIChatInputApplicationCommandInteraction,
  APIMessage,
  APIMessageApplicationCommandInteraction,
  APIUserApplicationCommandInteraction,
} from 'discord-api-types/v10';
import type { CommandOptions, OptionValues } from './command-options.ts';
import type { InteractionContext, ModalShowingContext, ReplyingContext } from './interaction-context.ts';
import type { ResolvedUser } from './resolved-values.ts';

/** What a slash command, or one of its subcommands, gets. */
export interface CommandContext<O extends CommandOptions = CommandOptions>
  extends InteractionContext<APIChatInputApplicationCommandInteraction>,
    ReplyingContext,
    ModalShowingContext {
  readonly options: OptionValues<O>;
}

/** What a command in the menu of a user gets. */
export interface UserCommandContext
  extends InteractionContext<APIUserApplicationCommandInteraction>,
    ReplyingContext,
    ModalShowingContext {
  /** The user it was used on. */
  readonly target: ResolvedUser;
}

/** What a command in the menu of a message gets. */
export interface MessageCommandContext
  extends InteractionContext<APIMessageApplicationCommandInteraction>,
    ReplyingContext,
    ModalShowingContext {
  /** The message it was used on. */
  readonly target: APIMessage;
}

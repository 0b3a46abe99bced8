import type { API, CreateInteractionResponseOptions, EditInteractionResponseOptions } from '@discordjs/core';
import type { APIChatInputApplicationCommandInteraction, APIMessage } from 'discord-api-types/v10';
import type { Logger } from '../../shared/logger.ts';
import type { CommandOptions, OptionValues } from './command-options.ts';
import type { HandlerTable } from './handler-table.ts';
import type { ShardContext } from './shard-context.ts';

/** Text alone, or a message in Discord's form. `ephemeral`: only the user sees it. */
export type Reply =
  | string
  | (Omit<CreateInteractionResponseOptions, 'with_response'> & { readonly ephemeral?: boolean });

/** What a command gets. */
export interface CommandContext<O extends CommandOptions = CommandOptions> {
  /** The interaction as Discord sent it. */
  readonly interaction: APIChatInputApplicationCommandInteraction;
  readonly options: OptionValues<O>;
  /** `undefined` in direct messages. */
  readonly guildId: string | undefined;
  readonly userId: string;
  readonly shard: ShardContext;
  /** Milliseconds from the user's sending it to the start of the handler, by this machine's clock. */
  readonly ageMs: number;
  /** Discord's REST API, as the bot. */
  readonly api: API;
  readonly table: HandlerTable;
  /** Every line carries interaction, command, guild and shard. */
  readonly log: Logger;
  /** Aborts shortly before the invocation's time is over. */
  readonly signal: AbortSignal;
  /** The first answer; Discord takes it within three seconds. */
  reply(message: Reply): Promise<void>;
  /** Shows "thinking…"; the answer follows with {@link editReply} within 15 minutes. */
  defer(options?: { readonly ephemeral?: boolean }): Promise<void>;
  /** Replaces the first answer. */
  editReply(message: string | EditInteractionResponseOptions): Promise<APIMessage>;
  /** A further message, after the first answer. */
  followUp(message: Reply): Promise<APIMessage>;
}

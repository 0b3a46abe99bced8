import type { API } from '@discordjs/core';
import type {
  APIApplicationCommandInteractionDataOption,
  APIChatInputApplicationCommandInteraction,
  InteractionType,
} from 'discord-api-types/v10';
import type { Logger } from '../../shared/logger.ts';
import type { CommandContext } from '../kit/command-context.ts';
import type { CommandOptions, OptionValues } from '../kit/command-options.ts';
import type { HandlerTable } from '../kit/handler-table.ts';
import type { ShardContext } from '../kit/shard-context.ts';
import type { InteractionAnswer } from './interaction-answer.ts';

interface CommandServices {
  readonly api: API;
  readonly table: HandlerTable;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** The context that a command's `run` sees. Its functions may be taken out of it. */
export function commandContext(
  interaction: APIChatInputApplicationCommandInteraction,
  answer: InteractionAnswer,
  shard: ShardContext,
  ageMs: number,
  services: CommandServices,
): CommandContext {
  return {
    ...services,
    interaction,
    options: optionValues(interaction.data.options),
    guildId: interaction.guild_id,
    userId: (interaction.member?.user ?? interaction.user)?.id ?? '',
    shard,
    ageMs,
    reply: (message) => answer.reply(message),
    defer: (options) => answer.defer(options),
    editReply: (message) => answer.editReply(message),
    followUp: (message) => answer.followUp(message),
  };
}

/** Discord has checked the values against the command's declaration. */
function optionValues(
  options: readonly APIApplicationCommandInteractionDataOption<InteractionType.ApplicationCommand>[] = [],
): OptionValues<CommandOptions> {
  return Object.fromEntries(
    options.flatMap((option) => ('value' in option ? [[option.name, option.value]] : [])),
  ) as OptionValues<CommandOptions>;
}

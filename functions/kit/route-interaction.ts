import {
  type APIApplicationCommandAutocompleteInteraction,
  type APIApplicationCommandInteractionDataBasicOption,
  type APIApplicationCommandInteractionDataOption,
  type APIApplicationCommandOptionChoice,
  type APIChatInputApplicationCommandInteraction,
  type APIInteraction,
  type APIMessageApplicationCommandInteraction,
  type APIMessageComponentInteraction,
  type APIModalSubmitInteraction,
  type APIUserApplicationCommandInteraction,
  ApplicationCommandOptionType,
  ApplicationCommandType,
  InteractionType,
  Locale,
} from 'discord-api-types/v10';
import { BatonError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { AutocompleteContext } from './autocomplete-context.ts';
import { choiceJson } from './command-json.ts';
import type { CommandOption, Suggestions } from './command-options.ts';
import { componentTypes } from './component-types.ts';
import { type CustomIdPattern, matchCustomId, type ParamValues } from './custom-id-pattern.ts';
import type { HandlerServices } from './handler-context.ts';
import type {
  InteractionContext,
  ModalShowingContext,
  ReplyingContext,
  UpdatingContext,
} from './interaction-context.ts';
import type { InteractionSettings } from './interaction-settings.ts';
import { fieldValues, optionValues, resolvedOf, resolvedUser, selectedValues } from './interaction-values.ts';
import type { Registry } from './registry.ts';
import type { ShardContext } from './shard-context.ts';

/** Discord shows no more. */
const maxSuggestions = 25;

/** How an interaction's handler talks back; the way it came decides how that is done. */
export interface InteractionAnswers extends ReplyingContext, UpdatingContext, ModalShowingContext {
  /** Answers an autocompletion. */
  suggest(choices: readonly APIApplicationCommandOptionChoice[]): Promise<void>;
}

/** What a handler's context is made of, beside the interaction. */
export interface InteractionRun {
  readonly shard: ShardContext;
  readonly services: HandlerServices;
  readonly answers: InteractionAnswers;
  /** Milliseconds since the user's action. */
  readonly ageMs: number;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly remainingMs: () => number;
}

/** The handler that an interaction is for. */
export interface RoutedInteraction {
  /** `<file>#<export>`. */
  readonly handler: string;
  /** For people: the command with its subcommand, or the custom-id pattern. */
  readonly label: string;
  readonly settings: InteractionSettings;
  /** Runs the handler. Rejects with whatever it throws. */
  run(run: InteractionRun): Promise<void>;
}

/** Finds the handler of an interaction; `undefined` when there is none (any more). */
export function routeInteraction(registry: Registry, interaction: APIInteraction): RoutedInteraction | undefined {
  switch (interaction.type) {
    case InteractionType.ApplicationCommand:
      switch (interaction.data.type) {
        case ApplicationCommandType.ChatInput:
          return routeCommand(registry, interaction as APIChatInputApplicationCommandInteraction);
        case ApplicationCommandType.User:
          return routeUserCommand(registry, interaction as APIUserApplicationCommandInteraction);
        case ApplicationCommandType.Message:
          return routeMessageCommand(registry, interaction as APIMessageApplicationCommandInteraction);
        case ApplicationCommandType.PrimaryEntryPoint:
        default:
          return undefined;
      }
    case InteractionType.ApplicationCommandAutocomplete:
      return routeAutocomplete(registry, interaction);
    case InteractionType.MessageComponent:
      return routeComponent(registry, interaction);
    case InteractionType.ModalSubmit:
      return routeModal(registry, interaction);
    case InteractionType.Ping:
    default:
      return undefined;
  }
}

type OptionOfAnyKind = APIApplicationCommandInteractionDataOption<
  InteractionType.ApplicationCommand | InteractionType.ApplicationCommandAutocomplete
>;

/** The command with group and subcommand, such as `ticket close`, and what was given to it. */
function invoked(
  name: string,
  options: readonly OptionOfAnyKind[] = [],
): { path: string; given: readonly APIApplicationCommandInteractionDataBasicOption[] } {
  const [first] = options;
  const isNested =
    first?.type === ApplicationCommandOptionType.Subcommand ||
    first?.type === ApplicationCommandOptionType.SubcommandGroup;
  if (isNested) return invoked(`${name} ${first.name}`, first.options);
  return { path: name, given: options as readonly APIApplicationCommandInteractionDataBasicOption[] };
}

function routeCommand(
  registry: Registry,
  interaction: APIChatInputApplicationCommandInteraction,
): RoutedInteraction | undefined {
  const { name, options, resolved } = interaction.data;
  const { path, given } = invoked(name, options);
  const command = registry.commands.get(path);
  if (!command) return undefined;
  return {
    handler: command.name,
    label: path,
    settings: command.settings,
    run: async (run) =>
      command.run({ ...replying(interaction, run), ...modals(run), options: optionValues(given, resolved) }),
  };
}

function routeUserCommand(
  registry: Registry,
  interaction: APIUserApplicationCommandInteraction,
): RoutedInteraction | undefined {
  const { name, target_id, resolved } = interaction.data;
  const command = registry.userCommands.get(name);
  if (!command) return undefined;
  return {
    handler: command.name,
    label: name,
    settings: command.definition,
    run: async (run) =>
      command.definition.run({
        ...replying(interaction, run),
        ...modals(run),
        target: resolvedUser(target_id, resolved),
      }),
  };
}

function routeMessageCommand(
  registry: Registry,
  interaction: APIMessageApplicationCommandInteraction,
): RoutedInteraction | undefined {
  const { name, target_id, resolved } = interaction.data;
  const command = registry.messageCommands.get(name);
  if (!command) return undefined;
  return {
    handler: command.name,
    label: name,
    settings: command.definition,
    run: async (run) =>
      command.definition.run({
        ...replying(interaction, run),
        ...modals(run),
        target: resolvedOf(resolved?.messages, target_id, 'message'),
      }),
  };
}

function routeAutocomplete(
  registry: Registry,
  interaction: APIApplicationCommandAutocompleteInteraction,
): RoutedInteraction | undefined {
  const { path, given } = invoked(interaction.data.name, interaction.data.options);
  const command = registry.commands.get(path);
  const focused = given.find((option) => 'focused' in option && option.focused === true);
  const option = focused && command?.options[focused.name];
  const suggest = option && suggesterOf(option);
  if (!command || !suggest) return undefined;
  return {
    handler: command.name,
    label: `${path} ${focused.name}`,
    settings: command.settings,
    async run(run) {
      const others = given.filter((each) => each !== focused).map((each) => [each.name, each.value]);
      const suggestions = await suggest({
        ...common(interaction, run),
        option: focused.name,
        value: String(focused.value),
        options: Object.fromEntries(others) as AutocompleteContext['options'],
      });
      await run.answers.suggest(suggestions.slice(0, maxSuggestions).map(choiceJson));
    },
  };
}

type Suggest = (ctx: AutocompleteContext) => Suggestions<string | number>;

function suggesterOf(option: CommandOption): Suggest | undefined {
  return 'autocomplete' in option ? option.autocomplete : undefined;
}

function routeComponent(
  registry: Registry,
  interaction: APIMessageComponentInteraction,
): RoutedInteraction | undefined {
  const { data, message } = interaction;
  const found = findByCustomId(registry.components, data.custom_id);
  // The id may be that of a component that has become one of another kind.
  if (!found || componentTypes[found.registered.definition.type] !== data.component_type) return undefined;
  const { definition, name } = found.registered;
  return {
    handler: name,
    label: definition.pattern,
    settings: definition,
    run: async (run) =>
      definition.run({
        ...replying(interaction as never, run),
        ...updating(run),
        ...modals(run),
        params: found.params,
        message,
        ...('values' in data && {
          values: selectedValues(data.component_type, data.values, 'resolved' in data ? data.resolved : undefined),
        }),
      }),
  };
}

function routeModal(registry: Registry, interaction: APIModalSubmitInteraction): RoutedInteraction | undefined {
  const found = findByCustomId(registry.modals, interaction.data.custom_id);
  if (!found) return undefined;
  const { definition, name } = found.registered;
  return {
    handler: name,
    label: definition.pattern,
    settings: definition,
    run: async (run) =>
      definition.run({
        ...replying(interaction, run),
        ...updating(run),
        params: found.params,
        fields: fieldValues(definition.fields, interaction.data),
        message: interaction.message,
      }),
  };
}

function findByCustomId<T extends { readonly pattern: CustomIdPattern }>(
  registered: readonly T[],
  customId: string,
): { registered: T; params: ParamValues } | undefined {
  for (const each of registered) {
    const params = matchCustomId(each.pattern, customId);
    if (params) return { registered: each, params };
  }
  return undefined;
}

// Contexts are plain objects whose functions may be taken out of them: `run({ reply })` works.

function common<I extends APIInteraction>(interaction: I, run: InteractionRun): InteractionContext<I> {
  const { member, guild_id, channel } = interaction;
  const user = member?.user ?? interaction.user;
  if (!user) throw new BatonError('INTERACTION_INVALID', `interaction ${interaction.id} without a user`);
  return {
    ...run.services,
    interaction,
    guildId: guild_id,
    channelId: channel?.id ?? interaction.channel_id,
    user,
    userId: user.id,
    member,
    locale: 'locale' in interaction ? interaction.locale : Locale.EnglishUS,
    shard: run.shard,
    ageMs: run.ageMs,
    log: run.log,
    signal: run.signal,
    remainingMs: run.remainingMs,
  };
}

function replying<I extends APIInteraction>(
  interaction: I,
  run: InteractionRun,
): InteractionContext<I> & ReplyingContext {
  const { answers } = run;
  return {
    ...common(interaction, run),
    reply: (message) => answers.reply(message),
    defer: (options) => answers.defer(options),
    editReply: (message) => answers.editReply(message),
    deleteReply: () => answers.deleteReply(),
    followUp: (message) => answers.followUp(message),
  };
}

function modals({ answers }: InteractionRun): ModalShowingContext {
  return { showModal: (modal) => answers.showModal(modal) };
}

function updating({ answers }: InteractionRun): UpdatingContext {
  return { update: (message) => answers.update(message), deferUpdate: () => answers.deferUpdate() };
}

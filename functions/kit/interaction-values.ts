import {
  type APIApplicationCommandInteractionDataBasicOption,
  type APIInteractionDataResolved,
  type APIModalSubmission,
  ApplicationCommandOptionType,
  ComponentType,
  type ModalSubmitComponent,
} from 'discord-api-types/v10';
import { BatonError } from '../../shared/errors.ts';
import type { CommandOptions, OptionValues } from './command-options.ts';
import type { FieldValues, ModalField, ModalFields } from './modal-fields.ts';
import type { ResolvedMentionable, ResolvedUser } from './resolved-values.ts';

type Resolved = APIInteractionDataResolved | undefined;

/**
 * The values of a command's options, ids replaced by what Discord sent along for them. It has checked them against
 * the declaration.
 * @throws {BatonError} `INTERACTION_INVALID` when something is missing that should have come along.
 */
export function optionValues(
  options: readonly APIApplicationCommandInteractionDataBasicOption[],
  resolved: Resolved,
): OptionValues<CommandOptions> {
  return Object.fromEntries(options.map((option) => [option.name, optionValue(option, resolved)]));
}

function optionValue({ type, value }: APIApplicationCommandInteractionDataBasicOption, resolved: Resolved) {
  switch (type) {
    case ApplicationCommandOptionType.User:
      return resolvedUser(value, resolved);
    case ApplicationCommandOptionType.Channel:
      return resolvedOf(resolved?.channels, value, 'channel');
    case ApplicationCommandOptionType.Role:
      return resolvedOf(resolved?.roles, value, 'role');
    case ApplicationCommandOptionType.Mentionable:
      return resolvedMentionable(value, resolved);
    case ApplicationCommandOptionType.Attachment:
      return resolvedOf(resolved?.attachments, value, 'attachment');
    case ApplicationCommandOptionType.String:
    case ApplicationCommandOptionType.Integer:
    case ApplicationCommandOptionType.Number:
    case ApplicationCommandOptionType.Boolean:
      return value;
  }
}

/** What was selected in a menu of this kind. @throws {BatonError} `INTERACTION_INVALID` as {@link optionValues}. */
export function selectedValues(type: ComponentType, ids: readonly string[], resolved: Resolved): readonly unknown[] {
  const resolve = resolvers[type];
  return resolve ? ids.map((id) => resolve(id, resolved)) : ids;
}

const resolvers: { readonly [type in ComponentType]?: (id: string, resolved: Resolved) => unknown } = {
  [ComponentType.UserSelect]: resolvedUser,
  [ComponentType.RoleSelect]: (id, resolved) => resolvedOf(resolved?.roles, id, 'role'),
  [ComponentType.MentionableSelect]: resolvedMentionable,
  [ComponentType.ChannelSelect]: (id, resolved) => resolvedOf(resolved?.channels, id, 'channel'),
  [ComponentType.FileUpload]: (id, resolved) => resolvedOf(resolved?.attachments, id, 'attachment'),
};

/** The values of a form's fields. Those that Discord did not send are empty. */
export function fieldValues(
  fields: ModalFields,
  { components, resolved }: APIModalSubmission,
): FieldValues<ModalFields> {
  const submitted = new Map<string, ModalSubmitComponent>();
  for (const component of components) {
    if (component.type === ComponentType.Label) submitted.set(component.component.custom_id, component.component);
    else if (component.type === ComponentType.ActionRow) {
      for (const input of component.components) submitted.set(input.custom_id, input);
    }
  }
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, fieldValue(field, submitted.get(name), resolved)]),
  ) as FieldValues<ModalFields>;
}

function fieldValue({ type }: ModalField, submitted: ModalSubmitComponent | undefined, resolved: Resolved) {
  switch (type) {
    case 'short':
    case 'paragraph':
      return submitted && 'value' in submitted ? (submitted.value ?? '') : '';
    case 'checkbox':
      return submitted !== undefined && 'value' in submitted && submitted.value === true;
    case 'radio-group':
      return submitted && 'value' in submitted ? (submitted.value ?? undefined) : undefined;
    case 'string-select':
    case 'checkbox-group':
    case 'user-select':
    case 'role-select':
    case 'mentionable-select':
    case 'channel-select':
    case 'file-upload':
      return submitted && 'values' in submitted ? selectedValues(submitted.type, submitted.values, resolved) : [];
  }
}

/** @throws {BatonError} `INTERACTION_INVALID` when the user did not come along. */
export function resolvedUser(id: string, resolved: Resolved): ResolvedUser {
  const user = resolvedOf(resolved?.users, id, 'user');
  const member = resolved?.members?.[id];
  return member ? { ...user, member } : user;
}

function resolvedMentionable(id: string, resolved: Resolved): ResolvedMentionable {
  const role = resolved?.roles?.[id];
  return role ? { kind: 'role', id, role } : { kind: 'user', id, user: resolvedUser(id, resolved) };
}

/** @throws {BatonError} `INTERACTION_INVALID` when it did not come along. */
export function resolvedOf<T>(all: Readonly<Record<string, T>> | undefined, id: string, what: string): T {
  const found = all?.[id];
  if (found === undefined) throw new BatonError('INTERACTION_INVALID', `interaction without the ${what} ${id}`);
  return found;
}

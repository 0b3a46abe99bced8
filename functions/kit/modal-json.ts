import {
  type APIComponentInLabel,
  type APIModalInteractionResponseCallbackData,
  ComponentType,
  TextInputStyle,
} from 'discord-api-types/v10';
import { formatCustomId, type ParamValues } from './custom-id-pattern.ts';
import type { FieldOption, ModalField, ModalFields } from './modal-fields.ts';

/** What Discord shows as a form: each field in a label, under its name as custom id. */
export function modalJson(
  { pattern, title, fields }: { readonly pattern: string; readonly title: string; readonly fields: ModalFields },
  params: ParamValues = {},
  opening: { readonly title?: string; readonly values?: Readonly<Record<string, unknown>> } = {},
): APIModalInteractionResponseCallbackData {
  return {
    custom_id: formatCustomId(pattern, params),
    title: opening.title ?? title,
    components: Object.entries(fields).map(([name, field]) => ({
      type: ComponentType.Label,
      label: field.label,
      ...(field.description !== undefined && { description: field.description }),
      component: fieldJson(name, field, opening.values?.[name]),
    })),
  };
}

const entitySelects = {
  'user-select': ComponentType.UserSelect,
  'role-select': ComponentType.RoleSelect,
  'mentionable-select': ComponentType.MentionableSelect,
  'channel-select': ComponentType.ChannelSelect,
} as const;

function fieldJson(custom_id: string, field: ModalField, value: unknown): APIComponentInLabel {
  if (field.type === 'checkbox') {
    return { type: ComponentType.Checkbox, custom_id, ...(typeof value === 'boolean' && { default: value }) };
  }
  // Discord wants a field that takes no value not to be required.
  const { required = !('minValues' in field && field.minValues === 0) } = field;
  switch (field.type) {
    case 'short':
    case 'paragraph':
      return {
        type: ComponentType.TextInput,
        custom_id,
        style: field.type === 'short' ? TextInputStyle.Short : TextInputStyle.Paragraph,
        required,
        ...(field.minLength !== undefined && { min_length: field.minLength }),
        ...(field.maxLength !== undefined && { max_length: field.maxLength }),
        ...(field.placeholder !== undefined && { placeholder: field.placeholder }),
        ...(typeof value === 'string' && { value }),
      };
    case 'string-select':
      return {
        type: ComponentType.StringSelect,
        custom_id,
        required,
        options: optionsJson(field.options, value),
        ...countsJson(field),
      };
    case 'checkbox-group':
      return {
        type: ComponentType.CheckboxGroup,
        custom_id,
        required,
        options: optionsJson(field.options, value),
        ...countsJson(field),
      };
    case 'radio-group':
      return { type: ComponentType.RadioGroup, custom_id, required, options: optionsJson(field.options, value) };
    case 'file-upload':
      return { type: ComponentType.FileUpload, custom_id, required, ...countsJson(field) };
    case 'channel-select':
      return {
        type: ComponentType.ChannelSelect,
        custom_id,
        required,
        ...countsJson(field),
        ...(field.channelTypes && { channel_types: [...field.channelTypes] }),
      };
    case 'user-select':
    case 'role-select':
    case 'mentionable-select':
      return { type: entitySelects[field.type], custom_id, required, ...countsJson(field) };
  }
}

function countsJson({ minValues, maxValues }: { readonly minValues?: number; readonly maxValues?: number }) {
  return {
    ...(minValues !== undefined && { min_values: minValues }),
    ...(maxValues !== undefined && { max_values: maxValues }),
  };
}

function optionsJson(options: readonly FieldOption[], chosen: unknown) {
  const isChosen = (value: string) => (Array.isArray(chosen) ? chosen.includes(value) : chosen === value);
  return options.map((option) => {
    const { value, label, description } =
      typeof option === 'string' ? { value: option, label: option, description: undefined } : option;
    return {
      value,
      label,
      ...(description !== undefined && { description }),
      ...(isChosen(value) && { default: true }),
    };
  });
}

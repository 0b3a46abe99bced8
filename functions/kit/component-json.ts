import {
  type APIActionRowComponent,
  type APIButtonComponentWithCustomId,
  type APIChannelSelectComponent,
  type APIComponentInMessageActionRow,
  type APIMentionableSelectComponent,
  type APIMessageComponentEmoji,
  type APIRoleSelectComponent,
  type APIStringSelectComponent,
  type APIUserSelectComponent,
  ButtonStyle,
  type ChannelType,
  ComponentType as ComponentTypeNumber,
} from 'discord-api-types/v10';
import type { ComponentType, SelectType } from './component-context.ts';
import { componentTypes } from './component-types.ts';

/** How a button looks. It has a label, an emoji, or both. */
export interface ButtonLook {
  /** At most 80 characters. */
  readonly label?: string;
  readonly emoji?: APIMessageComponentEmoji;
  /** @default 'secondary', which is grey */
  readonly style?: 'primary' | 'secondary' | 'success' | 'danger';
  readonly disabled?: boolean;
}

/** How a select menu looks. */
export interface SelectLook {
  /** At most 150 characters. */
  readonly placeholder?: string;
  /** @default 1 */
  readonly minValues?: number;
  /** @default 1 */
  readonly maxValues?: number;
  readonly disabled?: boolean;
}

export interface StringSelectLook<Value extends string> extends SelectLook {
  /** 1 to 25: values, which are also the labels, or both. @default the `values` of the definition */
  readonly options?: readonly (
    | Value
    | {
        readonly value: Value;
        readonly label: string;
        readonly description?: string;
        readonly emoji?: APIMessageComponentEmoji;
        readonly selected?: boolean;
      }
  )[];
}

export interface ChannelSelectLook extends SelectLook {
  /** @default channels of every type */
  readonly channelTypes?: readonly ChannelType[];
}

/** How a component of a type may look. */
export type ComponentLook<T extends ComponentType, Value extends string = string> = T extends 'button'
  ? ButtonLook
  : T extends 'string-select'
    ? StringSelectLook<Value>
    : T extends 'channel-select'
      ? ChannelSelectLook
      : SelectLook;

interface JsonByType {
  readonly button: APIButtonComponentWithCustomId;
  readonly 'string-select': APIStringSelectComponent;
  readonly 'user-select': APIUserSelectComponent;
  readonly 'role-select': APIRoleSelectComponent;
  readonly 'mentionable-select': APIMentionableSelectComponent;
  readonly 'channel-select': APIChannelSelectComponent;
}

/** A component in Discord's form. */
export type ComponentJson<T extends ComponentType> = JsonByType[T];

/** Components side by side in a message: up to five buttons, or one select menu. */
export function actionRow<C extends APIComponentInMessageActionRow>(...components: C[]): APIActionRowComponent<C> {
  return { type: ComponentTypeNumber.ActionRow, components };
}

const buttonStyles = {
  primary: ButtonStyle.Primary,
  secondary: ButtonStyle.Secondary,
  success: ButtonStyle.Success,
  danger: ButtonStyle.Danger,
} as const;

export function componentJson(
  type: ComponentType,
  customId: string,
  look: ButtonLook & StringSelectLook<string> & ChannelSelectLook,
  values: readonly string[] = [],
): APIComponentInMessageActionRow {
  const { disabled } = look;
  const common = { custom_id: customId, ...(disabled !== undefined && { disabled }) };
  return type === 'button' ? buttonJson(common, look) : selectJson(type, common, look, values);
}

function buttonJson(
  common: { custom_id: string },
  { label, emoji, style = 'secondary' }: ButtonLook,
): APIButtonComponentWithCustomId {
  return {
    type: ComponentTypeNumber.Button,
    style: buttonStyles[style],
    ...common,
    ...(label !== undefined && { label }),
    ...(emoji && { emoji }),
  };
}

function selectJson(
  type: SelectType,
  common: { custom_id: string },
  { placeholder, minValues, maxValues, options, channelTypes }: StringSelectLook<string> & ChannelSelectLook,
  values: readonly string[],
): APIComponentInMessageActionRow {
  const select = {
    type: componentTypes[type],
    ...common,
    ...(placeholder !== undefined && { placeholder }),
    ...(minValues !== undefined && { min_values: minValues }),
    ...(maxValues !== undefined && { max_values: maxValues }),
    ...(type === 'string-select' && { options: (options ?? values).map(optionJson) }),
    ...(type === 'channel-select' && channelTypes && { channel_types: [...channelTypes] }),
  };
  return select as APIComponentInMessageActionRow;
}

function optionJson(option: NonNullable<StringSelectLook<string>['options']>[number]) {
  if (typeof option === 'string') return { value: option, label: option };
  const { selected, ...rest } = option;
  return { ...rest, ...(selected === true && { default: true }) };
}

import { ComponentType as ComponentTypeNumber } from 'discord-api-types/v10';
import type { ComponentType } from './component-context.ts';

/** Discord's numbers of the components that messages can have. */
export const componentTypes: Readonly<Record<ComponentType, ComponentTypeNumber>> = {
  button: ComponentTypeNumber.Button,
  'string-select': ComponentTypeNumber.StringSelect,
  'user-select': ComponentTypeNumber.UserSelect,
  'role-select': ComponentTypeNumber.RoleSelect,
  'mentionable-select': ComponentTypeNumber.MentionableSelect,
  'channel-select': ComponentTypeNumber.ChannelSelect,
};

/** What handlers are written with: `import { defineCommand } from 'baton/handlers'`. */
export type { AutocompleteContext } from './functions/kit/autocomplete-context.ts';
export type { CommandContext, MessageCommandContext, UserCommandContext } from './functions/kit/command-context.ts';
export type { Choice, CommandOption, CommandOptions, OptionValues } from './functions/kit/command-options.ts';
export type { ButtonContext, ComponentContext, SelectContext } from './functions/kit/component-context.ts';
export { actionRow, type ButtonLook, type SelectLook } from './functions/kit/component-json.ts';
export type { CustomIdParams } from './functions/kit/custom-id-params.ts';
export {
  type CommandDefinition,
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
  type MessageCommandDefinition,
  type PermissionName,
  type SubcommandDefinition,
  type UserCommandDefinition,
} from './functions/kit/define-command.ts';
export { type ComponentDefinition, defineComponent } from './functions/kit/define-component.ts';
export {
  type BatchContext,
  defineEvent,
  type EventDefinition,
  type EventOptions,
} from './functions/kit/define-event.ts';
export {
  defineMessage,
  type FleetMessage,
  type MessageContext,
  type MessageDefinition,
} from './functions/kit/define-message.ts';
export { defineModal, type ModalDefinition, type ModalOpening } from './functions/kit/define-modal.ts';
export type { DirectoryAccess } from './functions/kit/directory-access.ts';
export type { EventContext } from './functions/kit/event-context.ts';
export type { EventData, EventType } from './functions/kit/event-types.ts';
export type { FleetAccess } from './functions/kit/fleet-access.ts';
export type { HandlerContext } from './functions/kit/handler-context.ts';
export type { HandlerTable } from './functions/kit/handler-table.ts';
export type { InteractionContext, Reply } from './functions/kit/interaction-context.ts';
export type { ModalContext } from './functions/kit/modal-context.ts';
export type { FieldValues, ModalField, ModalFields } from './functions/kit/modal-fields.ts';
export type {
  ResolvedAttachment,
  ResolvedChannel,
  ResolvedMentionable,
  ResolvedRole,
  ResolvedUser,
} from './functions/kit/resolved-values.ts';
export type { ShardContext, ShardFigures } from './functions/kit/shard-context.ts';
export { BatonError, type BatonErrorCode } from './shared/errors.ts';

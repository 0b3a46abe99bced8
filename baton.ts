/** The package: managers of shards, queries, and what handlers are written with. Everything else is its inside. */
export { createShardManager } from './local/create-shard-manager.ts';
export { connectShardManager, type ConnectShardManagerOptions } from './shared/control/connect-shard-manager.ts';
export {
  type AskShardsOptions,
  type RespawnedShard,
  type RespawnOptions,
  type ShardInfo,
  type ShardManager,
  type ShardStats,
  type SpawnOptions,
  valuesOf,
} from './shared/control/shard-manager.ts';
export type { ShardManagerOptions } from './shared/control/shard-manager-options.ts';
export type { MissingCode, MissingShard, ShardAnswer, ShardResult } from './shared/control/answers.ts';
export {
  defineQuery,
  noArguments,
  type QueryContext,
  type QueryDefinition,
  type QueryShard,
} from './shared/control/define-query.ts';
export { BatonError, type BatonErrorCode } from './shared/errors.ts';

export {
  type BatchContext,
  defineEvent,
  type EventDefinition,
  type EventOptions,
} from './functions/kit/define-event.ts';
export {
  type CommandDefinition,
  defineCommand,
  defineMessageCommand,
  defineSubcommand,
  defineUserCommand,
  type MessageCommandDefinition,
  type SubcommandDefinition,
  type UserCommandDefinition,
} from './functions/kit/define-command.ts';
export { type ComponentDefinition, defineComponent } from './functions/kit/define-component.ts';
export { defineModal, type ModalDefinition } from './functions/kit/define-modal.ts';
export {
  defineMessage,
  type FleetMessage,
  type MessageContext,
  type MessageDefinition,
} from './functions/kit/define-message.ts';
export type { AutocompleteContext } from './functions/kit/autocomplete-context.ts';
export type { CommandContext, MessageCommandContext, UserCommandContext } from './functions/kit/command-context.ts';
export type { CommandOption, CommandOptions } from './functions/kit/command-options.ts';
export type { ButtonContext, ComponentContext, SelectContext } from './functions/kit/component-context.ts';
export type { EventContext } from './functions/kit/event-context.ts';
export type { HandlerContext } from './functions/kit/handler-context.ts';
export type { ModalContext } from './functions/kit/modal-context.ts';

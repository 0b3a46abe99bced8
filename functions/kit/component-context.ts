import type {
  APIMessage,
  APIMessageComponentButtonInteraction,
  APIMessageComponentSelectMenuInteraction,
} from 'discord-api-types/v10';
import type { CustomIdParams } from './custom-id-params.ts';
import type {
  InteractionContext,
  ModalShowingContext,
  ReplyingContext,
  UpdatingContext,
} from './interaction-context.ts';
import type { ResolvedChannel, ResolvedMentionable, ResolvedRole, ResolvedUser } from './resolved-values.ts';

/** What each kind of select menu holds. */
interface SelectedByType {
  readonly 'string-select': string;
  readonly 'user-select': ResolvedUser;
  readonly 'role-select': ResolvedRole;
  readonly 'mentionable-select': ResolvedMentionable;
  readonly 'channel-select': ResolvedChannel;
}

export type SelectType = keyof SelectedByType;
/** Components with a custom id that messages can have. */
export type ComponentType = 'button' | SelectType;

interface ComponentParts<Pattern extends string> extends ReplyingContext, UpdatingContext, ModalShowingContext {
  /** What the custom id says at the parameters of its pattern. */
  readonly params: CustomIdParams<Pattern>;
  /** The message that the component is on. */
  readonly message: APIMessage;
}

/** What the handler of a button gets. */
export interface ButtonContext<Pattern extends string = string>
  extends InteractionContext<APIMessageComponentButtonInteraction>,
    ComponentParts<Pattern> {}

/** What the handler of a select menu gets. */
export interface SelectContext<
  T extends SelectType = SelectType,
  Pattern extends string = string,
  Value extends string = string,
> extends InteractionContext<APIMessageComponentSelectMenuInteraction>,
    ComponentParts<Pattern> {
  /** What the user has selected. */
  readonly values: readonly (T extends 'string-select' ? Value : SelectedByType[T])[];
}

export type ComponentContext<
  T extends ComponentType = ComponentType,
  Pattern extends string = string,
  Value extends string = string,
> = T extends SelectType ? SelectContext<T, Pattern, Value> : ButtonContext<Pattern>;

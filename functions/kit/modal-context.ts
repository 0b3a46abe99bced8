import type { APIMessage, APIModalSubmitInteraction } from 'discord-api-types/v10';
import type { CustomIdParams } from './custom-id-params.ts';
import type { InteractionContext, ReplyingContext, UpdatingContext } from './interaction-context.ts';
import type { FieldValues, ModalFields } from './modal-fields.ts';

/** What the handler of a submitted form gets. */
export interface ModalContext<Pattern extends string = string, F extends ModalFields = ModalFields>
  extends InteractionContext<APIModalSubmitInteraction>,
    ReplyingContext,
    UpdatingContext {
  /** What the custom id says at the parameters of its pattern. */
  readonly params: CustomIdParams<Pattern>;
  readonly fields: FieldValues<F>;
  /**
   * The message with the component that opened the form; `undefined` when a command did. Without it, `update` and
   * `deferUpdate` are refused.
   */
  readonly message: APIMessage | undefined;
}

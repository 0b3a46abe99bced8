import type { APIModalInteractionResponseCallbackData } from 'discord-api-types/v10';
import type { CheckedPattern, CustomIdParams } from './custom-id-params.ts';
import type { ParamValues } from './custom-id-pattern.ts';
import type { InteractionSettings } from './interaction-settings.ts';
import type { ModalContext } from './modal-context.ts';
import type { FieldValues, ModalFields } from './modal-fields.ts';
import { modalJson } from './modal-json.ts';

/** What may differ each time a form is shown. */
export interface ModalOpening<F extends ModalFields = ModalFields> {
  readonly title?: string;
  /** What text fields, select menus of strings and checkboxes hold at first. */
  readonly values?: { readonly [Name in keyof F]?: FieldValues<F>[Name] & Prefilled };
}
type Prefilled = string | boolean | readonly string[];

export interface ModalDefinition<Pattern extends string = string, F extends ModalFields = ModalFields>
  extends InteractionSettings {
  readonly kind: 'modal';
  /** The pattern of its custom id; no other form's may match the same ids. */
  readonly pattern: Pattern;
  /** 1 to 45 characters. */
  readonly title: string;
  readonly fields: F;
  /**
   * The form, for `ctx.showModal`; what the user submits comes back to this handler, with these parameters.
   * @throws {BatonError} `CUSTOM_ID_INVALID` when a parameter is not of its type or the id is over 100 characters.
   */
  open(...args: OpenArguments<Pattern, F>): APIModalInteractionResponseCallbackData;
  // A method, so that definitions with different fields fit into one list.
  run(ctx: ModalContext<Pattern, F>): Promise<void> | void;
}

/** Forms without parameters take none. */
type OpenArguments<Pattern extends string, F extends ModalFields> = string extends Pattern
  ? [params?: CustomIdParams<Pattern>, opening?: ModalOpening<F>]
  : keyof CustomIdParams<Pattern> extends never
    ? [params?: Readonly<Record<string, never>>, opening?: ModalOpening<F>]
    : [params: CustomIdParams<Pattern>, opening?: ModalOpening<F>];

type ModalDeclaration<Pattern extends string, F extends ModalFields> = InteractionSettings & {
  /** See {@link CustomIdParams}, e.g. `feedback:{topic}`. */
  readonly customId: Pattern & CheckedPattern<Pattern>;
  /** 1 to 45 characters. */
  readonly title: string;
  readonly fields: F;
  run(ctx: ModalContext<Pattern, F>): Promise<void> | void;
};

/** A form, and the handler of what users submit with it. It runs once per interaction. */
export function defineModal<const Pattern extends string, const F extends ModalFields>(
  declaration: ModalDeclaration<Pattern, F>,
): ModalDefinition<Pattern, F> {
  const { customId: pattern, ...rest } = declaration;
  const { title, fields } = declaration;
  return {
    ...rest,
    kind: 'modal',
    pattern,
    open: (...[params, opening]) => modalJson({ pattern, title, fields }, params as ParamValues | undefined, opening),
  };
}

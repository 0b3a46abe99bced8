import type { ComponentContext, ComponentType } from './component-context.ts';
import { type ComponentJson, componentJson, type ComponentLook } from './component-json.ts';
import type { CheckedPattern, CustomIdParams } from './custom-id-params.ts';
import { formatCustomId, type ParamValues } from './custom-id-pattern.ts';
import type { InteractionSettings } from './interaction-settings.ts';

export interface ComponentDefinition<
  T extends ComponentType = ComponentType,
  Pattern extends string = string,
  Value extends string = string,
> extends InteractionSettings {
  readonly kind: 'component';
  readonly type: T;
  /** The pattern; no other component's may match the same ids. */
  readonly pattern: Pattern;
  /** Values of a string select's options. */
  readonly values?: readonly Value[];
  /**
   * A custom id that comes back to this handler, with these parameters.
   * @throws {BatonError} `CUSTOM_ID_INVALID` when a parameter is not of its type or the id is over 100 characters.
   */
  customId(...params: ParamsArgument<Pattern>): string;
  /**
   * The component, for a message's `actionRow`; it comes back to this handler, with these parameters.
   * @throws {BatonError} `CUSTOM_ID_INVALID` as {@link customId}.
   */
  component(look: ComponentLook<T, Value>, ...params: ParamsArgument<Pattern>): ComponentJson<T>;
  // A method, so that definitions with different parameters fit into one list.
  run(ctx: ComponentContext<T, Pattern, Value>): Promise<void> | void;
}

/** Patterns without parameters take none. */
export type ParamsArgument<Pattern extends string> = string extends Pattern
  ? [params?: CustomIdParams<Pattern>]
  : keyof CustomIdParams<Pattern> extends never
    ? []
    : [params: CustomIdParams<Pattern>];

type ComponentDeclaration<
  T extends ComponentType,
  Pattern extends string,
  Value extends string,
> = InteractionSettings & {
  readonly type: T;
  /** See {@link CustomIdParams}, e.g. `ticket:{id}:{action:open|close}`. */
  readonly customId: Pattern & CheckedPattern<Pattern>;
  /** Values of a string select's options, to have them typed; others then count as a mistake. @default any */
  readonly values?: T extends 'string-select' ? readonly Value[] : never;
  run(ctx: ComponentContext<T, Pattern, Value>): Promise<void> | void;
};

/** A handler of the buttons or select menus whose custom id matches a pattern. It runs once per interaction. */
export function defineComponent<
  const T extends ComponentType,
  const Pattern extends string,
  const Value extends string = string,
>(declaration: ComponentDeclaration<T, Pattern, Value>): ComponentDefinition<T, Pattern, Value> {
  const { customId: pattern, ...rest } = declaration;
  return {
    ...rest,
    kind: 'component',
    pattern,
    customId: (...[params]) => formatCustomId(pattern, params as ParamValues | undefined),
    component: (look, ...[params]) => {
      const customId = formatCustomId(pattern, params as ParamValues | undefined);
      return componentJson(declaration.type, customId, look, declaration.values) as ComponentJson<T>;
    },
  };
}

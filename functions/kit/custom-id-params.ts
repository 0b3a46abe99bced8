interface ParamByType {
  readonly string: string;
  readonly integer: number;
  readonly boolean: boolean;
  /** An id of Discord's. */
  readonly snowflake: string;
}

/** `a|b|c` is one of these words; everything else is the name of a type. */
type ParamValue<Type extends string> = Type extends keyof ParamByType
  ? ParamByType[Type]
  : Type extends `${infer Word}|${infer Others}`
    ? Word | Words<Others>
    : never;
type Words<W extends string> = W extends `${infer Word}|${infer Others}` ? Word | Words<Others> : W;

type ParamsIn<Pattern extends string> = Pattern extends `${string}{${infer Param}}${infer Rest}`
  ? (Param extends `${infer Name}:${infer Type}`
      ? { readonly [N in Name]: ParamValue<Type> }
      : { readonly [N in Param]: string }) &
      ParamsIn<Rest>
  : unknown;

/**
 * The parameters of a custom-id pattern, by name. A pattern is made of parts between colons, each a word or one
 * `{parameter}`: `{name}` and `{name:string}` are text, `{name:integer}`, `{name:boolean}` and `{name:snowflake}` what
 * they say, `{name:open|close}` one of these words.
 */
export type CustomIdParams<Pattern extends string> = string extends Pattern
  ? Readonly<Record<string, string | number | boolean>>
  : { readonly [Name in keyof ParamsIn<Pattern>]: ParamsIn<Pattern>[Name] };

/** `Pattern` itself, or what is wrong with it, so that the compiler says so where it is written. */
export type CheckedPattern<Pattern extends string> = string extends Pattern
  ? Pattern
  : {
        [Name in keyof ParamsIn<Pattern>]: [ParamsIn<Pattern>[Name]] extends [never] ? Name : never;
      }[keyof ParamsIn<Pattern>] extends infer Wrong
    ? [Wrong] extends [never]
      ? Pattern
      : `{${Wrong & string}} must be of type string, integer, boolean or snowflake, or one of several words: a|b`
    : never;

import { BatonError } from '../../shared/errors.ts';

/** Longest custom id that Discord takes, in characters. */
const maxLength = 100;

export type ParamValues = Readonly<Record<string, string | number | boolean>>;

type ParamType = 'string' | 'integer' | 'boolean' | 'snowflake';

/** What stands between two colons of a pattern. */
type PatternPart =
  | { readonly kind: 'word'; readonly word: string }
  | { readonly kind: 'param'; readonly name: string; readonly type: ParamType }
  | { readonly kind: 'choice'; readonly name: string; readonly words: readonly string[] };

/** A custom-id pattern, read. Its grammar stands at `CustomIdParams`. */
export type CustomIdPattern = readonly PatternPart[];

const patternForm = /^(?:\{[^{}]*\}|[^:{}]+)(?::(?:\{[^{}]*\}|[^:{}]+))*$/;
const partForm = /\{[^{}]*\}|[^:{}]+/g;
const paramForm = /^\{([A-Za-z]\w*)(?::([^{}]+))?\}$/;
const paramTypes: ReadonlySet<string> = new Set(['string', 'integer', 'boolean', 'snowflake'] satisfies ParamType[]);

/** @throws {BatonError} `CUSTOM_ID_INVALID`, saying which part breaks which rule. */
export function readCustomIdPattern(pattern: string): CustomIdPattern {
  const invalid = (rule: string) => new BatonError('CUSTOM_ID_INVALID', `"${pattern}" ${rule}`);
  if (!patternForm.test(pattern)) {
    throw invalid('must be parts between colons, each a word or one {parameter}, such as ticket:{id}:{action}');
  }
  const names = new Set<string>();
  const parts = (pattern.match(partForm) as string[]).map((text): PatternPart => {
    if (!text.startsWith('{')) return { kind: 'word', word: text };
    const [, name, type = 'string'] = paramForm.exec(text) ?? [];
    if (name === undefined) throw invalid(`has ${text}, which must be {name} or {name:type}`);
    if (names.has(name)) throw invalid(`has the parameter "${name}" twice`);
    names.add(name);
    if (paramTypes.has(type)) return { kind: 'param', name, type: type as ParamType };
    const words = type.split('|');
    if (words.length < 2 || words.some((word) => word === '' || word.includes(':'))) {
      throw invalid(`has ${text}: the type must be string, integer, boolean, snowflake, or several words a|b`);
    }
    return { kind: 'choice', name, words };
  });
  const shortest = parts.reduce((length, part) => length + shortestLength(part), parts.length - 1);
  if (shortest > maxLength) {
    throw invalid(`makes ids of at least ${shortest} characters; Discord takes ${maxLength}`);
  }
  return parts;
}

/**
 * The custom id of a pattern with these parameters. Colons in text are escaped.
 * @throws {BatonError} `CUSTOM_ID_INVALID` when a parameter is missing or not of its type, or the id is too long.
 */
export function formatCustomId(pattern: string, params: ParamValues = {}): string {
  const invalid = (rule: string) => new BatonError('CUSTOM_ID_INVALID', `custom id of "${pattern}": ${rule}`);
  const customId = readCustomIdPattern(pattern)
    .map((part) => {
      if (part.kind === 'word') return part.word;
      const value = params[part.name];
      const text = value === undefined ? undefined : writeParam(part, value);
      if (text === undefined) throw invalid(`{${part.name}} must be ${nameOfType(part)}, not ${JSON.stringify(value)}`);
      return text;
    })
    .join(':');
  if (customId.length > maxLength) {
    throw invalid(`"${customId}" has ${customId.length} characters; Discord takes ${maxLength}`);
  }
  return customId;
}

/** The parameters of a custom id, or `undefined` when it is not of this pattern. */
export function matchCustomId(pattern: CustomIdPattern, customId: string): ParamValues | undefined {
  const texts = customId.split(':');
  if (texts.length !== pattern.length) return undefined;
  const params: Record<string, string | number | boolean> = {};
  for (const [index, part] of pattern.entries()) {
    const text = texts[index] as string;
    if (part.kind === 'word') {
      if (text !== part.word) return undefined;
      continue;
    }
    const value = readParam(part, text);
    if (value === undefined) return undefined;
    params[part.name] = value;
  }
  return params;
}

/** Whether some custom id is of both patterns. */
export function patternsOverlap(one: CustomIdPattern, other: CustomIdPattern): boolean {
  return one.length === other.length && one.every((part, index) => partsOverlap(part, other[index] as PatternPart));
}

function partsOverlap(one: PatternPart, other: PatternPart): boolean {
  const words = wordsOf(one);
  if (words) return words.some((word) => readPart(other, word) !== undefined);
  const others = wordsOf(other);
  return others ? others.some((word) => readPart(one, word) !== undefined) : true;
}

/** Everything that a part can be, if that is a list. */
function wordsOf(part: PatternPart): readonly string[] | undefined {
  if (part.kind === 'word') return [part.word];
  if (part.kind === 'choice') return part.words;
  return part.type === 'boolean' ? ['true', 'false'] : undefined;
}

function readPart(part: PatternPart, text: string): string | number | boolean | undefined {
  if (part.kind === 'word') return part.word === text ? text : undefined;
  return readParam(part, text);
}

type Param = Exclude<PatternPart, { kind: 'word' }>;

function readParam(part: Param, text: string): string | number | boolean | undefined {
  if (part.kind === 'choice') return part.words.includes(text) ? text : undefined;
  switch (part.type) {
    case 'string':
      return text.replaceAll('%3A', ':').replaceAll('%25', '%');
    case 'integer':
      return /^(?:0|-?[1-9]\d*)$/.test(text) && Number.isSafeInteger(Number(text)) ? Number(text) : undefined;
    case 'boolean':
      return text === 'true' || text === 'false' ? text === 'true' : undefined;
    case 'snowflake':
      return /^\d{1,20}$/.test(text) ? text : undefined;
  }
}

/** The text of a parameter, if the value is of its type. */
function writeParam(part: Param, value: string | number | boolean): string | undefined {
  const isText = part.kind === 'param' && part.type === 'string' && typeof value === 'string';
  if (isText) return value.replaceAll('%', '%25').replaceAll(':', '%3A');
  const text = String(value);
  return readParam(part, text) === value ? text : undefined;
}

function nameOfType(part: Param): string {
  return part.kind === 'choice' ? `one of ${part.words.join(', ')}` : `of type ${part.type}`;
}

function shortestLength(part: PatternPart): number {
  if (part.kind === 'word') return part.word.length;
  if (part.kind === 'choice') return Math.min(...part.words.map((word) => word.length));
  return { string: 0, integer: 1, snowflake: 1, boolean: 4 }[part.type];
}

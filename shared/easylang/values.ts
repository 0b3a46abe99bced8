import { BatonError } from '../errors.ts';

/** A value of EasyLang at run time, as its interpreter hands it to built-ins and takes it back. */
export type EasyValue =
  | { readonly kind: 'number'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'array'; readonly elements: readonly EasyValue[] }
  | EasyObject
  | { readonly kind: 'null' }
  | NativeFunction;

export interface EasyObject {
  readonly kind: 'object';
  readonly fields: ReadonlyMap<string, EasyValue>;
}

/** A built-in: what a script calls by `name`. */
export interface NativeFunction {
  readonly kind: 'native function';
  readonly name: string;
  call(args: readonly EasyValue[]): Promise<EasyValue>;
}

export const easyNull: EasyValue = { kind: 'null' };
export const easyNumber = (value: number): EasyValue => ({ kind: 'number', value });
export const easyString = (value: string): EasyValue => ({ kind: 'string', value });
export const easyBoolean = (value: boolean): EasyValue => ({ kind: 'boolean', value });
export const easyArray = (elements: readonly EasyValue[]): EasyValue => ({ kind: 'array', elements });
export const easyObject = (fields: Readonly<Record<string, EasyValue>>): EasyObject => ({
  kind: 'object',
  fields: new Map(Object.entries(fields)),
});

/**
 * Plain JSON data as a value of EasyLang; `undefined` and numbers that are none are null. Names stay as they are.
 * @throws {BatonError} `REQUEST_INVALID` for functions and other things that are no data.
 */
export function toEasyValue(data: unknown): EasyValue {
  switch (typeof data) {
    case 'number':
      return Number.isFinite(data) ? easyNumber(data) : easyNull;
    case 'string':
      return easyString(data);
    case 'boolean':
      return easyBoolean(data);
    case 'undefined':
      return easyNull;
    case 'object':
      if (data === null) return easyNull;
      if (Array.isArray(data)) return easyArray(data.map(toEasyValue));
      return {
        kind: 'object',
        fields: new Map(Object.entries(data).map(([name, value]) => [name, toEasyValue(value)])),
      };
    case 'function':
    case 'bigint':
    case 'symbol':
      throw new BatonError('REQUEST_INVALID', `a ${typeof data} is no value of EasyLang`);
  }
}

/** A value of EasyLang as plain data. @throws {BatonError} `REQUEST_INVALID` for functions. */
export function fromEasyValue(value: EasyValue): unknown {
  switch (value.kind) {
    case 'number':
    case 'string':
    case 'boolean':
      return value.value;
    case 'null':
      return null;
    case 'array':
      return value.elements.map(fromEasyValue);
    case 'object':
      return Object.fromEntries([...value.fields].map(([name, field]) => [name, fromEasyValue(field)]));
    case 'native function':
      throw new BatonError('REQUEST_INVALID', `the function ${value.name} is no data`);
  }
}

/** How a value is shown in an error: short, and like its source. */
export function showEasyValue(value: EasyValue): string {
  switch (value.kind) {
    case 'number':
    case 'boolean':
      return String(value.value);
    case 'string': {
      const text = JSON.stringify(value.value);
      return text.length > 60 ? `${text.slice(0, 60)}…` : text;
    }
    case 'null':
      return 'null';
    case 'array':
      return `an array of ${value.elements.length}`;
    case 'object':
      return 'an object';
    case 'native function':
      return `the function ${value.name}`;
  }
}

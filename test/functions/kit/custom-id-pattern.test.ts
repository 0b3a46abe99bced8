import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  formatCustomId,
  matchCustomId,
  type ParamValues,
  patternsOverlap,
  readCustomIdPattern,
} from '../../../functions/kit/custom-id-pattern.ts';

const match = (pattern: string, customId: string) => matchCustomId(readCustomIdPattern(pattern), customId);

test('parameters come back as they were given', () => {
  const pattern = 'a:{text}:{number:integer}:{flag:boolean}:{id:snowflake}:{word:x|y}';
  fc.assert(
    fc.property(
      fc.record({
        text: fc.string({ unit: 'grapheme', maxLength: 10 }),
        number: fc.maxSafeInteger(),
        flag: fc.boolean(),
        id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String),
        word: fc.constantFrom('x', 'y'),
      }),
      (params) => {
        let customId: string;
        try {
          customId = formatCustomId(pattern, params);
        } catch (error) {
          expect(error).toMatchObject({ code: 'CUSTOM_ID_INVALID', message: expect.stringContaining('100') });
          return;
        }
        expect(match(pattern, customId)).toEqual({ ...params, number: params.number === 0 ? 0 : params.number });
      },
    ),
  );
});

test.each([
  ['ticket:{id}', 'ticket', undefined],
  ['ticket:{id}', 'ticket:5:6', undefined],
  ['ticket:{id}', 'tickets:5', undefined],
  ['ticket:{id}', 'ticket:', { id: '' }],
  ['{a:integer}', '1.5', undefined],
  ['{a:integer}', '01', undefined],
  ['{a:integer}', '9007199254740993', undefined],
  ['{a:snowflake}', '9007199254740993', { a: '9007199254740993' }],
  ['{a:boolean}', 'yes', undefined],
  ['{a:on|off}', 'on', { a: 'on' }],
  ['{a:on|off}', 'of', undefined],
  ['a.b*c:{d}', 'aXb*c:1', undefined],
])('%s with %s', (pattern, customId, params) => {
  expect(match(pattern, customId)).toEqual(params);
});

describe('refuses', () => {
  test.each([
    ['', 'parts between colons'],
    ['a::b', 'parts between colons'],
    ['a:b{c}', 'parts between colons'],
    ['a:{b', 'parts between colons'],
    ['{1}', '{name} or {name:type}'],
    ['{a}:{a}', 'the parameter "a" twice'],
    ['{a:int}', 'the type must be'],
    ['{a:b|}', 'the type must be'],
    ['x'.repeat(101), 'at least 101 characters'],
  ])('%s', (pattern, message) => {
    expect(() => readCustomIdPattern(pattern)).toThrow(
      expect.objectContaining({ code: 'CUSTOM_ID_INVALID', message: expect.stringContaining(message) }),
    );
  });

  test.each<[string, ParamValues, string]>([
    ['a:{b}', {}, '{b} must be of type string'],
    ['a:{b:integer}', { b: 1.5 }, '{b} must be of type integer, not 1.5'],
    ['a:{b:snowflake}', { b: 'x' }, '{b} must be of type snowflake'],
    ['a:{b:c|d}', { b: 'e' }, '{b} must be one of c, d, not "e"'],
    ['a:{b}', { b: 'x'.repeat(99) }, 'has 101 characters'],
  ])('an id of %s with %j', (pattern, params, message) => {
    expect(() => formatCustomId(pattern, params)).toThrow(message);
  });
});

test.each([
  ['a:{x}', 'a:{y}', true],
  ['a:{x}', 'b:{y}', false],
  ['a:{x}', 'a:b', true],
  ['a:{x}', 'a:b:c', false],
  ['a:{x:integer}', 'a:b', false],
  ['a:{x:integer}', 'a:5', true],
  ['a:{x:integer}', 'a:{y:snowflake}', true],
  ['a:{x:boolean}', 'a:{y:integer}', false],
  ['a:{x:b|c}', 'a:{y:c|d}', true],
  ['a:{x:b|c}', 'a:{y:d|e}', false],
  ['a:{x:b|c}', 'a:{y:integer}', false],
  ['{x}:b', 'a:{y}', true],
])('%s and %s', (one, other, overlap) => {
  const patterns = [readCustomIdPattern(one), readCustomIdPattern(other)] as const;
  expect(patternsOverlap(...patterns)).toBe(overlap);
  expect(patternsOverlap(patterns[1], patterns[0])).toBe(overlap);
});

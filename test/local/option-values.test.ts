import { expect, test } from 'vitest';
import { durationMs, minutes, wholeNumber } from '../../local/option-values.ts';

test.each([
  ['20s', 20_000],
  ['1.5m', 90_000],
  ['500ms', 500],
  ['1h', 3_600_000],
  ['7', 7000],
])('the duration %s is %i ms', (text, expected) => {
  expect(durationMs(text)).toBe(expected);
});

test.each(['', '0', '0s', '-1s', '1d', 's', '1e3', '1.2345s', ' 1s'])('%j is no duration', (text) => {
  expect(() => durationMs(text)).toThrow('It must be a duration above zero such as 20s');
});

test('a whole number is within its bounds', () => {
  const parse = wholeNumber(1, 16);
  expect([parse('1'), parse('016')]).toEqual([1, 16]);
  for (const text of ['0', '17', '1.5', '-1', '', 'x', '0x1']) {
    expect(() => parse(text)).toThrow('It must be a whole number from 1 to 16.');
  }
});

test('minutes may be a fraction, up to a day', () => {
  expect([minutes('10'), minutes('0.5'), minutes('1440')]).toEqual([10, 0.5, 1440]);
  for (const text of ['0', '1441', '-1', '', 'x', '10m', '.5']) {
    expect(() => minutes(text)).toThrow('It must be a number of minutes');
  }
});

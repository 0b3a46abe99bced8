import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { variants } from './variants.ts';

/** Whoever changes the program sees here at once that a variant has to follow. */
test('every broken variant still fits the program that it breaks', () => {
  const misfits = Object.entries(variants).flatMap(([name, { edits }]) => {
    const texts = new Map<string, string>();
    return edits.flatMap(({ file, find, replace }) => {
      const text = texts.get(file) ?? readFileSync(join(import.meta.dirname, '../..', file), 'utf8');
      texts.set(
        file,
        text.replace(find, () => replace),
      );
      return text.split(find).length === 2 ? [] : [`${name}: ${file} does not hold this exactly once: ${find}`];
    });
  });
  expect(misfits).toEqual([]);
});

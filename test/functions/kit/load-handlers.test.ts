import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadHandlers } from '../../../functions/kit/load-handlers.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'baton-handlers-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function save(file: string, text: string): Promise<void> {
  const path = join(folder, 'handlers', file);
  await mkdir(join(path, '..'), { recursive: true });
  await writeFile(path, text);
}
const load = () => loadHandlers(join(folder, 'handlers'));

test('every module of the folder is loaded, but tests and those that only help', async () => {
  await save('b.ts', 'export const b = 1;');
  await save('a/c.ts', "import { text } from './_text.ts'; export const c = text;");
  for (const file of ['a/_text.ts', '_more/d.ts']) await save(file, "export const text = 'helps';");
  for (const file of ['b.test.ts', 'types.d.ts', 'readme.md']) await save(file, 'throw new Error("loaded")');
  const files = await load();
  expect(files.map(({ file, exports }) => [file.replace(/^.*handlers/, ''), { ...exports }])).toEqual([
    ['/a/c.ts', { c: 'helps' }],
    ['/b.ts', { b: 1 }],
  ]);
});

test('a module that does not load is named', async () => {
  await save('broken.ts', "throw new Error('not today')");
  await expect(load()).rejects.toMatchObject({
    code: 'HANDLERS_INVALID',
    message: expect.stringMatching(/handlers\/broken\.ts: does not load: not today$/),
  });
});

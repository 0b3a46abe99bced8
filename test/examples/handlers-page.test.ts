import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { createRegistry, type HandlerFile } from '../../functions/kit/registry.ts';

const root = resolve(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/handlers.md'), 'utf8');
const blocks = Array.from(page.matchAll(/^```ts(?: (\S+))?\n([^]*?)^```$/gm), ([, file, text]) => ({ file, text }));
const examples = readdirSync(join(root, 'examples')).map((name) => `examples/${name}`);

test('every example on the page is a file, word for word', () => {
  expect(blocks.length).toBeGreaterThan(10);
  for (const { file = '', text } of blocks) {
    expect(text, `${file} in docs/handlers.md`).toBe(readFileSync(join(root, file), 'utf8'));
  }
});

test('every example is on the page', () => {
  const shown = blocks.map(({ file }) => file);
  expect(examples.filter((file) => !shown.includes(file))).toEqual([]);
});

test('all examples together are a bot', async () => {
  const files = await Promise.all(
    examples.map(
      async (file): Promise<HandlerFile> => ({ file, exports: (await import(join(root, file))) as object as never }),
    ),
  );
  const registry = createRegistry(files);
  expect([...registry.commands.keys()]).toContain('ticket open');
});

test('links to places on the page lead somewhere', () => {
  const anchors = Array.from(page.matchAll(/^#+ (.+)$/gm), ([, title]) =>
    (title as string)
      .toLowerCase()
      .replaceAll(/[^\w -]/g, '')
      .replaceAll(' ', '-'),
  );
  for (const [, anchor] of page.matchAll(/\]\(#([^)]+)\)/g)) expect(anchors).toContain(anchor);
});

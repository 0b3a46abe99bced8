import { readdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { HandlerFile } from './registry.ts';

/** Where bot authors write. */
export const handlersDirectory = resolve(import.meta.dirname, '../handlers');

/**
 * Imports every module below `directory`, in the order of their paths.
 * Rejects with what a module throws while it loads. A bundled Lambda has the generated list instead.
 */
export async function loadHandlers(directory = handlersDirectory): Promise<HandlerFile[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
  const shown = join(basename(dirname(directory)), basename(directory));
  return Promise.all(
    paths.map(async (path) => ({
      file: join(shown, relative(directory, path)).split(sep).join('/'),
      exports: (await import(pathToFileURL(path).href)) as Record<string, unknown>,
    })),
  );
}

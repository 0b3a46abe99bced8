import { readdir } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { pathToFileURL } from 'node:url';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { HandlerFile } from './registry.ts';

/** Where bot authors write, unless they have a folder of their own. */
export const handlersDirectory = resolve(import.meta.dirname, '../handlers');

/**
 * Imports every module below `directory` (`.ts`, `.mts`, `.js`, `.mjs`), in the order of their paths, but tests
 * (`*.test.ts`) and what begins with `_`: modules that only help others. A bundled Lambda has the generated list instead.
 * `query` makes the module system take a module for another than the one it has loaded before.
 * @throws {BatonError} `HANDLERS_INVALID`, naming the file that does not load and what it throws, or the folder that is
 *   not there.
 */
export async function loadHandlers(directory = handlersDirectory, { query = '' } = {}): Promise<HandlerFile[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    throw new BatonError('HANDLERS_INVALID', `${directory}: no folder of handlers: ${messageOf(error)}`, {
      cause: error,
    });
  });
  const paths = entries
    .filter((entry) => entry.isFile() && /(?<!\.test|\.d)\.m?[jt]s$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter(
      (path) =>
        !relative(directory, path)
          .split(sep)
          .some((part) => part.startsWith('_')),
    )
    .sort();
  const shown = join(basename(dirname(directory)), basename(directory));
  return Promise.all(
    paths.map(async (path) => {
      const file = join(shown, relative(directory, path)).split(sep).join('/');
      try {
        return { file, exports: (await import(pathToFileURL(path).href + query)) as Record<string, unknown> };
      } catch (error) {
        throw new BatonError('HANDLERS_INVALID', `${file}: does not load: ${messageOf(error)}`, { cause: error });
      }
    }),
  );
}

import { relative, resolve } from 'node:path';
import { ownHandlerLists, writeHandlerLists } from '../functions/kit/generate-handler-lists.ts';
import { messageOf } from '../shared/errors.ts';

try {
  const written = await writeHandlerLists(ownHandlerLists);
  const root = resolve(import.meta.dirname, '..');
  console.log(
    written.length > 0
      ? `written: ${written.map((path) => relative(root, path)).join(', ')}`
      : 'handler lists are up to date',
  );
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

import { writeHandlerLists } from '../functions/kit/generate-handler-lists.ts';
import { messageOf } from '../shared/errors.ts';

try {
  const written = await writeHandlerLists();
  console.log(written.length > 0 ? `written: ${written.join(', ')}` : 'handler lists are up to date');
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}

import { writeHandlerLists } from '../functions/kit/generate-handler-lists.ts';

const written = await writeHandlerLists();
console.log(written.length > 0 ? `written: ${written.join(', ')}` : 'handler lists are up to date');

import { messageOf } from '../../shared/errors.ts';
import { writeHandlerLists } from './generate-handler-lists.ts';

/**
 * Run by the CDK app, which cannot import modules while constructs are made: `handler-lists-program.ts HANDLERS LIST
 * MANIFEST` writes the list and the manifest of a folder. What is wrong with the handlers is one line on stderr.
 */
async function main([directory, listFile, manifestFile]: readonly string[]): Promise<void> {
  if (directory === undefined || listFile === undefined || manifestFile === undefined) {
    throw new Error('usage: handler-lists-program HANDLERS LIST MANIFEST');
  }
  await writeHandlerLists({ directory, listFile, manifestFile });
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = 1;
}

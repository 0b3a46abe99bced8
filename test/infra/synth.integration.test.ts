import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programs, repositoryRoot } from '../../infra/bundle.ts';

const outputs: string[] = [];
afterAll(() => outputs.forEach((folder) => rmSync(folder, { recursive: true, force: true })));

/** Runs the real command as a reader of the docs does, without account and region; what it writes is in `folder`. */
async function cdkSynth(...args: string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'baton-synth-'));
  outputs.push(folder);
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AWS_')));
  const cdk = spawn(
    process.execPath,
    [join(repositoryRoot, 'node_modules/aws-cdk/bin/cdk'), 'synth', '--quiet', '--strict', '--output', folder, ...args],
    {
      cwd: repositoryRoot,
      // No credentials from a file or the machine either, and nothing of it may need them.
      env: { ...env, AWS_EC2_METADATA_DISABLED: 'true', AWS_SHARED_CREDENTIALS_FILE: '/dev/null', CI: 'true' },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  );
  let said = '';
  for (const stream of [cdk.stdout, cdk.stderr]) stream.on('data', (text: Buffer) => (said += text.toString()));
  const [exitCode] = (await once(cdk, 'close')) as [number];
  return { exitCode, said, folder };
}

let prod: Awaited<ReturnType<typeof cdkSynth>>;
beforeAll(async () => {
  prod = await cdkSynth();
});

/** Folder of what is sent to the builder of the workers' image. */
function imageContext(): string {
  const names = readdirSync(prod.folder);
  const image = names.find((name) => existsSync(join(prod.folder, name, 'gateway-workers/Dockerfile')));
  return join(prod.folder, image as string);
}

test('the stack is synthesized without a finding of cdk-nag or the validator', () => {
  const { exitCode, said, folder } = prod;
  expect({ exitCode, said }).toEqual({ exitCode: 0, said: expect.not.stringMatching(/ERROR|WARNING/) });
  const { pluginReports } = JSON.parse(readFileSync(join(folder, 'validation-report.json'), 'utf8')) as {
    pluginReports: { pluginName: string; violations: unknown[] }[];
  };
  expect(pluginReports.flatMap(({ violations }) => violations)).toEqual([]);
  const bundles = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'index.mjs')));
  expect(bundles.length).toBe(Object.keys(programs).length - 1);
});

test('the image can be built from what is sent to its builder', async () => {
  const context = imageContext();
  expect(readdirSync(context).sort()).toEqual([
    '.dockerignore',
    'gateway-workers',
    'infra',
    'package-lock.json',
    'package.json',
    'shared',
  ]);
  const dockerfile = readFileSync(join(context, 'gateway-workers/Dockerfile'), 'utf8');
  // What `npm ci` makes there; the other steps are run as they stand.
  symlinkSync(join(repositoryRoot, 'node_modules'), join(context, 'node_modules'));
  const [, command] = /^RUN node (.+)$/m.exec(dockerfile) as unknown as [string, string];
  const build = spawn(process.execPath, command.split(' '), { cwd: context, stdio: 'ignore' });
  expect(await once(build, 'exit')).toEqual([0, null]);
  expect(readdirSync(join(context, 'out')).sort()).toEqual(['worker.mjs', 'worker.mjs.map']);
  // The files that it copies are all there are.
  const copied = Array.from(dockerfile.matchAll(/^COPY (?!--from)(.+) \S+$/gm), ([, names]) =>
    (names as string).split(' '),
  );
  for (const name of copied.flat()) expect(existsSync(join(context, name))).toBe(true);
});

test('an unknown stage is refused with the stages there are', async () => {
  const { exitCode, said } = await cdkSynth('-c', 'stage=staging');
  expect(exitCode).toBe(1);
  expect(said).toContain('stage=staging must be one of dev, prod');
});

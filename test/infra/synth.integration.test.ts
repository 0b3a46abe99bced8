import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
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
  return join(prod.folder, names.find((name) => existsSync(join(prod.folder, name, 'Dockerfile'))) as string);
}

test('the stack is synthesized without a finding of cdk-nag or the validator', () => {
  const { exitCode, said, folder } = prod;
  expect({ exitCode, said }).toEqual({ exitCode: 0, said: expect.not.stringMatching(/ERROR|WARNING/) });
  const { pluginReports } = JSON.parse(readFileSync(join(folder, 'validation-report.json'), 'utf8')) as {
    pluginReports: { pluginName: string; violations: unknown[] }[];
  };
  expect(pluginReports.flatMap(({ violations }) => violations)).toEqual([]);
  const { Outputs } = JSON.parse(readFileSync(join(folder, 'Baton.template.json'), 'utf8')) as { Outputs: object };
  const outputs = ['ConsoleUrl', 'InteractionsEndpointUrl', 'OperatorUrl', 'PutTheToken'];
  expect(Object.keys(Outputs).sort()).toEqual(outputs);
  const bundles = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'index.mjs')));
  expect(bundles.length).toBe(Object.keys(programs).length - 1);
});

test('the image needs nothing but the bundled worker, and nothing runs while it is built', async () => {
  const context = imageContext();
  const files = ['sandbox-thread.mjs', 'sandbox-thread.mjs.map', 'worker.mjs', 'worker.mjs.map'];
  expect(readdirSync(context).sort()).toEqual(['Dockerfile', ...files]);
  const stages = readFileSync(join(context, 'Dockerfile'), 'utf8').split(/^(?=FROM )/m);
  const [runtime, bundled] = ['AS runtime', 'AS bundled'].map((name) => stages.find((stage) => stage.includes(name)));
  expect(`${runtime}${bundled}`).not.toMatch(/^RUN /m);
  expect(bundled).toMatch(/^FROM runtime .*\nCOPY --chown=nonroot:nonroot \*\.mjs \*\.mjs\.map \.\/\n/);
  // The first thing that the program misses is its token, so it has found all its modules.
  const worker = spawn(process.execPath, ['worker.mjs'], {
    cwd: context,
    env: {},
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  worker.stderr.on('data', (text: Buffer) => (said += text.toString()));
  expect(await once(worker, 'close')).toEqual([2, null]);
  expect(said).toContain('DISCORD_TOKEN');
});

test('from a clone the image is built in Docker alone', async () => {
  const context = mkdtempSync(join(tmpdir(), 'baton-clone-'));
  outputs.push(context);
  const dockerfile = readFileSync(join(repositoryRoot, 'gateway-workers/Dockerfile'), 'utf8');
  const build = dockerfile.split(/^(?=FROM )/m).find((stage) => stage.includes('AS build')) as string;
  const ignored = readFileSync(join(repositoryRoot, '.dockerignore'), 'utf8').split('\n');
  for (const [, names] of build.matchAll(/^COPY (.+) \S+$/gm)) {
    for (const name of (names as string).split(' ')) {
      expect(ignored).toContain(`!${name}`);
      cpSync(join(repositoryRoot, name), join(context, name), { recursive: true });
    }
  }
  // What `npm ci` makes there; the last step is run as it stands.
  symlinkSync(join(repositoryRoot, 'node_modules'), join(context, 'node_modules'));
  const [, command] = /^RUN node (.+)$/m.exec(build) as unknown as [string, string];
  const bundling = spawn(process.execPath, command.split(' '), { cwd: context, stdio: 'ignore' });
  expect(await once(bundling, 'exit')).toEqual([0, null]);
  expect(readdirSync(join(context, 'out')).sort()).toEqual([
    'sandbox-thread.mjs',
    'sandbox-thread.mjs.map',
    'worker.mjs',
    'worker.mjs.map',
  ]);
});

test('an unknown stage is refused with the stages there are', async () => {
  const { exitCode, said } = await cdkSynth('-c', 'stage=staging');
  expect(exitCode).toBe(1);
  expect(said).toContain('stage=staging must be one of dev, prod');
});

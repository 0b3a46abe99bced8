import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { repositoryRoot } from '../../infra/bundle.ts';

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

test.each(['prod', 'dev'])(
  'the %s stage is synthesized without a finding of cdk-nag or the validator',
  async (stage) => {
    const { exitCode, said, folder } = await cdkSynth('-c', `stage=${stage}`);
    expect({ exitCode, said }).toEqual({ exitCode: 0, said: expect.not.stringMatching(/ERROR|WARNING/) });
    const { pluginReports } = JSON.parse(readFileSync(join(folder, 'validation-report.json'), 'utf8')) as {
      pluginReports: { pluginName: string; violations: unknown[] }[];
    };
    expect(pluginReports.flatMap(({ violations }) => violations)).toEqual([]);
    const bundles = readdirSync(folder).filter((name) => existsSync(join(folder, name, 'index.mjs')));
    expect(bundles.length).toBeGreaterThanOrEqual(2);
    // The image's asset is what the Dockerfile copies, not the repository.
    const image = readdirSync(folder).find((name) => existsSync(join(folder, name, 'gateway-workers/Dockerfile')));
    expect(readdirSync(join(folder, image as string)).sort()).toEqual([
      '.dockerignore',
      'gateway-workers',
      'infra',
      'package-lock.json',
      'package.json',
      'shared',
    ]);
  },
);

test('an unknown stage is refused with the stages there are', async () => {
  const { exitCode, said } = await cdkSynth('-c', 'stage=staging');
  expect(exitCode).toBe(1);
  expect(said).toContain('stage=staging must be one of dev, prod');
});

import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type * as evalSandbox from '../../../gateway-workers/eval/eval-sandbox.ts';
import { bundleProgram, repositoryRoot } from '../../../infra/bundle.ts';
import { systemClock } from '../../../shared/clock.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { shardView } from '../../shared/control/shard-view-fixture.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'baton-bundle-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

test('a bundled worker finds its sandbox beside it, and carries none of the engine itself', async () => {
  bundleProgram('worker', join(folder, 'worker.mjs'));
  const bytes = (file: string) => statSync(join(folder, file)).size;
  expect(bytes('sandbox-thread.mjs')).toBeGreaterThan(500_000);
  // The part of the worker that starts the thread, as its bundle has it.
  buildSync({
    absWorkingDir: repositoryRoot,
    entryPoints: [join(repositoryRoot, 'gateway-workers/eval/eval-sandbox.ts')],
    outfile: join(folder, 'part.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
  });
  expect(bytes('part.mjs')).toBeLessThan(50_000);
  const { EvalSandbox } = (await import(pathToFileURL(join(folder, 'part.mjs')).href)) as typeof evalSandbox;
  const sandbox = new EvalSandbox({ clock: systemClock, logger: silentLogger });
  try {
    const limits = { signal: new AbortController().signal };
    expect(await sandbox.run('client.shard.ids', shardView(), limits)).toEqual([3]);
  } finally {
    await sandbox.close();
  }
}, 60_000);

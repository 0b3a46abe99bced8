import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { WorkerBenchResult } from '../../bench/worker-bench.ts';

const root = resolve(import.meta.dirname, '../..');

async function bench(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.mjs'), 'bench', ...args]);
  onTestFinished(() => void child.kill('SIGKILL'));
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (said.stdout += text));
  child.stderr.on('data', (text) => (said.stderr += text));
  const code = await new Promise<number | null>((done) => child.on('close', done));
  return { code, ...said };
}

test('measures what a worker needs for its events', async () => {
  const { code, stdout, stderr } = await bench(
    'worker',
    '--rate',
    '200',
    '--shards',
    '2',
    '--duration',
    '2s',
    '--json',
  );
  expect(code, stderr).toBe(0);
  const result = JSON.parse(stdout) as WorkerBenchResult;
  expect(result).toMatchObject({ bench: 'worker', shards: 2, lost: 0 });
  expect(result.eventsPerSecond).toBeGreaterThan(150);
  expect(result.eventsPerSecond).toBeLessThan(250);
  expect(result.eventsPerCpuSecond).toBeGreaterThan(result.eventsPerSecond);
  expect(result.rssMb).toBeGreaterThan(30);
});

test('a bench that does not exist is wrong usage', async () => {
  const { code, stderr } = await bench('nonsense');
  expect(code).toBe(2);
  expect(stderr).toContain("unknown command 'nonsense'");
});

import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { LatencyBenchResult } from '../../bench/latency-bench.ts';
import type { ReceiveLine } from '../../bench/receive-bench.ts';
import type { RequestsLine } from '../../bench/requests-bench.ts';
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

function resultOf({ code, stdout, stderr }: Awaited<ReturnType<typeof bench>>): unknown {
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout);
}

test('measures a worker in a whole fleet', async () => {
  const result = resultOf(
    await bench('latency', '--rate', '200', '--shards', '2', '--duration', '2s', '--json'),
  ) as LatencyBenchResult;
  expect(result).toMatchObject({ bench: 'latency', shards: 2, lost: 0 });
  expect(result.eventsPerSecond).toBeGreaterThan(150);
  expect(result.eventsPerSecond).toBeLessThan(250);
  expect(result.eventsPerCpuSecond).toBeGreaterThan(result.eventsPerSecond);
  expect(result.rssMb).toBeGreaterThan(30);
});

test('measures receiving against the least that there is', async () => {
  const options = ['--mix', 'message', '--compress', 'zlib-stream', '--events', '4000', '--rounds', '1', '--json'];
  const { lines } = resultOf(await bench('receive', '--receivers', 'ws,baton', ...options)) as { lines: ReceiveLine[] };
  expect(lines.map(({ receiver }) => receiver)).toEqual(['floor', 'ws', 'baton']);
  for (const { cpuSecondsPerMillion } of lines) expect(cpuSecondsPerMillion.median).toBeGreaterThan(0);
});

test('measures a worker whose envelopes go to a sink, every event of it', async () => {
  const options = ['--rate', '500', '--shards', '2', '--duration', '2s', '--rounds', '1', '--json'];
  const { rates } = resultOf(await bench('worker', '--against', 'floor', ...options)) as WorkerBenchResult;
  expect(rates).toHaveLength(1);
  expect(rates[0]?.eventsPerBilledRequest).toBeGreaterThan(5);
  expect(rates[0]?.ratioTo['floor']?.median).toBeGreaterThan(0.5);
  expect(rates[0]?.latencyMs.p50).toBeGreaterThan(0);
});

test('counts what a worker asks of SQS and DynamoDB, within the added latency that is allowed', async () => {
  const { lines } = resultOf(await bench('requests', '--rate', '3,30', '--shards', '64', '--json')) as {
    lines: RequestsLine[];
  };
  const [quiet, lively] = lines as [RequestsLine, RequestsLine];
  expect(quiet.eventsPerBilledRequest).toBeGreaterThanOrEqual(20);
  expect(lively.eventsPerBilledRequest).toBeGreaterThanOrEqual(100);
  for (const { addedLatencyMs } of lines) expect(addedLatencyMs.p99).toBeLessThan(500);
});

test('a bench that does not exist is wrong usage', async () => {
  const { code, stderr } = await bench('nonsense');
  expect(code).toBe(2);
  expect(stderr).toContain("unknown command 'nonsense'");
});

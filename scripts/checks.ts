import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';

const root = resolve(import.meta.dirname, '..');

/** What is checked without running any of the project's code. None of these writes a file. */
const checks = [
  { name: 'format', command: ['@biomejs/biome/bin/biome', 'format', '.'] },
  { name: 'lint', command: ['oxlint/bin/oxlint', '--type-aware'] },
  { name: 'types', command: ['typescript/bin/tsc', '-p', '.'] },
  { name: 'types of the console', command: ['typescript/bin/tsc', '-p', 'console'] },
] as const;

/** How many checks there are, and the names of those that failed. */
export interface CheckOutcome {
  readonly passed: number;
  readonly failed: readonly string[];
}

/** Runs every check, one after the other, and prints a line for each; what a failing one says is printed in full. */
export async function runChecks(): Promise<CheckOutcome> {
  const failed: string[] = [];
  for (const { name, command } of checks) {
    const startedAtMs = performance.now();
    const { ok, output } = await runTool(command);
    const seconds = ((performance.now() - startedAtMs) / 1000).toFixed(1);
    if (!ok) {
      failed.push(name);
      console.log(output.trimEnd());
    }
    console.log(`${ok ? '✓' : '✗'} ${name} (${seconds} s)`);
  }
  return { passed: checks.length - failed.length, failed };
}

function runTool([script, ...args]: readonly string[]): Promise<{ ok: boolean; output: string }> {
  return new Promise((resolve, reject) => {
    const binaries = join(root, 'node_modules/.bin');
    const tool = spawn(process.execPath, [join(root, 'node_modules', script as string), ...args], {
      cwd: root,
      env: { ...process.env, PATH: `${binaries}:${process.env.PATH ?? ''}` },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output: Buffer[] = [];
    tool.stdout.on('data', (chunk: Buffer) => output.push(chunk));
    tool.stderr.on('data', (chunk: Buffer) => output.push(chunk));
    tool.on('error', reject);
    tool.on('close', (code) => resolve({ ok: code === 0, output: Buffer.concat(output).toString() }));
  });
}

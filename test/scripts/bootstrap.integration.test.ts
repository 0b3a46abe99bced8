import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, resolve } from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';

/**
 * The bootstrap at work in a small package of its own: the real scripts, one local dependency, and a command that says
 * what it runs on, waits for signals, or ends.
 */

const command = `
import { greeting } from 'dependency';
export async function main(args: string[]): Promise<number> {
  const [what, ...rest] = args[0] === "start" ? args.slice(1) : args;
  const terminated = Promise.withResolvers<void>();
  if (what === 'wait' || what === 'ignore') {
    process.on('SIGTERM', () => {
      console.log('SIGTERM');
      if (what === 'wait') terminated.resolve();
    });
  }
  // Whoever reads this may send a signal at once.
  console.log(JSON.stringify({ pid: process.pid, node: process.versions.node, args, greeting }));
  if (what === 'exit') return Number(rest[0]);
  if (what === 'throw') throw new Error('the command failed');
  if (what === 'leave-open') setInterval(() => {}, 1000);
  if (what === 'wait' || what === 'ignore') {
    const keepRunning = setInterval(() => {}, 1000);
    await terminated.promise;
    clearInterval(keepRunning);
    return 7;
  }
  return 0;
}
`;

interface Announcement {
  pid: number;
  node: string;
  args: string[];
  greeting: string;
}

/** A Node too old to run TypeScript, if this machine has one; otherwise this Node, told that it is too old. */
function findOldNode(): { path: string; env: Record<string, string> } {
  for (const folder of [...(process.env.PATH ?? '').split(delimiter), '/usr/local/bin', '/usr/bin']) {
    const path = join(folder, 'node');
    if (!existsSync(path)) continue;
    const version = execFileSync(path, ['-p', 'process.versions.node'], { encoding: 'utf8' }).trim();
    const [major, minor] = version.split('.').map(Number) as [number, number];
    if (major < 22 || (major === 22 && minor < 18)) return { path, env: {} };
  }
  return { path: process.execPath, env: { BATON_MINIMUM_NODE: '99.0.0' } };
}

const oldNode = findOldNode();
let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), 'baton-bootstrap-')));
  cpSync(resolve(import.meta.dirname, '../../scripts'), join(folder, 'scripts'), { recursive: true });
  mkdirSync(join(folder, 'local'));
  writeFileSync(join(folder, 'local/cli.ts'), command);
  writeDependency('1.0.0', 'hello');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

function writeDependency(version: string, greeting: string): void {
  const dependencies = { dependency: 'file:dependency' };
  const manifest = { name: 'sample', version: '1.0.0', type: 'module', dependencies };
  mkdirSync(join(folder, 'dependency'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  writeFileSync(
    join(folder, 'dependency/package.json'),
    JSON.stringify({ name: 'dependency', version, type: 'module', exports: './dependency.mjs' }),
  );
  writeFileSync(join(folder, 'dependency/dependency.mjs'), `export const greeting = ${JSON.stringify(greeting)};`);
  writeFileSync(
    join(folder, 'package-lock.json'),
    JSON.stringify({
      ...manifest,
      lockfileVersion: 3,
      requires: true,
      packages: {
        '': { name: 'sample', version: '1.0.0', dependencies },
        dependency: { version },
        'node_modules/dependency': { resolved: 'dependency', link: true },
      },
    }),
  );
}

interface Run {
  readonly child: ChildProcess;
  /** Everything it said so far. */
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  /** What the command announced, once it runs. */
  announced(): Promise<Announcement>;
}

function run(node: { path: string; env: Record<string, string> }, args: string[]): Run {
  const { npm_lifecycle_event: _, ...env } = process.env;
  const child = spawn(node.path, [join(folder, 'scripts/bootstrap.mjs'), ...args], { env: { ...env, ...node.env } });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (said.stdout += text));
  child.stderr.on('data', (text) => (said.stderr += text));
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((done) => {
    child.on('close', (code, signal) => done({ code, signal }));
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  const announced = (): Promise<Announcement> =>
    vi.waitFor(() => JSON.parse(said.stdout.split('\n')[0] as string) as Announcement, 20_000);
  return { child, said, ended, announced };
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

const thisNode = { path: process.execPath, env: {} };

describe('on a suitable Node', () => {
  test('installs once, visibly, and runs the command in the very process', async () => {
    const first = run(thisNode, ['baton', 'exit', '3', '--flag']);
    expect(await first.ended).toEqual({ code: 3, signal: null });
    expect(first.said.stderr).toMatch(/^Installing dependencies \(npm ci\) …\nDependencies installed in \d+ s\.\n$/);
    expect(await first.announced()).toEqual({
      pid: first.child.pid,
      node: process.versions.node,
      args: ['exit', '3', '--flag'],
      greeting: 'hello',
    });

    const second = run(thisNode, ['start']);
    expect(await second.ended).toEqual({ code: 0, signal: null });
    expect(second.said.stderr).toBe('');
    expect((await second.announced()).args).toEqual(['start']);
  });

  test('installs anew when the lock file no longer matches', async () => {
    await run(thisNode, ['baton']).ended;
    writeDependency('1.0.1', 'good day');
    const stale = run(thisNode, ['baton']);
    expect(await stale.ended).toEqual({ code: 0, signal: null });
    expect(stale.said.stderr).toContain('Dependencies installed');
    expect((await stale.announced()).greeting).toBe('good day');
  });

  test('commands that start together install once', async () => {
    const runs = [run(thisNode, ['baton']), run(thisNode, ['baton']), run(thisNode, ['baton'])];
    for (const each of runs) expect(await each.ended).toEqual({ code: 0, signal: null });
    expect(runs.filter((each) => each.said.stderr.includes('Dependencies installed'))).toHaveLength(1);
    expect(readdirSync(join(folder, '.baton'))).toEqual([]);
  });

  test('an installation whose process died does not block the next', async () => {
    const dead = run(thisNode, ['nonsense']);
    await dead.ended;
    mkdirSync(join(folder, '.baton'));
    writeFileSync(join(folder, '.baton/install.lock'), String(dead.child.pid));
    expect(await run(thisNode, ['baton']).ended).toEqual({ code: 0, signal: null });
  });

  test('a failing npm ci is told with what npm said', async () => {
    writeFileSync(join(folder, 'package.json'), JSON.stringify({ name: 'sample', dependencies: { other: '1.0.0' } }));
    const failing = run(thisNode, ['baton']);
    expect(await failing.ended).toEqual({ code: 1, signal: null });
    expect(failing.said.stderr).toMatch(/npm ci failed \(exit code 1\):\n[^]*other/);
  });

  test('an error is one line, an unknown command is wrong usage, and what is left open does not keep it', async () => {
    const thrown = run(thisNode, ['baton', 'throw']);
    expect(await thrown.ended).toEqual({ code: 1, signal: null });
    expect(thrown.said.stderr).toMatch(/\nthe command failed\n$/);
    const unknown = run(thisNode, ['nonsense']);
    expect(await unknown.ended).toEqual({ code: 2, signal: null });
    expect(unknown.said.stderr).toMatch(/^unknown command "nonsense": it must be one of .*\n$/);
    expect(await run(thisNode, ['baton', 'leave-open']).ended).toEqual({ code: 0, signal: null });
  });
});

describe('on an older Node', () => {
  test('says so in one line and runs the same command under Node 24', async () => {
    const first = run(oldNode, ['baton', 'exit', '5']);
    expect(await first.ended).toEqual({ code: 5, signal: null });
    const announced = await first.announced();
    expect(announced.node).toMatch(/^24\./);
    expect(announced.pid).not.toBe(first.child.pid);
    expect(announced.args).toEqual(['exit', '5']);
    expect(first.said.stderr).toMatch(
      /^Node [\d.]+ is too old .*\nInstalling .*\nDependencies installed in \d+ s\.\n$/,
    );

    const second = run(oldNode, ['baton', 'throw']);
    expect(await second.ended).toEqual({ code: 1, signal: null });
    expect(second.said.stderr.trim().split('\n')).toEqual([
      expect.stringMatching(/^Node [\d.]+ is too old \([\d.]+ or newer is needed\): running under Node 24/),
      'the command failed',
    ]);
  });

  test('passes signals on and takes over the exit code', async () => {
    const waiting = run(oldNode, ['baton', 'wait']);
    await waiting.announced();
    waiting.child.kill('SIGTERM');
    expect(await waiting.ended).toEqual({ code: 7, signal: null });
    expect(waiting.said.stdout).toMatch(/\nSIGTERM\n$/);
  });

  test('ends by the signal that ended the command', async () => {
    const waiting = run(oldNode, ['baton', 'wait']);
    const { pid } = await waiting.announced();
    process.kill(pid, 'SIGKILL');
    expect(await waiting.ended).toEqual({ code: null, signal: 'SIGKILL' });
  });

  test.each(['wait', 'ignore'])('leaves no orphan behind a kill -9, though the command may %s', async (what) => {
    const killed = run(oldNode, ['start', what]);
    const announced = vi.waitFor(() => JSON.parse(killed.said.stdout.split('\n')[0] as string) as Announcement, 20_000);
    const { pid } = await announced;
    expect(isRunning(pid)).toBe(true);
    killed.child.kill('SIGKILL');
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 10_000 });
  });

  test('ends when npm is killed, which has a shell in between', async () => {
    const env = { ...process.env, ...oldNode.env, npm_lifecycle_event: 'start' };
    const commandLine = `${oldNode.path} ${join(folder, 'scripts/bootstrap.mjs')} start wait; true`;
    const npm = spawn(
      process.execPath,
      ['-e', 'require("node:child_process").spawn("sh", ["-c", process.argv[1]], { stdio: "inherit" })', commandLine],
      { env },
    );
    onTestFinished(() => void npm.kill('SIGKILL'));
    let stdout = '';
    npm.stdout.on('data', (text) => (stdout += text));
    const { pid } = await vi.waitFor(() => JSON.parse(stdout.split('\n')[0] as string) as Announcement, 20_000);
    npm.kill('SIGKILL');
    await vi.waitFor(() => expect(isRunning(pid)).toBe(false), { timeout: 10_000 });
  });
});

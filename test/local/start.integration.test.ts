import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import { describe, expect, onTestFinished, test, vi } from 'vitest';
import type { FleetSnapshot } from '../../local/fleet-snapshot.ts';
import type { RunReport } from '../../local/report.ts';
import { startSimulator } from '../../local/discord/simulator.ts';

const root = resolve(import.meta.dirname, '../..');

interface Run {
  readonly child: ChildProcess;
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
  report(): RunReport;
  consoleUrl(): Promise<string>;
}

/** `npm start -- ...args` as a process of its own. */
function start(args: readonly string[], env: Record<string, string> = {}): Run {
  const { DISCORD_TOKEN: _, ...rest } = process.env;
  const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.mjs'), 'start', ...args, '--port', '0'], {
    cwd: root,
    env: { ...rest, ...env },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (said.stdout += text));
  child.stderr.on('data', (text) => (said.stderr += text));
  const ended = new Promise<number | null>((done) => child.on('close', done));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    child,
    said,
    ended,
    report: () => JSON.parse(said.stdout.trim().split('\n').at(-1) as string) as RunReport,
    consoleUrl: () =>
      vi.waitFor(() => (/Console: (\S+)/.exec(said.stdout + said.stderr) as RegExpExecArray)[1] as string, 10_000),
  };
}

async function stateOf(url: string): Promise<FleetSnapshot> {
  return (await (await fetch(`${url}/state`)).json()) as FleetSnapshot;
}

async function untilRunning(run: Run): Promise<FleetSnapshot> {
  const url = await run.consoleUrl();
  return vi.waitFor(
    async () => {
      const state = await stateOf(url);
      expect(state.phase).toBe('running');
      expect(state.totals?.delivered).toBeGreaterThan(0);
      return state;
    },
    { timeout: 30_000, interval: 200 },
  );
}

/** Processes that descend from `pid`. */
function descendants(pid: number): number[] {
  const rows = execFileSync('ps', ['-eo', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const found = [pid];
  for (const parent of found) found.push(...rows.filter(([, ppid]) => ppid === parent).map(([child]) => child));
  return found.slice(1);
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

// Generous: beside other work a fleet takes its time to start.
describe('npm start', { timeout: 240_000 }, () => {
  test('runs a whole fleet for a while and reports that nothing was lost', async () => {
    const run = start(['--duration', '5s', '--shards', '4', '--workers', '2', '--rate', '200', '--json']);
    expect(await run.ended, run.said.stderr).toBe(0);
    const report = run.report();
    expect(report).toMatchObject({
      ok: true,
      lost: 0,
      duplicated: 0,
      reordered: 0,
      unknown: 0,
      unfencedEnvelopes: 0,
      identifies: 4,
      identifyViolations: 0,
      resumes: 0,
      takeovers: 0,
      crashes: 0,
      shards: 4,
      deadLetters: 0,
    });
    // A thousand, less what a machine with other work leaves out.
    expect(report.emitted).toBeGreaterThan(500);
    expect(report.delivered).toBe(report.emitted);
    expect(report.eventsPerSecond).toBeGreaterThan(100);
    expect(report.latencyMs.p50).toBeGreaterThan(0);
    expect(report.latencyMs.p99).toBeGreaterThanOrEqual(report.latencyMs.p50);
    expect(report.interactions?.answered).toBeGreaterThan(0);
    expect(report.perWorker.map(({ workerId, ends }) => ({ workerId, ends }))).toEqual([
      { workerId: 'worker-1', ends: ['with 0'] },
      { workerId: 'worker-2', ends: ['with 0'] },
    ]);
    expect(run.said.stdout.trim().split('\n')).toHaveLength(1);
    expect(run.said.stderr).toMatch(/running: 2 of 2 workers, 4 of 4 shards ready, \d+ guilds/);
  });

  test('loses nothing to a kill, a drain and broken connections, and IDENTIFYs each shard once', async () => {
    const args = ['--duration', '14s', '--shards', '6', '--workers', '3', '--rate', '300', '--chaos', '--json'];
    const run = start([...args, '--chaos-seed', '7']);
    expect(await run.ended, run.said.stderr).toBe(0);
    const report = run.report();
    expect(report).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, identifies: 6, identifyViolations: 0 });
    expect(report.takeovers).toBeGreaterThan(0);
    expect(report.handoffs).toBeGreaterThan(0);
    expect(report.resumes).toBeGreaterThanOrEqual(report.takeovers + report.handoffs);
    expect(report.chaos?.seed).toBe(7);
    const kinds = report.chaos?.actions.map(({ kind }) => kind);
    expect(kinds).toContain('killWorker');
    expect(kinds).toContain('drainWorker');
    expect(report.chaos?.actions.filter(({ what }) => what.startsWith('failed'))).toEqual([]);
  });

  test('drains and reports on Ctrl-C, though one press arrives twice', async () => {
    const run = start(['--shards', '2', '--workers', '1', '--rate', '50', '--json']);
    const { workers } = await untilRunning(run);
    const pids = descendants(run.child.pid as number);
    expect(pids).toContain(workers[0]?.pid);
    run.child.kill('SIGINT');
    run.child.kill('SIGINT');
    expect(await run.ended, run.said.stderr).toBe(0);
    expect(run.report()).toMatchObject({ lost: 0, perWorker: [{ ends: ['with 0'] }] });
    expect(pids.filter(isRunning)).toEqual([]);
  });

  test('leaves nothing running behind a kill -9', async () => {
    const run = start(['--shards', '2', '--workers', '2', '--rate', '50']);
    await untilRunning(run);
    const pids = descendants(run.child.pid as number);
    expect(pids.length).toBeGreaterThanOrEqual(4);
    run.child.kill('SIGKILL');
    await run.ended;
    await vi.waitFor(() => expect(pids.filter(isRunning)).toEqual([]), { timeout: 10_000, interval: 100 });
  });

  test('with a token it goes to Discord, and keeps no ledger', async () => {
    const discord = await startSimulator({ shards: 2, guildsPerShard: 3, maxConcurrency: 2 });
    onTestFinished(() => discord.stop());
    const env = { DISCORD_TOKEN: discord.token as string, DISCORD_API_URL: discord.apiUrl };
    const run = start(['--duration', '1s', '--workers', '1', '--json'], env);
    expect(await run.ended, run.said.stderr).toBe(0);
    expect(run.report()).toMatchObject({ ok: true, identifies: 2, shards: 2, guilds: 6 });
    expect(run.report()).not.toHaveProperty('lost');
    expect(discord.stats.identifies).toHaveLength(2);
    expect(run.said.stderr + run.said.stdout).not.toContain(discord.token);
  });

  test('a token that Discord refuses ends it with one line', async () => {
    const discord = await startSimulator({ shards: 1 });
    onTestFinished(() => discord.stop());
    const run = start(['--workers', '1'], { DISCORD_TOKEN: 'not-the-token', DISCORD_API_URL: discord.apiUrl });
    expect(await run.ended).toBe(1);
    expect(run.said.stderr).toMatch(/^[^\n]*Discord refused DISCORD_TOKEN[^\n]*\n$/);
    expect(discord.stats.invalidRequests).toBeLessThanOrEqual(2);
  });
});

describe('bad input ends with one line', () => {
  test.each([
    [['--shards', '0'], {}, 2, /option '--shards <count>' argument '0' is invalid/],
    [['--duration', 'soon'], {}, 2, /It must be a duration/],
    [['--workers', '1.5'], {}, 2, /It must be a whole number from 1 to 64/],
    [['--nonsense'], {}, 2, /unknown option '--nonsense'/],
    [[], { BATON_TOTAL_SHARDS: 'abc' }, 2, /BATON_TOTAL_SHARDS="abc" must be/],
    [[], { BATON_HEARTBEAT_MS: '-3' }, 2, /BATON_HEARTBEAT_MS="-3" must be/],
  ] as const)('%j %j', async (args, env, code, message) => {
    const run = start(args, env);
    expect(await run.ended).toBe(code);
    expect(run.said.stderr).toMatch(message);
    expect(run.said.stderr.trim().split('\n')).toHaveLength(1);
  });

  test('a port in use', async () => {
    const taken = createServer().listen(0, '127.0.0.1');
    await new Promise((listening) => taken.once('listening', listening));
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as { port: number };
    const child = spawn(process.execPath, [join(root, 'scripts/bootstrap.mjs'), 'start', '--port', String(port)]);
    let stderr = '';
    child.stderr.on('data', (text) => (stderr += text));
    const code = await new Promise((done) => child.on('close', done));
    expect(code).toBe(1);
    expect(stderr).toBe(`port ${port} is in use: choose another with --port, or 0 for any\n`);
  });
});

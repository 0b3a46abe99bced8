import { spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { type EmbeddedCloud, startEmbeddedCloud } from '../../local/cloud/embedded-cloud.ts';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';
import type { FleetStatus } from '../../local/fleet-status.ts';

const root = resolve(import.meta.dirname, '../..');
let cloud: EmbeddedCloud;
let discord: DiscordSimulator;

beforeAll(async () => {
  [cloud, discord] = await Promise.all([
    startEmbeddedCloud(),
    startSimulator({ shards: 2, guildsPerShard: 2, maxConcurrency: 2 }),
  ]);
});

afterAll(async () => {
  await Promise.all([cloud.stop(), discord.stop()]);
});

interface Run {
  readonly said: { stdout: string; stderr: string };
  readonly ended: Promise<number | null>;
  kill(signal: NodeJS.Signals): void;
}

function baton(args: readonly string[], env: Record<string, string> = {}): Run {
  const { DISCORD_TOKEN: _, ...rest } = process.env;
  const child = spawn(process.execPath, [join(root, 'scripts/baton.mjs'), ...args], {
    env: { ...rest, ...cloud.environment, ...env },
  });
  const said = { stdout: '', stderr: '' };
  child.stdout.on('data', (text) => (said.stdout += text));
  child.stderr.on('data', (text) => (said.stderr += text));
  onTestFinished(() => void child.kill('SIGKILL'));
  return {
    said,
    ended: new Promise((done) => child.on('close', done)),
    kill: (signal) => void child.kill(signal),
  };
}

/** A command that is to end well; what it printed. */
async function output(args: readonly string[], env: Record<string, string> = {}): Promise<string> {
  const run = baton(args, env);
  expect(await run.ended, run.said.stderr).toBe(0);
  return run.said.stdout;
}

describe('baton', () => {
  test('shows its commands, and for each an example', async () => {
    const help = await output(['--help']);
    for (const name of ['start', 'chaos', 'provision', 'worker', 'status', 'shards', 'workers']) {
      expect(help).toMatch(new RegExp(`\n  ${name} `));
      expect(await output([name, '--help'])).toMatch(/--json[^]*Example:\n {2}\S/);
    }
    expect(await output(['--version'])).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each([[['nonsense']], [['status', 'extra']], [['status', '--nonsense']], [[]]])(
    'wrong usage exits with 2: %j',
    async (args) => {
      const run = baton(args);
      expect(await run.ended).toBe(2);
      expect(run.said.stderr).not.toBe('');
    },
  );

  test('provisions, runs a worker, shows it, and drains it', async () => {
    const env = { BATON_FLEET: 'cli' };
    const created = JSON.parse(await output(['provision', '--json'], env)) as { created: string[] };
    expect(created.created).toContain('cli-coordination');
    expect(await output(['provision'], env)).toBe('Fleet cli: everything is there.\n');
    expect(await output(['status'], env)).toContain('No worker is registered.');

    const worker = baton(['worker'], {
      ...env,
      BATON_WORKER_ID: 'one',
      DISCORD_TOKEN: discord.token as string,
      DISCORD_API_URL: discord.apiUrl,
      BATON_STOP_TIMEOUT_MS: '11000',
    });
    await vi.waitFor(() => expect(worker.said.stdout.match(/"shard\.ready"/g)).toHaveLength(2), 30_000);
    const status = JSON.parse(await output(['status', '--json'], env)) as FleetStatus;
    expect(status).toMatchObject({
      fleet: 'cli',
      shardCount: 2,
      coordinator: 'one',
      workers: [{ workerId: 'one', alive: true, fenced: false, draining: false, shardIds: [0, 1] }],
      shards: [
        { shardId: 0, workerId: 'one', epoch: 1 },
        { shardId: 1, workerId: 'one', epoch: 1 },
      ],
    });
    expect(await output(['workers'], env)).toMatch(/^WORKER +STATE[^\n]*\none \* +alive/);
    expect(await output(['shards'], env)).toMatch(/^SHARD +STATE +WORKER[^\n]*\n0 +\S+ +one +1 /);

    worker.kill('SIGTERM');
    expect(await worker.ended).toBe(0);
    expect(worker.said.stderr).toBe('');
    expect(worker.said.stdout).not.toContain(discord.token as string);
    const after = JSON.parse(await output(['shards', '--json'], env)) as FleetStatus['shards'];
    expect(after.map(({ state, owner }) => ({ state, owner }))).toEqual([
      { state: 'unheld', owner: undefined },
      { state: 'unheld', owner: undefined },
    ]);
  });

  test('a worker without a token exits with 2, one whose token Discord refuses with 1', async () => {
    const env = { BATON_FLEET: 'token', DISCORD_API_URL: discord.apiUrl };
    await output(['provision'], env);
    const missing = baton(['worker'], env);
    expect(await missing.ended).toBe(2);
    expect(missing.said.stderr).toMatch(/^[^\n]*DISCORD_TOKEN is missing[^\n]*\n$/);
    const refused = baton(['worker'], { ...env, DISCORD_TOKEN: 'not-the-token' });
    expect(await refused.ended).toBe(1);
    expect(refused.said.stderr).toMatch(/^[^\n]*Discord refused DISCORD_TOKEN[^\n]*\n$/);
    expect(refused.said.stderr + refused.said.stdout).not.toContain('not-the-token');
  });

  test('a DynamoDB that does not answer, or lacks the table, is one line and exit code 1', async () => {
    for (const [name, value] of [
      ['AWS_ENDPOINT_URL_DYNAMODB', 'http://127.0.0.1:9'],
      ['BATON_FLEET', 'never-provisioned'],
    ] as const) {
      const run = baton(['status'], { [name]: value });
      expect(await run.ended).toBe(1);
      expect(run.said.stderr.trim().split('\n')).toHaveLength(1);
    }
    const verbose = baton(['status', '--verbose'], { AWS_ENDPOINT_URL_DYNAMODB: 'http://127.0.0.1:9' });
    expect(await verbose.ended).toBe(1);
    expect(verbose.said.stderr).toMatch(/\n {4}at /);
  });
});

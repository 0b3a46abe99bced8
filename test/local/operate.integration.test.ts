import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { main } from '../../local/cli.ts';
import { type LocalFleet, startFleet } from '../../local/fleet.ts';
import type { SimulatedDiscord } from '../../local/simulated-discord.ts';
import { systemClock } from '../../shared/clock.ts';
import type { MissingShard, ShardAnswer } from '../../shared/control/answers.ts';
import type { Drain, Migration } from '../../shared/control/fleet-operations.ts';
import type { LiveShardFigures } from '../../shared/control/requests.ts';
import { silentLogger } from '../../shared/logger.ts';
import { seededRandom } from '../../shared/random.ts';
import { parseShardKey, type ShardKey, shardKey } from '../../shared/sharding.ts';

/** A fleet of processes under load, operated from the command line; whatever is done to it, nothing is lost. */
const shards = 8;
const workers = 3;
const eventsPerSecond = 60;
const heartbeatMs = 2000;

const over = new AbortController();
let logDirectory: string;
let fleet: LocalFleet;
let discord: SimulatedDiscord;
let watching: Promise<void>;

beforeAll(async () => {
  logDirectory = mkdtempSync(join(tmpdir(), 'baton-operate-'));
  fleet = await startFleet({
    environment: { BATON_HEARTBEAT_MS: String(heartbeatMs), BATON_EVAL: 'sandbox', BATON_DIRECTORY: 'off' },
    shards,
    workers,
    dataDirectory: undefined,
    logDirectory,
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
  });
  discord = fleet.discord as SimulatedDiscord;
  Object.assign(process.env, fleet.environment);
  watching = fleet.watch(over.signal);
  await fleet.untilReady(90_000, over.signal);
  discord.simulator.traffic.start({ eventsPerSecond, interactionsPerSecond: 0 });
}, 120_000);

afterAll(async () => {
  over.abort();
  discord.stopTraffic();
  await watching;
  await fleet.close();
  rmSync(logDirectory, { recursive: true });
});

interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command in this process, which has the fleet's environment; that a process does is another test's. */
async function baton(...args: string[]): Promise<Ended> {
  const said = { stdout: '', stderr: '' };
  const log = vi.spyOn(console, 'log').mockImplementation((line: string) => {
    said.stdout += `${line}\n`;
  });
  const write = vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    said.stderr += String(text);
    return true;
  });
  try {
    return { code: await main(args), ...said };
  } finally {
    log.mockRestore();
    write.mockRestore();
  }
}

/** A command that is to end well, with what it prints as JSON. */
async function result<T>(...args: string[]): Promise<T> {
  const ended = await baton(...args, '--json');
  expect(ended, ended.stderr).toMatchObject({ code: 0 });
  return JSON.parse(ended.stdout) as T;
}

/** Where each shard is; waits until all are ready. */
async function places(): Promise<Map<number, string>> {
  return vi.waitFor(
    async () => {
      const { results } = await fleet.requests.askShards('all', { kind: 'figures' });
      expect(results.filter(({ value }) => value.ready)).toHaveLength(shards);
      return new Map(results.map(({ shard, worker }) => [shard, worker]));
    },
    { timeout: 40_000, interval: 200 },
  );
}

const names = Array.from({ length: workers }, (_, index) => `worker-${index + 1}`);
const other = (than: string | undefined) => names.find((name) => name !== than) as string;

describe('a fleet under load', { timeout: 120_000 }, () => {
  test('hands a shard over on request, and says when it is where it should be already', async () => {
    const from = (await places()).get(3);
    const to = other(from);
    const migration = await result<Migration>('migrate', '3', '--to', to);
    expect(migration).toMatchObject({ shard: 3, from, to, moved: true });
    expect((await places()).get(3)).toBe(to);
    const again = await baton('migrate', '3', '--to', to);
    expect(again).toMatchObject({ code: 0, stdout: `Shard 3 was at ${to} already.\n` });
  });

  test('reconnects a shard, whose session lives on', async () => {
    await places();
    const identifies = discord.simulator.stats.identifies.length;
    expect(await result('respawn', '5')).toMatchObject({ shard: 5, how: 'resumed' });
    expect(discord.simulator.stats.identifies).toHaveLength(identifies);
  });

  test('shows the plan of a rebalancing and changes nothing', async () => {
    const before = await places();
    const plan = await result<{ kind: string; dryRun: boolean; notMoved: string[] }>('rebalance', '--dry-run');
    expect(plan).toMatchObject({ kind: 'planned', dryRun: true, notMoved: [] });
    expect(await places()).toEqual(before);
  });

  test('answers code and properties of all shards', async () => {
    await places();
    const fetched = await result<ShardAnswer<number>>('fetch', 'guilds.cache.size');
    expect(fetched.results.map(({ shard }) => shard)).toEqual(Array.from({ length: shards }, (_, id) => id));
    expect(fetched.results.every(({ value }) => value > 0)).toBe(true);
    const evaluated = await result<ShardAnswer<number>>('eval', 'client.shard.ids[0] * 10', '--shard', '2,4');
    expect(evaluated.results.map(({ shard, value }) => [shard, value])).toEqual([
      [2, 20],
      [4, 40],
    ]);
    const asked = await result<ShardAnswer<unknown[]>>('query', 'largestGuilds', '{"count":1}', '--shard', '2');
    expect(asked.results.map(({ value }) => value.length)).toEqual([1]);
    expect(await baton('query', 'largestGuilds', '{count:1}')).toMatchObject({ code: 1, stdout: '' });
    const throwing = await baton('eval', 'throw new Error("no luck")', '--shard', '1');
    expect(throwing.code).toBe(1);
    expect(throwing.stderr).toMatch(/^shard 1: [^\n]*no luck[^\n]*\n$/);
  });

  test('shows live events, all or some', async () => {
    await places();
    const all = await baton('tail', '--duration', '2s', '--json');
    const events = all.stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; guildId?: string });
    expect(events.length).toBeGreaterThan(5);
    const counts = [...Map.groupBy(events, ({ type }) => type)].map(([type, { length }]) => ({ type, length }));
    const { type } = counts.reduce((most, each) => (each.length > most.length ? each : most));
    const some = await baton('tail', '--type', type, '--duration', '2s');
    expect(some.code).toBe(0);
    for (const line of some.stdout.trim().split('\n')) expect(line).toContain(`  ${type} `);
  });

  test('shows itself live', async () => {
    await places();
    const top = await baton('top', '--duration', '100ms');
    expect(top.code, top.stderr).toBe(0);
    expect(top.stdout).toMatch(new RegExp(`${shards} of ${shards} shards ready`));
    for (const name of names) expect(top.stdout).toMatch(new RegExp(`\n${name}( \\*)? +\\d+/\\d+ `));
  });

  test('with one worker stopped answers within the deadline, its shards missing', async () => {
    const of = await places();
    const stopped = fleet.workers.workers.find(({ workerId }) => workerId === of.get(0));
    const pausing = stopped?.pause(2500);
    const startedMs = systemClock.monotonicMs();
    const { results, missing } = await fleet.requests.askShards('all', { kind: 'figures' }, { withinMs: 1500 });
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(5000);
    const silent = [...of].filter(([, name]) => name === stopped?.workerId).map(([shard]) => shard);
    expect(missing.map(({ shard }) => shard)).toEqual(silent);
    expect(
      missing.every(({ worker, code }: MissingShard) => worker === stopped?.workerId && code === 'no-answer'),
    ).toBe(true);
    expect(results.map(({ value }: { value: LiveShardFigures }) => value.workerId)).not.toContain(stopped?.workerId);
    await pausing;
  });

  test('lets a worker go on request, which hands everything over and comes back', async () => {
    const of = await places();
    const leaving = of.get(1) as string;
    const held = [...of.values()].filter((name) => name === leaving).length;
    const drained = await result<Drain>('drain', leaving);
    expect(drained).toMatchObject({ worker: leaving, shards: held, unheld: 0 });
    await places();
  });

  test('spreads shards over the workers now, to one that came empty', async () => {
    await places();
    const held = () => fleet.store.listLeases(shards).then((leases) => Map.groupBy(leases, ({ owner }) => owner));
    const empty = await vi.waitFor(
      async () => {
        const owners = await held();
        const records = await fleet.store.listWorkers();
        const found = records.find(({ incarnation, draining }) => !draining && !owners.has(incarnation));
        expect(found).toBeDefined();
        return found;
      },
      { timeout: 40_000, interval: 200 },
    );
    // Shards that a worker has not reported since they came to it stay where they are.
    await vi.waitFor(
      async () => {
        const reported = (await fleet.store.listReports()).flatMap((report) => report.shards);
        for (const { shard, epoch } of await fleet.store.listLeases(shards)) {
          expect(reported).toContainEqual(expect.objectContaining({ shard: shardKey(shard), epoch, ready: true }));
        }
      },
      { timeout: 20_000, interval: 200 },
    );
    const round = await result<{ kind: string; moves: { shard: ShardKey; to: string }[]; notMoved: string[] }>(
      'rebalance',
    );
    expect(round).toMatchObject({ kind: 'planned', notMoved: [] });
    expect(round.moves.map(({ to }) => to)).toContain(empty?.workerId);
    const now = await places();
    for (const { shard, to } of round.moves) expect(now.get(parseShardKey(shard).shardId)).toBe(to);
  });

  test.each<[string, string[], RegExp]>([
    ['an unknown shard', ['migrate', '99', '--to', 'worker-1'], /^there is no shard 99: the fleet has 0 to 7\n$/],
    ['an unknown worker', ['migrate', '1', '--to', 'nobody'], /^there is no worker "nobody": there are worker-/],
    ['an unknown worker to drain', ['drain', 'nobody'], /^there is no worker "nobody": there are worker-/],
    ['a shard to respawn that is none', ['respawn', '8'], /^there is no shard 8: the fleet has 0 to 7\n$/],
    ['a reshard', ['reshard', '16'], /^the fleet stays at 8 shards: [^\n]*\n$/],
    ['a query for no path', ['fetch', '..'], /^"\.\." is no property path[^\n]*\n$/],
  ])('refuses %s in one line', async (_, args, message) => {
    await places();
    const ended = await baton(...args);
    expect(ended.code).toBe(1);
    // Progress lines may come before it.
    expect(`${ended.stderr.trimEnd().split('\n').at(-1) ?? ''}\n`).toMatch(message);
  });

  test('has lost, doubled and reordered nothing', async () => {
    await places();
    discord.stopTraffic();
    await vi.waitFor(() => expect(fleet.ledger.totals.pending).toBe(0), { timeout: 90_000, interval: 200 });
    expect(fleet.ledger.totals).toMatchObject({ lost: 0, duplicated: 0, reordered: 0, unknown: 0 });
    expect(fleet.ledger.totals.delivered).toBeGreaterThan(200);
    expect(fleet.crashes).toBe(0);
  });

  test('gives a session up when that is asked for, and identifies through the gate', async () => {
    const identifies = discord.simulator.stats.identifies.length;
    expect(await result('respawn', '5', '--fresh')).toMatchObject({ shard: 5, how: 'identified' });
    expect(discord.simulator.stats.identifies).toHaveLength(identifies + 1);
    await places();
  });
});

test.each([
  ['migrate', '1'],
  ['migrate', 'one', '--to', 'worker-1'],
  ['respawn', '-1'],
  ['reshard', '0'],
  ['reshard', 'many'],
  ['tail', '--guild', 'x'],
  ['tail', '--type', 'message'],
  ['drain'],
  ['eval'],
])('wrong usage exits with 2: %s %s', async (...args) => {
  const ended = await baton(...args);
  expect(ended.code).toBe(2);
  expect(ended.stderr).not.toBe('');
});

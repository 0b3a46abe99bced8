import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type LocalFleet, startFleet } from '../../../local/fleet.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ShardManager, valuesOf } from '../../../shared/control/shard-manager.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { hostileSnippets } from '../../gateway-workers/eval/hostile-snippets.ts';

/** Judged by the clock: what questions to all shards cost, and what they cost the events that flow meanwhile. */
const shards = 32;
const workers = 4;
const eventsPerSecond = 500;
const broadcasts = 100;
const livenessMs = 9000;

let logDirectory: string;
let fleet: LocalFleet;
let manager: ShardManager;

beforeAll(async () => {
  logDirectory = mkdtempSync(join(tmpdir(), 'baton-broadcast-'));
  fleet = await startFleet({
    environment: { BATON_EVAL: 'sandbox' },
    shards,
    workers,
    dataDirectory: undefined,
    logDirectory,
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
  });
  manager = new ShardManager({ clock: systemClock, fleet: fleet.requests, close: () => {} });
  await manager.spawnShards();
  await spread();
  fleet.discord?.simulator.traffic.start({ eventsPerSecond, interactionsPerSecond: 0 });
}, 120_000);

afterAll(async () => {
  fleet.discord?.stopTraffic();
  await fleet.close();
  rmSync(logDirectory, { recursive: true });
});

/** Eight shards on each worker: a fleet that started together may have given most to the first. */
async function spread(): Promise<void> {
  const records = (await fleet.store.listWorkers()).sort((one, other) => one.joinNumber - other.joinNumber);
  for (let shardId = 0; shardId < shards; shardId += 1) {
    await fleet.migrations.ask({ shardId, shardCount: shards }, records[shardId % workers]?.incarnation ?? '');
  }
  const untilMs = systemClock.monotonicMs() + 60_000;
  for (;;) {
    const perWorker = Map.groupBy(await manager.untilReady(), ({ worker }) => worker);
    if (perWorker.size === workers && [...perWorker.values()].every(({ length }) => length === shards / workers))
      return;
    if (systemClock.monotonicMs() > untilMs) throw new Error('the shards are not spread');
    await systemClock.sleep(200);
  }
}

async function timesOf(count: number, ask: () => Promise<unknown>): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  for (let number = 0; number < count; number += 1) {
    const startedMs = systemClock.monotonicMs();
    await ask();
    times.push(systemClock.monotonicMs() - startedMs);
  }
  times.sort((one, other) => one - other);
  const at = (share: number) => Math.round(times[Math.ceil(share * times.length) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99) };
}

function figures(name: string, text: string): void {
  process.stderr.write(`  ${name}: ${text}\n`);
}

describe(`${shards} shards on ${workers} workers`, { timeout: 180_000 }, () => {
  test('broadcastEval answers in a quarter of a second', async () => {
    // The sandboxes start with their first code.
    await manager.broadcastEval('1');
    const evals = await timesOf(broadcasts, async () => {
      expect(valuesOf(await manager.broadcastEval('client.guilds.cache.size'))).toHaveLength(shards);
    });
    const fetches = await timesOf(broadcasts, async () => {
      expect(valuesOf(await manager.fetchClientValues('guilds.cache.size'))).toHaveLength(shards);
    });
    figures('broadcastEval', `p50 ${evals.p50} ms, p99 ${evals.p99} ms`);
    figures('fetchClientValues', `p50 ${fetches.p50} ms, p99 ${fetches.p99} ms`);
    expect(evals.p99).toBeLessThan(250);
  });

  test('hostile code does not slow the events down', async () => {
    fleet.ledger.takeRecentLatencyMs();
    await systemClock.sleep(10_000);
    const idle = fleet.ledger.takeRecentLatencyMs();
    let stopped = false;
    const attack = async () => {
      // One shard of each worker, so that each snippet hangs each worker's sandbox as long as it can.
      for (const { code } of [...hostileSnippets, ...hostileSnippets]) {
        if (stopped) return;
        await manager.broadcastEval(code, { shards: [0, 1, 2, 3], timeoutMs: 3000 });
      }
    };
    const attacking = attack();
    await systemClock.sleep(10_000);
    const attacked = fleet.ledger.takeRecentLatencyMs();
    stopped = true;
    await attacking;
    figures(
      'events, p50 and p99',
      `${idle.p50} and ${idle.p99} ms idle, ${attacked.p50} and ${attacked.p99} ms under hostile code`,
    );
    expect(attacked.p99).toBeLessThan(idle.p99 * 2 + 100);
  });

  test('a stopped worker makes nobody wait beyond the deadline', async () => {
    const [slot] = fleet.workers.workers;
    const before = await manager.getShardInfo();
    const its = before.filter(({ worker }) => worker === slot?.workerId).map(({ shardId }) => shardId);
    expect(its).toHaveLength(shards / workers);
    // Shorter than it takes to be found dead.
    const paused = slot?.pause(livenessMs / 2);
    const startedMs = systemClock.monotonicMs();
    const { results, missing } = await manager.broadcastEval('client.shard.ids[0]', { timeoutMs: 2000 });
    const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
    figures('with a stopped worker', `${results.length} results, ${missing.length} missing after ${tookMs} ms of 2000`);
    expect(missing.map(({ shard }) => shard)).toEqual(its);
    expect(missing.every(({ code, worker }) => code === 'no-answer' && worker === slot?.workerId)).toBe(true);
    expect(results).toHaveLength(shards - its.length);
    expect(tookMs).toBeLessThan(3000);
    await paused;
    await manager.untilReady();
  });
});

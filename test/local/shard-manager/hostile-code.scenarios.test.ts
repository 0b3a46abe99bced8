import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LocalFleet, startFleet } from '../../../local/fleet.ts';
import { systemClock } from '../../../shared/clock.ts';
import { ShardManager } from '../../../shared/control/shard-manager.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { hostileSnippets } from '../../gateway-workers/eval/hostile-snippets.ts';

/** Judged by the clock: what code that hangs and bursts costs the events of the worker that it runs on. */
const shards = 4;
const eventsPerSecond = 200;
const measuredMs = 15_000;

let logDirectory: string;
let fleet: LocalFleet;
let manager: ShardManager;

beforeAll(async () => {
  logDirectory = mkdtempSync(join(tmpdir(), 'baton-hostile-'));
  fleet = await startFleet({
    environment: { BATON_EVAL: 'sandbox' },
    shards,
    workers: 1,
    dataDirectory: undefined,
    logDirectory,
    clock: systemClock,
    random: seededRandom(1),
    logger: silentLogger,
  });
  manager = new ShardManager({ clock: systemClock, fleet: fleet.requests, close: () => {} });
  await manager.spawnShards({ timeoutMs: 100_000 });
  fleet.discord?.simulator.traffic.start({ eventsPerSecond, interactionsPerSecond: 0 });
}, 150_000);

afterAll(async () => {
  fleet.discord?.stopTraffic();
  await fleet.close();
  rmSync(logDirectory, { recursive: true });
}, 60_000);

test('hostile code does not slow the events of its worker down', async () => {
  await systemClock.sleep(measuredMs / 3);
  fleet.ledger.takeRecentLatencyMs();
  await systemClock.sleep(measuredMs);
  const idle = fleet.ledger.takeRecentLatencyMs();
  const over = new AbortController();
  let runs = 0;
  const attack = async () => {
    for (let number = 0; !over.signal.aborted; number += 1) {
      const { code } = hostileSnippets[number % hostileSnippets.length] as { code: string };
      await manager.broadcastEval(code, { shards: [number % shards], timeoutMs: 5000 });
      runs += 1;
    }
  };
  const attacking = attack();
  await systemClock.sleep(measuredMs);
  const attacked = fleet.ledger.takeRecentLatencyMs();
  over.abort();
  await attacking;
  process.stderr.write(
    `  events, p50 and p99: ${idle.p50} and ${idle.p99} ms idle, ${attacked.p50} and ${attacked.p99} ms under ${runs} hostile runs\n`,
  );
  // Held up by one run that hangs, an event would come half a second late.
  expect(attacked.p99).toBeLessThan(idle.p99 + 250);
  expect(runs).toBeGreaterThan(5);
}, 120_000);

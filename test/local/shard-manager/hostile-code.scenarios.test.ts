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
const rounds = 5;
const roundMs = 4000;

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

/** p99 of the events of one round, in milliseconds, with what was sent before it left out. */
async function roundOfEvents(): Promise<number> {
  await systemClock.sleep(1000);
  fleet.ledger.takeRecentLatencyMs();
  await systemClock.sleep(roundMs);
  return fleet.ledger.takeRecentLatencyMs().p99;
}

async function roundUnderAttack(): Promise<{ p99: number; runs: number }> {
  const over = new AbortController();
  let runs = 0;
  const attack = async () => {
    for (; !over.signal.aborted; runs += 1) {
      const { code } = hostileSnippets[runs % hostileSnippets.length] as { code: string };
      await manager.broadcastEval(code, { shards: [runs % shards], timeoutMs: 5000 });
    }
  };
  const attacking = attack();
  const p99 = await roundOfEvents();
  over.abort();
  await attacking;
  return { p99, runs };
}

const median = (values: readonly number[]): number =>
  [...values].sort((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;

test('hostile code does not slow the events of its worker down', async () => {
  const idle: number[] = [];
  const attacked: number[] = [];
  let runs = 0;
  // In turns, so that whatever else the machine does weighs on both.
  for (let round = 0; round < rounds; round += 1) {
    idle.push(await roundOfEvents());
    const attack = await roundUnderAttack();
    attacked.push(attack.p99);
    runs += attack.runs;
  }
  process.stderr.write(
    `  p99 of events: ${idle.join(', ')} ms idle, ${attacked.join(', ')} ms under ${runs} hostile runs\n`,
  );
  // Held up by one run that hangs, an event would come half a second late.
  expect(median(attacked)).toBeLessThan(median(idle) + 250);
  expect(runs).toBeGreaterThan(rounds * 3);
}, 180_000);

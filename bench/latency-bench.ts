import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalFleet, startFleet } from '../local/fleet.ts';
import { renderTable } from '../local/text-table.ts';
import type { WorkerSlot } from '../local/worker-fleet.ts';
import { systemClock } from '../shared/clock.ts';
import { readWorkerConfig } from '../shared/config.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { saveResult } from './results.ts';

export interface LatencyBenchOptions {
  /** Events a second over all shards. */
  readonly rate: number;
  readonly shards: number;
  /** Milliseconds. */
  readonly duration: number;
  readonly json: boolean;
  readonly save: boolean;
}

/** What one worker needed. CPU is its process's user and system time. */
export interface LatencyBenchResult {
  readonly bench: 'latency';
  readonly node: string;
  readonly cpu: string;
  readonly compress: string;
  readonly shards: number;
  readonly eventsPerSecond: number;
  readonly eventsPerCpuSecond: number;
  readonly cpuPercent: number;
  readonly rssMb: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly lost: number;
}

/** Compilers and caches get this long before anything is measured. */
const warmUpMs = 5000;
const readyWithinMs = 60_000;
const drainWithinMs = 15_000;

/** Measures one worker in a whole fleet, from the simulated gateway to the handlers, and prints the result. */
export async function benchLatency(options: LatencyBenchOptions): Promise<void> {
  const logDirectory = mkdtempSync(join(tmpdir(), 'baton-bench-'));
  const fleet = await startFleet({
    environment: { ...process.env, DISCORD_TOKEN: undefined },
    shards: options.shards,
    workers: 1,
    dataDirectory: undefined,
    logDirectory,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  try {
    const result = await Promise.race([measure(fleet, options), fleet.failed]);
    const rows = Object.entries(result).map(([name, value]): [string, string] => [
      name,
      typeof value === 'object' ? `p50 ${value.p50}, p99 ${value.p99}` : String(value),
    ]);
    console.log(options.json ? JSON.stringify(result) : renderTable(rows).join('\n'));
    if (options.save) saveResult(result);
  } finally {
    await fleet.close();
    rmSync(logDirectory, { recursive: true, force: true });
  }
}

async function measure(
  fleet: LocalFleet,
  { rate, shards, duration }: LatencyBenchOptions,
): Promise<LatencyBenchResult> {
  const { discord, ledger } = fleet;
  const [worker] = fleet.workers.workers;
  if (discord === undefined || worker === undefined) throw new Error('the bench needs the simulator and a worker');
  const stop = new AbortController();
  const watching = fleet.watch(stop.signal);
  await fleet.untilReady(readyWithinMs, stop.signal);
  discord.startTraffic(rate);
  await systemClock.sleep(warmUpMs);
  const before = await usage(fleet, worker);
  await systemClock.sleep(duration);
  const after = await usage(fleet, worker);
  discord.stopTraffic();
  while (ledger.totals.pending > 0) await systemClock.sleep(50);
  stop.abort();
  await watching;
  await fleet.drain(drainWithinMs);
  ledger.close();

  const events = after.events - before.events;
  const cpuMs = after.cpuMs - before.cpuMs;
  const elapsedMs = after.atMs - before.atMs;
  return {
    bench: 'latency',
    node: process.versions.node,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    compress: readWorkerConfig({ ...process.env, DISCORD_TOKEN: 'simulated' }).compress,
    shards,
    eventsPerSecond: Math.round(events / (elapsedMs / 1000)),
    eventsPerCpuSecond: Math.round(events / (cpuMs / 1000)),
    cpuPercent: Math.round((cpuMs / elapsedMs) * 1000) / 10,
    rssMb: Math.round(after.rssBytes / 2 ** 20),
    latencyMs: ledger.latencyMs,
    lost: ledger.totals.lost,
  };
}

interface Usage {
  readonly atMs: number;
  readonly cpuMs: number;
  readonly rssBytes: number;
  /** Emitted so far. */
  readonly events: number;
}

/** The worker's next report, with the events up to that moment: both ends of the measurement are cut alike. */
async function usage(fleet: LocalFleet, worker: WorkerSlot): Promise<Usage> {
  const last = worker.usageAtMs;
  while (worker.usageAtMs === last) await systemClock.sleep(5);
  const { usageAtMs: atMs, cpuMs, rssBytes } = worker;
  return { atMs, cpuMs, rssBytes, events: fleet.ledger.totals.emitted };
}

import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { type LocalFleet, startFleet } from '../local/fleet.ts';
import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';

export interface BroadcastBenchOptions {
  readonly shards: number;
  readonly workers: number;
  /** Events a second over all shards meanwhile. */
  readonly rate: number;
  readonly rounds: number;
  readonly json: boolean;
}

interface Times {
  readonly p50: number;
  readonly p99: number;
  readonly max: number;
}

/** What asking a fleet costs, in milliseconds. */
export interface BroadcastBenchResult {
  readonly bench: 'broadcast';
  readonly node: string;
  readonly cpu: string;
  /** Of the machine over the last minute: these figures are times, and others may be at work. */
  readonly load: number;
  readonly shards: number;
  readonly workers: number;
  readonly eventsPerSecond: number;
  readonly rounds: number;
  /** A question to every shard until the last answer is there. */
  readonly broadcastMs: Times;
  /** A question to one shard. */
  readonly oneShardMs: Times;
  /** A question to every shard while one worker is stopped (SIGSTOP). */
  readonly stoppedWorker: { readonly deadlineMs: number; readonly tookMs: number; readonly missing: number };
}

const readyWithinMs = 120_000;
const warmUpRounds = 10;
const deadlineMs = 2000;

/** Measures requests to a local fleet, and one of them with a worker that stands still, and prints the result. */
export async function benchBroadcast(options: BroadcastBenchOptions): Promise<void> {
  const logDirectory = mkdtempSync(join(tmpdir(), 'baton-bench-'));
  const fleet = await startFleet({
    environment: { ...process.env, DISCORD_TOKEN: undefined, BATON_DIRECTORY: 'off' },
    shards: options.shards,
    workers: options.workers,
    dataDirectory: undefined,
    logDirectory,
    clock: systemClock,
    random: systemRandom,
    logger: silentLogger,
  });
  try {
    const result = await Promise.race([measure(fleet, options), fleet.failed]);
    if (options.json) console.log(JSON.stringify(result));
    else for (const line of renderTable(rowsOf(result))) console.log(line);
  } finally {
    await fleet.close();
    rmSync(logDirectory, { recursive: true, force: true });
  }
}

async function measure(
  fleet: LocalFleet,
  { shards, workers, rate, rounds }: BroadcastBenchOptions,
): Promise<BroadcastBenchResult> {
  const stop = new AbortController();
  const watching = fleet.watch(stop.signal);
  await fleet.untilReady(readyWithinMs, stop.signal);
  fleet.discord?.startTraffic(rate);
  const { requests } = fleet;
  const figures = { kind: 'figures' } as const;
  const broadcast = async () => {
    const { missing } = await requests.askShards('all', figures);
    if (missing.length > 0) throw new Error(`${missing.length} shards gave no answer: ${missing[0]?.reason}`);
  };
  await times(warmUpRounds, broadcast);
  const broadcastMs = await times(rounds, broadcast);
  let shardId = 0;
  const oneShardMs = await times(rounds, () => {
    shardId = (shardId + 1) % shards;
    return requests.askShards([shardId], figures);
  });
  const pausing = fleet.workers.workers[0]?.pause(deadlineMs + 1000);
  const startedMs = systemClock.monotonicMs();
  const { missing } = await requests.askShards('all', figures, { withinMs: deadlineMs });
  const tookMs = Math.round(systemClock.monotonicMs() - startedMs);
  await pausing;
  fleet.discord?.stopTraffic();
  stop.abort();
  await watching;
  return {
    bench: 'broadcast',
    node: process.versions.node,
    cpu: `${cpus().length} x ${cpus()[0]?.model ?? 'unknown'}`,
    load: Math.round((loadavg()[0] ?? 0) * 10) / 10,
    shards,
    workers,
    eventsPerSecond: rate,
    rounds,
    broadcastMs,
    oneShardMs,
    stoppedWorker: { deadlineMs, tookMs, missing: missing.length },
  };
}

async function times(count: number, ask: () => Promise<unknown>): Promise<Times> {
  const tookMs: number[] = [];
  for (let round = 0; round < count; round += 1) {
    const startedMs = systemClock.monotonicMs();
    await ask();
    tookMs.push(systemClock.monotonicMs() - startedMs);
  }
  tookMs.sort((one, other) => one - other);
  const at = (share: number) => Math.round(tookMs[Math.ceil(share * tookMs.length) - 1] ?? 0);
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function rowsOf({ broadcastMs, oneShardMs, stoppedWorker, ...rest }: BroadcastBenchResult): [string, string][] {
  const told = ({ p50, p99, max }: Times) => `p50 ${p50}, p99 ${p99}, max ${max}`;
  const { tookMs, missing } = stoppedWorker;
  return [
    ...Object.entries(rest).map(([name, value]): [string, string] => [name, String(value)]),
    ['broadcastMs', told(broadcastMs)],
    ['oneShardMs', told(oneShardMs)],
    ['stoppedWorker', `answered in ${tookMs} of ${stoppedWorker.deadlineMs} ms, ${missing} shards missing`],
  ];
}

import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import type { GatewayCompression } from '../shared/config.ts';
import { ChildProgram } from './child-program.ts';
import { installPeers } from './peers.ts';
import type { ReceiveArguments, ReceiveResult } from './receive-client.ts';
import { formatSummary, quantile, ratios, type Summary, summarize } from './summary.ts';
import type { SinkCounts } from './sqs-sink.ts';
import type { Mix } from './traffic-tape.ts';
import { type WorkerLoad, WorkerUnderLoad } from './worker-under-load.ts';

export interface WorkerBenchOptions {
  readonly rate: readonly number[];
  readonly shards: number;
  readonly rounds: number;
  /** Milliseconds of one measurement. */
  readonly duration: number;
  readonly compress: GatewayCompression;
  readonly mix: Mix;
  /** Receivers to compare with, at the same rate: all they do is receive. */
  readonly against: readonly string[];
  readonly json: boolean;
  readonly profile?: string;
}

export interface WorkerRateResult {
  readonly eventsPerSecond: number;
  readonly cpuSecondsPerMillion: Summary;
  /** The worker's CPU time by that of a library which only receives, in the same round. */
  readonly ratioTo: Readonly<Record<string, Summary>>;
  readonly receiversCpuSecondsPerMillion: Readonly<Record<string, Summary>>;
  readonly eventsPerBilledRequest: number;
  readonly bytesPerEvent: number;
  readonly loopDelayP99Ms: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  readonly rssMb: number;
}

export interface WorkerBenchResult {
  readonly bench: 'worker';
  readonly shards: number;
  readonly compress: GatewayCompression;
  readonly mix: Mix;
  readonly rates: readonly WorkerRateResult[];
}

interface Round {
  readonly cpuSecondsPerMillion: number;
  readonly counts: SinkCounts;
  readonly loopDelayP99Ms: number;
  readonly latenciesMs: readonly number[];
  readonly rssMb: number;
}

const longestWarmUpMs = 5000;
const withinMs = 300_000;

/** Measures a whole worker at steady rates, in turn with libraries that only receive the same. */
export async function benchWorker(options: WorkerBenchOptions): Promise<void> {
  if (options.against.some((name) => !['floor', 'ws', 'baton'].includes(name))) installPeers();
  const surroundings = await WorkerUnderLoad.start();
  const rates: WorkerRateResult[] = [];
  try {
    for (const rate of options.rate) rates.push(await benchRate(surroundings, rate, options));
  } finally {
    await surroundings.stop();
  }
  const { shards, compress, mix } = options;
  const result: WorkerBenchResult = { bench: 'worker', shards, compress, mix, rates };
  console.log(options.json ? JSON.stringify(result) : describe(result));
}

async function benchRate(
  surroundings: WorkerUnderLoad,
  rate: number,
  options: WorkerBenchOptions,
): Promise<WorkerRateResult> {
  const { shards, compress, mix, rounds, duration, against } = options;
  const eventsPerShard = Math.ceil((rate * (warmUpMs(duration) + duration)) / 1000 / shards);
  const load: WorkerLoad = { mix, compress, shards, eventsPerShard };
  surroundings.load(load);
  const workers: Round[] = [];
  const others = new Map<string, number[]>(against.map((name) => [name, []]));
  for (let round = 0; round < rounds; round += 1) {
    workers.push(await measureWorker(surroundings, rate, load, options));
    for (const name of against) others.get(name)?.push(await measureReceiver(surroundings, rate, name, load, duration));
  }
  const cpu = workers.map((round) => round.cpuSecondsPerMillion);
  const last = workers.at(-1) as Round;
  const latencies = workers.flatMap((round) => round.latenciesMs);
  return {
    eventsPerSecond: rate,
    cpuSecondsPerMillion: summarize(cpu),
    ratioTo: Object.fromEntries([...others].map(([name, values]) => [name, ratios(cpu, values)])),
    receiversCpuSecondsPerMillion: Object.fromEntries([...others].map(([name, values]) => [name, summarize(values)])),
    eventsPerBilledRequest: Math.round(last.counts.events / last.counts.billedRequests),
    bytesPerEvent: Math.round(last.counts.payloadBytes / last.counts.events),
    loopDelayP99Ms: summarize(workers.map((round) => round.loopDelayP99Ms)).median,
    latencyMs: { p50: Math.round(quantile(latencies, 0.5)), p99: Math.round(quantile(latencies, 0.99)) },
    rssMb: last.rssMb,
  };
}

function warmUpMs(duration: number): number {
  return Math.min(longestWarmUpMs, duration);
}

async function measureWorker(
  surroundings: WorkerUnderLoad,
  rate: number,
  load: WorkerLoad,
  { profile, duration }: WorkerBenchOptions,
): Promise<Round> {
  const { player, sink, latenciesMs } = surroundings;
  const execArgv = profile === undefined ? [] : ['--cpu-prof', `--cpu-prof-dir=${profile}`];
  const worker = await surroundings.startWorker(load, { execArgv });
  try {
    const warmUp = Math.ceil((rate * warmUpMs(duration)) / 1000 / load.shards);
    await player.playAtRate(rate, 0, warmUp);
    await worker.ask('usage', withinMs);
    sink.takeCounts();
    latenciesMs.length = 0;
    const measured = load.eventsPerShard - warmUp;
    await player.playAtRate(rate, warmUp, load.eventsPerShard);
    const usage = await worker.ask('usage', withinMs);
    const counts = sink.takeCounts();
    return {
      cpuSecondsPerMillion: (usage.cpuMs * 1000) / (measured * load.shards),
      counts,
      loopDelayP99Ms: usage.loopDelayMs.p99,
      latenciesMs: [...latenciesMs],
      rssMb: Math.round(usage.rssBytes / 2 ** 20),
    };
  } finally {
    await worker.end(profile === undefined ? 'SIGKILL' : 'SIGTERM');
  }
}

async function measureReceiver(
  { player }: WorkerUnderLoad,
  rate: number,
  receiver: string,
  { compress, shards, eventsPerShard }: WorkerLoad,
  duration: number,
): Promise<number> {
  player.hangUp();
  const warmUp = Math.ceil((rate * warmUpMs(duration)) / 1000);
  const task: ReceiveArguments = {
    receiver,
    gatewayUrl: `ws://127.0.0.1:${player.port}`,
    shards,
    compress,
    warmUp,
    total: eventsPerShard * shards,
  };
  const client = new ChildProgram<never, ReceiveResult>('receive-client.ts', { args: [JSON.stringify(task)] });
  try {
    while (player.listening < shards) await systemClock.sleep(20);
    const played = player.playAtRate(rate, 0, eventsPerShard);
    const { cpuMs, events } = await client.next(withinMs);
    await played;
    return (cpuMs * 1000) / events;
  } finally {
    await client.end();
  }
}

function describe({ shards, compress, mix, rates }: WorkerBenchResult): string {
  const rows = rates.flatMap((rate) => [
    [`${rate.eventsPerSecond} events/s`, ''],
    ['  CPU seconds per million', formatSummary(rate.cpuSecondsPerMillion, 1)],
    ...Object.entries(rate.ratioTo).map(([name, ratio]) => [
      `  by ${name}, receiving alone`,
      `x ${formatSummary(ratio)} of ${formatSummary(rate.receiversCpuSecondsPerMillion[name] as Summary, 1)}`,
    ]),
    ['  events per billed SQS request', String(rate.eventsPerBilledRequest)],
    ['  billed bytes an event', String(rate.bytesPerEvent)],
    ['  event loop delay p99', `${rate.loopDelayP99Ms} ms`],
    ['  gateway to SQS', `p50 ${rate.latencyMs.p50} ms, p99 ${rate.latencyMs.p99} ms`],
    ['  memory', `${rate.rssMb} MB`],
  ]);
  return `A whole worker, ${shards} shards, ${compress}, ${mix}\n${renderTable(rows).join('\n')}`;
}

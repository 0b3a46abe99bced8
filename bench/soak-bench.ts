import { startEmbeddedCloud } from '../local/cloud/embedded-cloud.ts';
import { allIntents } from '../local/discord/intents.ts';
import { startSimulator } from '../local/discord/simulator.ts';
import { renderTable } from '../local/text-table.ts';
import { systemClock } from '../shared/clock.ts';
import { SqsSink } from './sqs-sink.ts';
import { startWorkerProcess } from './worker-under-load.ts';

export interface SoakBenchOptions {
  readonly minutes: number;
  /** Events a second over all shards. */
  readonly rate: number;
  readonly shards: number;
  /** Milliseconds without SQS, from the middle on. */
  readonly outage: number;
  readonly json: boolean;
}

export interface SoakResult {
  readonly bench: 'soak';
  readonly minutes: number;
  readonly eventsPerSecond: number;
  /** Straight line through what was held after a garbage collection, the first minute, the outage and the minute after it left out. */
  readonly growthMbPerMinute: { readonly heap: number; readonly rss: number };
  readonly rssMb: { readonly start: number; readonly end: number; readonly outagePeak: number };
  readonly emitted: number;
  readonly delivered: number;
}

interface Sample {
  readonly atMinute: number;
  readonly heapMb: number;
  readonly rssMb: number;
  readonly isSteady: boolean;
}

const sampleEveryMs = 5000;
const readyWithinMs = 60_000;
/** After the outage what piled up is sent, and its memory goes back. */
const recoveryMs = 60_000;
const warmUpMs = 60_000;
const drainWithinMs = 60_000;

/** Memory of a worker under constant load, and while SQS is down. */
export async function benchSoak(options: SoakBenchOptions): Promise<void> {
  const cloud = await startEmbeddedCloud();
  const sink = new SqsSink(cloud.environment['AWS_ENDPOINT_URL_SQS'] as string);
  const sinkUrl = await sink.listen();
  const { shards, rate } = options;
  let emitted = 0;
  const simulator = await startSimulator({
    shards,
    guildsPerShard: 25,
    maxConcurrency: 16,
    replayMinAgeMs: 20_000,
    onEmit: () => {
      emitted += 1;
    },
  });
  const { token = '', apiUrl } = simulator;
  const worker = await startWorkerProcess(
    cloud,
    sinkUrl,
    { DISCORD_TOKEN: token, DISCORD_API_URL: apiUrl, DISCORD_INTENTS: String(allIntents), BATON_COMPRESS: 'none' },
    ['--expose-gc'],
  );
  try {
    const delivered = countOnce(sink);
    const untilMs = systemClock.monotonicMs() + readyWithinMs;
    const connected = () => simulator.state().sessions.filter(({ state }) => state === 'connected').length;
    while (connected() < shards) {
      if (systemClock.monotonicMs() > untilMs) throw new Error('the shards did not come up');
      await systemClock.sleep(100);
    }
    simulator.traffic.start({ eventsPerSecond: rate, interactionsPerSecond: 0 });
    const startedMs = systemClock.monotonicMs();
    const endMs = options.minutes * 60_000;
    const outageFromMs = endMs / 2 - options.outage / 2;
    const outageToMs = outageFromMs + options.outage;
    const samples: Sample[] = [];
    for (let atMs = 0; atMs < endMs; atMs = systemClock.monotonicMs() - startedMs) {
      sink.isDown = atMs >= outageFromMs && atMs < outageToMs;
      const usage = await worker.ask('usage', readyWithinMs);
      const isSteady = atMs > warmUpMs && (atMs < outageFromMs || atMs > outageToMs + recoveryMs);
      const sample = {
        atMinute: atMs / 60_000,
        heapMb: usage.heapUsedBytes / 2 ** 20,
        rssMb: usage.rssBytes / 2 ** 20,
        isSteady,
      };
      samples.push(sample);
      process.stderr.write(
        `${sample.atMinute.toFixed(1)} min: ${sample.heapMb.toFixed(0)} MB heap, ${sample.rssMb.toFixed(0)} MB RSS${sink.isDown ? ', SQS down' : ''}\n`,
      );
      await systemClock.sleep(sampleEveryMs);
    }
    sink.isDown = false;
    simulator.traffic.stop();
    const seconds = (systemClock.monotonicMs() - startedMs) / 1000;
    const drainUntilMs = systemClock.monotonicMs() + drainWithinMs;
    while (delivered() < emitted && systemClock.monotonicMs() < drainUntilMs) await systemClock.sleep(200);
    report(options, samples, { seconds, emitted, delivered: delivered() });
  } finally {
    await worker.end();
    await simulator.stop();
    await sink.close();
    await cloud.stop();
  }
}

/** Counts events of the traffic as SQS would keep them: what comes again under the same id is dropped. */
function countOnce(sink: SqsSink): () => number {
  const lastOf = new Map<string, number>();
  let count = 0;
  sink.onEnvelope = ({ shard, session, last, types }) => {
    const group = `${shard[0]} ${session}`;
    if (last <= (lastOf.get(group) ?? 0)) return;
    lastOf.set(group, last);
    for (const [type, events] of Object.entries(types)) if (type !== 'GUILD_CREATE') count += events;
  };
  return () => count;
}

function report(
  { minutes, json }: SoakBenchOptions,
  samples: readonly Sample[],
  totals: { seconds: number; emitted: number; delivered: number },
): void {
  const steady = samples.filter(({ isSteady }) => isSteady);
  const [first] = steady;
  const last = steady.at(-1);
  if (first === undefined || last === undefined) throw new Error('too short to tell anything: at least three minutes');
  const round = (value: number) => Math.round(value * 10) / 10;
  const result: SoakResult = {
    bench: 'soak',
    minutes,
    eventsPerSecond: Math.round(totals.emitted / totals.seconds),
    growthMbPerMinute: { heap: round(slope(steady, 'heapMb')), rss: round(slope(steady, 'rssMb')) },
    rssMb: {
      start: round(first.rssMb),
      end: round(last.rssMb),
      outagePeak: round(Math.max(...samples.filter(({ isSteady }) => !isSteady).map(({ rssMb }) => rssMb))),
    },
    emitted: totals.emitted,
    delivered: totals.delivered,
  };
  if (json) console.log(JSON.stringify(result));
  else {
    const rows = Object.entries(result).map(([name, value]) => [
      name,
      typeof value === 'object' ? JSON.stringify(value) : String(value),
    ]);
    console.log(renderTable(rows).join('\n'));
  }
}

/** Of the straight line with the least squares. */
function slope(samples: readonly Sample[], of: 'heapMb' | 'rssMb'): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const meanX = mean(samples.map(({ atMinute }) => atMinute));
  const meanY = mean(samples.map((sample) => sample[of]));
  let above = 0;
  let below = 0;
  for (const sample of samples) {
    above += (sample.atMinute - meanX) * (sample[of] - meanY);
    below += (sample.atMinute - meanX) ** 2;
  }
  return below === 0 ? 0 : above / below;
}

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { gatewayCompressions } from '../shared/config.ts';
import { messageOf } from '../shared/errors.ts';
import { durationMs, minutes, wholeNumber } from '../local/option-values.ts';
import type { InteractionsBenchOptions } from './interactions-bench.ts';
import type { MemoryBenchOptions } from './memory-bench.ts';
import type { PlannersBenchOptions } from './planners-bench.ts';
import type { ReceiveBenchOptions } from './receive-bench.ts';
import type { RequestsBenchOptions } from './requests-bench.ts';
import type { SoakBenchOptions } from './soak-bench.ts';
import type { BroadcastBenchOptions } from './broadcast-bench.ts';
import { mixes } from './traffic-tape.ts';
import type { BringUpBenchOptions } from './bring-up-bench.ts';
import type { DecodeBenchOptions } from './decode-bench.ts';
import type { FlameGraphOptions } from './flame-graph.ts';
import type { LatencyBenchOptions } from './latency-bench.ts';
import type { WorkerBenchOptions } from './worker-bench.ts';

/** `npm run bench -- NAME`: measures one thing on this machine. Resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync([...args], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`${messageOf(error)}\n`);
    return 1;
  }
}

function program(): Command {
  const program = new Command('bench').description('Benchmarks. BATON_* variables apply.').exitOverride();
  program
    .command('latency')
    .description('latency from the gateway to the handlers, CPU and memory of one worker in a whole local fleet')
    .option('--rate <events>', 'events a second over all shards', wholeNumber(1, 100_000), 2000)
    .option('--shards <count>', 'shards of the worker', wholeNumber(1, 2000), 16)
    .option('--duration <time>', 'how long to measure', durationMs, 20_000)
    .option('--json', 'print one JSON object', false)
    .option('--save', 'add the result to bench/results.md', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- latency --rate 4000')
    .action(async (options: LatencyBenchOptions) => (await import('./latency-bench.ts')).benchLatency(options));
  program
    .command('worker')
    .description(
      'CPU time of a whole worker (receive, pack, intents, SQS against a sink) beside libraries that only receive',
    )
    .option(
      '--rate <events>',
      'events a second over all shards, separated by commas',
      wholeNumbers(1, 100_000),
      [2000, 10_000, 20_000],
    )
    .option('--shards <count>', 'shards of the worker', wholeNumber(1, 2000), 16)
    .option('--duration <time>', 'of one measurement', durationMs, 10_000)
    .option('--rounds <count>', 'times each is measured', wholeNumber(1, 100), 2)
    .option('--compress <name>', `one of ${gatewayCompressions.join(', ')}`, oneOf(gatewayCompressions), 'zlib-stream')
    .option('--mix <name>', `one of ${mixes.join(', ')}`, oneOf(mixes), 'message')
    .option('--against <names>', 'receivers to compare with', (text: string) => text.split(','), [
      'floor',
      'cloudstorm',
    ])
    .option('--profile <folder>', "write the worker's .cpuprofile there")
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- worker --rate 10000')
    .action(async (options: WorkerBenchOptions) => (await import('./worker-bench.ts')).benchWorker(options));
  program
    .command('broadcast')
    .description('how long a question to all shards of a local fleet takes, also with a worker that stands still')
    .option('--shards <count>', 'shards of the fleet', wholeNumber(1, 2000), 32)
    .option('--workers <count>', 'worker processes', wholeNumber(2, 64), 4)
    .option('--rate <events>', 'events a second over all shards meanwhile', wholeNumber(0, 100_000), 200)
    .option('--rounds <count>', 'questions', wholeNumber(10, 10_000), 200)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- broadcast')
    .action(async (options: BroadcastBenchOptions) => (await import('./broadcast-bench.ts')).benchBroadcast(options));
  program
    .command('receive')
    .description('CPU time of receiving: Baton alone, the bare minimum, and other libraries')
    .option('--mix <names>', `of ${mixes.join(', ')}`, listOf(mixes), ['corpus', 'message'])
    .option('--compress <names>', `of ${gatewayCompressions.join(', ')}`, listOf(gatewayCompressions), [
      ...gatewayCompressions,
    ])
    .option('--receivers <names>', 'of those measured, or all', (text: string) => text.split(','), ['baton'])
    .option('--shards <count>', 'connections', wholeNumber(1, 1000), 16)
    .option('--events <count>', 'events of a round, the first third to warm up', wholeNumber(100, 10_000_000), 300_000)
    .option('--rounds <count>', 'times each is measured', wholeNumber(1, 100), 3)
    .option(
      '--rate <events>',
      'events a second over all shards; as fast as possible when left out',
      wholeNumber(1, 100_000),
    )
    .option('--profile <folder>', 'write a .cpuprofile of each process there')
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- receive --receivers all --compress zlib-stream')
    .action(async (options: ReceiveBenchOptions) => (await import('./receive-bench.ts')).benchReceive(options));
  program
    .command('interactions')
    .description('the interactions endpoint: warm in this process, and the cold start of the bundled function')
    .option('--count <interactions>', 'in this process', wholeNumber(100, 1_000_000), 20_000)
    .option('--starts <count>', 'cold starts of each kind', wholeNumber(1, 1000), 15)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- interactions')
    .action(async (options: InteractionsBenchOptions) =>
      (await import('./interactions-bench.ts')).benchInteractions(options),
    );
  program
    .command('memory')
    .description('memory of an idle shard beside that of a bare WebSocket, and of other libraries')
    .option('--receivers <names>', 'of those measured', (text: string) => text.split(','), ['baton'])
    .option('--compress <names>', `of ${gatewayCompressions.join(', ')}`, listOf(gatewayCompressions), ['none'])
    .option('--shards <counts>', 'connections of a process, separated by commas', wholeNumbers(1, 2000), [1, 50, 200])
    .option('--rounds <count>', 'times each is measured', wholeNumber(1, 100), 3)
    .option('--json', 'print one JSON object', false)
    .addHelpText(
      'after',
      '\nExample:\n  npm run bench -- memory --receivers baton,@discordjs/ws --compress none,zlib-stream',
    )
    .action(async (options: MemoryBenchOptions) => (await import('./memory-bench.ts')).benchMemory(options));
  program
    .command('requests')
    .description('billed SQS requests, DynamoDB write units and bytes per million events, on a clock of its own')
    .option('--rate <events>', 'events a second of a shard, separated by commas', numbers, [0.3, 3, 30, 100])
    .option('--shards <counts>', 'shards of the worker, separated by commas', wholeNumbers(1, 2000), [16, 64])
    .option('--linger <time>', 'length of a flush cycle', durationMs, 250)
    .option('--mix <name>', `one of ${mixes.join(', ')}`, oneOf(mixes), 'message')
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- requests --rate 3,30 --shards 64')
    .action(async (options: RequestsBenchOptions) => (await import('./requests-bench.ts')).benchRequests(options));
  program
    .command('bring-up')
    .description('time from the first IDENTIFY of a cold fleet to the last')
    .option('--shards <count>', 'shards of the fleet', wholeNumber(1, 1000), 64)
    .option('--workers <count>', 'worker processes', wholeNumber(1, 20), 3)
    .option('--rounds <count>', 'fleets that are started', wholeNumber(1, 20), 1)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- bring-up --workers 4')
    .action(async (options: BringUpBenchOptions) => (await import('./bring-up-bench.ts')).benchBringUp(options));
  program
    .command('soak')
    .description('memory of a worker under constant load, with SQS down in the middle')
    .option('--minutes <minutes>', 'how long', minutes, 10)
    .option('--rate <events>', 'events a second over all shards', wholeNumber(1, 100_000), 10_000)
    .option('--shards <count>', 'shards of the worker', wholeNumber(1, 1000), 16)
    .option('--outage <time>', 'how long SQS is down', durationMs, 60_000)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- soak --minutes 4 --rate 5000')
    .action(async (options: SoakBenchOptions) => (await import('./soak-bench.ts')).benchSoak(options));
  program
    .command('planners')
    .description('CPU time of the planners for a very large fleet')
    .option('--shards <count>', 'shards of the fleet', wholeNumber(1, 100_000), 16_000)
    .option('--workers <count>', 'workers of the fleet', wholeNumber(1, 10_000), 400)
    .option('--rounds <count>', 'times each is measured', wholeNumber(1, 100), 5)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- planners --shards 4000 --workers 100')
    .action(async (options: PlannersBenchOptions) => (await import('./planners-bench.ts')).benchPlanners(options));
  program
    .command('decode')
    .description('CPU time of the events function: decoding envelopes and calling handlers')
    .option('--events-per-envelope <count>', 'events of an envelope', wholeNumber(1, 500), 50)
    .option('--rounds <count>', 'times each is measured', wholeNumber(1, 100), 5)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- decode --events-per-envelope 10')
    .action(async (options: DecodeBenchOptions) => (await import('./decode-bench.ts')).benchDecode(options));
  program
    .command('flame-graph')
    .description('draws a .cpuprofile, as --profile writes it, as an SVG picture')
    .requiredOption('--profile <file>', 'the .cpuprofile')
    .requiredOption('--out <file>', 'the picture')
    .option('--last <time>', 'only the end of the profile', durationMs, 10_000)
    .addHelpText('after', '\nExample:\n  npm run bench -- flame-graph --profile CPU.cpuprofile --out flames.svg')
    .action(async (options: FlameGraphOptions) => (await import('./flame-graph.ts')).drawFlameGraph(options));
  return program;
}

/** For commander: numbers above zero, separated by commas. */
function numbers(text: string): number[] {
  return text.split(',').map((part) => {
    const value = /^\d{1,6}(?:\.\d{1,3})?$/.test(part) ? Number(part) : Number.NaN;
    if (!(value > 0)) throw new InvalidArgumentError('They must be numbers above zero such as 0.3,3,30.');
    return value;
  });
}

/** For commander: one name out of `known`. */
function oneOf<T extends string>(known: readonly T[]): (text: string) => T {
  return (text) => {
    const found = known.find((one) => one === text);
    if (found === undefined) throw new InvalidArgumentError(`It must be one of ${known.join(', ')}.`);
    return found;
  };
}

/** For commander: names out of `known`, separated by commas. */
function listOf<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) => text.split(',').map(oneOf(known));
}

/** For commander: whole numbers from `min` to `max`, separated by commas. */
function wholeNumbers(min: number, max: number): (text: string) => number[] {
  return (text) => text.split(',').map(wholeNumber(min, max));
}

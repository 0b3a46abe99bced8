import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import type { Focus } from './scenario.ts';
import type { RunOutcome } from './simulation.ts';
import { breakProgram, variants } from './variants.ts';
import type { Tracer } from './world.ts';

const usage = `npm run simulate -- [options]
  --seed N              one run, with its trace
  --seeds N             many runs (1000 by default)
  --seed-base S         the first of them (1)
  --jobs J              in so many processes (1)
  --variant NAME        with the protocol broken in one way
  --variants            every broken variant until it is caught, at most --seeds runs each
  --stop-at-first       no more runs after the first violation
  --quiet               no progress on stderr`;

function tell(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Progress and complaints. */
function tellAside(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** What many runs came to. */
interface Tally {
  runs: number;
  violations: number;
  firstFailingSeed: number | undefined;
  firstViolation: string | undefined;
  slowestRecoveryMs: number;
  virtualMs: number;
}

/** `npm run simulate`: resolves to the exit code, 1 when an invariant was broken (or a variant was not caught). */
export async function main(args: string[]): Promise<number> {
  const options = readOptions(args);
  if (options === undefined) {
    tellAside(usage);
    return 2;
  }
  if (options.allVariants) return catchVariants(options.seeds, options.seedBase);
  if (options.variant !== undefined) breakProgram(options.variant);
  const focus = options.variant === undefined ? undefined : variants[options.variant]?.focus;
  if (options.seed !== undefined) return replay(options.seed, focus);
  const startedMs = performance.now();
  const tally = options.jobs > 1 ? await runInProcesses(options) : await runMany(options, focus);
  if (options.isChild) {
    tell(JSON.stringify(tally));
    return 0;
  }
  const seconds = (performance.now() - startedMs) / 1000;
  if (tally.firstViolation !== undefined) tell(tally.firstViolation);
  tell(summaryLine(tally, seconds));
  return tally.violations === 0 ? 0 : 1;
}

interface Options {
  readonly seed: number | undefined;
  readonly seeds: number;
  readonly seedBase: number;
  readonly jobs: number;
  readonly variant: string | undefined;
  readonly allVariants: boolean;
  readonly stopAtFirst: boolean;
  readonly isChild: boolean;
  readonly isQuiet: boolean;
}

function readOptions(args: string[]): Options | undefined {
  try {
    const { values } = parseArgs({
      args,
      options: {
        seed: { type: 'string' },
        seeds: { type: 'string', default: '1000' },
        'seed-base': { type: 'string', default: '1' },
        jobs: { type: 'string', default: '1' },
        variant: { type: 'string' },
        variants: { type: 'boolean', default: false },
        'stop-at-first': { type: 'boolean', default: false },
        child: { type: 'boolean', default: false },
        quiet: { type: 'boolean', default: false },
      },
    });
    return {
      seed: values.seed === undefined ? undefined : wholeNumber('seed', values.seed),
      seeds: wholeNumber('seeds', values.seeds),
      seedBase: wholeNumber('seed-base', values['seed-base']),
      jobs: Math.max(1, wholeNumber('jobs', values.jobs)),
      variant: values.variant,
      allVariants: values.variants,
      stopAtFirst: values['stop-at-first'],
      isChild: values.child,
      isQuiet: values.quiet,
    };
  } catch (error) {
    tellAside(error instanceof Error ? error.message : String(error));
    return undefined;
  }
}

function wholeNumber(name: string, value: string): number {
  if (!/^\d{1,9}$/.test(value)) throw new RangeError(`--${name} must be a whole number, not ${JSON.stringify(value)}`);
  return Number(value);
}

async function replay(seed: number, focus: Focus | undefined): Promise<number> {
  const { simulate } = await import('./simulation.ts');
  const trace: Tracer = (atMs, who, what) => {
    tell(`${(atMs / 1000).toFixed(3).padStart(9)} ${who.padEnd(8)} ${what}`);
  };
  const outcome = await simulate(seed, trace, focus);
  tell(describeOutcome(outcome));
  return outcome.violation === undefined ? 0 : 1;
}

function describeOutcome({ seed, violation, virtualMs, recoveryMs, totals }: RunOutcome): string {
  const { events, envelopes, unfencedEnvelopes, sessions, identifies, resumes, droppedByDiscord } = totals;
  const figures = `${events} events in ${envelopes} envelopes (${unfencedEnvelopes} unfenced), ${droppedByDiscord} dropped by Discord, ${sessions} sessions, ${identifies} IDENTIFYs, ${resumes} RESUMEs, recovered in ${(recoveryMs / 1000).toFixed(1)} s, ${Math.round(virtualMs / 1000)} virtual s`;
  const result = violation === undefined ? 'no violation' : `VIOLATION ${violation.kind}: ${violation.detail}`;
  return `seed ${seed}: ${result}; ${figures}`;
}

/** Runs one seed after the other in this process; tells how far it is on stderr. */
async function runMany(options: Options, focus: Focus | undefined): Promise<Tally> {
  const { seeds, seedBase, stopAtFirst, isChild, isQuiet } = options;
  const { simulate } = await import('./simulation.ts');
  const tally = emptyTally();
  let toldMs = performance.now();
  for (let seed = seedBase; seed < seedBase + seeds; seed += 1) {
    const { violation, recoveryMs, virtualMs } = await simulate(seed, undefined, focus);
    tally.runs += 1;
    tally.slowestRecoveryMs = Math.max(tally.slowestRecoveryMs, recoveryMs);
    tally.virtualMs += virtualMs;
    if (violation !== undefined) {
      const line = `seed ${seed}: ${violation.kind} at ${(violation.atMs / 1000).toFixed(3)} s: ${violation.detail}`;
      tally.violations += 1;
      tally.firstFailingSeed ??= seed;
      tally.firstViolation ??= line;
      if (!isChild) tellAside(line);
      if (stopAtFirst) break;
    }
    if (performance.now() - toldMs > 5000) {
      toldMs = performance.now();
      if (isChild) tell(JSON.stringify(tally));
      else if (!isQuiet) tellProgress(tally, seeds);
    }
  }
  return tally;
}

function tellProgress({ runs, violations }: Pick<Tally, 'runs' | 'violations'>, seeds: number): void {
  tellAside(`${runs} of ${seeds} runs, ${violations} violations`);
}

function emptyTally(): Tally {
  return {
    runs: 0,
    violations: 0,
    firstFailingSeed: undefined,
    firstViolation: undefined,
    slowestRecoveryMs: 0,
    virtualMs: 0,
  };
}

/** Shares the seeds out among processes: a run uses one core. */
async function runInProcesses(options: Options): Promise<Tally> {
  const { seeds, seedBase, jobs, variant, isQuiet } = options;
  const share = Math.ceil(seeds / jobs);
  const shares = Array.from({ length: jobs }, (_, job) => ({
    base: seedBase + job * share,
    count: Math.max(0, Math.min(share, seeds - job * share)),
  })).filter(({ count }) => count > 0);
  const soFar = shares.map(emptyTally);
  let toldMs = performance.now();
  const onProgress = (job: number) => (tally: Tally) => {
    soFar[job] = tally;
    if (isQuiet || performance.now() - toldMs < 5000) return;
    toldMs = performance.now();
    tellProgress(sum(soFar), seeds);
  };
  const tallies = await Promise.all(
    shares.map(({ base, count }, job) =>
      runChild(
        ['--seeds', `${count}`, '--seed-base', `${base}`, ...(variant === undefined ? [] : ['--variant', variant])],
        onProgress(job),
      ),
    ),
  );
  return sum(tallies);
}

function sum(tallies: readonly Tally[]): Tally {
  const total = emptyTally();
  for (const tally of tallies) {
    total.runs += tally.runs;
    total.violations += tally.violations;
    total.firstFailingSeed ??= tally.firstFailingSeed;
    total.firstViolation ??= tally.firstViolation;
    total.slowestRecoveryMs = Math.max(total.slowestRecoveryMs, tally.slowestRecoveryMs);
    total.virtualMs += tally.virtualMs;
  }
  return total;
}

/** A child tells its tally on a line of its own, every few seconds and at the end. */
async function runChild(args: readonly string[], onProgress: (tally: Tally) => void = () => {}): Promise<Tally> {
  const child = spawn(process.execPath, [import.meta.filename, '--child', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  });
  let tally: Tally | undefined;
  let code: number | null = null;
  child.on('exit', (exitCode) => {
    code = exitCode;
  });
  for await (const line of createInterface({ input: child.stdout })) {
    tally = JSON.parse(line) as Tally;
    onProgress(tally);
  }
  await ended;
  if (code !== 0 || tally === undefined) {
    throw new Error(`a simulation process ended without a result: ${args.join(' ')}`);
  }
  return tally;
}

/** Runs each broken variant until it breaks an invariant. */
async function catchVariants(seeds: number, seedBase: number): Promise<number> {
  let missed = 0;
  for (const name of Object.keys(variants)) {
    const { tally, complaint } = await catchVariant(name, seeds, seedBase);
    const isCaught = tally !== undefined && tally.violations > 0;
    if (!isCaught) missed += 1;
    const result = isCaught
      ? `caught in run ${tally.runs}: ${tally.firstViolation}`
      : (complaint ?? `NOT caught in ${seeds} runs`);
    tell(`${name.padEnd(36)} ${result}`);
  }
  const count = Object.keys(variants).length;
  tell(`${count} broken variants, ${count - missed} caught, ${missed} missed`);
  return missed === 0 ? 0 : 1;
}

/** Runs one broken variant until it is caught, in a process of its own because a program can be broken only once. */
export async function catchVariant(
  name: string,
  seeds: number,
  seedBase: number,
): Promise<{ tally?: Tally; complaint?: string }> {
  try {
    const args = ['--quiet', '--variant', name, '--stop-at-first', '--seeds', `${seeds}`, '--seed-base', `${seedBase}`];
    return { tally: await runChild(args) };
  } catch (error) {
    return { complaint: error instanceof Error ? error.message : String(error) };
  }
}

function summaryLine(tally: Tally, seconds: number): string {
  const { runs, violations, firstFailingSeed, slowestRecoveryMs, virtualMs } = tally;
  const first = firstFailingSeed === undefined ? 'none' : String(firstFailingSeed);
  const hours = (virtualMs / 3_600_000).toFixed(1);
  return `${runs} runs (${hours} virtual hours, slowest recovery ${Math.round(slowestRecoveryMs / 1000)} s) in ${seconds.toFixed(0)} s, ${violations} violations, first failing seed: ${first}`;
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));

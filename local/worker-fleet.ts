import { type ChildProcess, fork, spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Clock } from '../shared/clock.ts';
import { moduleExtension } from '../shared/module-extension.ts';
import type { WorkerTally } from './report.ts';
import type { UsageMessage } from './worker-process.ts';

/** A line of a worker's log, with the fields that every line has. */
export interface WorkerLogLine {
  readonly level: string;
  readonly msg: string;
  readonly [field: string]: unknown;
}

export type WorkerState = 'running' | 'paused' | 'draining' | 'ended';

export interface WorkerFleetOptions {
  /** Given to every worker, over this process's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** What a worker gets of its own, over that. @default nothing */
  readonly environmentOf?: (workerId: string) => Readonly<Record<string, string>>;
  /** A module of the queries that the workers answer. @default the registered ones */
  readonly queriesFile?: string;
  /** Each worker's output goes to `<logDirectory>/<worker>.log`. */
  readonly logDirectory: string;
  readonly clock: Clock;
  readonly onLogLine: (workerId: string, line: WorkerLogLine) => void;
  /** A worker ended that nobody had told to. `said` is the line of stderr that tells why, or the last one. */
  readonly onCrash: (worker: WorkerSlot, end: { readonly code: number | null; readonly said: string }) => void;
}

/** The worker processes of a local fleet, by name. A name keeps its figures over restarts. */
export class WorkerFleet {
  readonly #options: WorkerFleetOptions;
  readonly #slots = new Map<string, WorkerSlot>();

  constructor(options: WorkerFleetOptions) {
    this.#options = options;
    mkdirSync(options.logDirectory, { recursive: true });
  }

  /** In order of their names' first start. */
  get workers(): readonly WorkerSlot[] {
    return [...this.#slots.values()];
  }

  /** Starts a worker of that name, again if it has ended. @throws {Error} when one is running. */
  start(workerId: string, environment: Readonly<Record<string, string>> = {}): WorkerSlot {
    let slot = this.#slots.get(workerId);
    if (slot === undefined) {
      slot = new WorkerSlot(workerId, this.#options);
      this.#slots.set(workerId, slot);
    }
    slot.start(environment);
    return slot;
  }

  /** Asks every worker to hand over and end; kills what has not ended after `withinMs`. */
  async stop(withinMs: number): Promise<void> {
    await Promise.all(
      this.workers.map(async (worker) => {
        worker.drain();
        // It has the time of its own; a process that stays has a fault, and stays in nobody's way.
        const kill = this.#options.clock.schedule(withinMs, () => worker.kill());
        await worker.ended;
        kill.cancel();
      }),
    );
  }

  /** Ends every worker at once. */
  async kill(): Promise<void> {
    await Promise.all(
      this.workers.map((worker) => {
        worker.kill();
        return worker.ended;
      }),
    );
  }
}

/** One worker name: the process that runs under it, if any, and the figures of all that did. */
export class WorkerSlot {
  readonly workerId: string;
  readonly #options: WorkerFleetOptions;
  #child: ChildProcess | undefined;
  #log: WriteStream | undefined;
  #state: WorkerState = 'ended';
  #ended: Promise<void> = Promise.resolve();
  #toldToEnd = false;
  #starts = 0;
  readonly #ends: string[] = [];
  #warnings = 0;
  #errors = 0;
  /** CPU time of the processes that have ended. */
  #earlierCpuMs = 0;
  #usage: UsageMessage = { cpuMs: 0, rssBytes: 0 };
  #usageAtMs = 0;
  #cpuPercent = 0;
  #peakRssBytes = 0;

  constructor(workerId: string, options: WorkerFleetOptions) {
    this.workerId = workerId;
    this.#options = options;
  }

  get state(): WorkerState {
    return this.#state;
  }

  get pid(): number | undefined {
    return this.#state === 'ended' ? undefined : this.#child?.pid;
  }

  /** Resolves when the process that runs now has ended; at once when there is none. */
  get ended(): Promise<void> {
    return this.#ended;
  }

  /** Of one core, between the last two reports of the process. */
  get cpuPercent(): number {
    return this.#state === 'running' || this.#state === 'draining' ? this.#cpuPercent : 0;
  }

  /** When the process last reported, on the fleet's clock; it does so every second. */
  get usageAtMs(): number {
    return this.#usageAtMs;
  }

  get rssBytes(): number {
    return this.#state === 'ended' ? 0 : this.#usage.rssBytes;
  }

  get warnings(): number {
    return this.#warnings;
  }

  get errors(): number {
    return this.#errors;
  }

  /** CPU time of all processes of this name, in milliseconds. */
  get cpuMs(): number {
    return this.#earlierCpuMs + this.#usage.cpuMs;
  }

  get tally(): WorkerTally {
    return {
      workerId: this.workerId,
      starts: this.#starts,
      cpuSeconds: this.cpuMs / 1000,
      peakRssMb: this.#peakRssBytes / 2 ** 20,
      warnings: this.#warnings,
      errors: this.#errors,
      ends: [...this.#ends],
    };
  }

  start(environment: Readonly<Record<string, string>>): void {
    if (this.#state !== 'ended') throw new Error(`worker ${this.workerId} is running`);
    this.#starts += 1;
    const startedAtMs = this.#options.clock.monotonicMs();
    this.#earlierCpuMs += this.#usage.cpuMs;
    this.#usage = { cpuMs: 0, rssBytes: 0 };
    this.#usageAtMs = startedAtMs;
    const { queriesFile } = this.#options;
    const args = queriesFile === undefined ? [] : [queriesFile];
    const child = fork(new URL(`./worker-process${moduleExtension}`, import.meta.url), args, {
      env: {
        ...process.env,
        ...this.#options.environment,
        ...this.#options.environmentOf?.(this.workerId),
        ...environment,
        BATON_WORKER_ID: this.workerId,
      },
      // Ctrl-C reaches the whole process group, and a worker must not drain before the traffic has been settled.
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    this.#state = 'running';
    this.#toldToEnd = false;
    this.#log ??= createWriteStream(join(this.#options.logDirectory, `${this.workerId}.log`));
    const log = this.#log;
    child.on('message', (message) => this.#takeUsage(message as UsageMessage));
    if (child.stdout) createInterface({ input: child.stdout }).on('line', (line) => this.#takeLine(log, line));
    let said = '';
    if (child.stderr) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        // An error that nobody caught is followed by its stack and by the version of Node.
        if (!/\bError\b/.test(said)) said = line;
        log.write(`${line}\n`);
      });
    }
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => log.write(`${error.message}\n`));
      child.once('close', (code, signal) => {
        this.#state = 'ended';
        this.#ends.push(signal ?? `with ${code}`);
        resolve();
        if (!this.#toldToEnd) this.#options.onCrash(this, { code, said });
      });
    });
  }

  /** SIGTERM: hand everything over, then exit. */
  drain(): void {
    if (this.#state === 'paused') this.#child?.kill('SIGCONT');
    if (this.#state !== 'running' && this.#state !== 'paused') return;
    this.#state = 'draining';
    this.#toldToEnd = true;
    this.#child?.kill('SIGTERM');
  }

  /** SIGKILL. */
  kill(): void {
    this.#toldToEnd = true;
    if (this.#state !== 'ended') this.#child?.kill('SIGKILL');
  }

  /**
   * Stops the process for `forMs` milliseconds (SIGSTOP, SIGCONT): it stands still and says nothing, as on a machine
   * that swaps or migrates. Resolves when it goes on, or at once when it is not running.
   */
  async pause(forMs: number): Promise<void> {
    const pid = this.pid;
    if (this.#state !== 'running' || pid === undefined) return;
    this.#state = 'paused';
    // A process of its own does it: should this one be killed meanwhile, a stopped worker could not notice and end.
    const script = 'kill -STOP "$1"; sleep "$2"; kill -CONT "$1"';
    const pauser = spawn('sh', ['-c', script, 'pause', String(pid), String(forMs / 1000)], { stdio: 'ignore' });
    await new Promise<void>((resolve, reject) => {
      pauser.once('error', reject);
      pauser.once('close', () => resolve());
    });
    if (this.#state === 'paused') this.#state = 'running';
  }

  #takeUsage(usage: UsageMessage): void {
    const nowMs = this.#options.clock.monotonicMs();
    const passedMs = nowMs - this.#usageAtMs;
    if (passedMs > 0) this.#cpuPercent = ((usage.cpuMs - this.#usage.cpuMs) / passedMs) * 100;
    this.#usage = usage;
    this.#usageAtMs = nowMs;
    this.#peakRssBytes = Math.max(this.#peakRssBytes, usage.rssBytes);
  }

  #takeLine(log: WriteStream, line: string): void {
    log.write(`${line}\n`);
    const parsed = parseLogLine(line);
    if (parsed === undefined) return;
    if (parsed.level === 'warn') this.#warnings += 1;
    if (parsed.level === 'error' || parsed.level === 'fatal') this.#errors += 1;
    this.#options.onLogLine(this.workerId, parsed);
  }
}

function parseLogLine(line: string): WorkerLogLine | undefined {
  if (!line.startsWith('{')) return undefined;
  try {
    const parsed = JSON.parse(line) as Record<string, unknown>;
    return { ...parsed, level: levelName(parsed.level), msg: String(parsed.msg) };
  } catch {
    // A line that was cut off when its process was killed.
    return undefined;
  }
}

/** pino's levels are numbers unless it is told otherwise. */
function levelName(level: unknown): string {
  if (typeof level !== 'number') return String(level);
  if (level >= 50) return 'error';
  return level >= 40 ? 'warn' : 'info';
}

import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Clock } from '../../shared/clock.ts';
import { BatonError } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { EmulatorMessage } from './emulator-child.ts';

export interface EmulatorOptions {
  /** For messages, e.g. `DynamoDB emulator`. */
  readonly name: string;
  /** The child's main program; see `runEmulator`. */
  readonly program: URL;
  /** Where the emulator keeps its data; memory when not given. */
  readonly dataDirectory: string | undefined;
  readonly environment: Readonly<Record<string, string>>;
  readonly logger: Logger;
  readonly clock: Clock;
  readonly startWithinMs: number;
}

const stopWithinMs = 2500;
const keptErrorLines = 20;

/** One emulator in a process of its own, which ends when this process ends, in whatever way. */
export class EmulatorProcess {
  readonly url: string;
  /** Rejects with an `EMULATOR_FAILED` when the process ends by itself. Never resolves. */
  readonly failed: Promise<never>;
  readonly #child: ChildProcess;
  readonly #clock: Clock;
  #stopping = false;

  /** @throws {BatonError} `EMULATOR_FAILED` with the child's own words when it does not start. */
  static async start(options: EmulatorOptions): Promise<EmulatorProcess> {
    const { name, program, dataDirectory, environment, logger, clock, startWithinMs } = options;
    const child = fork(program, dataDirectory === undefined ? [] : [dataDirectory], {
      env: { ...process.env, ...environment, NODE_OPTIONS: '' },
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    const errorLines: string[] = [];
    if (child.stderr) {
      createInterface({ input: child.stderr }).on('line', (line) => {
        errorLines.push(line);
        if (errorLines.length > keptErrorLines) errorLines.shift();
        logger.warn({ emulator: name, line }, 'the emulator wrote to stderr');
      });
    }
    const ended = describeEnd(child, errorLines);
    const timeout = new AbortController();
    try {
      const message = await Promise.race([
        once(child, 'message').then(([message]) => message as EmulatorMessage),
        ended.then((words): EmulatorMessage => ({ kind: 'failed', reason: words })),
        clock
          .sleep(startWithinMs, timeout.signal)
          .then((): EmulatorMessage => ({ kind: 'failed', reason: `not ready after ${startWithinMs} ms` })),
      ]);
      if (message.kind === 'failed') {
        const hint =
          dataDirectory === undefined ? '' : `; is ${dataDirectory} in use by another process, or not writable?`;
        throw new BatonError('EMULATOR_FAILED', `the ${name} did not start: ${message.reason}${hint}`);
      }
      return new EmulatorProcess(child, message.port, ended, options);
    } catch (error) {
      child.kill('SIGKILL');
      throw error;
    } finally {
      timeout.abort();
    }
  }

  private constructor(
    child: ChildProcess,
    port: number,
    ended: Promise<string>,
    { name, logger, clock }: EmulatorOptions,
  ) {
    this.#child = child;
    this.#clock = clock;
    this.url = `http://127.0.0.1:${port}`;
    this.failed = new Promise((_resolve, reject) => {
      void ended.then((words) => {
        if (this.#stopping) return;
        const error = new BatonError('EMULATOR_FAILED', `the ${name} died: ${words}`);
        logger.error({ err: error }, 'an emulator died');
        reject(error);
      });
    });
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Ends the process, cleanly if it will. Resolves when it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, 'exit');
    const kill = this.#clock.schedule(stopWithinMs, () => this.#child.kill('SIGKILL'));
    if (this.#child.connected) this.#child.disconnect();
    await exited;
    kill.cancel();
  }
}

async function describeEnd(child: ChildProcess, errorLines: readonly string[]): Promise<string> {
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve) => {
    child.once('close', (code, signal) => resolve([code, signal]));
    child.once('error', () => resolve([null, null]));
  });
  const end = signal === null ? `code ${code}` : signal;
  const said = errorLines.find((line) => /\b\w*Error\b/.test(line)) ?? errorLines.at(-1);
  return `it ended with ${end}${said === undefined ? '' : `: ${said.trim()}`}`;
}

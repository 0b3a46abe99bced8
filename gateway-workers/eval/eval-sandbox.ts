import { Worker } from 'node:worker_threads';
import type { Clock, Timer } from '../../shared/clock.ts';
import { clientDataOf } from '../../shared/control/client-properties.ts';
import type { RunLimits, ShardView } from '../../shared/control/request-runner.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { moduleExtension } from '../../shared/module-extension.ts';
import type { SandboxLimits } from './run-in-quickjs.ts';
import type { SandboxAnswer, SandboxRequest } from './sandbox-thread.ts';

/** What every run may use at most. A shard has up to 2500 guilds: their view takes about a megabyte. */
export const sandboxLimits: SandboxLimits = {
  timeMs: 500,
  memoryBytes: 16 * 1024 * 1024,
  stackBytes: 256 * 1024,
  maxResultLength: 32 * 1024,
};

/** Longest code, in characters: more than that is a query. */
export const maxCodeLength = 16 * 1024;
/** Runs that may wait; one that finds more is refused, so that nobody's memory fills up. */
const maxWaiting = 256;
/** The engine is compiled at the thread's start, and the machine may be busy. */
const startWithinMs = 15_000;
/** Over its time limit the engine interrupts itself; where it cannot, the thread is killed this much later. */
const graceMs = 250;
/** A thread that nobody uses costs memory. */
const idleMs = 60_000;

export interface EvalSandboxOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** @default sandboxLimits */
  readonly limits?: SandboxLimits;
}

interface Run {
  readonly request: SandboxRequest;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: BatonError) => void;
}

type Thread =
  | { readonly kind: 'none' }
  | { readonly kind: 'starting' | 'idle'; readonly worker: Worker; readonly timer: Timer }
  | { readonly kind: 'busy'; readonly worker: Worker; readonly timer: Timer; readonly run: Run };

/**
 * Runs code of operators against the views of shards: one run at a time, each in a fresh QuickJS runtime on a thread
 * of its own, which is started for the first run, killed when it hangs, and replaced after anything that smells. The
 * event loop of the worker never waits for it.
 */
export class EvalSandbox {
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #limits: SandboxLimits;
  readonly #waiting: Run[] = [];
  #thread: Thread = { kind: 'none' };
  #isClosed = false;
  /** Threads that are being killed; `close` waits for them. */
  readonly #killed = new Set<Promise<unknown>>();

  constructor({ clock, logger, limits = sandboxLimits }: EvalSandboxOptions) {
    this.#clock = clock;
    this.#logger = logger;
    this.#limits = limits;
  }

  /**
   * The value of the last expression of `code`, or what a promise there settles to, as plain JSON data.
   * @throws {BatonError} `EVAL_FAILED` when the code throws, takes too long, needs too much memory or has a result that is
   *   no JSON or too large; `REQUEST_INVALID` when the code itself is too long.
   */
  async run(code: string, view: ShardView, { signal }: Pick<RunLimits, 'signal'>): Promise<unknown> {
    if (code.length > maxCodeLength) {
      throw new BatonError(
        'REQUEST_INVALID',
        `eval: the code has ${code.length} characters: at most ${maxCodeLength} are allowed; make it a named query`,
      );
    }
    if (this.#isClosed)
      throw new BatonError('EVAL_FAILED', 'eval: this worker is leaving; ask the next owner of the shard');
    if (this.#waiting.length >= maxWaiting) {
      throw new BatonError('EVAL_FAILED', `eval: ${maxWaiting} runs are waiting on this worker; try again later`);
    }
    signal.throwIfAborted();
    const viewJson = JSON.stringify(clientDataOf(view));
    return new Promise((resolve, reject) => {
      const run: Run = { request: { code, viewJson }, resolve, reject };
      this.#waiting.push(run);
      // One that is running has a limit of its own.
      signal.addEventListener('abort', () => this.#drop(run), { once: true });
      this.#next();
    });
  }

  /** Ends the thread; runs that are not over are rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const runs = this.#waiting.splice(0);
    const thread = this.#thread;
    if (thread.kind === 'busy') runs.unshift(thread.run);
    if (thread.kind !== 'none') this.#kill(thread.worker, thread.timer);
    for (const run of runs)
      run.reject(new BatonError('EVAL_FAILED', 'eval: this worker is leaving; ask the next owner of the shard'));
    await Promise.all(this.#killed);
  }

  /** Nobody waits for it any more. */
  #drop(run: Run): void {
    const index = this.#waiting.indexOf(run);
    if (index < 0) return;
    this.#waiting.splice(index, 1);
    run.reject(failure('the code was not run in time, other runs were before it'));
  }

  #next(): void {
    if (this.#waiting.length === 0 || this.#isClosed) return;
    const thread = this.#thread;
    if (thread.kind === 'none') {
      this.#start();
      return;
    }
    if (thread.kind !== 'idle') return;
    const run = this.#waiting.shift() as Run;
    const { worker } = thread;
    thread.timer.cancel();
    const timer = this.#clock.schedule(this.#limits.timeMs + graceMs, () => {
      this.#logger.warn({ codeLength: run.request.code.length }, 'eval.killed');
      this.#kill(worker, timer);
      run.reject(failure(`the code ran longer than ${this.#limits.timeMs} ms`));
      this.#next();
    });
    this.#thread = { kind: 'busy', worker, timer, run };
    worker.postMessage(run.request);
  }

  #start(): void {
    const worker = new Worker(new URL(`./sandbox-thread${moduleExtension}`, import.meta.url), {
      workerData: this.#limits,
      // Nothing of this process is of use there, least of all its credentials.
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
    });
    const timer = this.#clock.schedule(startWithinMs, () => {
      this.#onEnd(worker, `the sandbox did not start within ${startWithinMs / 1000} s`);
    });
    this.#thread = { kind: 'starting', worker, timer };
    worker.unref();
    worker.on('message', (answer: SandboxAnswer) => this.#take(worker, answer));
    worker.on('error', (error) => this.#onEnd(worker, `the sandbox broke: ${messageOf(error)}`));
    worker.on('exit', () => this.#onEnd(worker, 'the sandbox broke'));
  }

  #take(worker: Worker, answer: SandboxAnswer): void {
    const thread = this.#thread;
    // An answer that crossed with the end of its thread.
    if (thread.kind === 'none' || thread.worker !== worker) return;
    thread.timer.cancel();
    if (answer.kind !== 'ready' && answer.spent) this.#kill(worker, thread.timer);
    else {
      this.#thread = { kind: 'idle', worker, timer: this.#clock.schedule(idleMs, () => this.#kill(worker)) };
    }
    if (thread.kind === 'busy') {
      if (answer.kind === 'value') thread.run.resolve(JSON.parse(answer.json));
      if (answer.kind === 'failed') thread.run.reject(failure(answer.message));
    }
    this.#next();
  }

  /** The thread is gone, or as good as that. What it ran fails; what waits gets a new thread, unless not even that starts. */
  #onEnd(worker: Worker, message: string): void {
    const thread = this.#thread;
    if (thread.kind === 'none' || thread.worker !== worker) return;
    this.#logger.warn({ error: message, state: thread.kind }, 'eval.thread_ended');
    this.#kill(worker, thread.timer);
    const lost = thread.kind === 'busy' ? [thread.run] : thread.kind === 'starting' ? this.#waiting.splice(0) : [];
    for (const run of lost) run.reject(failure(message));
    this.#next();
  }

  #kill(worker: Worker, timer?: Timer): void {
    timer?.cancel();
    this.#thread = { kind: 'none' };
    const killed = worker.terminate().finally(() => this.#killed.delete(killed));
    this.#killed.add(killed);
  }
}

function failure(message: string): BatonError {
  return new BatonError('EVAL_FAILED', `eval: ${message}`);
}

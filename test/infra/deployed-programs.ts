import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Context } from 'aws-lambda';
import type { Invocation, InvocationAnswer, StreamedResponse } from './function-process.ts';

/** A bundled worker run by plain Node, with nothing in its environment but what it is given. */
export class DeployedWorker {
  /** Everything it wrote, for the message of a failing test. */
  output = '';
  readonly exitCode: Promise<number | null>;
  readonly #child: ChildProcess;
  readonly #healthCheck: readonly string[];

  /** `healthCheck`: the container's command for it, as ECS has it. */
  constructor(file: string, environment: Readonly<Record<string, string>>, healthCheck: readonly string[]) {
    this.#healthCheck = healthCheck;
    this.#child = spawn(process.execPath, [file], {
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (text: Buffer) => (this.output += text.toString()));
    }
    this.exitCode = once(this.#child, 'exit').then(([code]) => code as number | null);
  }

  /** Whether its process has not ended. */
  get runs(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Runs the container's health check; resolves to its exit code. @throws {Error} when it is of another form. */
  async probe(): Promise<number | null> {
    const [kind, program, ...args] = this.#healthCheck;
    if (kind !== 'CMD' || program !== '/nodejs/bin/node')
      throw new Error(`health check ${this.#healthCheck.join(' ')}`);
    const [code] = await once(spawn(process.execPath, args, { env: {}, stdio: 'ignore' }), 'exit');
    return code as number | null;
  }

  kill(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): void {
    this.#child.kill(signal);
  }
}

/** A bundled function in a process of its own; it may be invoked several times at once, as instances of Lambda are. */
export class DeployedFunction implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #open = new Map<number, (answer: InvocationAnswer) => void>();
  readonly #responses = new Map<number, (response: StreamedResponse['response']) => void>();
  #count = 0;

  /** @throws {Error} with what it said when the function does not start. */
  static async start(file: string, environment: Readonly<Record<string, string>>): Promise<DeployedFunction> {
    const deployed = new DeployedFunction(file, environment);
    let said = '';
    deployed.#child.stderr?.on('data', (text: Buffer) => (said += text.toString()));
    const ended = once(deployed.#child, 'exit').then(() => {
      throw new Error(`the function ended at its start: ${said}`);
    });
    await Promise.race([once(deployed.#child, 'message'), ended]);
    ended.catch(() => {});
    deployed.#child.on('message', (message: InvocationAnswer | StreamedResponse) => {
      if ('response' in message) {
        deployed.#responses.get(message.number)?.(message.response);
        return;
      }
      deployed.#open.get(message.number)?.(message);
      deployed.#open.delete(message.number);
      deployed.#responses.delete(message.number);
    });
    return deployed;
  }

  private constructor(file: string, environment: Readonly<Record<string, string>>) {
    this.#child = fork(join(import.meta.dirname, 'function-process.ts'), [file], {
      env: { ...environment },
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
  }

  /** Rejects as the invocation fails. `respond` gets the response of a streaming function. */
  async invoke<Result>(
    event: unknown,
    context: Pick<Context, 'getRemainingTimeInMillis'>,
    respond?: (response: StreamedResponse['response']) => void,
  ): Promise<Result> {
    const number = (this.#count += 1);
    if (respond) this.#responses.set(number, respond);
    const invocation = {
      number,
      event,
      // Its functions do not cross to another process.
      context: JSON.parse(JSON.stringify(context)) as Invocation['context'],
      deadlineAtMs: Date.now() + context.getRemainingTimeInMillis(),
    } satisfies Invocation;
    const answer = await new Promise<InvocationAnswer>((resolve) => {
      this.#open.set(number, resolve);
      this.#child.send(invocation);
    });
    if ('failure' in answer) throw new Error(answer.failure);
    return answer.result as Result;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = once(this.#child, 'exit');
    this.#child.disconnect();
    await ended;
  }
}

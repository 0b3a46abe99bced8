import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';

/** A program of this folder as a child process, spoken to by messages: its CPU time is its own. */
export class ChildProgram<Request, Answer> {
  readonly #child: ChildProcess;
  readonly #name: string;
  readonly #answers: Answer[] = [];
  readonly #ended: Promise<void>;
  #onAnswer: (() => void) | undefined;
  #exit: string | undefined;

  constructor(file: string, options: { args?: readonly string[]; execArgv?: readonly string[]; env?: object } = {}) {
    this.#name = file;
    this.#child = fork(join(import.meta.dirname, file), [...(options.args ?? [])], {
      execArgv: [...(options.execArgv ?? [])],
      env: { ...process.env, ...options.env },
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    });
    this.#child.on('message', (answer) => {
      this.#answers.push(answer as Answer);
      this.#onAnswer?.();
    });
    this.#ended = new Promise((resolve) => {
      this.#child.on('exit', (code, signal) => {
        this.#exit = String(code ?? signal);
        this.#onAnswer?.();
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  send(request: Request): void {
    this.#child.send(request as object);
  }

  /** The next message. @throws {Error} when the program ends or says nothing for `withinMs`. */
  async next(withinMs: number): Promise<Answer> {
    if (this.#answers.length === 0 && this.#exit === undefined) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, withinMs);
        this.#onAnswer = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#onAnswer = undefined;
    }
    const answer = this.#answers.shift();
    if (answer !== undefined) return answer;
    throw new Error(
      `${this.#name} ${this.#exit === undefined ? `said nothing for ${withinMs} ms` : `ended with ${this.#exit}`}`,
    );
  }

  async ask(request: Request, withinMs: number): Promise<Answer> {
    this.send(request);
    return this.next(withinMs);
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#exit === undefined) this.#child.kill(signal);
    await this.#ended;
  }
}

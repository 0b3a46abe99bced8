import type { Clock } from '../../shared/clock.ts';
import { readClientProperty } from '../../shared/control/client-properties.ts';
import { type AnyQuery, QueryRegistry } from '../../shared/control/define-query.ts';
import type { RequestRunner, RunLimits, ShardView } from '../../shared/control/request-runner.ts';
import type { Logger } from '../../shared/logger.ts';
import { EvalSandbox } from './eval-sandbox.ts';

export interface SandboxRunnerOptions {
  /** `off`: requests to evaluate code are refused. */
  readonly evalMode: 'off' | 'sandbox';
  readonly queries: readonly AnyQuery[];
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Answers property paths, named queries and, where it is switched on, sandboxed code on one worker. */
export class SandboxRunner implements RequestRunner {
  readonly evaluate?: RequestRunner['evaluate'];
  readonly #sandbox: EvalSandbox;
  readonly #queries: QueryRegistry;

  /** @throws {BatonError} `REQUEST_INVALID` when two queries have the same name. */
  constructor({ evalMode, queries, clock, logger }: SandboxRunnerOptions) {
    this.#queries = new QueryRegistry(queries);
    this.#sandbox = new EvalSandbox({ clock, logger });
    if (evalMode === 'sandbox') this.evaluate = (code, view, limits) => this.#sandbox.run(code, view, limits);
  }

  async fetch(path: string, view: ShardView): Promise<unknown> {
    return readClientProperty(view, path);
  }

  query(name: string, args: unknown, view: ShardView, { signal }: RunLimits): Promise<unknown> {
    return this.#queries.run(name, args, view, { signal });
  }

  /** Ends the sandbox's thread. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sandbox.close();
  }
}

import {
  newQuickJSWASMModuleFromVariant,
  type QuickJSContext,
  type QuickJSHandle,
  type QuickJSWASMModule,
  Scope,
} from 'quickjs-emscripten-core';
import variant from '@jitl/quickjs-singlefile-mjs-release-sync';
import type { Clock } from '../../shared/clock.ts';
import { prelude } from './sandboxed-client.ts';

/** What one run may use. */
export interface SandboxLimits {
  readonly timeMs: number;
  /** Of the engine's heap, the view of the shard included. */
  readonly memoryBytes: number;
  readonly stackBytes: number;
  /** Characters of JSON of the result. */
  readonly maxResultLength: number;
}

/** How a run ended. `spent`: the engine has been through something after which it is better replaced. */
export type SandboxOutcome =
  | { readonly kind: 'value'; readonly json: string; readonly spent: boolean }
  | { readonly kind: 'failed'; readonly message: string; readonly spent: boolean };

const maxMessageLength = 500;
/** Jobs of promises run in rounds of so many, with a look at the clock between. */
const jobsPerRound = 100;

export const loadQuickJs = (): Promise<QuickJSWASMModule> => newQuickJSWASMModuleFromVariant(variant);

/**
 * Runs `code` in a fresh QuickJS runtime that holds a `client` made from `viewJson` and nothing of this process: no
 * module, no timer, no network. Blocks the calling thread for up to `limits.timeMs`, so it belongs on one of its own.
 * Throws only when the engine itself broke; it must not be used again then.
 */
export function runInQuickJs(
  engine: QuickJSWASMModule,
  request: { readonly code: string; readonly viewJson: string },
  limits: SandboxLimits,
  clock: Clock,
): SandboxOutcome {
  const deadlineMs = clock.monotonicMs() + limits.timeMs;
  let isTooSlow = false;
  const runtime = engine.newRuntime({
    memoryLimitBytes: limits.memoryBytes,
    maxStackSizeBytes: limits.stackBytes,
    interruptHandler: () => {
      isTooSlow ||= clock.monotonicMs() > deadlineMs;
      return isTooSlow;
    },
  });
  const scope = new Scope();
  const context = scope.manage(runtime.newContext());
  const sandbox = new Sandbox(context, scope);
  const outcome = evaluate(sandbox, request, limits, () => isTooSlow);
  // After the engine has run out of time or memory, its bookkeeping need not add up; it is thrown away whole.
  if (outcome.spent) return outcome;
  scope.dispose();
  runtime.dispose();
  return outcome;
}

function evaluate(
  sandbox: Sandbox,
  { code, viewJson }: { readonly code: string; readonly viewJson: string },
  { timeMs, maxResultLength }: SandboxLimits,
  isTooSlow: () => boolean,
): SandboxOutcome {
  const tools = sandbox.prepare(viewJson);
  const outcome = (): SandboxOutcome => {
    if (tools === undefined) return failed('the view of the shard needs too much memory', true);
    const explain = (thrown: QuickJSHandle): SandboxOutcome => {
      const words = sandbox.call(tools.describe, thrown);
      if (words.kind === 'thrown') return failed('what the code threw cannot be described', true);
      const message = sandbox.string(words.value);
      return failed(message, message.startsWith('InternalError'));
    };
    const result = sandbox.settled(sandbox.evaluate(code), isTooSlow);
    if (result.kind === 'thrown') return explain(result.value);
    if (result.kind === 'pending') {
      return failed('the promise never settles: nothing can happen in a sandbox without timers and I/O', false);
    }
    const json = sandbox.call(tools.toJson, result.value, sandbox.number(maxResultLength));
    return json.kind === 'thrown'
      ? explain(json.value)
      : { kind: 'value', json: sandbox.string(json.value), spent: false };
  };
  const ended = outcome();
  // Whatever else an interrupted run seems to have come to.
  return isTooSlow() ? failed(`the code ran longer than ${timeMs} ms`, true) : ended;
}

function failed(message: string, spent: boolean): SandboxOutcome {
  return { kind: 'failed', message, spent };
}

type Completion = { readonly kind: 'value' | 'thrown'; readonly value: QuickJSHandle };

/** One context and its handles: every one is given back when its scope ends. */
class Sandbox {
  readonly #context: QuickJSContext;
  readonly #scope: Scope;

  constructor(context: QuickJSContext, scope: Scope) {
    this.#context = context;
    this.#scope = scope;
  }

  /** Defines `client`; the answer is what is needed afterwards, or `undefined` when it does not fit into the memory. */
  prepare(viewJson: string): { toJson: QuickJSHandle; describe: QuickJSHandle } | undefined {
    const define = this.evaluate(prelude);
    if (define.kind === 'thrown') return undefined;
    const view = this.#scope.manage(this.#context.newString(viewJson));
    const tools = this.call(define.value, view, this.number(maxMessageLength));
    if (tools.kind === 'thrown') return undefined;
    const tool = (name: string) => this.#scope.manage(this.#context.getProp(tools.value, name));
    return { toJson: tool('toJson'), describe: tool('describe') };
  }

  evaluate(code: string): Completion {
    return this.#take(this.#context.evalCode(code, 'eval.js', { strict: false, strip: false, type: 'global' }));
  }

  call(run: QuickJSHandle, ...args: QuickJSHandle[]): Completion {
    return this.#take(this.#context.callFunction(run, this.#context.undefined, ...args));
  }

  number(value: number): QuickJSHandle {
    return this.#scope.manage(this.#context.newNumber(value));
  }

  string(handle: QuickJSHandle): string {
    return this.#context.getString(handle);
  }

  /** Runs jobs until a promise has settled, no job is left, or `isOver`. */
  settled(completion: Completion, isOver: () => boolean): Completion | { readonly kind: 'pending' } {
    if (completion.kind === 'thrown') return completion;
    const { runtime } = this.#context;
    for (;;) {
      const state = this.#context.getPromiseState(completion.value);
      if (state.type === 'fulfilled') {
        return { kind: 'value', value: state.notAPromise ? completion.value : this.#scope.manage(state.value) };
      }
      if (state.type === 'rejected') return { kind: 'thrown', value: this.#scope.manage(state.error) };
      if (isOver() || !runtime.hasPendingJob()) return { kind: 'pending' };
      const ran = runtime.executePendingJobs(jobsPerRound);
      if (ran.error) return { kind: 'thrown', value: this.#scope.manage(ran.error) };
    }
  }

  #take(result: ReturnType<QuickJSContext['evalCode']>): Completion {
    return result.error
      ? { kind: 'thrown', value: this.#scope.manage(result.error) }
      : { kind: 'value', value: this.#scope.manage(result.value) };
  }
}

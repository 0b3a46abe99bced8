import { parentPort, workerData } from 'node:worker_threads';
import { systemClock } from '../../shared/clock.ts';
import { loadQuickJs, runInQuickJs, type SandboxLimits, type SandboxOutcome } from './run-in-quickjs.ts';

/** To the thread: one run. */
export interface SandboxRequest {
  readonly code: string;
  readonly viewJson: string;
}

/** From the thread: once at its start, then one for each request, in order. */
export type SandboxAnswer = { readonly kind: 'ready' } | SandboxOutcome;

/** The thread that {@link EvalSandbox} runs code on: whatever happens here, the worker's event loop goes on. */
const port = parentPort;
if (port === null) throw new Error('sandbox-thread is started by the eval sandbox, as a worker thread');
const limits = workerData as SandboxLimits;
const engine = await loadQuickJs();
port.on('message', (request: SandboxRequest) => {
  const answer: SandboxAnswer = runInQuickJs(engine, request, limits, systemClock);
  port.postMessage(answer);
});
const ready: SandboxAnswer = { kind: 'ready' };
port.postMessage(ready);

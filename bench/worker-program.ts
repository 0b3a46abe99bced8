import { monitorEventLoopDelay } from 'node:perf_hooks';
import { runWorker } from '../gateway-workers/main.ts';

/** What a worker's process needed since it was last asked. */
export interface WorkerUsage {
  readonly cpuMs: number;
  readonly rssBytes: number;
  readonly heapUsedBytes: number;
  /** Of the event loop, in milliseconds. */
  readonly loopDelayMs: { readonly p50: number; readonly p99: number; readonly max: number };
}

/** A gateway worker that tells its parent what it uses whenever it is asked; `stop` ends it at once. */
process.on('disconnect', () => process.exit(0));
const resolutionMs = 5;
const delays = monitorEventLoopDelay({ resolution: resolutionMs });
delays.enable();
let last = process.cpuUsage();
process.on('message', () => {
  const { user, system } = process.cpuUsage(last);
  last = process.cpuUsage();
  globalThis.gc?.();
  // The histogram holds the timer's own period as well.
  const delay = (share: number) => Math.max(0, Math.round((delays.percentile(share) / 1e6 - resolutionMs) * 10) / 10);
  const usage: WorkerUsage = {
    cpuMs: (user + system) / 1000,
    rssBytes: process.memoryUsage.rss(),
    heapUsedBytes: process.memoryUsage().heapUsed,
    loopDelayMs: { p50: delay(50), p99: delay(99), max: delay(100) },
  };
  delays.reset();
  process.send?.(usage);
});
process.exitCode = await runWorker(process.env);
process.exit();

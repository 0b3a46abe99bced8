import type { Clock } from './clock.ts';

/**
 * Waits until `task` has ended, but no longer than `durationMs`; a task that is not over by then goes on by itself.
 * For what is worth doing and not worth waiting for. The task must not reject.
 */
export async function waitAtMost(durationMs: number, task: Promise<void>, clock: Clock): Promise<void> {
  const over = new AbortController();
  await Promise.race([task.finally(() => over.abort()), clock.sleep(durationMs, over.signal)]);
}

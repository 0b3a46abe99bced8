import { pathToFileURL } from 'node:url';
import { runWorker } from '../gateway-workers/main.ts';
import { type AnyQuery, queriesOf } from '../shared/control/define-query.ts';

/** What a worker's process tells the command that started it, every second and at its end. */
export interface UsageMessage {
  readonly cpuMs: number;
  readonly rssBytes: number;
}

const reportEveryMs = 1000;

/**
 * One gateway worker as the child of a local fleet: it lives no longer than its parent, however that ends.
 * The argument, if there is one, is the path of a module of queries.
 */
async function main(): Promise<void> {
  process.on('disconnect', () => process.exit(1));
  const reporting = setInterval(sendUsage, reportEveryMs);
  const code = await runWorker(process.env, { queries: await loadQueries(process.argv[2]) });
  clearInterval(reporting);
  sendUsage();
  process.removeAllListeners('disconnect');
  process.exitCode = code;
  process.disconnect?.();
}

async function loadQueries(file: string | undefined): Promise<AnyQuery[] | undefined> {
  if (file === undefined) return undefined;
  return queriesOf((await import(pathToFileURL(file).href)) as Record<string, unknown>, file);
}

function sendUsage(): void {
  const { user, system } = process.cpuUsage();
  const message: UsageMessage = { cpuMs: (user + system) / 1000, rssBytes: process.memoryUsage.rss() };
  // The parent may be gone between two reports; then `disconnect` ends this process.
  if (process.connected) process.send?.(message, () => {});
}

await main();

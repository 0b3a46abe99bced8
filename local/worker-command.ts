import { resolve } from 'node:path';
import { deriveManifest } from '../functions/kit/handler-manifest.ts';
import { loadHandlers } from '../functions/kit/load-handlers.ts';
import { createRegistry } from '../functions/kit/registry.ts';
import { runWorker } from '../gateway-workers/main.ts';

/** Options of `baton worker` as the command line gives them. */
export interface WorkerOptions {
  /** Folder of the bot's handlers. @default what was listed of functions/handlers */
  readonly handlers?: string;
}

/**
 * Runs a gateway worker that forwards what the handlers ask for. Resolves to the exit code.
 * @throws {BatonError} `HANDLERS_INVALID`.
 */
export async function work({ handlers }: WorkerOptions): Promise<number> {
  if (handlers === undefined) return runWorker(process.env);
  const manifest = deriveManifest(createRegistry(await loadHandlers(resolve(handlers))));
  return runWorker(process.env, { manifest });
}

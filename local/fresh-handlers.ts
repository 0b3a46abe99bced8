import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { loadHandlers } from '../functions/kit/load-handlers.ts';
import type { HandlerFile } from '../functions/kit/registry.ts';

/**
 * Loads the modules of a folder again and again, each time as they are on disk then. The module system keeps what it
 * has loaded, so every round has a version of its own in its URLs; modules of the folder that import each other stay
 * within their round. Modules of earlier rounds stay in memory: for development.
 */
export class FreshHandlers {
  readonly #directory: string;
  readonly #hooks: { deregister(): void };
  #round = 0;

  constructor(directory: string) {
    this.#directory = directory;
    const below = `${pathToFileURL(directory).href}/`;
    this.#hooks = registerHooks({
      resolve(specifier, context, nextResolve) {
        const resolved = nextResolve(specifier, context);
        const round = roundOf(context.parentURL);
        const isOfRound = round !== undefined && resolved.url.startsWith(below) && roundOf(resolved.url) === undefined;
        return isOfRound ? { ...resolved, url: `${resolved.url}${round}` } : resolved;
      },
    });
  }

  /** @throws {BatonError} `HANDLERS_INVALID` when a module does not load. */
  load(): Promise<HandlerFile[]> {
    this.#round += 1;
    return loadHandlers(this.#directory, { query: `?round=${this.#round}` });
  }

  close(): void {
    this.#hooks.deregister();
  }
}

function roundOf(url: string | undefined): string | undefined {
  return url === undefined ? undefined : /\?round=\d+$/.exec(url)?.[0];
}

import { watch } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import type { API } from '@discordjs/core';
import { deriveManifest, type HandlerManifest } from '../functions/kit/handler-manifest.ts';
import { handlersDirectory } from '../functions/kit/load-handlers.ts';
import { type CommandChanges, registerCommands } from '../functions/kit/register-commands.ts';
import { createRegistry, type Registry } from '../functions/kit/registry.ts';
import type { Clock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { FreshHandlers } from './fresh-handlers.ts';
import type { LiveRegistry } from './live-registry.ts';

export interface DevModeOptions {
  /** What the functions of the running fleet use. */
  readonly registry: LiveRegistry;
  readonly api: API;
  /** Guilds whose commands follow the handlers. */
  readonly guildIds: readonly string[];
  /** Whether workers forward every event whatever handlers ask for, as they do with the simulated Discord. */
  readonly workersForwardAll: boolean;
  /** Takes one line for the user. */
  readonly note: (line: string) => void;
  readonly clock: Clock;
  /** @default functions/handlers */
  readonly directory?: string;
}

/** Editors write a file in several steps, and people save several files at once. */
const quietForMs = 100;

/**
 * Reloads the handlers whenever a file in their folder is saved. Handlers with a mistake are told in one line, and those
 * from before stay.
 */
export class DevMode {
  readonly #options: DevModeOptions;
  readonly #handlers: FreshHandlers;
  /** What the workers forward: it was settled when they were started. */
  readonly #startedWith: HandlerManifest;
  readonly #stopping = new AbortController();
  #lastComplaint: string | undefined;
  #watching: Promise<void> = Promise.resolve();

  constructor(options: DevModeOptions) {
    this.#options = options;
    this.#handlers = new FreshHandlers(options.directory ?? handlersDirectory);
    this.#startedWith = deriveManifest(options.registry);
  }

  /** Watches until {@link stop}. Resolves once saved files will be noticed and the guilds have their commands. */
  async start(): Promise<void> {
    const { directory = handlersDirectory, note, registry } = this.#options;
    const changes = watch(directory, { recursive: true, signal: this.#stopping.signal });
    this.#watching = this.#follow(changes);
    note(`Development: ${basename(dirname(directory))}/${basename(directory)} is reloaded on save.`);
    await this.#register(registry);
  }

  /** Waits for a reload that is under way. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#watching;
    this.#handlers.close();
  }

  async #follow(changes: AsyncIterable<unknown>): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stopping;
    let changed = 0;
    let reloading: Promise<void> | undefined;
    const reloadWhenQuiet = async () => {
      for (let seen = -1; seen !== changed && !signal.aborted; ) {
        seen = changed;
        await clock.sleep(quietForMs, signal);
        if (seen === changed && !signal.aborted) await this.#reload();
      }
      reloading = undefined;
    };
    try {
      for await (const _ of changes) {
        changed += 1;
        reloading ??= reloadWhenQuiet();
      }
    } catch (error) {
      if (!signal.aborted) this.#options.note(`Handlers are not watched any more: ${messageOf(error)}`);
    }
    await reloading;
  }

  async #reload(): Promise<void> {
    const { registry, note } = this.#options;
    let next: Registry;
    try {
      next = createRegistry(await this.#handlers.load());
    } catch (error) {
      const complaint = messageOf(error).replaceAll(/\s*\n\s*/g, ' ');
      // A file that is saved again with the same mistake is no news.
      if (complaint !== this.#lastComplaint) note(`Handlers not reloaded: ${complaint}`);
      this.#lastComplaint = complaint;
      return;
    }
    this.#lastComplaint = undefined;
    registry.replace(next);
    const count = next.commandDefinitions.length;
    note(`Handlers reloaded: ${count} command${count === 1 ? '' : 's'}, ${next.events.size} types of events.`);
    this.#compareWithWorkers(next);
    await this.#register(next);
  }

  #compareWithWorkers(next: Registry): void {
    if (this.#options.workersForwardAll) return;
    const { eventTypes, intents } = deriveManifest(next);
    const forwarded = new Set(this.#startedWith.eventTypes);
    const missing = eventTypes.filter((type) => !forwarded.has(type));
    const lacksIntent = (intents & ~this.#startedWith.intents) !== 0;
    if (missing.length === 0 && !lacksIntent) return;
    this.#options.note(`Workers do not forward ${missing.join(', ') || 'all of it'} yet: start again for that.`);
  }

  async #register(registry: Registry): Promise<void> {
    const { api, guildIds, note } = this.#options;
    for (const guildId of guildIds) {
      try {
        const options = { api, registry, guildIds: [guildId], signal: this.#stopping.signal };
        for (const changes of await registerCommands(options)) if (changes.written) note(summary(changes));
      } catch (error) {
        if (!this.#stopping.signal.aborted) note(`Commands not registered: ${messageOf(error)}`);
      }
    }
  }
}

function summary({ guildId, added, changed, removed }: CommandChanges): string {
  const all = [
    ...added.map((command) => `+ ${command}`),
    ...changed.map(({ command }) => `~ ${command}`),
    ...removed.map((command) => `- ${command}`),
  ];
  return `Commands of guild ${guildId}: ${all.join(', ')}`;
}

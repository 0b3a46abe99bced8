import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import type { HandlerFile } from '../functions/kit/registry.ts';
import { systemClock } from '../shared/clock.ts';
import type { ShardFleet, ShardSpawner } from '../shared/control/shard-manager.ts';
import type { CheckedOptions } from '../shared/control/shard-manager-options.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { type LocalFleet, startFleet } from './fleet.ts';
import { InterpretedBot } from './interpreted-bot.ts';

/** Workers get this long to hand over when the manager stops. */
const drainWithinMs = 15_000;

/** The fleet of a `ShardManager` on this machine: worker processes on an embedded cloud, and the bot's handlers in this process. */
export class EmbeddedShards implements ShardSpawner {
  readonly failed: Promise<never>;
  readonly #options: CheckedOptions;
  readonly #environment: Readonly<Record<string, string | undefined>>;
  readonly #logger: Logger;
  readonly #fail: (error: unknown) => void;
  readonly #closers: (() => Promise<void>)[] = [];
  #fleet: LocalFleet | undefined;

  /** `environment` has what is not among the options: `DISCORD_API_URL`, `BATON_*`. */
  constructor(options: CheckedOptions, environment: Readonly<Record<string, string | undefined>>, logger: Logger) {
    this.#options = options;
    this.#environment = environment;
    this.#logger = logger;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'shard_manager.failed'));
    this.failed = promise;
    this.#fail = reject;
  }

  async start(): Promise<{ readonly fleet: ShardFleet }> {
    const { token, totalShards, shardList, respawn, workers, queries } = this.#options;
    try {
      const queriesFile = queries === undefined ? undefined : await existing('queries', queries);
      const handlers = await this.#loadBot();
      const logDirectory = await mkdtemp(join(tmpdir(), 'baton-shards-'));
      this.#closers.push(() => rm(logDirectory, { recursive: true, force: true }));
      const fleet = await startFleet({
        environment: {
          ...this.#environment,
          DISCORD_TOKEN: token,
          ...(totalShards !== 'auto' && { BATON_TOTAL_SHARDS: String(totalShards) }),
          ...(shardList !== 'auto' && { BATON_SHARD_MODE: 'explicit', BATON_SHARD_IDS: shardList.join(',') }),
        },
        shards: undefined,
        workers,
        dataDirectory: undefined,
        logDirectory,
        handlers: [handlers],
        queriesFile,
        respawn,
        clock: systemClock,
        random: systemRandom,
        logger: this.#logger,
      });
      this.#fleet = fleet;
      fleet.failed.catch(this.#fail);
      return { fleet: fleet.requests };
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  downReason(worker: string): string | undefined {
    return this.#fleet?.downReason(worker);
  }

  lastTrouble(): string | undefined {
    return this.#fleet?.lastTrouble;
  }

  /** Process id of a worker that runs, by its name. */
  pidOf(worker: string): number | undefined {
    return this.#fleet?.workers.workers.find(({ workerId }) => workerId === worker)?.pid;
  }

  async stop(): Promise<void> {
    const fleet = this.#fleet;
    this.#fleet = undefined;
    try {
      await fleet?.drain(drainWithinMs);
    } finally {
      await fleet?.close();
      for (const close of this.#closers.splice(0).reverse()) await close();
    }
  }

  async #loadBot(): Promise<HandlerFile> {
    const { bot, respawn, token } = this.#options;
    const file = await existing('botFile', bot.file);
    if (bot.kind === 'module') {
      const exports = (await import(pathToFileURL(file).href)) as Record<string, unknown>;
      return { file: join(basename(dirname(file)), basename(file)), exports };
    }
    const started = await InterpretedBot.start({
      file,
      command: bot.command,
      environment: { DISCORD_TOKEN: token },
      respawn,
      clock: systemClock,
      logger: this.#logger,
    });
    this.#closers.push(() => started.bot.stop());
    return started.handlers;
  }
}

async function existing(option: string, file: string): Promise<string> {
  const path = resolve(file);
  const found = await stat(path).catch(() => undefined);
  if (found?.isFile() === true) return path;
  throw new BatonError(
    'REQUEST_INVALID',
    `createShardManager: ${option}=${JSON.stringify(file)} must be a file; there is none at ${path}`,
  );
}

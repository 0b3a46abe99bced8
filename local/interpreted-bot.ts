import { type ChildProcess, spawn } from 'node:child_process';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { defineEvent } from '../functions/kit/define-event.ts';
import type { EventContext } from '../functions/kit/event-context.ts';
import type { EventType } from '../functions/kit/event-types.ts';
import type { HandlerFile } from '../functions/kit/registry.ts';
import type { Clock } from '../shared/clock.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { RestartBackoff } from './restart-backoff.ts';

export interface InterpretedBotOptions {
  readonly file: string;
  /** The interpreter and its first arguments; the file comes last. */
  readonly command: readonly string[];
  /** Given to the bot, over this process's own environment. */
  readonly environment: Readonly<Record<string, string>>;
  readonly respawn: boolean;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The first line of a bot: what it wants. */
const helloSchema = z.object({ events: z.array(z.string().regex(/^[A-Z_]+$/)).min(1) });
/** Every further one: an event is done, or went wrong. */
const answerSchema = z.object({ id: z.int(), error: z.string().optional() });

const helloWithinMs = 30_000;
const stopWithinMs = 5000;

interface Running {
  readonly child: ChildProcess;
  readonly events: readonly string[];
}

/**
 * A bot in a language of its own: one process, which says on its first line of output which events it wants, gets each
 * as a line of JSON, and answers with its number (docs/shard-manager.md). To the fleet it is a module of handlers.
 */
export class InterpretedBot {
  readonly #options: InterpretedBotOptions;
  readonly #backoff = new RestartBackoff();
  readonly #stopping = new AbortController();
  readonly #waiting = new Map<number, { resolve: () => void; reject: (error: Error) => void }>();
  #running: Promise<Running>;
  #child: ChildProcess | undefined;
  /** It has said hello once, so it is a bot. */
  #hasRun = false;
  #ended: Promise<void> = Promise.resolve();
  #lastId = 0;

  /** Starts it. @throws {BatonError} `HANDLERS_INVALID` when it ends or says something else before its first line is complete. */
  static async start(options: InterpretedBotOptions): Promise<{ bot: InterpretedBot; handlers: HandlerFile }> {
    const bot = new InterpretedBot(options);
    const { events } = await bot.#running;
    const file = `${basename(dirname(options.file))}/${basename(options.file)}`;
    const definitions = events.map((type) => [
      type,
      defineEvent(type as EventType, (data, ctx) => bot.#handle(type, data, ctx)),
    ]);
    return { bot, handlers: { file, exports: Object.fromEntries(definitions) as Record<string, unknown> } };
  }

  private constructor(options: InterpretedBotOptions) {
    this.#options = options;
    this.#running = this.#spawn();
    // Whoever has an event for it waits for this; there may be nobody.
    this.#running.catch(() => {});
  }

  /** Closes its input, and ends it when that does not. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    const child = this.#child;
    child?.stdin?.end();
    child?.kill('SIGTERM');
    const kill = this.#options.clock.schedule(stopWithinMs, () => child?.kill('SIGKILL'));
    await this.#ended;
    kill.cancel();
  }

  async #handle(type: string, data: unknown, { shard, guildId, signal }: EventContext): Promise<void> {
    const { child } = await untilAborted(this.#running, signal);
    this.#lastId += 1;
    const id = this.#lastId;
    const answered = new Promise<void>((resolve, reject) => this.#waiting.set(id, { resolve, reject }));
    child.stdin?.write(
      `${JSON.stringify({ id, type, shard: { id: shard.id, total: shard.total }, guildId: guildId ?? null, data })}\n`,
    );
    try {
      await untilAborted(answered, signal);
    } finally {
      this.#waiting.delete(id);
    }
  }

  #spawn(): Promise<Running> {
    const { command, file, environment, clock, logger } = this.#options;
    const [program, ...args] = command as [string, ...string[]];
    const child = spawn(program, [...args, file], {
      env: { ...process.env, ...environment },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    const { promise, resolve, reject } = Promise.withResolvers<Running>();
    const refuse = (problem: string) => {
      reject(
        new BatonError(
          'HANDLERS_INVALID',
          `${file}: ${problem}; its first line must be such as {"events":["MESSAGE_CREATE"]}`,
        ),
      );
      child.kill('SIGKILL');
    };
    const timer = clock.schedule(helloWithinMs, () => refuse(`said nothing within ${helloWithinMs / 1000} s`));
    let hasSaidHello = false;
    createInterface({ input: child.stdout }).on('line', (line) => {
      const message = parseLine(line);
      if (hasSaidHello) {
        this.#take(message, line);
        return;
      }
      const hello = helloSchema.safeParse(message);
      timer.cancel();
      if (!hello.success) {
        refuse(`its first line is ${JSON.stringify(line.slice(0, 200))}`);
        return;
      }
      hasSaidHello = true;
      this.#hasRun = true;
      resolve({ child, events: hello.data.events });
    });
    createInterface({ input: child.stderr }).on('line', (line) => logger.warn({ file, line }, 'bot.stderr'));
    // A bot that ends while it is written to: its end says everything.
    child.stdin.on('error', (error) => logger.debug({ file, error: messageOf(error) }, 'bot.input_closed'));
    this.#ended = new Promise((ended) => {
      child.once('error', (error) => refuse(`${program} cannot be run: ${messageOf(error)}`));
      child.once('close', (code, signal) => {
        timer.cancel();
        const how = `${file} ended ${signal ?? `with exit code ${code}`}`;
        if (!hasSaidHello) refuse(`ended ${signal ?? `with exit code ${code}`} before its first line`);
        this.#onEnd(how);
        ended();
      });
    });
    return promise;
  }

  #take(message: unknown, line: string): void {
    const answer = answerSchema.safeParse(message);
    if (!answer.success) {
      this.#options.logger.info({ file: this.#options.file, line }, 'bot.says');
      return;
    }
    const { id, error } = answer.data;
    const waiting = this.#waiting.get(id);
    if (error === undefined) waiting?.resolve();
    else waiting?.reject(new Error(error));
  }

  #onEnd(how: string): void {
    const { clock, logger, respawn, file } = this.#options;
    for (const { reject } of this.#waiting.values()) reject(new Error(how));
    this.#waiting.clear();
    if (this.#stopping.signal.aborted || !this.#hasRun) return;
    if (!respawn) {
      logger.error({ file, how }, 'bot.stays_down');
      this.#running = Promise.reject(new Error(`${how}; it stays down (respawn is false)`));
      this.#running.catch(() => {});
      return;
    }
    const pauseMs = this.#backoff.pauseMs(file, clock.monotonicMs());
    logger.warn({ file, how, pauseMs }, 'bot.restarts');
    this.#running = clock.sleep(pauseMs, this.#stopping.signal).then(() => {
      this.#stopping.signal.throwIfAborted();
      return this.#spawn();
    });
    this.#running.catch((error: unknown) => {
      if (!this.#stopping.signal.aborted) logger.error({ file, error: messageOf(error) }, 'bot.not_restarted');
    });
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // Whatever else it prints.
    return undefined;
  }
}

/** The promise, or a rejection when `signal` aborts first. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}

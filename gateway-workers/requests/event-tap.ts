import { Bell } from '../../shared/bell.ts';
import type { Clock } from '../../shared/clock.ts';
import type { Replies } from '../../shared/control/replies.ts';
import type { TailBatch, TailedEvent, WorkerRequest } from '../../shared/control/requests.ts';
import type { Incarnation } from '../../shared/coordination/model.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { scanGuildFields } from '../gateway/frame-scan.ts';

export interface EventTapOptions {
  readonly incarnation: Incarnation;
  readonly workerId: string;
  readonly replies: Replies;
  readonly clock: Clock;
  readonly logger: Logger;
}

type TailRequest = Extract<WorkerRequest, { kind: 'tail' }>;

interface Tail {
  readonly id: string;
  readonly types: ReadonlySet<string> | undefined;
  readonly guilds: ReadonlySet<string> | undefined;
  readonly perBatch: number;
  untilMs: number;
  batches: number;
  events: TailedEvent[];
  skipped: number;
}

const batchEveryMs = 250;
/** Opening a tail rings; the wait needs only an end. */
const idleMs = 60_000;
/** Tails at once; they cost time on the way of every event. */
const maxTails = 8;

/**
 * Lets people look at the events that pass, as summaries. While nobody looks, an event costs one read of
 * {@link isOpen}; while somebody does, what is above the rate is only counted.
 */
export class EventTap {
  isOpen = false;
  readonly #options: EventTapOptions;
  readonly #tails = new Map<string, Tail>();
  readonly #bell: Bell;

  constructor(options: EventTapOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
  }

  /** Opens a tail, or extends the one that is open. `false` when there are too many. */
  open({ tail: id, types, guilds, perSecond, forMs }: TailRequest): boolean {
    const untilMs = this.#options.clock.monotonicMs() + forMs;
    const open = this.#tails.get(id);
    if (open !== undefined) {
      open.untilMs = untilMs;
      return true;
    }
    if (this.#tails.size >= maxTails) return false;
    this.#tails.set(id, {
      id,
      types: types.length === 0 ? undefined : new Set(types),
      guilds: guilds.length === 0 ? undefined : new Set(guilds),
      perBatch: Math.max(1, Math.round((perSecond * batchEveryMs) / 1000)),
      untilMs,
      batches: 0,
      events: [],
      skipped: 0,
    });
    this.isOpen = true;
    this.#bell.ring();
    return true;
  }

  /** Called with every dispatch while {@link isOpen}. */
  see(shard: number, bytes: Buffer, seq: number, type: string): void {
    let event: TailedEvent | undefined;
    for (const tail of this.#tails.values()) {
      if (tail.types?.has(type) === false) continue;
      // Only a tail of certain guilds must know the guild of what it leaves out.
      if (tail.guilds === undefined && tail.events.length >= tail.perBatch) {
        tail.skipped += 1;
        continue;
      }
      event ??= this.#summaryOf(shard, bytes, seq, type);
      if (tail.guilds !== undefined && !(event.guildId !== undefined && tail.guilds.has(event.guildId))) continue;
      if (tail.events.length < tail.perBatch) tail.events.push(event);
      else tail.skipped += 1;
    }
  }

  /** Sends what was seen, four times a second, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#bell.wait(this.isOpen ? batchEveryMs : idleMs, signal);
      await this.#sendBatches();
    }
  }

  #summaryOf(shard: number, bytes: Buffer, seq: number, type: string): TailedEvent {
    const fields = scanGuildFields(bytes);
    const isGuild = type.startsWith('GUILD_') && fields?.guildId === undefined;
    const guildId = isGuild ? fields?.id : fields?.guildId;
    return {
      shard,
      seq,
      type,
      bytes: bytes.length,
      atMs: Math.round(this.#options.clock.wallClockMs()),
      ...(guildId !== undefined && { guildId }),
      ...(fields?.id !== undefined && { id: fields.id }),
    };
  }

  async #sendBatches(): Promise<void> {
    const { incarnation, workerId, replies, clock, logger } = this.#options;
    for (const tail of this.#tails.values()) {
      if (clock.monotonicMs() >= tail.untilMs) {
        this.#tails.delete(tail.id);
        this.isOpen = this.#tails.size > 0;
        continue;
      }
      if (tail.events.length + tail.skipped === 0) continue;
      const batch: TailBatch = { workerId, events: tail.events, skipped: tail.skipped };
      tail.events = [];
      tail.skipped = 0;
      tail.batches += 1;
      const from = `${incarnation}.${String(tail.batches).padStart(9, '0')}`;
      try {
        await replies.send(tail.id, from, batch);
      } catch (error) {
        logger.warn({ tail: tail.id, error: messageOf(error) }, 'tail.batch_not_sent');
      }
    }
  }
}

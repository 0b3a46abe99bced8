import type { Clock, Timer } from '../clock.ts';
import type { Incarnation } from '../coordination/model.ts';
import { messageOf } from '../errors.ts';
import type { Logger } from '../logger.ts';

/**
 * What is told of a fleet's life. `wish`: shards shall move, and why; `handoff`: they did, by their owner's doing;
 * `takeover`: they were taken from a worker that is dead; `operator`: somebody asked for it.
 */
export const timelineKinds = [
  'join',
  'leave',
  'fence',
  'succession',
  'grant',
  'wish',
  'handoff',
  'takeover',
  'operator',
] as const;
export type TimelineKind = (typeof timelineKinds)[number];

/** Something that happened to the fleet, for people. Workers are named by incarnation. */
export interface TimelineDeed {
  readonly kind: TimelineKind;
  readonly shards?: readonly number[];
  /** Who had the shards, or the worker that it is about. */
  readonly from?: Incarnation;
  /** Who gets the shards, or the role. */
  readonly to?: Incarnation;
  /** The worker's name, where it is known: by then its record may be gone. */
  readonly name?: string;
  /** In words: `drain`, `cpu`, `silent`, or what an operator asked for. */
  readonly reason?: string;
  /** Who asked for it, of an operator. */
  readonly by?: string;
}

export interface TimelineEntry extends TimelineDeed {
  /** Unix milliseconds, by the clock of whoever wrote it. */
  readonly atMs: number;
}

/** Takes deeds as they happen. */
export interface TimelineSink {
  record(deed: TimelineDeed): void;
}

/** Where entries are kept, for a day. */
export interface TimelineStore {
  append(entry: TimelineEntry): Promise<void>;
  /** The latest entries since `sinceMs`, at most `limit`, oldest first. */
  list(query: { readonly sinceMs: number; readonly limit: number }): Promise<TimelineEntry[]>;
}

/** Deeds of one kind that happen within this time become one entry: a drain moves hundreds of shards. */
const gatherMs = 500;

export interface TimelineRecorderOptions {
  readonly store: TimelineStore;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Gathers deeds for a moment and stores them. An entry that cannot be stored is logged and left out: it is for people alone. */
export class TimelineRecorder implements TimelineSink {
  readonly #options: TimelineRecorderOptions;
  readonly #gathered = new Map<string, { atMs: number; deed: TimelineDeed; shards: Set<number> }>();
  readonly #storing = new Set<Promise<void>>();
  #timer: Timer | undefined;

  constructor(options: TimelineRecorderOptions) {
    this.#options = options;
  }

  record(deed: TimelineDeed): void {
    const { clock } = this.#options;
    const { shards = [], ...rest } = deed;
    const key = JSON.stringify(rest);
    const known = this.#gathered.get(key);
    if (known === undefined) {
      this.#gathered.set(key, { atMs: Math.round(clock.wallClockMs()), deed: rest, shards: new Set(shards) });
    } else {
      for (const shard of shards) known.shards.add(shard);
    }
    this.#timer ??= clock.schedule(gatherMs, () => this.#store());
  }

  /** Stores what was gathered. Never rejects. */
  async flush(): Promise<void> {
    this.#store();
    await Promise.all(this.#storing);
  }

  #store(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const entries = [...this.#gathered.values()].map(({ atMs, deed, shards }) => ({
      atMs,
      ...deed,
      ...(shards.size > 0 && { shards: [...shards].sort((one, other) => one - other) }),
    }));
    this.#gathered.clear();
    for (const entry of entries) {
      const storing = this.#options.store
        .append(entry)
        .catch((error: unknown) => {
          this.#options.logger.warn({ kind: entry.kind, error: messageOf(error) }, 'timeline.not_stored');
        })
        .finally(() => this.#storing.delete(storing));
      this.#storing.add(storing);
    }
  }
}

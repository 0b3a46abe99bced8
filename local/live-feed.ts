import { Bell } from '../shared/bell.ts';
import type { Clock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { FleetView, HappeningView, LivePoint, LiveUpdate, ShardView } from '../shared/stats/fleet-view.ts';

export interface LiveFeedOptions {
  readonly look: () => Promise<FleetView>;
  /** What happened since. */
  readonly happenings: (sinceMs: number) => Promise<HappeningView[]>;
  /** What only this machine knows of the run, such as what the simulator sent. @default nothing */
  readonly run?: () => LiveUpdate['run'];
  readonly clock: Clock;
  readonly logger: Logger;
}

const lookEveryMs = 1000;
/** While nobody watches: enough for a chart to begin with. */
const lookUnwatchedEveryMs = 5000;
/** Ten minutes. */
const pointsKept = 600;
/** The timeline is read this often; clocks of writers may differ by as much as is read again. */
const happeningsEveryMs = 2000;
const dayMs = 24 * 60 * 60 * 1000;

type Send = (event: string, data: unknown) => void;

/** Looks at the fleet every second while anybody watches, now and then otherwise, and sends each page what is new to it. */
export class LiveFeed {
  readonly #options: LiveFeedOptions;
  readonly #points: LivePoint[] = [];
  readonly #watchers = new Set<Watcher>();
  readonly #bell: Bell;
  #latest: FleetView | undefined;
  #happenings: readonly HappeningView[] = [];
  #happeningsReadMs = Number.NEGATIVE_INFINITY;
  #trouble: string | undefined;

  constructor(options: LiveFeedOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
  }

  /** Looks until `signal` aborts. A look that fails is told to the pages, which go on showing the one before. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      const startedMs = clock.monotonicMs();
      try {
        await this.#look();
        this.#trouble = undefined;
      } catch (error) {
        this.#trouble = messageOf(error);
        logger.warn({ error: this.#trouble }, 'console.fleet_unreadable');
      }
      for (const watcher of this.#watchers) watcher.update(this.#latest, this.#happenings, this.#update());
      const everyMs = this.#watchers.size > 0 ? lookEveryMs : lookUnwatchedEveryMs;
      await this.#bell.wait(Math.max(100, everyMs - (clock.monotonicMs() - startedMs)), signal);
    }
  }

  /** Sends what there is, then what is new, until `signal` aborts. */
  async watch(send: Send, signal: AbortSignal): Promise<void> {
    const watcher = new Watcher(send);
    send('points', this.#points);
    watcher.update(this.#latest, this.#happenings, this.#update());
    this.#watchers.add(watcher);
    this.#bell.ring();
    await new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      else signal.addEventListener('abort', () => resolve(), { once: true });
    });
    this.#watchers.delete(watcher);
  }

  #update(): Pick<LiveUpdate, 'point' | 'run' | 'trouble'> {
    const point = this.#points.at(-1);
    const run = this.#options.run?.();
    return {
      ...(point && { point }),
      ...(run && { run }),
      ...(this.#trouble !== undefined && { trouble: this.#trouble }),
    };
  }

  async #look(): Promise<void> {
    const { look, happenings, clock } = this.#options;
    const view = await look();
    this.#latest = view;
    this.#points.push(livePoint(view, this.#options.run?.()));
    if (this.#points.length > pointsKept) this.#points.shift();
    if (clock.monotonicMs() - this.#happeningsReadMs < happeningsEveryMs) return;
    this.#happeningsReadMs = clock.monotonicMs();
    this.#happenings = await happenings(clock.wallClockMs() - dayMs);
  }
}

/** The figures of a moment that the charts show. */
function livePoint(view: FleetView, run: LiveUpdate['run']): LivePoint {
  const ready = view.shards.filter((shard) => shard.ready);
  const latencies = ready.map((shard) => shard.latencyMs ?? 0).sort((one, other) => one - other);
  return {
    atMs: view.atMs,
    eventsPerSecond: run?.deliveredPerSecond ?? ready.reduce((sum, shard) => sum + (shard.eventsPerSecond ?? 0), 0),
    ...(run?.emittedPerSecond !== undefined && { emittedPerSecond: run.emittedPerSecond }),
    latencyMs: latencies[Math.floor(latencies.length / 2)] ?? 0,
    latencyMaxMs: latencies.at(-1) ?? 0,
    ...(run?.latencyMs && { deliveryP50Ms: run.latencyMs.p50, deliveryP99Ms: run.latencyMs.p99 }),
  };
}

/** One page, and what it has been told. */
class Watcher {
  readonly #send: Send;
  readonly #told = new Map<number, string>();
  #view: FleetView | undefined;
  #happeningsAtMs = Number.NEGATIVE_INFINITY;
  #happeningsTold = 0;

  constructor(send: Send) {
    this.#send = send;
  }

  update(
    view: FleetView | undefined,
    happenings: readonly HappeningView[],
    rest: Pick<LiveUpdate, 'point' | 'run' | 'trouble'>,
  ): void {
    const lastAtMs = happenings.at(-1)?.atMs ?? Number.NEGATIVE_INFINITY;
    if (lastAtMs !== this.#happeningsAtMs || happenings.length !== this.#happeningsTold) {
      this.#happeningsAtMs = lastAtMs;
      this.#happeningsTold = happenings.length;
      this.#send('happenings', happenings);
    }
    if (view === undefined) {
      if (rest.trouble !== undefined) this.#send('trouble', rest.trouble);
      return;
    }
    // The same look again: this one failed, and the page learns why what it shows grows old.
    const isNew = view !== this.#view;
    this.#view = view;
    const { shards, ...fleet } = view;
    const update: LiveUpdate = { ...fleet, ...rest, shards: isNew ? this.#changed(shards) : [] };
    this.#send('fleet', update);
  }

  #changed(shards: readonly ShardView[]): ShardView[] {
    return shards.filter((shard) => {
      const text = JSON.stringify(shard);
      if (this.#told.get(shard.id) === text) return false;
      this.#told.set(shard.id, text);
      return true;
    });
  }
}

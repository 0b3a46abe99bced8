import type { Clock } from '../../shared/clock.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import type { HappeningView, ShardHistory } from '../../shared/stats/fleet-view.ts';
import type { TimelineStore } from '../../shared/stats/timeline.ts';
import type { DynamoDbSeries } from './dynamodb-series.ts';
import type { FleetCollector } from './fleet-collector.ts';
import { happeningsOf } from './happenings.ts';

export interface ConsoleApiOptions {
  readonly collector: FleetCollector;
  readonly series: DynamoDbSeries;
  readonly timeline: TimelineStore;
  readonly store: CoordinationStore;
  readonly clock: Clock;
}

const dayMs = 24 * 60 * 60 * 1000;
/** A page shows hundreds; more would only make the answer large. */
const mostHappenings = 500;

/** What the console asks for: read-only, by path. */
export class ConsoleApi {
  readonly #options: ConsoleApiOptions;

  constructor(options: ConsoleApiOptions) {
    this.#options = options;
  }

  /**
   * `/api/fleet`, `/api/series`, `/api/timeline` and `/api/shards/<id>`, the last three with `since` in Unix
   * milliseconds. Resolves with `undefined` for any other path; rejects like the reads of the tables.
   */
  async get(path: string, query: URLSearchParams): Promise<unknown> {
    const { collector, series, clock } = this.#options;
    // Nothing is kept for longer than a day, and no number of minutes makes the answer larger than that.
    const asked = Number(query.get('since') ?? 0);
    const sinceMs = Math.max(Number.isFinite(asked) ? asked : 0, clock.wallClockMs() - dayMs);
    if (path === '/api/fleet') return collector.look();
    if (path === '/api/series') return series.read(sinceMs);
    if (path === '/api/timeline') return this.happenings(sinceMs);
    const shardId = /^\/api\/shards\/(\d{1,6})$/.exec(path)?.[1];
    return shardId === undefined ? undefined : this.#shard(Number(shardId), sinceMs);
  }

  /** What happened since, oldest first, at most the last 500. */
  async happenings(sinceMs: number): Promise<HappeningView[]> {
    const { timeline, store } = this.#options;
    const [entries, workers] = await Promise.all([
      timeline.list({ sinceMs, limit: mostHappenings }),
      store.listWorkers(),
    ]);
    return happeningsOf(entries, new Map(workers.map(({ incarnation, workerId }) => [incarnation, workerId])));
  }

  /** `undefined` for a shard that the fleet does not have. */
  async #shard(shardId: number, sinceMs: number): Promise<ShardHistory | undefined> {
    const { series, store } = this.#options;
    const shardCount = (await store.readFleet())?.shardCount ?? 0;
    if (shardId >= shardCount) return undefined;
    const [points, happenings] = await Promise.all([
      series.readShard({ shardId, shardCount }, sinceMs),
      this.happenings(sinceMs),
    ]);
    return { points, happenings: happenings.filter(({ shards }) => shards.includes(shardId)) };
  }
}

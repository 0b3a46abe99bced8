import { useEffect, useState } from 'preact/hooks';
import type { HappeningView, LivePoint, LiveUpdate, ShardView, WorkerView } from '../../shared/stats/fleet-view.ts';
import type { ConsoleAbilities, FleetListener } from './fleet-client.ts';
import { type ShardStatus, shardStatus, shardStatuses, type WorkerStatus, workerStatus } from './shard-status.ts';

export interface ShardCell {
  readonly shard: ShardView;
  readonly status: ShardStatus;
}

/** A worker with its shards, or those without a worker. */
export interface WorkerGroup {
  /** The incarnation; empty for the shards that nobody has. */
  readonly key: string;
  readonly worker: WorkerView | undefined;
  readonly status: WorkerStatus;
  readonly cells: readonly ShardCell[];
}

/** What the page shows, made anew with every update. */
export interface FleetPicture {
  readonly view: Omit<LiveUpdate, 'shards'>;
  readonly groups: readonly WorkerGroup[];
  readonly cells: ReadonlyMap<number, ShardCell>;
  readonly counts: Readonly<Record<ShardStatus, number>>;
  readonly guildCount: number;
  readonly memberCount: number;
}

const pointsKept = 600;
/** A page that has heard nothing for so long says so. */
export const staleAfterMs = 4000;

/** Everything that the server told, put together. Components subscribe to it. */
export class FleetModel implements FleetListener {
  picture: FleetPicture | undefined;
  abilities: ConsoleAbilities | undefined;
  points: LivePoint[] = [];
  happenings: readonly HappeningView[] = [];
  trouble: string | undefined;
  /** When what is shown was true, by this page's clock. */
  heardAtMs: number | undefined;
  readonly #shards = new Map<number, ShardView>();
  /** Of each shard as it was last told: a new owner takes seconds to tell, and guilds do not go meanwhile. */
  readonly #sizes = new Map<number, ShardSize>();
  /** Of each worker its counter, and since when it has been that, by the reader's clock. */
  readonly #counters = new Map<string, { counter: number; sinceMs: number }>();
  readonly #listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  onAbilities(abilities: ConsoleAbilities): void {
    this.abilities = abilities;
    this.#tell();
  }

  onUpdate({ shards, ...view }: LiveUpdate): void {
    for (const shard of shards) {
      this.#shards.set(shard.id, shard);
      const { id, guildCount, figures } = shard;
      if (guildCount !== undefined) this.#sizes.set(id, { guildCount, memberCount: figures?.memberCount ?? 0 });
    }
    for (const id of this.#shards.keys()) {
      if (id < (view.shardCount ?? 0)) continue;
      this.#shards.delete(id);
      this.#sizes.delete(id);
    }
    this.trouble = view.trouble;
    if (view.trouble === undefined) this.heardAtMs = performance.now();
    const { point } = view;
    if (point !== undefined && point.atMs !== this.points.at(-1)?.atMs) {
      this.points.push(point);
      if (this.points.length > pointsKept) this.points.shift();
    }
    const watched = { ...view, workers: this.#watch(view) };
    this.picture = pictureOf(watched, [...this.#shards.values()], [...this.#sizes.values()]);
    this.#tell();
  }

  /**
   * Whoever answers may have only just begun to look, as a function that was started for this very request has: what this
   * page itself has seen of a counter counts too.
   */
  #watch({ workers, atMs }: Omit<LiveUpdate, 'shards'>): WorkerView[] {
    const before = new Map(this.#counters);
    this.#counters.clear();
    return workers.map((worker) => {
      const known = before.get(worker.incarnation);
      const sinceMs = known?.counter === worker.counter ? known.sinceMs : atMs;
      this.#counters.set(worker.incarnation, { counter: worker.counter, sinceMs });
      return { ...worker, stillForMs: Math.max(worker.stillForMs, atMs - sinceMs) };
    });
  }

  onPoints(points: readonly LivePoint[]): void {
    if (points.length > 0) this.points = [...points];
  }

  onHappenings(happenings: readonly HappeningView[]): void {
    this.happenings = happenings;
    this.#tell();
  }

  onTrouble(reason: string): void {
    this.trouble = reason;
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Whether no worker's counter moves: then it is the table that takes no heartbeats, and nobody need be dead. */
export function isTableStill({ workers, heartbeatMs }: Pick<FleetPicture['view'], 'workers' | 'heartbeatMs'>): boolean {
  const counted = workers.filter((worker) => !worker.fenced && worker.process !== 'ended');
  return counted.length > 1 && counted.every(({ stillForMs }) => stillForMs > heartbeatMs * 2 + 500);
}

/** Draws the component anew whenever the model has news. */
export function useModel(model: FleetModel): void {
  const [, setVersion] = useState(0);
  useEffect(() => model.subscribe(() => setVersion((version) => version + 1)), [model]);
}

const names = new Intl.Collator('en', { numeric: true });

/** A worker that comes back under its name finds its old place; of several lives of one name the first comes first. */
function byName(one: WorkerView, other: WorkerView): number {
  return names.compare(one.workerId, other.workerId) || one.joinNumber - other.joinNumber;
}

interface ShardSize {
  readonly guildCount: number;
  readonly memberCount: number;
}

function pictureOf(
  view: Omit<LiveUpdate, 'shards'>,
  shards: readonly ShardView[],
  sizes: readonly ShardSize[],
): FleetPicture {
  const statuses = new Map(
    view.workers.map((worker) => [worker.incarnation, workerStatus(worker, view, isTableStill(view))]),
  );
  const cellsOf = new Map<string, ShardCell[]>(view.workers.map((worker) => [worker.incarnation, []]));
  const counts = Object.fromEntries(shardStatuses.map((status) => [status, 0])) as Record<ShardStatus, number>;
  const cells = new Map<number, ShardCell>();
  for (const shard of shards.toSorted((one, other) => one.id - other.id)) {
    const status = shardStatus(shard, shard.owner === undefined ? undefined : statuses.get(shard.owner));
    const cell = { shard, status };
    counts[status] += 1;
    cells.set(shard.id, cell);
    // An owner whose record is gone already has no group of its own.
    const key = shard.owner !== undefined && cellsOf.has(shard.owner) ? shard.owner : '';
    const group = cellsOf.get(key);
    if (group) group.push(cell);
    else cellsOf.set(key, [cell]);
  }
  const workers = view.workers.toSorted(byName).map(
    (worker): WorkerGroup => ({
      key: worker.incarnation,
      worker,
      status: statuses.get(worker.incarnation) ?? 'dead',
      cells: cellsOf.get(worker.incarnation) ?? [],
    }),
  );
  const homeless = cellsOf.get('');
  const none: WorkerGroup[] =
    homeless === undefined ? [] : [{ key: '', worker: undefined, status: 'dead', cells: homeless }];
  return {
    view,
    groups: [...none, ...workers],
    cells,
    counts,
    guildCount: sizes.reduce((sum, size) => sum + size.guildCount, 0),
    memberCount: sizes.reduce((sum, size) => sum + size.memberCount, 0),
  };
}

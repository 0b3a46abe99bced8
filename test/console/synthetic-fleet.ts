import type { ActionLine, FleetAction } from '../../functions/operate/fleet-actions.ts';
import type { ConsoleSource, TailFilter } from '../../local/console-server.ts';
import { LiveFeed } from '../../local/live-feed.ts';
import { systemClock } from '../../shared/clock.ts';
import { BatonError } from '../../shared/errors.ts';
import { silentLogger } from '../../shared/logger.ts';
import { randomBelow, type Random, seededRandom } from '../../shared/random.ts';
import type {
  FleetPoint,
  FleetView,
  HappeningView,
  ShardHistory,
  ShardView,
  WorkerView,
} from '../../shared/stats/fleet-view.ts';

const startedAtMs = Date.now() - 26 * 60 * 60 * 1000;

/** A fleet that exists in figures alone: every look is a second later, and about a fifth of its shards have news. */
export class SyntheticFleet implements ConsoleSource {
  updates: 'events' | 'polling' = 'events';
  mayAct = true;
  readonly hasTail = true;
  readonly actions: FleetAction[] = [];
  readonly tails: TailFilter[] = [];
  /** What an action is answered with. */
  answer: readonly ActionLine[] = [{ done: {}, summary: 'Done' }];
  /** Workers whose counter stands still. */
  readonly stopped = new Set<string>();
  /** Looks fail while this is set. */
  outage: string | undefined;
  readonly happenings: HappeningView[] = [];
  readonly #random: Random = seededRandom(7);
  readonly #workers: WorkerView[];
  readonly #shards: ShardView[];
  readonly #feed: LiveFeed;
  readonly #running = new AbortController();
  readonly #ended: Promise<void>;

  constructor({ shards, workers, outage }: { shards: number; workers: number; outage?: string }) {
    this.outage = outage;
    this.#workers = Array.from({ length: workers }, (_, index) => this.#worker(index));
    this.#shards = Array.from({ length: shards }, (_, id) => this.#shard(id, `inc-${(id % workers) + 1}`));
    this.#feed = new LiveFeed({
      look: () => Promise.resolve(this.view()),
      happenings: () => Promise.resolve([...this.happenings]),
      clock: systemClock,
      logger: silentLogger,
    });
    this.#ended = this.#feed.run(this.#running.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#running.abort();
    await this.#ended;
  }

  /** Changes a worker from now on. */
  setWorker(workerId: string, changes: Partial<WorkerView>): void {
    const index = this.#workers.findIndex((worker) => worker.workerId === workerId);
    this.#workers[index] = { ...(this.#workers[index] as WorkerView), ...changes };
  }

  setShard(id: number, changes: Partial<ShardView>): void {
    this.#shards[id] = { ...(this.#shards[id] as ShardView), ...changes };
  }

  happen(happening: HappeningView): void {
    this.happenings.push(happening);
  }

  view(): FleetView {
    if (this.outage !== undefined) throw new BatonError('STORE_UNREACHABLE', this.outage);
    for (let changes = Math.ceil(this.#shards.length / 5); changes > 0; changes -= 1) {
      const id = randomBelow(this.#random, this.#shards.length);
      const { eventsPerSecond = 0, latencyMs = 40, seq = 0 } = this.#shards[id] as ShardView;
      this.setShard(id, {
        seq: seq + Math.round(eventsPerSecond * 5),
        eventsPerSecond: Math.max(2, Math.round((eventsPerSecond + (this.#random.next() - 0.5) * 6) * 10) / 10),
        latencyMs: Math.max(18, Math.round(latencyMs + (this.#random.next() - 0.5) * 12)),
      });
    }
    const heldBy = Map.groupBy(this.#shards, (shard) => shard.owner);
    const workers = this.#workers.map((worker): WorkerView => {
      const held = heldBy.get(worker.incarnation) ?? [];
      return {
        ...worker,
        counter: this.stopped.has(worker.workerId) ? worker.counter : Math.floor(Date.now() / 1000),
        shardCount: held.length,
        readyShardCount: held.filter((shard) => shard.ready).length,
        eventsPerSecond: Math.round(held.reduce((sum, shard) => sum + (shard.eventsPerSecond ?? 0), 0)),
      };
    });
    return {
      atMs: Date.now(),
      fleet: 'baton',
      heartbeatMs: 3000,
      missedHeartbeats: 3,
      shardCount: this.#shards.length,
      maxConcurrency: 16,
      coordinator: 'inc-1',
      budget: { total: 2000, remaining: 1874, resetsAtMs: Date.now() + 5 * 60 * 60 * 1000 },
      queues: {
        events: { waiting: 12, inFlight: 40, deadLetters: 0, oldestSeconds: 1 },
        interactions: { waiting: 0, inFlight: 2, deadLetters: 0, oldestSeconds: 0 },
      },
      workers,
      shards: [...this.#shards],
    };
  }

  get(path: string): Promise<unknown> {
    if (path === '/api/fleet') return Promise.resolve(this.view());
    if (path === '/api/series') return Promise.resolve(this.#day());
    if (path === '/api/timeline') return Promise.resolve([...this.happenings]);
    const id = /^\/api\/shards\/(\d+)$/.exec(path)?.[1];
    return Promise.resolve(id === undefined ? undefined : this.#history(Number(id)));
  }

  watch(send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void> {
    return this.#feed.watch(send, signal);
  }

  async tail(filter: TailFilter, send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void> {
    this.tails.push(filter);
    const type = filter.types[0] ?? 'MESSAGE_CREATE';
    for (let seq = 1; !signal.aborted; seq += 1) {
      const event = {
        shard: seq % this.#shards.length,
        seq,
        type,
        guildId: '81384788765712384',
        bytes: 612,
        atMs: Date.now(),
      };
      send('batch', { workerId: 'worker-1', events: [event], skipped: 0 });
      await systemClock.sleep(100, signal);
    }
  }

  act(action: FleetAction, tell: (line: ActionLine) => void): Promise<void> {
    this.actions.push(action);
    for (const line of this.answer) tell(line);
    return Promise.resolve();
  }

  #worker(index: number): WorkerView {
    return {
      incarnation: `inc-${index + 1}`,
      workerId: `worker-${index + 1}`,
      joinNumber: index + 1,
      release: '7',
      originalCoordinator: index === 0,
      draining: false,
      fenced: false,
      counter: 100,
      stillForMs: 0,
      shardCount: 0,
      readyShardCount: 0,
      cpuPercent: 18 + randomBelow(this.#random, 30),
      memoryMb: 190 + randomBelow(this.#random, 60),
      eventsPerSecond: 0,
      figures: {
        uptimeMs: 26 * 60 * 60 * 1000,
        commandsPerSecond: 1.5,
        identifies: 2,
        resumes: 5,
        reconnects: 6,
        flushMs: 9 + randomBelow(this.#random, 20),
        queueAgeMs: 0,
      },
    };
  }

  #shard(id: number, owner: string): ShardView {
    return {
      id,
      state: 'ready',
      ready: true,
      epoch: 1 + (id % 3),
      owner,
      seq: 40_000 + id,
      guildCount: 900 + randomBelow(this.#random, 250),
      latencyMs: 30 + randomBelow(this.#random, 40),
      eventsPerSecond: 10 + randomBelow(this.#random, 40),
      bufferedEvents: 0,
      figures: {
        memberCount: 210_000 + randomBelow(this.#random, 90_000),
        commandsPerSecond: 0.1,
        identifies: 1,
        resumes: id % 4,
        reconnects: id % 4,
        lastCloseCode: 1006,
        sessionAgeMs: Date.now() - startedAtMs,
        silentForMs: 40,
      },
    };
  }

  #day(): FleetPoint[] {
    const shards = this.#shards.length;
    return Array.from({ length: 24 * 60 }, (_, minute) => {
      const wave = 1 + Math.sin((minute / 720) * Math.PI) * 0.35;
      return {
        atMs: Date.now() - (24 * 60 - minute) * 60_000,
        shards,
        shardsReady: shards,
        shardsSilent: 0,
        workers: this.#workers.length,
        guilds: shards * 1000,
        members: shards * 250_000,
        eventsPerSecond: Math.round(shards * 28 * wave + randomBelow(this.#random, shards * 2)),
        commandsPerSecond: shards / 10,
        latencyMs: 42 + randomBelow(this.#random, 6),
        latencyMaxMs: 95 + randomBelow(this.#random, 40),
        flushMs: 14 + randomBelow(this.#random, 9),
        workerQueueAgeMs: 0,
        identifies: 0,
        resumes: 0,
        reconnects: 0,
      };
    });
  }

  #history(id: number): ShardHistory | undefined {
    const shard = this.#shards[id];
    if (shard === undefined) return undefined;
    return {
      points: Array.from({ length: 60 }, (_, minute) => ({
        atMs: Date.now() - (60 - minute) * 60_000,
        ready: true,
        epoch: shard.epoch,
        eventsPerSecond: 24 + randomBelow(this.#random, 10),
        latencyMs: 40,
        guilds: 1000,
        members: 250_000,
      })),
      happenings: this.happenings.filter(({ shards }) => shards.includes(id)),
    };
  }
}

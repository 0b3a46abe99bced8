import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { type ActionLine, type FleetAction, FleetActions } from '../functions/operate/fleet-actions.ts';
import { redrive } from '../functions/operate/redrive.ts';
import type { RebalanceResult } from '../functions/rebalance/rebalance-round.ts';
import { ConsoleApi } from '../functions/stats/console-api.ts';
import { DynamoDbSeries } from '../functions/stats/dynamodb-series.ts';
import { FleetCollector } from '../functions/stats/fleet-collector.ts';
import { QueueFigures, type ReadQueueAges } from '../functions/stats/queue-figures.ts';
import { runStatsRound } from '../functions/stats/stats-round.ts';
import type { Clock } from '../shared/clock.ts';
import type { StatsConfig } from '../shared/config.ts';
import type { ControlPlane } from '../shared/control/control-queue.ts';
import type { Fleet } from '../shared/control/fleet.ts';
import { FleetOperations } from '../shared/control/fleet-operations.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import type { Logger } from '../shared/logger.ts';
import type { Random } from '../shared/random.ts';
import { DynamoDbTimeline } from '../shared/stats/dynamodb-timeline.ts';
import type { FleetView, LiveUpdate } from '../shared/stats/fleet-view.ts';
import { TimelineRecorder } from '../shared/stats/timeline.ts';
import type { ConsoleSource, TailFilter } from './console-server.ts';
import type { FleetSnapshot } from './fleet-snapshot.ts';
import { LiveFeed } from './live-feed.ts';

/** As deployed: what is left then is for the next request. */
const redriveWithinMs = 120_000;

export interface FleetConsoleOptions {
  readonly config: StatsConfig;
  readonly store: CoordinationStore;
  readonly fleet: Fleet;
  readonly documents: DynamoDBDocumentClient;
  readonly sqs: SQSClient;
  readonly control: ControlPlane;
  readonly readQueueAges: ReadQueueAges;
  readonly rebalance: (request: { dryRun: boolean }) => Promise<RebalanceResult>;
  /** What only this machine knows of the run. @default nothing: the fleet is elsewhere */
  readonly snapshot?: () => FleetSnapshot;
  /** Who is said to have asked for actions. */
  readonly operator: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What the console shows of a fleet that this process can reach itself, and what it does to it. */
export class FleetConsole implements ConsoleSource {
  readonly updates = 'events';
  readonly mayAct = true;
  readonly hasTail = true;
  readonly #options: FleetConsoleOptions;
  readonly #collector: FleetCollector;
  readonly #series: DynamoDbSeries;
  readonly #api: ConsoleApi;
  readonly #fleet: Fleet;
  readonly #actions: FleetActions;
  readonly #feed: LiveFeed;

  constructor(options: FleetConsoleOptions) {
    const { config, store, fleet, documents, sqs, control, clock, random, logger, snapshot } = options;
    this.#options = options;
    this.#fleet = fleet;
    const timeline = new DynamoDbTimeline(documents, config.table, clock, random);
    const queues = new QueueFigures(
      sqs,
      {
        events: config.eventsQueue,
        eventsDeadLetters: config.eventsDlq,
        interactions: config.interactionsQueue,
        interactionsDeadLetters: config.interactionsDlq,
      },
      options.readQueueAges,
    );
    this.#collector = new FleetCollector({
      fleet: config.fleet,
      store,
      rules: config,
      readQueues: () => queues.read(),
      clock,
      logger,
    });
    this.#series = new DynamoDbSeries(documents, config.table);
    this.#api = new ConsoleApi({ collector: this.#collector, series: this.#series, timeline, store, clock });
    this.#actions = new FleetActions({
      operations: new FleetOperations({ store, control, fleet, clock, logger }),
      fleet,
      rebalance: options.rebalance,
      redrive: (request) =>
        redrive(
          { sqs, deadLetters: config.eventsDlq, queue: config.eventsQueue, clock },
          { ...request, withinMs: redriveWithinMs },
        ),
      timeline: new TimelineRecorder({ store: timeline, clock, logger }),
      logger,
    });
    this.#feed = new LiveFeed({
      look: () => this.#look(),
      happenings: (sinceMs) => this.#api.happenings(sinceMs),
      ...(snapshot && { run: () => runOf(snapshot()) }),
      clock,
      logger,
    });
  }

  /** A round of the stats function. */
  async keepMinute(): Promise<void> {
    const { config, clock, logger } = this.#options;
    await runStatsRound({
      fleet: config.fleet,
      collector: this.#collector,
      series: this.#series,
      // Nobody makes metrics of them here.
      writeMetric: () => {},
      clock,
      logger,
    });
  }

  /** Follows the fleet until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#feed.run(signal);
  }

  get(path: string, query: URLSearchParams): Promise<unknown> {
    return path === '/api/fleet' ? this.#look() : this.#api.get(path, query);
  }

  watch(send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void> {
    return this.#feed.watch(send, signal);
  }

  async tail(filter: TailFilter, send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void> {
    for await (const batch of this.#fleet.tail({ ...filter, perSecond: tailPerSecond, signal })) send('batch', batch);
  }

  act(action: FleetAction, tell: (line: ActionLine) => void, signal: AbortSignal): Promise<void> {
    return this.#actions.run(action, { by: this.#options.operator, tell, signal });
  }

  async #look(): Promise<FleetView> {
    const view = await this.#collector.look();
    const { snapshot } = this.#options;
    return snapshot === undefined ? view : withSnapshot(view, snapshot());
  }
}

/** More would only scroll by. */
const tailPerSecond = 30;

/** Workers report every few seconds; their processes and the simulator are seen at once. */
function withSnapshot(view: FleetView, { shards, workers }: FleetSnapshot): FleetView {
  const shardOf = new Map(shards.map((shard) => [shard.shardId, shard]));
  const latest = new Map(view.workers.map((worker) => [worker.workerId, worker.incarnation]));
  const processOf = new Map(workers.map((worker) => [worker.workerId, worker]));
  return {
    ...view,
    shards: view.shards.map((shard) => {
      const seen = shardOf.get(shard.id);
      const hasOwner = shard.owner !== undefined;
      return seen === undefined || !hasOwner ? shard : { ...shard, state: seen.state, ready: seen.ready };
    }),
    workers: view.workers.map((worker) => {
      const seen = processOf.get(worker.workerId);
      if (seen === undefined) return worker;
      // Of several lives of one name only the latest can be running.
      const process = latest.get(worker.workerId) === worker.incarnation ? seen.state : 'ended';
      return { ...worker, process };
    }),
  };
}

function runOf(snapshot: FleetSnapshot): LiveUpdate['run'] {
  const { phase, elapsedMs, discord, emittedPerSecond, deliveredPerSecond, latencyMs, totals } = snapshot;
  return {
    phase,
    elapsedMs,
    discord,
    ...(totals && { emittedPerSecond, totals }),
    deliveredPerSecond,
    latencyMs,
  };
}

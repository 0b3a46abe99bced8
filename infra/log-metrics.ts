import { Duration } from 'aws-cdk-lib';
import { type IMetric, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import { FilterPattern, type ILogGroup, MetricFilter } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

/** At a level below these, lines would be missing that alarms count. */
export const countedLogLevels = ['warn', 'info', 'debug', 'trace'] as const;
export type CountedLogLevel = (typeof countedLogLevels)[number];

/** The level of programs of which lines of level info are counted, too. */
export function levelOfCounted(level: CountedLogLevel): CountedLogLevel {
  return level === 'warn' ? 'info' : level;
}

/** Log lines of workers that are counted, by the metric's name. Each costs as a metric only while it occurs. */
export const workerLogMetrics = {
  CapacityMissing: 'coordinator.no_capacity',
  CheckpointsUnreachable: 'checkpoint.unreachable',
  EnvelopesFailed: 'sqs.envelope_failed',
  Handoffs: 'shard.handoff',
  Identifies: 'identify.settled',
  IdentifyBudgetLow: 'identify.budget_low',
  IdentifyBudgetSpent: 'identify.budget_spent',
  PublishingRefused: 'publishing.refused',
  PublishingUnfenced: 'publishing.unfenced',
  ReadingPaused: 'worker.reading_paused',
  Resumes: 'shard.resumed',
  SessionsLost: 'shard.session_lost',
  ShardsStopped: 'shard.stopped',
  StoreUnreachable: 'worker.store_unreachable',
  Takeovers: 'shard.takeover',
  WorkersFenced: 'worker.fenced',
  WorkersStarted: 'worker.registered',
} as const;

/** The same of functions; their lines carry the event in `message`. */
export const functionLogMetrics = {
  CoordinatorMissing: 'fleet.no_coordinator',
  EventsDeadLettered: 'events.event_dead_lettered',
  InteractionsExpired: 'interactions.expired',
  InteractionsFailed: 'interactions.handler_failed',
  InteractionsHandedBack: 'interactions.message_failed',
  InteractionsLate: 'interactions.answered_late',
  InteractionsUnknown: 'interactions.unknown',
} as const;

/** Fields that a line must have besides: a fenced worker says so too, and what counts is that somebody found it dead. */
const fieldsToo: Readonly<Record<string, string>> = { WorkersFenced: '$.fenced' };

export type WorkerLogMetric = keyof typeof workerLogMetrics;
export type FunctionLogMetric = keyof typeof functionLogMetrics;

export interface LogMetricsProps {
  readonly fleet: string;
  readonly workerLogs: ILogGroup;
  /** Log groups of the functions that say it. */
  readonly functionLogs: Readonly<Record<FunctionLogMetric, readonly ILogGroup[]>>;
}

/** What workers and functions say in their logs, as metrics of the namespace `Baton/<fleet>`. */
export class LogMetrics extends Construct {
  readonly #namespace: string;

  constructor(scope: Construct, id: string, { fleet, workerLogs, functionLogs }: LogMetricsProps) {
    super(scope, id);
    this.#namespace = `Baton/${fleet}`;
    for (const [metricName, event] of Object.entries(workerLogMetrics)) {
      this.#count(metricName, workerLogs, '$.msg', event, fieldsToo[metricName]);
    }
    for (const [metricName, event] of Object.entries(functionLogMetrics)) {
      for (const [index, logs] of functionLogs[metricName as FunctionLogMetric].entries()) {
        this.#count(
          metricName,
          logs,
          '$.message',
          event,
          undefined,
          index === 0 ? metricName : `${metricName}${index + 1}`,
        );
      }
    }
  }

  /** How often it was logged in `period`. */
  count(metricName: WorkerLogMetric | FunctionLogMetric, period: Duration = Duration.minutes(5)): IMetric {
    return new Metric({ namespace: this.#namespace, metricName, statistic: Stats.SUM, period, label: metricName });
  }

  #count(
    metricName: string,
    logGroup: ILogGroup,
    field: string,
    event: string,
    fieldToo?: string,
    id = metricName,
  ): void {
    const isEvent = FilterPattern.stringValue(field, '=', event);
    new MetricFilter(this, id, {
      logGroup,
      metricNamespace: this.#namespace,
      metricName,
      metricValue: '1',
      filterPattern: fieldToo === undefined ? isEvent : FilterPattern.all(isEvent, FilterPattern.exists(fieldToo)),
    });
  }
}

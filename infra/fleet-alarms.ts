import { Duration } from 'aws-cdk-lib';
import {
  Alarm,
  type AlarmProps,
  ComparisonOperator,
  type IMetric,
  MathExpression,
  Stats,
  TreatMissingData,
} from 'aws-cdk-lib/aws-cloudwatch';
import { SnsAction } from 'aws-cdk-lib/aws-cloudwatch-actions';
import type { ITopic } from 'aws-cdk-lib/aws-sns';
import { Construct } from 'constructs';
import type { FleetParts } from './fleet-parts.ts';
import type { LogMetrics } from './log-metrics.ts';

export interface FleetAlarmsProps extends FleetParts {
  readonly fleet: string;
  readonly logMetrics: LogMetrics;
  /** Workers that must be running; none while the fleet is paused. */
  readonly minWorkers: number;
  /** Where runbooks are: the address of `docs/operations.md`. */
  readonly runbookUrl: string;
  readonly topic: ITopic | undefined;
}

type Rule = Pick<AlarmProps, 'threshold'> &
  Partial<Pick<AlarmProps, 'comparisonOperator' | 'evaluationPeriods' | 'datapointsToAlarm' | 'treatMissingData'>>;

const once = { threshold: 1 } as const;
const minute = Duration.minutes(1);
const fiveMinutes = Duration.minutes(5);
const quarterHour = Duration.minutes(15);
const hour = Duration.hours(1);

/** A shard that moves more often than this in an hour is being passed around, not moved. */
const movesPerShardAndHour = 3;

/** What an operator is woken for. Each alarm has a runbook of the same name. */
export class FleetAlarms extends Construct {
  readonly alarms: Alarm[] = [];
  readonly #props: FleetAlarmsProps;

  constructor(scope: Construct, id: string, props: FleetAlarmsProps) {
    super(scope, id);
    this.#props = props;
    this.#watchWorkers();
    this.#watchShards();
    this.#watchPublishing();
    this.#watchQueues();
    this.#watchFunctions();
  }

  #watchWorkers(): void {
    const { workers, minWorkers, stoppedWorkers } = this.#props;
    if (minWorkers > 0) {
      // Every running task sends one sample a minute.
      this.#add(
        'workers-missing',
        'Fewer workers are running than there must be',
        workers.service.metricCpuUtilization({ statistic: Stats.SAMPLE_COUNT, period: minute }),
        {
          threshold: minWorkers,
          comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
          evaluationPeriods: 5,
          treatMissingData: TreatMissingData.BREACHING,
        },
      );
    }
    // One that crashed is in both; one that stood still in the first alone, one that never got up in the second.
    this.#add(
      'worker-restarts',
      'Workers die and are replaced',
      new MathExpression({
        expression: 'MAX([FILL(fenced, 0), FILL(failed, 0)])',
        usingMetrics: {
          fenced: this.#count('WorkersFenced', quarterHour),
          failed: stoppedWorkers.failed(quarterHour),
        },
        period: quarterHour,
        label: 'workers found dead, or stopped',
      }),
      { threshold: 2 },
    );
    this.#add(
      'coordinator-missing',
      'No worker looked after the fleet for a whole minute',
      this.#count('CoordinatorMissing'),
      once,
    );
    this.#add(
      'worker-cpu',
      'A worker is out of CPU',
      workers.service.metricCpuUtilization({ statistic: Stats.MAXIMUM, period: fiveMinutes }),
      { threshold: 85, evaluationPeriods: 3 },
    );
    this.#add(
      'worker-memory',
      'A worker is almost out of memory',
      workers.service.metricMemoryUtilization({ statistic: Stats.MAXIMUM, period: fiveMinutes }),
      { threshold: 85, evaluationPeriods: 2 },
    );
  }

  #watchShards(): void {
    const { statsFunction, minWorkers } = this.#props;
    const shards = (period: Duration) => ({ shards: statsFunction.metric('Shards', Stats.MAXIMUM, 'shards', period) });
    if (minWorkers > 0) {
      this.#add(
        'shards-not-ready',
        'Shards have been away for minutes',
        statsFunction.metric('ShardsNotReady', Stats.MINIMUM),
        { threshold: 1, evaluationPeriods: 5 },
      );
      this.#add(
        'stats-missing',
        'Nobody measures the fleet: the alarms about shards are blind',
        statsFunction.metric('ShardsNotReady', Stats.SAMPLE_COUNT),
        {
          threshold: 1,
          comparisonOperator: ComparisonOperator.LESS_THAN_THRESHOLD,
          evaluationPeriods: 5,
          treatMissingData: TreatMissingData.BREACHING,
        },
      );
    }
    this.#add(
      'shards-silent',
      'Shards look ready and get no events while their peers do',
      statsFunction.metric('ShardsSilent', Stats.MINIMUM),
      { threshold: 1, evaluationPeriods: 3 },
    );
    this.#add(
      'shard-stopped',
      'Discord refuses a shard for good, or it stopped by a fault',
      this.#count('ShardsStopped'),
      once,
    );
    this.#add('shards-without-worker', 'No worker has room for some shards', this.#count('CapacityMissing'), {
      threshold: 1,
      evaluationPeriods: 3,
      datapointsToAlarm: 2,
    });
    this.#add(
      'sessions-lost',
      'Discord dropped sessions, each costs an IDENTIFY',
      this.#share(
        { lost: this.#count('SessionsLost', quarterHour) },
        { of: shards(quarterHour), from: 5, period: quarterHour },
      ),
      { threshold: 0.25 },
    );
    this.#add(
      'identify-budget',
      'The daily IDENTIFY budget is at its reserve, or spent',
      this.#sum(['IdentifyBudgetLow', 'IdentifyBudgetSpent'], fiveMinutes),
      once,
    );
    this.#add(
      'lease-churn',
      'Shards change hands again and again',
      this.#share(
        { handoffs: this.#count('Handoffs', hour), takeovers: this.#count('Takeovers', hour) },
        { of: shards(hour), from: 50, period: hour },
      ),
      { threshold: movesPerShardAndHour },
    );
  }

  #watchPublishing(): void {
    const { coordination } = this.#props;
    this.#add(
      'store-unreachable',
      'Workers cannot reach the coordination table',
      this.#sum(['StoreUnreachable', 'CheckpointsUnreachable'], minute),
      { threshold: 10, evaluationPeriods: 3, datapointsToAlarm: 2 },
    );
    const throttled = { statistic: Stats.SUM, period: fiveMinutes };
    this.#add(
      'table-throttled',
      'The coordination table refuses requests',
      this.#total({
        reads: coordination.table.metric('ReadThrottleEvents', throttled),
        writes: coordination.table.metric('WriteThrottleEvents', throttled),
      }),
      once,
    );
    this.#add(
      'publishing-unfenced',
      'Workers publish without intents: events may be doubled',
      this.#count('PublishingUnfenced'),
      once,
    );
    this.#add('publishing-refused', 'SQS refuses an envelope for good', this.#count('PublishingRefused'), once);
    this.#add(
      'reading-paused',
      'Workers stop reading because SQS does not take what they have',
      this.#count('ReadingPaused'),
      once,
    );
  }

  #watchQueues(): void {
    const { events, interactions } = this.#props;
    const oldest = { statistic: Stats.MAXIMUM, period: minute };
    this.#add(
      'events-late',
      'Events wait longer than a minute for their handlers',
      events.queue.metricApproximateAgeOfOldestMessage(oldest),
      { threshold: 60, evaluationPeriods: 3 },
    );
    this.#add(
      'interactions-late',
      'Interactions wait longer than Discord takes an answer',
      interactions.queue.metricApproximateAgeOfOldestMessage(oldest),
      { threshold: 3, evaluationPeriods: 3 },
    );
    for (const [name, { deadLetters }] of [
      ['events', events],
      ['interactions', interactions],
    ] as const) {
      this.#add(
        `${name}-dead-letters`,
        `There are dead letters of ${name}`,
        deadLetters.metricApproximateNumberOfMessagesVisible({ statistic: Stats.MAXIMUM, period: fiveMinutes }),
        once,
      );
    }
  }

  #watchFunctions(): void {
    const { eventsFunction, interactionsFunction, interactionsEndpoint } = this.#props;
    const { interactions: interactionsQueue, rebalanceFunction, directoryFunction } = this.#props;
    const events = eventsFunction.function;
    const interactions = interactionsFunction.function;
    const endpoint = interactionsEndpoint.function;
    const sum = { statistic: Stats.SUM, period: fiveMinutes };
    this.#add('events-errors', 'Invocations of the events function fail', events.metricErrors(sum), { threshold: 5 });
    this.#add(
      'interactions-errors',
      'Commands fail, or their function does',
      this.#total({
        errors: interactions.metricErrors(sum),
        endpointErrors: endpoint.metricErrors(sum),
        failed: this.#count('InteractionsFailed'),
        handedBack: this.#count('InteractionsHandedBack'),
      }),
      { threshold: 5 },
    );
    this.#add(
      'interactions-unknown',
      'Users use commands, components or forms that no handler knows',
      this.#count('InteractionsUnknown'),
      { threshold: 5 },
    );
    this.#add(
      'interactions-slow',
      'More than one in a hundred commands is answered when Discord has almost given up',
      this.#share(
        { late: this.#count('InteractionsLate') },
        {
          of: {
            queued: interactionsQueue.queue.metricNumberOfMessagesDeleted(sum),
            posted: endpoint.metricInvocations(sum),
          },
          from: 5,
          period: fiveMinutes,
        },
      ),
      { threshold: 0.01, evaluationPeriods: 3 },
    );
    this.#add(
      'interactions-expired',
      'Commands reach their function when Discord has given up on them',
      this.#count('InteractionsExpired'),
      { threshold: 5 },
    );
    this.#add(
      'upkeep-errors',
      'The functions that look after the fleet fail again and again',
      this.#total(
        {
          rebalance: rebalanceFunction.function.metricErrors({ ...sum, period: quarterHour }),
          directory: directoryFunction.function.metricErrors({ ...sum, period: quarterHour }),
        },
        quarterHour,
      ),
      // Lambda tries a round three times.
      { threshold: 4 },
    );
    this.#add(
      'functions-throttled',
      'Lambda refuses to run more of the functions',
      this.#total({
        events: events.metricThrottles(sum),
        interactions: interactions.metricThrottles(sum),
        endpoint: endpoint.metricThrottles(sum),
      }),
      once,
    );
  }

  #count(...[name, period]: Parameters<LogMetrics['count']>): IMetric {
    return this.#props.logMetrics.count(name, period);
  }

  #sum(names: readonly Parameters<LogMetrics['count']>[0][], period: Duration): IMetric {
    return this.#total(
      Object.fromEntries(names.map((name, index) => [`count${index}`, this.#count(name, period)])),
      period,
    );
  }

  /** A metric that has no data in a period counts as zero. */
  #total(usingMetrics: Record<string, IMetric>, period: Duration = fiveMinutes): IMetric {
    const expression = sumOf(usingMetrics);
    return new MathExpression({ expression, usingMetrics, period, label: expression });
  }

  /** How much of `of` is `counted`, in numbers of both; nothing while there are fewer than `from`, for a few of few are no news. */
  #share(
    counted: Record<string, IMetric>,
    { of, from, period }: { readonly of: Record<string, IMetric>; readonly from: number; readonly period: Duration },
  ): IMetric {
    return new MathExpression({
      expression: `IF(${sumOf(counted)} >= ${from}, (${sumOf(counted)}) / (${sumOf(of)}), 0)`,
      usingMetrics: { ...counted, ...of },
      period,
      label: `${Object.keys(counted).join(', ')} of ${Object.keys(of).join(', ')}`,
    });
  }

  #add(name: string, meaning: string, metric: IMetric, rule: Rule): void {
    const { fleet, runbookUrl, topic } = this.#props;
    const alarm = new Alarm(this, name, {
      alarmName: `${fleet}-${name}`,
      alarmDescription: `${meaning}. ${runbookUrl}#alarm-${name}`,
      metric,
      comparisonOperator: ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
      evaluationPeriods: 1,
      treatMissingData: TreatMissingData.NOT_BREACHING,
      ...rule,
    });
    if (topic) {
      alarm.addAlarmAction(new SnsAction(topic));
      alarm.addOkAction(new SnsAction(topic));
    }
    this.alarms.push(alarm);
  }
}

function sumOf(metrics: Record<string, IMetric>): string {
  return Object.keys(metrics)
    .map((name) => `FILL(${name}, 0)`)
    .join(' + ');
}

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
  readonly totalShards: number | undefined;
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
const defaultShardCount = 16;

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
    const { workers, minWorkers } = this.#props;
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
    this.#add('worker-restarts', 'Workers die and are replaced', this.#count('WorkersFenced', quarterHour), {
      threshold: 2,
    });
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
    const { totalShards = defaultShardCount, statsFunction, minWorkers } = this.#props;
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
      this.#count('SessionsLost', quarterHour),
      { threshold: Math.max(5, Math.ceil(totalShards / 4)) },
    );
    this.#add(
      'identify-budget',
      'The daily IDENTIFY budget is at its reserve, or spent',
      this.#sum(['IdentifyBudgetLow', 'IdentifyBudgetSpent'], fiveMinutes),
      once,
    );
    this.#add('lease-churn', 'Shards change hands again and again', this.#sum(['Handoffs', 'Takeovers'], hour), {
      threshold: Math.max(50, movesPerShardAndHour * totalShards),
    });
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
      'Commands take almost as long as Discord waits',
      interactions.metricDuration({ statistic: Stats.p(99), period: fiveMinutes }),
      { threshold: 2500, evaluationPeriods: 3 },
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
    const expression = Object.keys(usingMetrics)
      .map((name) => `FILL(${name}, 0)`)
      .join(' + ');
    return new MathExpression({ expression, usingMetrics, period, label: expression });
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

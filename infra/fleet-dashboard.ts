import { Duration, Stack } from 'aws-cdk-lib';
import {
  type Alarm,
  AlarmStatusWidget,
  Dashboard,
  GraphWidget,
  type IMetric,
  type IWidget,
  LogQueryVisualizationType,
  LogQueryWidget,
  MathExpression,
  SingleValueWidget,
  Stats,
  TextWidget,
} from 'aws-cdk-lib/aws-cloudwatch';
import { Construct } from 'constructs';
import type { FleetParts } from './fleet-parts.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import type { HandlerFunction } from './handler-function.ts';
import type { LogMetrics } from './log-metrics.ts';
import { prices } from './prices.ts';
import { shardStatesQuery } from './saved-queries.ts';
import type { WorkerCapacity } from './worker-service.ts';

export interface FleetDashboardProps extends FleetParts {
  readonly fleet: string;
  readonly logMetrics: LogMetrics;
  readonly alarms: readonly Alarm[];
  readonly capacity: WorkerCapacity;
}

const minute = Duration.minutes(1);
const hour = Duration.hours(1);
const full = 24;
const half = 12;
const third = 8;
const quarter = 6;

/** One page that answers, from top to bottom, the questions an operator has. */
export class FleetDashboard extends Construct {
  readonly dashboard: Dashboard;
  readonly #props: FleetDashboardProps;

  constructor(scope: Construct, id: string, props: FleetDashboardProps) {
    super(scope, id);
    this.#props = props;
    this.dashboard = new Dashboard(this, 'Dashboard', {
      // Dashboards are the account's, in whatever Region.
      dashboardName: `${props.fleet}-${Stack.of(this).region}`,
      defaultInterval: Duration.hours(3),
    });
    const sections: readonly [string, readonly IWidget[]][] = [
      ['Is anything wrong?', [new AlarmStatusWidget({ alarms: [...props.alarms], width: full, height: 4 })]],
      ['Are all shards up?', this.#shards()],
      ['Are events flowing, and how late?', this.#events()],
      ['What is the identify budget?', this.#identifies()],
      ['Which worker is hot?', this.#workers()],
      ['What is in the dead letters?', this.#deadLetters()],
      ['What does it cost?', this.#costs()],
    ];
    for (const [question, widgets] of sections) {
      this.dashboard.addWidgets(new TextWidget({ markdown: `## ${question}`, width: full, height: 1 }));
      this.dashboard.addWidgets(...widgets);
    }
  }

  #shards(): IWidget[] {
    const { workers, statsFunction } = this.#props;
    return [
      this.#graph(
        'Shards that are not up',
        half,
        [
          statsFunction.metric('ShardsNotReady', Stats.MAXIMUM, 'not ready'),
          statsFunction.metric('ShardsSilent', Stats.MAXIMUM, 'silent'),
        ],
        4,
      ),
      this.#graph('Guilds', half, [statsFunction.metric('Guilds', Stats.MAXIMUM, 'guilds')], 4),
      new LogQueryWidget({
        title: 'Last word of each shard',
        logGroupNames: [workers.logGroup.logGroupName],
        view: LogQueryVisualizationType.TABLE,
        queryLines: [...shardStatesQuery],
        width: half,
        height: 8,
      }),
      this.#graph(
        'Shards: moves and losses',
        half,
        this.#counts('Handoffs', 'Takeovers', 'Resumes', 'SessionsLost', 'ShardsStopped', 'CapacityMissing'),
        8,
      ),
    ];
  }

  #events(): IWidget[] {
    const { events, interactions, eventsFunction, interactionsFunction, interactionsEndpoint, statsFunction } =
      this.#props;
    const age = { statistic: Stats.MAXIMUM, period: minute };
    const sum = { statistic: Stats.SUM, period: minute };
    return [
      this.#graph('From Discord, a second', third, [
        statsFunction.metric('GatewayEvents', Stats.AVERAGE, 'events'),
        statsFunction.metric('Commands', Stats.AVERAGE, 'commands'),
      ]),
      this.#graph('Milliseconds to Discord and to SQS', third, [
        statsFunction.metric('GatewayLatency', Stats.AVERAGE, 'heartbeat of the median shard'),
        statsFunction.metric('GatewayLatencyHighest', Stats.MAXIMUM, 'heartbeat of the slowest'),
        statsFunction.metric('FlushLatency', Stats.MAXIMUM, 'longest flush'),
      ]),
      this.#graph('Milliseconds the oldest waits in a worker', third, [
        statsFunction.metric('WorkerQueueAge', Stats.MAXIMUM, 'in a worker'),
      ]),
      this.#graph('Envelopes and interactions a minute', third, [
        events.queue.metricNumberOfMessagesSent({ ...sum, label: 'envelopes sent' }),
        events.queue.metricNumberOfMessagesDeleted({ ...sum, label: 'envelopes handled' }),
        interactions.queue.metricNumberOfMessagesSent({ ...sum, label: 'interactions sent' }),
        interactions.queue.metricNumberOfMessagesDeleted({ ...sum, label: 'interactions answered' }),
        interactionsEndpoint.function.metricInvocations({ ...sum, label: 'endpoint requests' }),
      ]),
      this.#graph('Seconds the oldest waits', third, [
        events.queue.metricApproximateAgeOfOldestMessage({ ...age, label: 'events' }),
        interactions.queue.metricApproximateAgeOfOldestMessage({ ...age, label: 'interactions' }),
      ]),
      this.#graph(
        'Milliseconds of the functions',
        third,
        Object.entries({
          events: eventsFunction,
          interactions: interactionsFunction,
          endpoint: interactionsEndpoint,
        }).flatMap(([name, { function: run }]) =>
          [50, 99].map((percentile) =>
            run.metricDuration({ statistic: Stats.p(percentile), period: minute, label: `${name} p${percentile}` }),
          ),
        ),
      ),
      this.#graph('Errors and throttles', half, [
        eventsFunction.function.metricErrors({ ...sum, label: 'events errors' }),
        interactionsFunction.function.metricErrors({ ...sum, label: 'interactions errors' }),
        interactionsEndpoint.function.metricErrors({ ...sum, label: 'endpoint errors' }),
        eventsFunction.function.metricThrottles({ ...sum, label: 'events throttled' }),
        interactionsFunction.function.metricThrottles({ ...sum, label: 'interactions throttled' }),
        interactionsEndpoint.function.metricThrottles({ ...sum, label: 'endpoint throttled' }),
        ...this.#counts(
          'InteractionsFailed',
          'InteractionsHandedBack',
          'InteractionsExpired',
          'InteractionsLate',
          'InteractionsUnknown',
          'EventsDeadLettered',
        ),
      ]),
      this.#graph(
        'Between workers and AWS',
        half,
        this.#counts(
          'StoreUnreachable',
          'CheckpointsUnreachable',
          'EnvelopesFailed',
          'PublishingUnfenced',
          'PublishingRefused',
          'ReadingPaused',
        ),
      ),
    ];
  }

  #identifies(): IWidget[] {
    return [
      new SingleValueWidget({
        title: 'IDENTIFYs in the last day, and left',
        metrics: [
          this.#props.logMetrics.count('Identifies', Duration.days(1)),
          this.#props.statsFunction.metric('IdentifiesRemaining', Stats.MINIMUM, 'left'),
        ],
        width: third,
        height: 4,
      }),
      this.#graph(
        'IDENTIFYs, and refusals by the budget',
        full - third,
        this.#counts('Identifies', 'IdentifyBudgetLow', 'IdentifyBudgetSpent'),
        4,
      ),
    ];
  }

  #workers(): IWidget[] {
    const { statsFunction, stoppedWorkers } = this.#props;
    const { service } = this.#props.workers;
    const usage = (statistic: string, label: string) => ({ statistic, label, period: minute });
    return [
      this.#graph('CPU percent', third, [
        service.metricCpuUtilization(usage(Stats.MAXIMUM, 'hottest worker')),
        service.metricCpuUtilization(usage(Stats.AVERAGE, 'average')),
      ]),
      this.#graph('Memory percent', third, [
        service.metricMemoryUtilization(usage(Stats.MAXIMUM, 'fullest worker')),
        service.metricMemoryUtilization(usage(Stats.AVERAGE, 'average')),
      ]),
      this.#graph('Workers', third, [
        service.metricCpuUtilization(usage(Stats.SAMPLE_COUNT, 'running')),
        ...this.#counts('WorkersStarted', 'WorkersFenced'),
        stoppedWorkers.failed(minute),
      ]),
      this.#graph('CPU percent of each worker', quarter, [statsFunction.metricOfWorkers('WorkerCpu')]),
      this.#graph('Megabytes of each worker', quarter, [statsFunction.metricOfWorkers('WorkerMemory')]),
      this.#graph('Events a second of each worker', quarter, [statsFunction.metricOfWorkers('WorkerGatewayEvents')]),
      this.#graph('Shards not ready of each worker', quarter, [statsFunction.metricOfWorkers('WorkerShardsNotReady')]),
    ];
  }

  #deadLetters(): IWidget[] {
    const { events, interactions } = this.#props;
    const waiting = { statistic: Stats.MAXIMUM, period: minute };
    return [
      this.#graph(
        'Dead letters',
        full,
        [
          events.deadLetters.metricApproximateNumberOfMessagesVisible({ ...waiting, label: 'events' }),
          interactions.deadLetters.metricApproximateNumberOfMessagesVisible({ ...waiting, label: 'interactions' }),
        ],
        5,
      ),
    ];
  }

  /** From what AWS counts anyway, times its prices; what it does not count, such as logs and traffic out, is left out. */
  #costs(): IWidget[] {
    const { events, interactions, eventsFunction, interactionsFunction, interactionsEndpoint } = this.#props;
    const { coordination, directory, workers, capacity } = this.#props;
    const { fargate, lambda, sqs, dynamodb } = prices;
    const sum = { statistic: Stats.SUM, period: hour };
    const taskHour =
      (capacity.cpu / 1024) * fargate.armPerVcpuHour +
      (capacity.memoryMb / 1024) * fargate.armPerGbHour +
      fargate.publicIpv4PerHour;
    const queueCost = (label: string, { queue }: FleetQueue, perMillion: number) =>
      this.#dollars(label, [
        [queue.metricNumberOfMessagesSent(sum), perMillion / 1e6],
        [queue.metricNumberOfMessagesReceived(sum), perMillion / 1e6],
        [queue.metricNumberOfEmptyReceives(sum), perMillion / 1e6],
        [queue.metricNumberOfMessagesDeleted(sum), perMillion / 1e6],
      ]);
    const functionCost = (label: string, { function: run, memoryMb }: HandlerFunction) =>
      this.#dollars(label, [
        [run.metricDuration(sum), (memoryMb / 1024 / 1000) * lambda.armPerGbSecond],
        [run.metricInvocations(sum), lambda.perMillionInvocations / 1e6],
      ]);
    const tableCost = (label: string, { table }: FleetTable) =>
      this.#dollars(label, [
        [table.metricConsumedWriteCapacityUnits(sum), dynamodb.perMillionWriteUnits / 1e6],
        [table.metricConsumedReadCapacityUnits(sum), dynamodb.perMillionReadUnits / 1e6],
      ]);
    return [
      this.#graph('Dollars an hour, batches counted as single messages', full, [
        this.#dollars('workers', [
          // A sample a minute from every running task.
          [workers.service.metricCpuUtilization({ statistic: Stats.SAMPLE_COUNT, period: hour }), taskHour / 60],
        ]),
        queueCost('events queue', events, sqs.fifoPerMillion),
        queueCost('interactions queue', interactions, sqs.standardPerMillion),
        functionCost('events function', eventsFunction),
        functionCost('interactions function', interactionsFunction),
        functionCost('interactions endpoint', interactionsEndpoint),
        tableCost('coordination table', coordination),
        tableCost('directory table', directory),
      ]),
    ];
  }

  #dollars(label: string, costs: readonly (readonly [counted: IMetric, price: number])[]): IMetric {
    // Ids of metrics must differ within one graph, and numbers must not be written with an exponent.
    const ids = costs.map((_, index) => `${label.replaceAll(' ', '_')}_${index}`);
    return new MathExpression({
      label,
      period: hour,
      expression: costs.map(([, price], index) => `FILL(${ids[index]}, 0) * ${price.toFixed(12)}`).join(' + '),
      usingMetrics: Object.fromEntries(costs.map(([counted], index) => [ids[index], counted])),
    });
  }

  #counts(...names: readonly Parameters<LogMetrics['count']>[0][]): IMetric[] {
    return names.map((name) => this.#props.logMetrics.count(name, minute));
  }

  #graph(title: string, width: number, left: readonly IMetric[], height = 6): GraphWidget {
    return new GraphWidget({ title, left: [...left], width, height, liveData: true, leftYAxis: { min: 0 } });
  }
}

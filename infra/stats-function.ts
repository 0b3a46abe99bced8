import { CfnOutput, Duration, Stack, Validations } from 'aws-cdk-lib';
import { type IMetric, MathExpression, Metric } from 'aws-cdk-lib/aws-cloudwatch';
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { FunctionUrl, FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import { levelOfCounted } from './log-metrics.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';

/** Thousands of leases are read in a second or two; the rest is patience. */
const timeout = Duration.seconds(30);

export interface StatsFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly fleet: string;
  readonly coordination: FleetTable;
  readonly events: FleetQueue;
  readonly interactions: FleetQueue;
}

/** Figures of the fleet that `functions/stats/embedded-metrics.ts` writes, by the metric's name. */
export const fleetMetrics = [
  'Commands',
  'FlushLatency',
  'GatewayEvents',
  'GatewayLatency',
  'GatewayLatencyHighest',
  'Guilds',
  'IdentifiesRemaining',
  'Shards',
  'ShardsNotReady',
  'ShardsSilent',
  'WorkerQueueAge',
  'Workers',
] as const;
export type FleetMetric = (typeof fleetMetrics)[number];

/** The same of each worker, by the dimension `worker`. */
export const workerMetrics = ['WorkerCpu', 'WorkerGatewayEvents', 'WorkerMemory', 'WorkerShardsNotReady'] as const;
export type WorkerMetric = (typeof workerMetrics)[number];

/** Every minute: keeps the fleet's figures and turns them into metrics. Its URL, for principals of the account alone, answers the console. */
export class StatsFunction extends HandlerFunction {
  readonly url: FunctionUrl;
  readonly #namespace: string;
  /** May look at the console. */
  readonly readerPolicy: ManagedPolicy;

  constructor(scope: Construct, id: string, props: StatsFunctionProps) {
    const { fleet, coordination, events, interactions, ...rest } = props;
    super(scope, id, {
      ...rest,
      // Metrics are lines of level info; a quieter function would measure nothing.
      logLevel: levelOfCounted(rest.logLevel),
      program: 'stats',
      description: 'Keeps the figures of the fleet, every minute, and answers the console',
      timeout,
      environment: {
        ...rest.environment,
        BATON_TABLE: coordination.table.tableName,
        BATON_EVENTS_QUEUE: events.queue.queueUrl,
        BATON_EVENTS_DLQ: events.deadLetters.queueUrl,
        BATON_INTERACTIONS_QUEUE: interactions.queue.queueUrl,
        BATON_INTERACTIONS_DLQ: interactions.deadLetters.queueUrl,
      },
    });
    this.#namespace = `Baton/${fleet}`;
    coordination.grant(
      this.function,
      'dynamodb:BatchGetItem',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:Query',
    );
    for (const queue of [events.queue, events.deadLetters, interactions.queue, interactions.deadLetters]) {
      queue.grant(this.function, 'sqs:GetQueueAttributes');
    }
    this.function.addToRolePolicy(
      // The action takes no resource.
      new PolicyStatement({ actions: ['cloudwatch:GetMetricStatistics'], resources: ['*'] }),
    );
    Validations.of(this).acknowledge({
      id: 'AwsSolutions::AwsSolutions-IAM5[Resource::*]',
      reason: 'cloudwatch:GetMetricStatistics takes no resource; it reads figures alone.',
    });
    new Rule(this, 'EveryMinute', {
      description: 'A minute of figures',
      schedule: Schedule.rate(Duration.minutes(1)),
      // A minute that is missed is a gap in a chart; made up for later it would be a wrong figure.
      targets: [new LambdaFunction(this.function, { event: RuleTargetInput.fromObject({}), retryAttempts: 0 })],
    });
    this.url = new FunctionUrl(this, 'Url', { function: this.function, authType: FunctionUrlAuthType.AWS_IAM });
    this.readerPolicy = new ManagedPolicy(this, 'Reader', {
      // Names of policies are the account's, in whatever Region.
      managedPolicyName: `${fleet}-console-reader-${Stack.of(this).region}`,
      description: `Looks at the console of ${fleet}`,
      statements: [
        new PolicyStatement({ actions: ['lambda:InvokeFunctionUrl'], resources: [this.function.functionArn] }),
        new PolicyStatement({
          actions: ['lambda:InvokeFunction'],
          resources: [this.function.functionArn],
          conditions: { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } },
        }),
      ],
    });
    new CfnOutput(this, 'ConsoleUrl', {
      description: 'For baton console --url',
      value: this.url.url,
    });
  }

  /** A figure of the fleet; of the values of a minute there is one. */
  metric(
    metricName: FleetMetric,
    statistic: string,
    label: string = metricName,
    period: Duration = Duration.minutes(1),
  ): IMetric {
    return new Metric({ namespace: this.#namespace, metricName, statistic, period, label });
  }

  /** A figure of every worker there is, for a graph; alarms take no search. */
  metricOfWorkers(metricName: WorkerMetric): IMetric {
    const period = Duration.minutes(1);
    return new MathExpression({
      expression: `SEARCH('{"${this.#namespace}",worker} MetricName="${metricName}"', 'Maximum', ${period.toSeconds()})`,
      period,
      // Each line goes by its worker.
      label: '',
    });
  }
}

import { ArnFormat, type Duration, type RemovalPolicy, Stack } from 'aws-cdk-lib';
import { type IMetric, Metric, Stats } from 'aws-cdk-lib/aws-cloudwatch';
import type { ICluster } from 'aws-cdk-lib/aws-ecs';
import { type IRuleTarget, Rule } from 'aws-cdk-lib/aws-events';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import { FilterPattern, LogGroup, MetricFilter, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';

export interface StoppedWorkersProps {
  readonly fleet: string;
  readonly cluster: ICluster;
  readonly logRetention: RetentionDays;
  readonly logRemovalPolicy: RemovalPolicy;
}

/**
 * Workers that ended by themselves, could not be started, or were replaced because they did not answer: a worker that
 * dies at its start tells nobody else, and ECS itself forgets after an hour why it stopped.
 */
export class StoppedWorkers extends Construct {
  readonly logGroup: LogGroup;
  readonly #namespace: string;

  constructor(scope: Construct, id: string, { fleet, cluster, logRetention, logRemovalPolicy }: StoppedWorkersProps) {
    super(scope, id);
    this.#namespace = `Baton/${fleet}`;
    this.logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/aws/events/${fleet}-stopped-workers`,
      retention: logRetention,
      removalPolicy: logRemovalPolicy,
    });
    this.logGroup.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('events.amazonaws.com'), new ServicePrincipal('delivery.logs.amazonaws.com')],
        actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
        resources: [this.logGroup.logGroupArn],
      }),
    );
    new Rule(this, 'Stopped', {
      description: 'Workers that stopped and should not have',
      eventPattern: {
        source: ['aws.ecs'],
        detailType: ['ECS Task State Change'],
        detail: {
          clusterArn: [cluster.clusterArn],
          lastStatus: ['STOPPED'],
          // Not those that a deployment, scaling or Spot tells to stop.
          $or: [
            { stopCode: ['EssentialContainerExited', 'TaskFailedToStart'] },
            { stoppedReason: [{ prefix: 'Task failed' }] },
          ],
        },
      },
      targets: [this.#target()],
    });
    new MetricFilter(this, 'WorkersFailed', {
      logGroup: this.logGroup,
      metricNamespace: this.#namespace,
      metricName: 'WorkersFailed',
      metricValue: '1',
      filterPattern: FilterPattern.exists('$.detail.taskArn'),
    });
  }

  /** How many there were in `period`. */
  failed(period: Duration): IMetric {
    const metricName = 'WorkersFailed';
    return new Metric({ namespace: this.#namespace, metricName, statistic: Stats.SUM, period, label: metricName });
  }

  /** The CDK's own target writes the log group's policy with a function of its own. */
  #target(): IRuleTarget {
    const arn = Stack.of(this).formatArn({
      service: 'logs',
      resource: 'log-group',
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      resourceName: this.logGroup.logGroupName,
    });
    return { bind: () => ({ arn, targetResource: this.logGroup }) };
  }
}

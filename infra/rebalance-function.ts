import { Duration, Stack } from 'aws-cdk-lib';
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { grantControlQueues } from './control-queues.ts';
import type { FleetTable } from './fleet-table.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import type { WorkerService } from './worker-service.ts';

/** Watching a fleet without a coordinator takes some nine seconds, handing its shards out some more. */
const timeout = Duration.seconds(60);

export interface RebalanceFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly fleet: string;
  readonly coordination: FleetTable;
  readonly workers: WorkerService;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** A paused fleet has no rounds: they would start workers. */
  readonly paused: boolean;
}

/** Every minute: spreads load, says how many workers there should be, and stands in for a missing coordinator. */
export class RebalanceFunction extends HandlerFunction {
  readonly everyMinute: Rule;

  constructor(scope: Construct, id: string, props: RebalanceFunctionProps) {
    const { fleet, coordination, workers, minWorkers, maxWorkers, paused, ...rest } = props;
    super(scope, id, {
      ...rest,
      program: 'rebalance',
      description: 'Spreads shards over workers and sets their number, every minute',
      timeout,
      ...(paused && { reservedConcurrency: 0 }),
      environment: {
        ...rest.environment,
        BATON_TABLE: coordination.table.tableName,
        BATON_ECS_CLUSTER: workers.clusterName,
        BATON_ECS_SERVICE: workers.serviceName,
        BATON_MIN_WORKERS: String(minWorkers),
        BATON_MAX_WORKERS: String(maxWorkers),
      },
    });
    coordination.grant(
      this.function,
      'dynamodb:BatchGetItem',
      'dynamodb:DeleteItem',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:Query',
      'dynamodb:UpdateItem',
    );
    grantControlQueues(this, {
      fleet,
      grantee: this.function,
      actions: ['sqs:DeleteQueue', 'sqs:SendMessage'],
      reason: 'It tells workers of moves.',
    });
    this.function.addToRolePolicy(
      new PolicyStatement({
        actions: ['ecs:DescribeServices', 'ecs:UpdateService'],
        resources: [
          Stack.of(this).formatArn({
            service: 'ecs',
            resource: 'service',
            resourceName: `${workers.clusterName}/${workers.serviceName}`,
          }),
        ],
      }),
    );
    this.everyMinute = new Rule(this, 'EveryMinute', {
      description: 'A round of rebalancing',
      enabled: !paused,
      schedule: Schedule.rate(Duration.minutes(1)),
      targets: [
        // The next round is a minute away and looks anew, so none is made up for.
        new LambdaFunction(this.function, { event: RuleTargetInput.fromObject({}), retryAttempts: 0 }),
      ],
    });
    // A round that comes upon a service just set to nothing would set it to the smallest number again; so when the
    // fleet is paused the rounds end first. The function knows the service by its name alone, or this were a circle.
    if (paused) workers.service.node.addDependency(this.everyMinute);
    else this.everyMinute.node.addDependency(workers.service);
  }
}

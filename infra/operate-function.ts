import { CfnOutput, Duration, Stack } from 'aws-cdk-lib';
import { ManagedPolicy, PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { FunctionUrl, FunctionUrlAuthType } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { grantControlQueues } from './control-queues.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import type { StatsFunction } from './stats-function.ts';

/** A drain takes what a task's stop timeout is at most, and some for looking. */
const timeout = Duration.seconds(180);

export interface OperateFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly fleet: string;
  readonly coordination: FleetTable;
  readonly events: FleetQueue;
  readonly stats: StatsFunction;
}

/** What operators do from the console: move, drain, respawn, rebalance, redrive. Its URL answers principals of the account alone. */
export class OperateFunction extends HandlerFunction {
  readonly url: FunctionUrl;
  /** May look at the console and act. */
  readonly operatorPolicy: ManagedPolicy;

  constructor(scope: Construct, id: string, props: OperateFunctionProps) {
    const { fleet, coordination, events, stats, ...rest } = props;
    super(scope, id, {
      ...rest,
      program: 'operate',
      description: 'Carries out what operators ask for',
      timeout,
      environment: {
        ...rest.environment,
        BATON_TABLE: coordination.table.tableName,
        BATON_EVENTS_QUEUE: events.queue.queueUrl,
        BATON_EVENTS_DLQ: events.deadLetters.queueUrl,
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
    events.queue.grant(this.function, 'sqs:SendMessage');
    events.deadLetters.grant(this.function, 'sqs:DeleteMessage', 'sqs:GetQueueAttributes', 'sqs:ReceiveMessage');
    grantControlQueues(this, {
      fleet,
      grantee: this.function,
      actions: ['sqs:DeleteQueue', 'sqs:SendMessage'],
      reason: 'It tells workers what operators ask for.',
    });
    this.url = new FunctionUrl(this, 'Url', { function: this.function, authType: FunctionUrlAuthType.AWS_IAM });
    const functions = [this.function.functionArn, stats.function.functionArn];
    this.operatorPolicy = new ManagedPolicy(this, 'Operator', {
      managedPolicyName: `${fleet}-console-operator-${Stack.of(this).region}`,
      description: `Looks at the console of ${fleet} and acts`,
      statements: [
        new PolicyStatement({ actions: ['lambda:InvokeFunctionUrl'], resources: functions }),
        new PolicyStatement({
          actions: ['lambda:InvokeFunction'],
          resources: functions,
          conditions: { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } },
        }),
      ],
    });
    new CfnOutput(this, 'OperatorUrl', {
      description: 'For baton console --operator-url',
      value: this.url.url,
    });
  }
}

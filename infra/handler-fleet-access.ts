import { Stack, Validations } from 'aws-cdk-lib';
import { PolicyStatement } from 'aws-cdk-lib/aws-iam';
import { controlQueuePrefix } from '../shared/fleet-resources.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import type { HandlerFunction } from './handler-function.ts';

/** What handlers' `ctx.fleet` and `ctx.shard` need. */
export interface HandlerFleet {
  readonly fleet: string;
  readonly coordination: FleetTable;
  readonly events: FleetQueue;
}

/** Variables that tell a function's handlers where the fleet is. */
export function handlerFleetEnvironment({ coordination, events }: HandlerFleet): Record<string, string> {
  return { BATON_TABLE: coordination.table.tableName, BATON_EVENTS_QUEUE: events.queue.queueUrl };
}

/** Lets a function's handlers look at the fleet, ask its workers, and send messages to other shards. */
export function grantHandlerFleet(to: HandlerFunction, { fleet, coordination, events }: HandlerFleet): void {
  // What is deleted are the replies that a request has read.
  coordination.table.grant(to.function, 'dynamodb:DeleteItem', 'dynamodb:GetItem', 'dynamodb:Query');
  const controlQueues = Stack.of(to).formatArn({ service: 'sqs', resource: `${controlQueuePrefix(fleet)}*` });
  to.function.addToRolePolicy(
    new PolicyStatement({ actions: ['sqs:SendMessage'], resources: [events.queue.queueArn, controlQueues] }),
  );
  Validations.of(to).acknowledge({
    id: `AwsSolutions::AwsSolutions-IAM5[Resource::arn:<AWS::Partition>:sqs:<AWS::Region>:<AWS::AccountId>:${controlQueuePrefix(fleet)}*]`,
    reason: 'Handlers ask workers, whose control queues are made when they start: only the prefix is known.',
  });
}

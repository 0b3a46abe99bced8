import { Stack, Token, Validations } from 'aws-cdk-lib';
import { Grant, type IGrantable } from 'aws-cdk-lib/aws-iam';
import type { Construct } from 'constructs';
import { controlQueuePrefix } from '../shared/fleet-resources.ts';

export interface ControlQueuesGrant {
  readonly fleet: string;
  readonly grantee: IGrantable;
  readonly actions: readonly string[];
  /** What `grantee` has to do with them. */
  readonly reason: string;
}

/** Lets `grantee`, a part of `scope`, do `actions` with every control queue of a fleet. */
export function grantControlQueues(scope: Construct, { fleet, grantee, actions, reason }: ControlQueuesGrant): void {
  const stack = Stack.of(scope);
  const resource = `${controlQueuePrefix(fleet)}*`;
  Grant.addToPrincipal({
    grantee,
    actions: [...actions],
    resourceArns: [stack.formatArn({ service: 'sqs', resource })],
  });
  // In a finding's id, what is not known at synthesis goes by its name.
  const [partition, region, account] = [
    shown(stack.partition, 'AWS::Partition'),
    shown(stack.region, 'AWS::Region'),
    shown(stack.account, 'AWS::AccountId'),
  ];
  Validations.of(scope).acknowledge({
    id: `AwsSolutions::AwsSolutions-IAM5[Resource::arn:${partition}:sqs:${region}:${account}:${resource}]`,
    reason: `${reason} Workers make their control queues when they start: only the prefix is known.`,
  });
}

function shown(value: string, name: string): string {
  return Token.isUnresolved(value) ? `<${name}>` : value;
}

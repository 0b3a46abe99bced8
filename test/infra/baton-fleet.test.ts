import { RemovalPolicy } from 'aws-cdk-lib';
import { Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import {
  eventsQueueSettings,
  functionTimeoutSeconds,
  interactionsQueueSettings,
} from '../../shared/fleet-resources.ts';
import { stages } from '../../infra/stages.ts';
import { synthesizeFleet } from './synthesized-fleet.ts';

const { template, stack, fleet } = synthesizeFleet();
const ref = (construct: { node: { defaultChild?: unknown } }) => ({
  Ref: stack.getLogicalId(construct.node.defaultChild as never),
});

describe('tables', () => {
  test.each(['baton-coordination', 'baton-directory'])('%s has the key and expiry that the code uses', (name) => {
    template.hasResource('AWS::DynamoDB::GlobalTable', {
      DeletionPolicy: 'Retain',
      Properties: {
        BillingMode: 'PAY_PER_REQUEST',
        KeySchema: [
          { AttributeName: 'pk', KeyType: 'HASH' },
          { AttributeName: 'sk', KeyType: 'RANGE' },
        ],
        AttributeDefinitions: [
          { AttributeName: 'pk', AttributeType: 'S' },
          { AttributeName: 'sk', AttributeType: 'S' },
        ],
        TimeToLiveSpecification: { AttributeName: 'expiresAt', Enabled: true },
        Replicas: [
          Match.objectLike({
            TableName: Match.absent(),
            DeletionProtectionEnabled: true,
            PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
          }),
        ],
        TableName: name,
      },
    });
  });

  test('are deleted with the stack where that is asked for', () => {
    const disposable = synthesizeFleet({ removalPolicy: RemovalPolicy.DESTROY }).template;
    disposable.allResources('AWS::DynamoDB::GlobalTable', { DeletionPolicy: 'Delete' });
  });
});

describe('queues', () => {
  test('of events are FIFO, fast per group, and redrive late', () => {
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'baton-events.fifo',
      FifoQueue: true,
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
      VisibilityTimeout: eventsQueueSettings.visibilityTimeoutSeconds,
      MessageRetentionPeriod: eventsQueueSettings.retentionSeconds,
      SqsManagedSseEnabled: true,
      RedrivePolicy: { maxReceiveCount: eventsQueueSettings.maxReceiveCount },
    });
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'baton-events-dlq.fifo',
      FifoQueue: true,
      // A release that breaks a handler buries hundreds of events a second.
      DeduplicationScope: 'messageGroup',
      FifoThroughputLimit: 'perMessageGroupId',
      MessageRetentionPeriod: eventsQueueSettings.deadLetterRetentionSeconds,
    });
  });

  test('of interactions are standard queues that forget what Discord takes no answer for', () => {
    template.hasResourceProperties('AWS::SQS::Queue', {
      QueueName: 'baton-interactions',
      FifoQueue: Match.absent(),
      VisibilityTimeout: interactionsQueueSettings.visibilityTimeoutSeconds,
      MessageRetentionPeriod: 900,
    });
    template.hasResourceProperties('AWS::SQS::Queue', { QueueName: 'baton-interactions-dlq' });
  });

  test.each([
    ['events', eventsQueueSettings],
    ['interactions', interactionsQueueSettings],
  ])('of %s give a message up while it is still there', (_, settings) => {
    const { maxReceiveCount, visibilityTimeoutSeconds, retentionSeconds } = settings;
    expect(maxReceiveCount * visibilityTimeoutSeconds).toBeLessThan(retentionSeconds);
  });

  test('hide a message for six runs of the function that gets it', () => {
    expect(eventsQueueSettings.visibilityTimeoutSeconds).toBeGreaterThanOrEqual(6 * functionTimeoutSeconds.events);
    expect(interactionsQueueSettings.visibilityTimeoutSeconds).toBeGreaterThanOrEqual(
      6 * functionTimeoutSeconds.interactions,
    );
  });

  test('refuse requests without TLS', () => {
    const policies = Object.values(template.findResources('AWS::SQS::QueuePolicy'));
    expect(policies).toHaveLength(4);
    for (const { Properties } of policies) {
      expect(Properties.PolicyDocument.Statement).toContainEqual(
        expect.objectContaining({ Effect: 'Deny', Condition: { Bool: { 'aws:SecureTransport': 'false' } } }),
      );
    }
  });
});

describe('workers', () => {
  test('get two minutes to hand over, on arm64, without a writable disk', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      RuntimePlatform: { CpuArchitecture: 'ARM64' },
      ContainerDefinitions: [
        Match.objectLike({
          StopTimeout: 120,
          ReadonlyRootFilesystem: true,
          Environment: Match.arrayWith([{ Name: 'BATON_STOP_TIMEOUT_MS', Value: '120000' }]),
        }),
      ],
    });
  });

  test('never wait for their log to be taken', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [
        Match.objectLike({ LogConfiguration: { Options: Match.objectLike({ mode: 'non-blocking' }) } }),
      ],
    });
  });

  test('are replaced only after new ones are up, and never moved to even out zones', () => {
    template.hasResourceProperties('AWS::ECS::Service', {
      DeploymentConfiguration: {
        MinimumHealthyPercent: 100,
        MaximumPercent: 200,
        DeploymentCircuitBreaker: { Enable: true, Rollback: true },
      },
      AvailabilityZoneRebalancing: 'DISABLED',
      // A count in the template would undo what scaling has decided at every deployment.
      DesiredCount: Match.absent(),
    });
  });

  test('reach Discord without a NAT gateway, and nothing reaches them', () => {
    template.resourceCountIs('AWS::EC2::NatGateway', 0);
    template.hasResourceProperties('AWS::ECS::Service', {
      NetworkConfiguration: { AwsvpcConfiguration: { AssignPublicIp: 'ENABLED' } },
    });
    template.hasResourceProperties('AWS::EC2::SecurityGroup', {
      SecurityGroupIngress: Match.absent(),
      SecurityGroupEgress: [Match.objectLike({ IpProtocol: 'tcp', FromPort: 443, ToPort: 443 })],
    });
    template.resourceCountIs('AWS::EC2::SecurityGroupIngress', 0);
  });

  test('run on Spot in the share that is asked for, the first one never', () => {
    const { template: spotted } = synthesizeFleet({ capacity: { ...stages.prod.capacity, spotShare: 0.75 } });
    spotted.hasResourceProperties('AWS::ECS::Service', {
      CapacityProviderStrategy: [
        { CapacityProvider: 'FARGATE', Base: 1, Weight: 25 },
        { CapacityProvider: 'FARGATE_SPOT', Weight: 75 },
      ],
    });
  });

  test("have Fargate's capacity in their cluster itself: an association could go while the service still drains", () => {
    template.hasResourceProperties('AWS::ECS::Cluster', { CapacityProviders: ['FARGATE', 'FARGATE_SPOT'] });
    template.resourceCountIs('AWS::ECS::ClusterCapacityProviderAssociations', 0);
  });

  test('read the token from the secret, which the template does not hold', () => {
    template.hasResourceProperties('AWS::ECS::TaskDefinition', {
      ContainerDefinitions: [
        Match.objectLike({
          Secrets: [{ Name: 'DISCORD_TOKEN', ValueFrom: { 'Fn::Join': ['', [Match.anyValue(), ':token::']] } }],
        }),
      ],
    });
    template.hasResource('AWS::SecretsManager::Secret', {
      DeletionPolicy: 'RetainExceptOnCreate',
      UpdateReplacePolicy: 'Retain',
      Properties: { Name: 'baton/discord', SecretString: Match.absent(), GenerateSecretString: Match.absent() },
    });
  });
});

describe('functions', () => {
  test.each([
    ['events', fleet.events],
    ['interactions', fleet.interactions],
  ])('%s takes batches of its queue and reports failed messages one by one', (name, { queue }) => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: `baton-${name}`,
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
    });
    template.hasResourceProperties('AWS::Lambda::EventSourceMapping', {
      EventSourceArn: { 'Fn::GetAtt': [ref(queue).Ref, 'Arn'] },
      BatchSize: 10,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 50 },
    });
  });

  test("rebalance runs every minute, knows the bounds of the service and the workers' rules", () => {
    template.hasResourceProperties('AWS::Events::Rule', { ScheduleExpression: 'rate(1 minute)', State: 'ENABLED' });
    const { template: slower } = synthesizeFleet({ workerEnvironment: { BATON_HEARTBEAT_MS: '5000' } });
    slower.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'baton-rebalance',
      Environment: {
        Variables: Match.objectLike({
          BATON_MIN_WORKERS: '2',
          BATON_MAX_WORKERS: '20',
          BATON_ECS_CLUSTER: 'baton',
          BATON_ECS_SERVICE: 'baton-workers',
          BATON_HEARTBEAT_MS: '5000',
        }),
      },
    });
  });

  test('the interactions endpoint is public, streams, has a bound, and tells its address', () => {
    const endpoint = ref(fleet.interactionsEndpoint.function);
    template.hasResourceProperties('AWS::Lambda::Url', {
      AuthType: 'NONE',
      InvokeMode: 'RESPONSE_STREAM',
      TargetFunctionArn: { 'Fn::GetAtt': [endpoint.Ref, 'Arn'] },
    });
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'baton-interactions-endpoint',
      ReservedConcurrentExecutions: 50,
    });
    // Lambda answers 403 unless the caller may do both.
    for (const Action of ['lambda:InvokeFunctionUrl', 'lambda:InvokeFunction']) {
      template.hasResourceProperties('AWS::Lambda::Permission', {
        Action,
        Principal: '*',
        FunctionName: { 'Fn::GetAtt': [endpoint.Ref, 'Arn'] },
      });
    }
    template.hasOutput('*', { Description: Match.stringLikeRegexp('Interactions Endpoint URL') });
    const { template: unbounded } = synthesizeFleet({ endpointReservedConcurrency: undefined });
    unbounded.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'baton-interactions-endpoint',
      ReservedConcurrentExecutions: Match.absent(),
    });
  });

  test('of events do not pay for a log of every invocation', () => {
    template.hasResourceProperties('AWS::Lambda::Function', {
      FunctionName: 'baton-events',
      LoggingConfig: { LogFormat: 'JSON', ApplicationLogLevel: 'INFO', SystemLogLevel: 'WARN' },
    });
  });

  test('write to log groups of their own, which are not kept for ever', () => {
    for (const { Properties } of Object.values(template.findResources('AWS::Logs::LogGroup'))) {
      expect(Properties.RetentionInDays).toBe(30);
    }
  });
});

test('nothing of the stack is wide open: no action and no resource is a bare star', () => {
  const statements = Object.values(template.findResources('AWS::IAM::Policy')).flatMap(
    ({ Properties }) => Properties.PolicyDocument.Statement as { Action: unknown; Resource: unknown }[],
  );
  const open = statements.filter(
    ({ Action, Resource }) =>
      [Action, Resource].flat().includes('*') &&
      // These take no resource.
      !['ecr:GetAuthorizationToken', 'cloudwatch:GetMetricStatistics'].includes([Action].flat().join()),
  );
  expect(open).toEqual([]);
});

test('what holds data keeps its logical id: another one would make CloudFormation replace it', () => {
  const ids = (type: string) => Object.keys(template.findResources(type)).sort();
  expect({
    tables: ids('AWS::DynamoDB::GlobalTable'),
    queues: ids('AWS::SQS::Queue'),
    secrets: ids('AWS::SecretsManager::Secret'),
  }).toEqual({
    tables: ['FleetCoordinationTable40207169', 'FleetDirectoryTable7B20BEF9'],
    queues: [
      'FleetEventsDeadLetters74C9B6A7',
      'FleetEventsQueue8D811081',
      'FleetInteractionsDeadLetters0A7CBBF6',
      'FleetInteractionsQueueA6063425',
    ],
    secrets: ['FleetDiscordSecretCC90C39E'],
  });
});

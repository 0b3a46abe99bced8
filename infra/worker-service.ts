import { Duration, type RemovalPolicy, Size, Stack, Validations } from 'aws-cdk-lib';
import { type IVpc, Peer, Port, SecurityGroup } from 'aws-cdk-lib/aws-ec2';
import {
  AvailabilityZoneRebalancing,
  AwsLogDriverMode,
  type CfnCluster,
  Cluster,
  type ContainerDefinition,
  CpuArchitecture,
  FargateService,
  FargateTaskDefinition,
  LogDrivers,
  OperatingSystemFamily,
  Secret as ContainerSecret,
} from 'aws-cdk-lib/aws-ecs';
import { LogGroup, type RetentionDays } from 'aws-cdk-lib/aws-logs';
import { Construct } from 'constructs';
import { parkedPartitionPrefix, secretFields } from '../shared/fleet-resources.ts';
import type { BotSecret } from './bot-secret.ts';
import type { HandlerLists } from './bundle.ts';
import { grantControlQueues } from './control-queues.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import { workerImage } from './worker-image.ts';

/** Fargate's maximum: workers use it to hand their shards over. */
const stopTimeout = Duration.seconds(120);

/** Open inside the task only: its security group lets nothing in. */
const healthPort = 8080;
const healthProbe = `fetch('http://127.0.0.1:${healthPort}/healthz').then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))`;

export interface WorkerCapacity {
  /** CPU units of one worker: 256, 512, 1024 (one vCPU) and so on; Node uses little more than one vCPU. */
  readonly cpu: number;
  readonly memoryMb: number;
  readonly minWorkers: number;
  readonly maxWorkers: number;
  /** Share of the workers, from 0 to 1, that runs on Fargate Spot; the first worker never does. */
  readonly spotShare: number;
  /** Shards that one worker takes. @default as many as are assigned to it */
  readonly maxShards?: number | undefined;
}

export interface WorkerServiceProps {
  readonly fleet: string;
  readonly handlers: HandlerLists;
  readonly vpc: IVpc;
  readonly capacity: WorkerCapacity;
  readonly paused: boolean;
  readonly coordination: FleetTable;
  readonly directory: FleetTable;
  readonly events: FleetQueue;
  readonly interactions: FleetQueue;
  readonly secret: BotSecret;
  readonly environment: Readonly<Record<string, string>>;
  readonly logRetention: RetentionDays;
  readonly logRemovalPolicy: RemovalPolicy;
}

/** Gateway workers on ECS Fargate (arm64). A new task takes shards over before an old one is told to stop. */
export class WorkerService extends Construct {
  /** Names rather than references: whoever acts on the service need not be made after it. */
  readonly clusterName: string;
  readonly serviceName: string;
  readonly cluster: Cluster;
  readonly service: FargateService;
  readonly taskDefinition: FargateTaskDefinition;
  readonly container: ContainerDefinition;
  readonly logGroup: LogGroup;

  constructor(scope: Construct, id: string, props: WorkerServiceProps) {
    super(scope, id);
    const { fleet, vpc, capacity } = props;
    this.clusterName = fleet;
    this.serviceName = `${fleet}-workers`;
    this.cluster = new Cluster(this, 'Cluster', { vpc, clusterName: this.clusterName });
    // As a property of the cluster: the association that the CDK makes of it would be deleted while the service drains.
    (this.cluster.node.defaultChild as CfnCluster).capacityProviders = ['FARGATE', 'FARGATE_SPOT'];
    Validations.of(this.cluster).acknowledge({
      id: 'AwsSolutions::AwsSolutions-ECS4',
      reason:
        'Container Insights bills metrics per task; workers publish what matters about them in their own metrics.',
    });
    this.logGroup = new LogGroup(this, 'Logs', {
      logGroupName: `/baton/${fleet}/workers`,
      retention: props.logRetention,
      removalPolicy: props.logRemovalPolicy,
    });
    this.taskDefinition = new FargateTaskDefinition(this, 'Task', {
      family: `${fleet}-worker`,
      cpu: capacity.cpu,
      memoryLimitMiB: capacity.memoryMb,
      runtimePlatform: { cpuArchitecture: CpuArchitecture.ARM64, operatingSystemFamily: OperatingSystemFamily.LINUX },
    });
    this.container = this.#addContainer(props);
    // The CDK grants the secret itself, and not the use of its key.
    props.secret.grantRead(this.taskDefinition.obtainExecutionRole());
    this.#grantTheWorkersActions(props);
    Validations.of(this.taskDefinition).acknowledge(
      {
        id: 'AwsSolutions::AwsSolutions-ECS2',
        reason: 'The variables are names and numbers; the token is injected from the secret.',
      },
      {
        id: 'AwsSolutions::AwsSolutions-IAM5[Resource::*]',
        reason: 'ecr:GetAuthorizationToken of the execution role takes no resource.',
      },
    );
    this.service = this.#addService(props);
  }

  #addContainer({ capacity, environment, handlers, secret }: WorkerServiceProps): ContainerDefinition {
    return this.taskDefinition.addContainer('worker', {
      image: workerImage(handlers),
      environment: {
        ...environment,
        AWS_REGION: Stack.of(this).region,
        BATON_HTTP_PORT: String(healthPort),
        BATON_STOP_TIMEOUT_MS: String(stopTimeout.toMilliseconds()),
        ...(capacity.maxShards !== undefined && { BATON_MAX_SHARDS: String(capacity.maxShards) }),
      },
      secrets: { DISCORD_TOKEN: ContainerSecret.fromSecretsManager(secret.secret, secretFields.token) },
      healthCheck: {
        // Liveness, not readiness: shards that Discord keeps away are not mended by replacing the worker.
        command: ['CMD', '/nodejs/bin/node', '-e', healthProbe],
        interval: Duration.seconds(30),
        timeout: Duration.seconds(10),
        retries: 3,
        startPeriod: Duration.seconds(120),
      },
      stopTimeout,
      readonlyRootFilesystem: true,
      logging: LogDrivers.awsLogs({
        logGroup: this.logGroup,
        streamPrefix: 'worker',
        // A line that cannot be delivered is lost; waiting for it would stop heartbeats, on all workers at once.
        mode: AwsLogDriverMode.NON_BLOCKING,
        maxBufferSize: Size.mebibytes(25),
      }),
    });
  }

  #addService({ vpc, capacity, paused }: WorkerServiceProps): FargateService {
    const securityGroup = new SecurityGroup(this, 'Outbound', {
      vpc,
      description: 'Gateway workers: HTTPS out, nothing in',
      allowAllOutbound: false,
    });
    securityGroup.addEgressRule(Peer.anyIpv4(), Port.tcp(443), 'Discord and AWS');
    return new FargateService(this, 'Service', {
      cluster: this.cluster,
      serviceName: this.serviceName,
      taskDefinition: this.taskDefinition,
      securityGroups: [securityGroup],
      // Without a NAT gateway this is the way out; there is no way in.
      assignPublicIp: true,
      // Otherwise rebalancing sets the count: one in the template would undo its work at every deployment.
      ...(paused && { desiredCount: 0 }),
      // All old workers live until the new ones have taken their shards.
      minHealthyPercent: 100,
      maxHealthyPercent: 200,
      circuitBreaker: { enable: true, rollback: true },
      // Evening out zones would stop workers, and so move shards, for no gain.
      availabilityZoneRebalancing: AvailabilityZoneRebalancing.DISABLED,
      capacityProviderStrategies: capacityProviders(capacity),
    });
  }

  #grantTheWorkersActions({ fleet, coordination, directory, events, interactions }: WorkerServiceProps): void {
    const role = this.taskDefinition.taskRole;
    coordination.grant(
      role,
      'dynamodb:BatchGetItem',
      'dynamodb:DeleteItem',
      'dynamodb:GetItem',
      'dynamodb:PutItem',
      'dynamodb:Query',
      'dynamodb:UpdateItem',
    );
    directory.grantOnPartitions(role, `${parkedPartitionPrefix}*`, 'dynamodb:PutItem');
    events.queue.grant(role, 'sqs:SendMessage');
    interactions.queue.grant(role, 'sqs:SendMessage');
    grantControlQueues(this.taskDefinition, {
      fleet,
      grantee: role,
      actions: [
        'sqs:CreateQueue',
        'sqs:DeleteMessage',
        'sqs:DeleteQueue',
        'sqs:ReceiveMessage',
        'sqs:SendMessage',
        'sqs:TagQueue',
      ],
      reason: 'A worker empties its own and writes to those of the others.',
    });
  }
}

function capacityProviders({ spotShare }: WorkerCapacity) {
  const spotWeight = Math.round(spotShare * 100);
  const onDemand = { capacityProvider: 'FARGATE', base: 1, weight: 100 - spotWeight };
  return spotWeight === 0 ? [onDemand] : [onDemand, { capacityProvider: 'FARGATE_SPOT', weight: spotWeight }];
}

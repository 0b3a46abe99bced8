import { RemovalPolicy, Stack, Validations } from 'aws-cdk-lib';
import { GatewayVpcEndpointAwsService, type IVpc, IpAddresses, SubnetType, Vpc } from 'aws-cdk-lib/aws-ec2';
import { PolicyStatement, ServicePrincipal } from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { type ITopic, Topic } from 'aws-cdk-lib/aws-sns';
import { EmailSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import { Construct } from 'constructs';
import { eventsQueueSettings, interactionsQueueSettings } from '../shared/fleet-resources.ts';
import { BotSecret } from './bot-secret.ts';
import { defaultDirectoryEntities } from '../shared/directory/directory-options.ts';
import { DirectoryFunction } from './directory-function.ts';
import { EventsFunction } from './events-function.ts';
import { FleetAlarms } from './fleet-alarms.ts';
import { FleetDashboard } from './fleet-dashboard.ts';
import type { FleetParts } from './fleet-parts.ts';
import { FleetQueue } from './fleet-queue.ts';
import { checkFleetSettings } from './fleet-settings.ts';
import { FleetTable } from './fleet-table.ts';
import { handlersFolder, listHandlers } from './handler-lists.ts';
import { InteractionsEndpoint } from './interactions-endpoint.ts';
import { InteractionsFunction } from './interactions-function.ts';
import { type CountedLogLevel, levelOfCounted, LogMetrics } from './log-metrics.ts';
import { OperateFunction } from './operate-function.ts';
import { RebalanceFunction } from './rebalance-function.ts';
import { SavedQueries } from './saved-queries.ts';
import { StatsFunction } from './stats-function.ts';
import { StoppedWorkers } from './stopped-workers.ts';
import { type WorkerCapacity, WorkerService } from './worker-service.ts';

export interface BatonFleetProps {
  /** Start of the name of every table, queue and function; two fleets of one account and Region differ in it. */
  readonly fleet: string;
  readonly capacity: WorkerCapacity;
  /**
   * Folder of the bot's handlers, from the current one on. At synthesis they are loaded, checked and bundled into the
   * functions, and what they ask for into the workers. @default functions/handlers of this package
   */
  readonly handlers?: string | undefined;
  /** Number of shards of the bot. @default what Discord recommends */
  readonly totalShards?: number | undefined;
  /** ARN of a secret with the fields `token` and `publicKey`. @default an empty secret `<fleet>/discord` is created */
  readonly secretArn?: string | undefined;
  /** Key that encrypts that secret, where it is one of yours. @default the key that Secrets Manager has */
  readonly secretEncryptionKey?: IKey | undefined;
  /** Network of the workers; they need a way out to the internet. @default two public subnets, no NAT gateway */
  readonly vpc?: IVpc | undefined;
  /** Key that encrypts both tables; the stack must have an `env`. @default a key that DynamoDB owns, at no charge */
  readonly tableEncryptionKey?: IKey | undefined;
  /** How long logs are kept. @default one month */
  readonly logRetention?: RetentionDays | undefined;
  /** What happens to tables and logs when the stack is deleted. @default they are kept, and tables protected besides */
  readonly removalPolicy?: RemovalPolicy | undefined;
  /**
   * Invocations of the events function at once, 2 to 1000. Each handles up to ten envelopes; one shard never has more
   * than one at a time. @default 50
   */
  readonly eventsConcurrency?: number | undefined;
  /** Invocations of the interactions function at once, 2 to 1000. @default 50 */
  readonly interactionsConcurrency?: number | undefined;
  /**
   * Invocations of the interactions function that no other function of the account can take, at least as many as
   * `interactionsConcurrency`. The account must have so many and 100 more. @default none
   */
  readonly interactionsReservedConcurrency?: number | undefined;
  /**
   * Requests that the interactions endpoint takes at once, kept for it alone. Its address is public, so this is what
   * bounds its cost. The account must have so many and 100 more. @default none are kept, and the account is the bound
   */
  readonly endpointReservedConcurrency?: number | undefined;
  /**
   * Memory in MB of the functions that run handlers, and with it their share of a CPU (1769 MB are a whole one).
   * @default 512; the interactions endpoint has 1024 at least
   */
  readonly functionMemoryMb?: number | undefined;
  /** How much is logged; workers and the stats function, whose lines are counted, log `info` at least. @default info */
  readonly logLevel?: CountedLogLevel | undefined;
  /** Further variables of the workers, such as `BATON_LINGER_MS` or `DISCORD_INTENTS`. @default their defaults */
  readonly workerEnvironment?: Readonly<Record<string, string>> | undefined;
  /** Runs no workers; for the first deployment, when the secret has no value yet. @default false */
  readonly paused?: boolean | undefined;
  /** Address that alarms are mailed to; AWS asks it for consent first. @default alarms only show on the dashboard */
  readonly alarmEmail?: string | undefined;
  /** Address of the runbooks, which every alarm links to. @default the path of the page in the repository */
  readonly runbookUrl?: string | undefined;
  /** What the directory keeps: `off` or entities such as `guilds,channels`. @default guilds,channels,threads,roles */
  readonly directoryEntities?: string | undefined;
  /** What it fetches by itself: `guilds`, `members` or both. @default off */
  readonly directoryPreload?: string | undefined;
  /** Handlers never see an envelope twice, for one conditional write an envelope. @default false */
  readonly consumerGuard?: boolean | undefined;
}

/** A whole fleet: tables, queues, gateway workers and the functions behind them. */
export class BatonFleet extends Construct {
  readonly coordination: FleetTable;
  readonly directory: FleetTable;
  readonly events: FleetQueue;
  readonly interactions: FleetQueue;
  readonly secret: BotSecret;
  readonly workers: WorkerService;
  readonly stoppedWorkers: StoppedWorkers;
  readonly eventsFunction: EventsFunction;
  readonly interactionsFunction: InteractionsFunction;
  readonly interactionsEndpoint: InteractionsEndpoint;
  readonly directoryFunction: DirectoryFunction;
  readonly rebalanceFunction: RebalanceFunction;
  readonly statsFunction: StatsFunction;
  readonly operateFunction: OperateFunction;
  readonly alarms: FleetAlarms;
  readonly dashboard: FleetDashboard;

  constructor(scope: Construct, id: string, props: BatonFleetProps) {
    super(scope, id);
    checkFleetSettings(props, Stack.of(this).region);
    const {
      fleet,
      removalPolicy = RemovalPolicy.RETAIN,
      logRetention = RetentionDays.ONE_MONTH,
      logLevel = 'info',
    } = props;
    const logs = {
      logRetention,
      // Logs of a first deployment that fails would be in the way of the next one.
      logRemovalPolicy:
        removalPolicy === RemovalPolicy.RETAIN ? RemovalPolicy.RETAIN_ON_UPDATE_OR_DELETE : removalPolicy,
    };
    const handlers = listHandlers(handlersFolder(props.handlers));
    const functions = { ...logs, logLevel, handlers };
    const handlerFunctions = { ...functions, memoryMb: props.functionMemoryMb };
    const { eventsConcurrency = 50, interactionsConcurrency = 50 } = props;
    const kept = { encryptionKey: props.tableEncryptionKey, removalPolicy };
    this.coordination = new FleetTable(this, 'Coordination', { tableName: `${fleet}-coordination`, ...kept });
    this.directory = new FleetTable(this, 'Directory', { tableName: `${fleet}-directory`, ...kept });
    this.events = new FleetQueue(this, 'Events', { queueName: `${fleet}-events.fifo`, settings: eventsQueueSettings });
    this.interactions = new FleetQueue(this, 'Interactions', {
      queueName: `${fleet}-interactions`,
      settings: interactionsQueueSettings,
    });
    this.secret = new BotSecret(this, 'Discord', {
      secretName: `${fleet}/discord`,
      importedArn: props.secretArn,
      importedKey: props.secretEncryptionKey,
    });

    const environment = {
      BATON_FLEET: fleet,
      BATON_DIRECTORY_TABLE: this.directory.table.tableName,
      BATON_LOG_LEVEL: logLevel,
      BATON_DIRECTORY: props.directoryEntities ?? [...defaultDirectoryEntities].join(','),
    };
    this.workers = new WorkerService(this, 'Workers', {
      fleet,
      handlers,
      vpc: props.vpc ?? this.#publicVpc(),
      capacity: props.capacity,
      paused: props.paused ?? false,
      coordination: this.coordination,
      directory: this.directory,
      events: this.events,
      interactions: this.interactions,
      secret: this.secret,
      environment: {
        ...props.workerEnvironment,
        ...environment,
        BATON_LOG_LEVEL: levelOfCounted(logLevel),
        BATON_TABLE: this.coordination.table.tableName,
        BATON_EVENTS_QUEUE: this.events.queue.queueUrl,
        BATON_INTERACTIONS_QUEUE: this.interactions.queue.queueUrl,
        BATON_TOTAL_SHARDS: String(props.totalShards ?? 'auto'),
      },
      ...logs,
    });
    this.stoppedWorkers = new StoppedWorkers(this, 'StoppedWorkers', { fleet, cluster: this.workers.cluster, ...logs });
    const handlerFleet = { fleet, coordination: this.coordination, events: this.events };
    this.eventsFunction = new EventsFunction(this, 'EventsFunction', {
      functionName: `${fleet}-events`,
      events: this.events,
      maxConcurrency: eventsConcurrency,
      handlerFleet,
      directory: this.directory,
      secret: this.secret,
      environment: {
        ...environment,
        BATON_EVENTS_DLQ: this.events.deadLetters.queueUrl,
        BATON_CONSUMER_GUARD: props.consumerGuard === true ? 'on' : 'off',
      },
      ...handlerFunctions,
    });
    this.interactionsFunction = new InteractionsFunction(this, 'InteractionsFunction', {
      functionName: `${fleet}-interactions`,
      interactions: this.interactions,
      handlerFleet,
      directory: this.directory,
      secret: this.secret,
      environment,
      maxConcurrency: interactionsConcurrency,
      reservedConcurrency: props.interactionsReservedConcurrency,
      ...handlerFunctions,
    });
    this.interactionsEndpoint = new InteractionsEndpoint(this, 'InteractionsEndpoint', {
      functionName: `${fleet}-interactions-endpoint`,
      handlerFleet,
      directory: this.directory,
      secret: this.secret,
      environment,
      reservedConcurrency: props.endpointReservedConcurrency,
      ...handlerFunctions,
    });

    this.directoryFunction = new DirectoryFunction(this, 'DirectoryFunction', {
      functionName: `${fleet}-directory`,
      handlerFleet,
      directory: this.directory,
      secret: this.secret,
      environment: { ...environment, BATON_DIRECTORY_PRELOAD: props.directoryPreload ?? 'off' },
      ...functions,
    });

    this.rebalanceFunction = new RebalanceFunction(this, 'RebalanceFunction', {
      functionName: `${fleet}-rebalance`,
      fleet,
      coordination: this.coordination,
      workers: this.workers,
      minWorkers: props.capacity.minWorkers,
      maxWorkers: props.capacity.maxWorkers,
      paused: props.paused ?? false,
      // It judges who lives by the workers' own rules.
      environment: { ...livenessOf(props.workerEnvironment), BATON_FLEET: fleet, BATON_LOG_LEVEL: logLevel },
      ...functions,
    });

    this.statsFunction = new StatsFunction(this, 'StatsFunction', {
      functionName: `${fleet}-stats`,
      fleet,
      coordination: this.coordination,
      events: this.events,
      interactions: this.interactions,
      environment: { ...livenessOf(props.workerEnvironment), BATON_FLEET: fleet, BATON_LOG_LEVEL: logLevel },
      ...functions,
    });

    this.operateFunction = new OperateFunction(this, 'OperateFunction', {
      functionName: `${fleet}-operate`,
      fleet,
      coordination: this.coordination,
      events: this.events,
      stats: this.statsFunction,
      environment: { ...livenessOf(props.workerEnvironment), BATON_FLEET: fleet, BATON_LOG_LEVEL: logLevel },
      ...functions,
    });

    const eventsLogs = this.eventsFunction.logGroup;
    const interactionsLogs = [this.interactionsFunction.logGroup, this.interactionsEndpoint.logGroup];
    const logMetrics = new LogMetrics(this, 'LogMetrics', {
      fleet,
      workerLogs: this.workers.logGroup,
      functionLogs: {
        EventsDeadLettered: [eventsLogs],
        InteractionsExpired: interactionsLogs,
        InteractionsFailed: interactionsLogs,
        InteractionsHandedBack: [this.interactionsFunction.logGroup],
        InteractionsLate: interactionsLogs,
        InteractionsUnknown: interactionsLogs,
        CoordinatorMissing: [this.rebalanceFunction.logGroup],
      },
    });
    this.alarms = new FleetAlarms(this, 'Alarms', {
      ...this.#parts(),
      fleet,
      logMetrics,
      minWorkers: props.paused === true ? 0 : props.capacity.minWorkers,
      runbookUrl: props.runbookUrl ?? 'docs/operations.md',
      topic: props.alarmEmail === undefined ? undefined : this.#mailingTopic(props.alarmEmail),
    });
    this.dashboard = new FleetDashboard(this, 'Watch', {
      ...this.#parts(),
      fleet,
      logMetrics,
      alarms: this.alarms.alarms,
      capacity: props.capacity,
    });
    new SavedQueries(this, 'Queries', {
      fleet,
      workerLogs: this.workers.logGroup,
      stoppedWorkerLogs: this.stoppedWorkers.logGroup,
      functionLogs: [
        eventsLogs,
        ...interactionsLogs,
        this.directoryFunction.logGroup,
        this.rebalanceFunction.logGroup,
        this.statsFunction.logGroup,
        this.operateFunction.logGroup,
      ],
    });
  }

  #parts(): FleetParts {
    const { coordination, directory, events, interactions, workers } = this;
    const { eventsFunction, interactionsFunction, interactionsEndpoint, statsFunction } = this;
    const { directoryFunction, rebalanceFunction, stoppedWorkers } = this;
    return {
      coordination,
      directory,
      events,
      interactions,
      workers,
      eventsFunction,
      interactionsFunction,
      interactionsEndpoint,
      statsFunction,
      directoryFunction,
      rebalanceFunction,
      stoppedWorkers,
    };
  }

  #mailingTopic(address: string): ITopic {
    const topic = new Topic(this, 'AlarmMail', { enforceSSL: true });
    topic.addSubscription(new EmailSubscription(address));
    // The policy that refuses requests without TLS replaces the default one, under which alarms might publish.
    topic.addToResourcePolicy(
      new PolicyStatement({
        principals: [new ServicePrincipal('cloudwatch.amazonaws.com')],
        actions: ['sns:Publish'],
        resources: [topic.topicArn],
        conditions: { StringEquals: { 'aws:SourceAccount': Stack.of(this).account } },
      }),
    );
    return topic;
  }

  /** Gateway traffic is inbound and free in a public subnet; through a NAT gateway it is by far the largest cost. */
  #publicVpc(): IVpc {
    const vpc = new Vpc(this, 'Vpc', {
      ipAddresses: IpAddresses.cidr('10.42.0.0/16'),
      maxAzs: 2,
      natGateways: 0,
      subnetConfiguration: [{ name: 'public', subnetType: SubnetType.PUBLIC, mapPublicIpOnLaunch: false }],
      // Nothing uses the default group, and restricting it would take a function of its own.
      restrictDefaultSecurityGroup: false,
    });
    Validations.of(vpc).acknowledge({
      id: 'AwsSolutions::AwsSolutions-VPC7',
      reason:
        'Nothing may connect in, and gateway traffic out is one peer; flow logs of it would cost more than the fleet.',
    });
    vpc.addGatewayEndpoint('DynamoDb', { service: GatewayVpcEndpointAwsService.DYNAMODB });
    vpc.addGatewayEndpoint('S3', { service: GatewayVpcEndpointAwsService.S3 });
    return vpc;
  }
}

function livenessOf(workerEnvironment: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(
    Object.entries(workerEnvironment).filter(([name]) => /^BATON_(HEARTBEAT_MS|MISSED_HEARTBEATS)$/.test(name)),
  );
}

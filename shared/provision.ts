import {
  CreateTableCommand,
  DescribeTableCommand,
  DescribeTimeToLiveCommand,
  type DynamoDBClient,
  type TableDescription,
  UpdateTimeToLiveCommand,
} from '@aws-sdk/client-dynamodb';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  type QueueAttributeName,
  SetQueueAttributesCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { type Clock, systemClock } from './clock.ts';
import type { FleetConfig } from './config.ts';
import { BatonError, type BatonErrorCode, messageOf } from './errors.ts';
import {
  deadLetterQueueName,
  eventsQueueSettings,
  interactionsQueueSettings,
  type QueueSettings,
  tableKey,
  timeToLiveAttribute,
} from './fleet-resources.ts';

export interface ProvisionClients {
  readonly dynamodb: DynamoDBClient;
  readonly sqs: SQSClient;
}

export interface ProvisionOptions {
  readonly clock?: Clock;
  readonly signal?: AbortSignal;
}

export interface ProvisionedFleet {
  readonly table: string;
  readonly directoryTable: string;
  readonly eventsQueueUrl: string;
  readonly eventsDeadLetterQueueUrl: string;
  readonly interactionsQueueUrl: string;
  readonly interactionsDeadLetterQueueUrl: string;
  /** What was missing and was made, by name; nothing when everything was there. */
  readonly created: readonly string[];
  /** Queues that were there with other attributes and were set right, by name. */
  readonly updated: readonly string[];
}

const answerWithinMs = 5000;
const tableActiveWithinMs = 60_000;

/**
 * Makes the tables and queues of a fleet where they are missing, and waits until the tables are usable. May be
 * repeated at any time. For emulators and tests: in AWS the stack makes them.
 * @throws {BatonError} `STORE_UNREACHABLE` or `QUEUE_UNREACHABLE` within about 5 s when a service does not answer,
 * `PROVISION_FAILED` when it refuses.
 */
export async function provision(
  config: FleetConfig,
  clients: ProvisionClients,
  options: ProvisionOptions = {},
): Promise<ProvisionedFleet> {
  // The first failure ends the requests that are still under way.
  const failure = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failure.signal]) : failure.signal;
  const run = new ProvisionRun(clients, { ...options, signal });
  const [, , events, interactions] = await Promise.all([
    run.ensureTable(config.table),
    run.ensureTable(config.directoryTable),
    run.ensureQueueWithDeadLetters(config.eventsQueue, eventsQueueSettings),
    run.ensureQueueWithDeadLetters(config.interactionsQueue, interactionsQueueSettings),
  ]).catch((error: unknown) => {
    failure.abort();
    throw error;
  });
  return {
    table: config.table,
    directoryTable: config.directoryTable,
    eventsQueueUrl: events.queueUrl,
    eventsDeadLetterQueueUrl: events.deadLetterQueueUrl,
    interactionsQueueUrl: interactions.queueUrl,
    interactionsDeadLetterQueueUrl: interactions.deadLetterQueueUrl,
    created: run.created.sort(),
    updated: run.updated.sort(),
  };
}

/**
 * The URL of a queue that is given by name or by URL.
 * @throws {BatonError} `QUEUE_UNREACHABLE` when there is no such queue, or SQS does not answer within 5 s.
 */
export async function resolveQueueUrl(nameOrUrl: string, sqs: SQSClient): Promise<string> {
  if (isUrl(nameOrUrl)) return nameOrUrl;
  const url = await findQueue(nameOrUrl, sqs);
  if (url === undefined) {
    throw new BatonError(
      'QUEUE_UNREACHABLE',
      `there is no queue ${nameOrUrl} at ${await endpointOf(sqs)}: run \`baton provision\`, or deploy the stack`,
    );
  }
  return url;
}

type QueueAttributes = Partial<Record<QueueAttributeName, string>>;

class ProvisionRun {
  readonly created: string[] = [];
  readonly updated: string[] = [];
  readonly #dynamodb: DynamoDBClient;
  readonly #sqs: SQSClient;
  readonly #clock: Clock;
  readonly #signal: AbortSignal | undefined;

  constructor({ dynamodb, sqs }: ProvisionClients, { clock = systemClock, signal }: ProvisionOptions) {
    this.#dynamodb = dynamodb;
    this.#sqs = sqs;
    this.#clock = clock;
    this.#signal = signal;
  }

  async ensureTable(name: string): Promise<void> {
    let table = await this.#describeTable(name);
    if (!table) {
      await this.#createTable(name);
      const deadlineMs = this.#clock.monotonicMs() + tableActiveWithinMs;
      table = await this.#describeTable(name);
      while (table?.TableStatus !== 'ACTIVE') {
        this.#signal?.throwIfAborted();
        if (this.#clock.monotonicMs() > deadlineMs) {
          throw new BatonError(
            'PROVISION_FAILED',
            `table ${name} is ${table?.TableStatus ?? 'missing'}, and not ACTIVE after ${tableActiveWithinMs / 1000} s`,
          );
        }
        await this.#clock.sleep(200, this.#signal);
        table = await this.#describeTable(name);
      }
    }
    const keys = table.KeySchema?.map(({ AttributeName, KeyType }) => `${AttributeName} ${KeyType}`).join(', ');
    const ownKeys = `${tableKey.partition} HASH, ${tableKey.sort} RANGE`;
    if (keys !== ownKeys) {
      throw new BatonError(
        'PROVISION_FAILED',
        `table ${name} has the keys ${keys}, not ${ownKeys}: it is another program's, name a different table`,
      );
    }
    await this.#ensureTimeToLive(name);
  }

  async ensureQueueWithDeadLetters(
    nameOrUrl: string,
    settings: QueueSettings,
  ): Promise<{ queueUrl: string; deadLetterQueueUrl: string }> {
    const name = queueNameOf(nameOrUrl);
    const kind: QueueAttributes = settings.fifo
      ? { FifoQueue: 'true', DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }
      : {};
    const deadLetterQueueUrl = await this.#ensureQueue(deadLetterQueueName(name), {
      ...kind,
      MessageRetentionPeriod: String(settings.deadLetterRetentionSeconds),
    });
    const { QueueArn: deadLetterTargetArn } = await this.#queueAttributes(deadLetterQueueUrl, ['QueueArn']);
    const queueUrl = await this.#ensureQueue(name, {
      ...kind,
      VisibilityTimeout: String(settings.visibilityTimeoutSeconds),
      MessageRetentionPeriod: String(settings.retentionSeconds),
      RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: settings.maxReceiveCount }),
    });
    return { queueUrl, deadLetterQueueUrl };
  }

  async #describeTable(name: string): Promise<TableDescription | undefined> {
    try {
      const { Table } = await this.#ask('STORE_UNREACHABLE', (abortSignal) =>
        this.#dynamodb.send(new DescribeTableCommand({ TableName: name }), { abortSignal }),
      );
      return Table;
    } catch (error) {
      if (isNamed(error, 'ResourceNotFoundException')) return undefined;
      throw refused(`cannot look at table ${name}`, error);
    }
  }

  async #createTable(name: string): Promise<void> {
    try {
      await this.#ask('STORE_UNREACHABLE', (abortSignal) =>
        this.#dynamodb.send(
          new CreateTableCommand({
            TableName: name,
            BillingMode: 'PAY_PER_REQUEST',
            AttributeDefinitions: [
              { AttributeName: tableKey.partition, AttributeType: 'S' },
              { AttributeName: tableKey.sort, AttributeType: 'S' },
            ],
            KeySchema: [
              { AttributeName: tableKey.partition, KeyType: 'HASH' },
              { AttributeName: tableKey.sort, KeyType: 'RANGE' },
            ],
          }),
          { abortSignal },
        ),
      );
      this.created.push(name);
    } catch (error) {
      // Somebody else was faster.
      if (!isNamed(error, 'ResourceInUseException')) throw refused(`cannot create table ${name}`, error);
    }
  }

  async #ensureTimeToLive(name: string): Promise<void> {
    try {
      const { TimeToLiveDescription: description } = await this.#ask('STORE_UNREACHABLE', (abortSignal) =>
        this.#dynamodb.send(new DescribeTimeToLiveCommand({ TableName: name }), { abortSignal }),
      );
      if (['ENABLED', 'ENABLING'].includes(description?.TimeToLiveStatus ?? '')) return;
      await this.#ask('STORE_UNREACHABLE', (abortSignal) =>
        this.#dynamodb.send(
          new UpdateTimeToLiveCommand({
            TableName: name,
            TimeToLiveSpecification: { AttributeName: timeToLiveAttribute, Enabled: true },
          }),
          { abortSignal },
        ),
      );
    } catch (error) {
      // No deadline rests on it (items carry their time and readers compare), so a store without expiry will do.
      if (!isNamed(error, 'UnknownOperationException')) {
        throw refused(`cannot switch on expiry of items in table ${name}`, error);
      }
    }
  }

  async #ensureQueue(name: string, attributes: QueueAttributes): Promise<string> {
    const existing = await findQueue(name, this.#sqs, this.#signal);
    if (existing !== undefined) {
      await this.#setDifferingAttributes(name, existing, attributes);
      return existing;
    }
    try {
      const { QueueUrl } = await this.#ask('QUEUE_UNREACHABLE', (abortSignal) =>
        this.#sqs.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }), { abortSignal }),
      );
      this.created.push(name);
      return QueueUrl as string;
    } catch (error) {
      throw refused(`cannot create queue ${name}`, error);
    }
  }

  async #setDifferingAttributes(name: string, queueUrl: string, wanted: QueueAttributes): Promise<void> {
    const wantedNames = Object.keys(wanted) as QueueAttributeName[];
    const present = await this.#queueAttributes(queueUrl, wantedNames);
    const differing = wantedNames.filter((key) => !sameAttribute(key, wanted[key], present[key]));
    if (differing.length === 0) return;
    const Attributes = Object.fromEntries(differing.map((key) => [key, wanted[key]]));
    try {
      await this.#ask('QUEUE_UNREACHABLE', (abortSignal) =>
        this.#sqs.send(new SetQueueAttributesCommand({ QueueUrl: queueUrl, Attributes }), { abortSignal }),
      );
      this.updated.push(name);
    } catch (error) {
      throw refused(`cannot set ${differing.join(', ')} of queue ${name}`, error);
    }
  }

  async #queueAttributes(queueUrl: string, AttributeNames: QueueAttributeName[]): Promise<QueueAttributes> {
    try {
      const { Attributes } = await this.#ask('QUEUE_UNREACHABLE', (abortSignal) =>
        this.#sqs.send(new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames }), { abortSignal }),
      );
      return Attributes ?? {};
    } catch (error) {
      throw refused(`cannot look at queue ${queueUrl}`, error);
    }
  }

  #ask<T>(code: UnreachableCode, send: (abortSignal: AbortSignal) => Promise<T>): Promise<T> {
    const client = code === 'STORE_UNREACHABLE' ? this.#dynamodb : this.#sqs;
    return ask(code, client, this.#signal, send);
  }
}

type UnreachableCode = Extract<BatonErrorCode, 'STORE_UNREACHABLE' | 'QUEUE_UNREACHABLE'>;

/** Sends one request that is answered within 5 s, in whatever way, or fails with `code`. */
async function ask<T>(
  code: UnreachableCode,
  client: DynamoDBClient | SQSClient,
  signal: AbortSignal | undefined,
  send: (abortSignal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = AbortSignal.timeout(answerWithinMs);
  try {
    return await send(signal ? AbortSignal.any([deadline, signal]) : deadline);
  } catch (error) {
    if (signal?.aborted || isAnswer(error)) throw error;
    const [service, variable] =
      code === 'STORE_UNREACHABLE'
        ? (['DynamoDB', 'AWS_ENDPOINT_URL_DYNAMODB'] as const)
        : (['SQS', 'AWS_ENDPOINT_URL_SQS'] as const);
    const timedOut = deadline.aborted || (error instanceof Error && error.name === 'TimeoutError');
    const reason = timedOut ? 'no answer in time' : messageOf(error);
    throw new BatonError(
      code,
      `${service} at ${await endpointOf(client)} is out of reach: ${reason}. Check ${variable}, AWS_REGION and the credentials`,
      { cause: error },
    );
  }
}

async function findQueue(name: string, sqs: SQSClient, signal?: AbortSignal): Promise<string | undefined> {
  try {
    const { QueueUrl } = await ask('QUEUE_UNREACHABLE', sqs, signal, (abortSignal) =>
      sqs.send(new GetQueueUrlCommand({ QueueName: name }), { abortSignal }),
    );
    return QueueUrl;
  } catch (error) {
    if (isNamed(error, 'QueueDoesNotExist') || isNamed(error, 'NonExistentQueue')) return undefined;
    throw refused(`cannot look for queue ${name}`, error, 'QUEUE_UNREACHABLE');
  }
}

/** The service answered, if only to refuse; otherwise the request did not get there or the answer did not get back. */
function isAnswer(error: unknown): boolean {
  const { $metadata } = error as { $metadata?: { httpStatusCode?: number } };
  return $metadata?.httpStatusCode !== undefined;
}

/** Whether an error of AWS has this name; older protocols put the service's name before it. */
function isNamed(error: unknown, name: string): boolean {
  return error instanceof Error && (error.name === name || error.name.endsWith(`.${name}`));
}

function refused(what: string, error: unknown, code: BatonErrorCode = 'PROVISION_FAILED'): unknown {
  if (error instanceof BatonError || !isAnswer(error)) return error;
  const name = error instanceof Error ? error.name : 'Error';
  return new BatonError(code, `${what}: ${name}: ${messageOf(error)}`, { cause: error });
}

function sameAttribute(name: QueueAttributeName, wanted: string | undefined, present: string | undefined): boolean {
  if (wanted === present) return true;
  if (name !== 'RedrivePolicy' || wanted === undefined || !present) return false;
  const [one, other] = [wanted, present].map((text) => JSON.parse(text) as Record<string, unknown>);
  return (
    one?.['deadLetterTargetArn'] === other?.['deadLetterTargetArn'] &&
    Number(one?.['maxReceiveCount']) === Number(other?.['maxReceiveCount'])
  );
}

function isUrl(nameOrUrl: string): boolean {
  return /^https?:\/\//.test(nameOrUrl);
}

function queueNameOf(nameOrUrl: string): string {
  return isUrl(nameOrUrl) ? (new URL(nameOrUrl).pathname.split('/').at(-1) as string) : nameOrUrl;
}

/** Where a client sends its requests, for messages: what it was given, else what the SDK found in the environment. */
async function endpointOf(client: DynamoDBClient | SQSClient): Promise<string> {
  const given = await client.config.endpoint?.();
  if (given) return `${given.protocol}//${given.hostname}${given.port === undefined ? '' : `:${given.port}`}`;
  const { serviceConfiguredEndpoint, region } = client.config as DynamoDBClient['config'] & {
    serviceConfiguredEndpoint?: () => Promise<string | undefined>;
  };
  const inTheEnvironment = await serviceConfiguredEndpoint?.();
  if (inTheEnvironment !== undefined) return inTheEnvironment;
  return region().then(
    (name) => `the AWS endpoint of ${name}`,
    () => 'the AWS endpoint of no region',
  );
}

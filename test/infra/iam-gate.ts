import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { PolicyStatement } from './template-reader.ts';

export interface IamGateOptions {
  /** Statements of one role, its resources resolved to ARNs. */
  readonly statements: readonly PolicyStatement[];
  readonly dynamodbUrl: string;
  readonly sqsUrl: string;
  /** The only secret there is. */
  readonly secret: { readonly arn: string; readonly value: string };
}

interface AwsRequest {
  readonly action: string;
  readonly resources: readonly string[];
  /** Partition key of the only item that it is about, as `dynamodb:LeadingKeys` has it. */
  readonly leadingKey?: string | undefined;
}

/** Where requests of a program go through on their way to the emulators, which know no rights: IAM as far as it is used here. */
export class IamGate implements AsyncDisposable {
  /** `action on resource` of every request that was refused, each once. */
  readonly refused = new Set<string>();
  /** How often what went through. */
  readonly allowed = new Map<string, number>();
  readonly #options: IamGateOptions;
  /** Of services that have no emulator; the workers' service wants one task. */
  readonly #answers: Readonly<Record<string, unknown>>;
  readonly #server: Server;

  static async start(options: IamGateOptions): Promise<IamGate> {
    const gate = new IamGate(options);
    gate.#server.listen(0, '127.0.0.1');
    await once(gate.#server, 'listening');
    return gate;
  }

  private constructor(options: IamGateOptions) {
    this.#options = options;
    this.#answers = {
      'secretsmanager:GetSecretValue': { ARN: options.secret.arn, SecretString: options.secret.value },
      'ecs:DescribeServices': { services: [{ desiredCount: 1, deployments: [{}] }] },
      'ecs:UpdateService': {},
      'cloudwatch:GetMetricStatistics': { Datapoints: [] },
    };
    this.#server = createServer((incoming, outgoing) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => this.#take(incoming, Buffer.concat(chunks), outgoing));
    });
  }

  /** What makes the AWS SDK of a program send its requests here. */
  get environment(): Record<string, string> {
    const url = `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
    return {
      AWS_ENDPOINT_URL_DYNAMODB: url,
      AWS_ENDPOINT_URL_SQS: url,
      AWS_ENDPOINT_URL_SECRETS_MANAGER: url,
      AWS_ENDPOINT_URL_ECS: url,
      AWS_ENDPOINT_URL_CLOUDWATCH: url,
      AWS_ACCESS_KEY_ID: 'local',
      AWS_SECRET_ACCESS_KEY: 'local',
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #take(incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse): void {
    const target = incoming.headers['x-amz-target'] as string;
    const asked = awsRequest(target, body, this.#options.secret.arn);
    const { action, resources } = asked;
    const forbidden = resources.filter((resource) => !this.#allows(asked, resource));
    for (const resource of resources) {
      const what = `${action} on ${resource}`;
      if (forbidden.includes(resource)) this.refused.add(what);
      else this.allowed.set(what, (this.allowed.get(what) ?? 0) + 1);
    }
    if (forbidden.length > 0) {
      outgoing.writeHead(400, { 'content-type': 'application/x-amz-json-1.0' });
      outgoing.end(
        JSON.stringify({ __type: 'AccessDeniedException', message: `not allowed: ${action} on ${forbidden.join()}` }),
      );
      return;
    }
    const stubbed = this.#answers[action];
    if (stubbed !== undefined) {
      outgoing.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      outgoing.end(JSON.stringify(stubbed));
      return;
    }
    this.#forward(
      incoming,
      body,
      outgoing,
      target.startsWith('AmazonSQS') ? this.#options.sqsUrl : this.#options.dynamodbUrl,
    );
  }

  #forward(incoming: IncomingMessage, body: Buffer, outgoing: ServerResponse, upstream: string): void {
    const { host: _, ...headers } = incoming.headers;
    const onward = request(upstream, { method: 'POST', headers }, (answer) => {
      outgoing.writeHead(answer.statusCode as number, answer.headers);
      answer.pipe(outgoing);
    });
    onward.on('error', () => outgoing.destroy());
    // A long poll that its caller has given up must not take the next message.
    outgoing.on('close', () => onward.destroy());
    onward.end(body);
  }

  #allows({ action, leadingKey }: AwsRequest, resource: string): boolean {
    return this.#options.statements.some(
      ({ Effect, Action, Resource, Condition }) =>
        Effect === 'Allow' &&
        [Action].flat().includes(action) &&
        ([Resource].flat() as string[]).some((pattern) => isLike(resource, pattern)) &&
        (Condition === undefined || leadingKeysOf(Condition).some((pattern) => isLike(leadingKey ?? '', pattern))),
    );
  }
}

function isLike(text: string, pattern: string): boolean {
  return pattern.endsWith('*') ? text.startsWith(pattern.slice(0, -1)) : text === pattern;
}

/** The only condition there is. @throws {Error} for another one. */
function leadingKeysOf(condition: NonNullable<PolicyStatement['Condition']>): readonly string[] {
  const [[operator, keys] = [], ...others] = Object.entries(condition);
  const patterns = keys?.['dynamodb:LeadingKeys'];
  if (operator !== 'ForAllValues:StringLike' || !Array.isArray(patterns) || others.length > 0) {
    throw new Error(`condition ${JSON.stringify(condition)} is not known here`);
  }
  return patterns as string[];
}

const services: Readonly<Record<string, string>> = {
  DynamoDB_20120810: 'dynamodb',
  AmazonSQS: 'sqs',
  secretsmanager: 'secretsmanager',
  AmazonEC2ContainerServiceV20141113: 'ecs',
  GraniteServiceVersion20100801: 'cloudwatch',
};

/** Actions of IAM whose name is not that of the API's operation (IAM, "Actions, resources, and condition keys"). */
const actionNames: Readonly<Record<string, string>> = {
  SendMessageBatch: 'SendMessage',
  DeleteMessageBatch: 'DeleteMessage',
};

function awsRequest(target: string, body: Buffer, secretArn: string): AwsRequest {
  const [service = '', operation = ''] = target.split('.');
  const action = `${services[service]}:${actionNames[operation] ?? operation}`;
  const input = JSON.parse(body.toString()) as {
    TableName?: string;
    Key?: { pk: { S: string } };
    Item?: { pk: { S: string } };
    RequestItems?: Record<string, unknown>;
    QueueUrl?: string;
    QueueName?: string;
    cluster?: string;
    service?: string;
    services?: string[];
  };
  const tables = input.TableName === undefined ? Object.keys(input.RequestItems ?? {}) : [input.TableName];
  const queue = input.QueueName ?? input.QueueUrl?.split('/').at(-1);
  const arn = (resource: string) => `arn:aws:${services[service]}:us-east-1:000000000000:${resource}`;
  if (services[service] === 'dynamodb') {
    const leadingKey = (input.Key ?? input.Item)?.pk.S;
    return { action, leadingKey, resources: tables.map((table) => arn(`table/${table}`)) };
  }
  if (services[service] === 'sqs') return { action, resources: [arn(queue ?? '')] };
  if (services[service] === 'ecs') {
    const names = input.services ?? [input.service ?? ''];
    return { action, resources: names.map((name) => arn(`service/${input.cluster}/${name}`)) };
  }
  return { action, resources: [services[service] === 'cloudwatch' ? '*' : secretArn] };
}

import {
  CreateTableCommand,
  type CreateTableCommandInput,
  UpdateTimeToLiveCommand,
  type UpdateTimeToLiveCommandInput,
} from '@aws-sdk/client-dynamodb';
import { CreateQueueCommand, type QueueAttributeName } from '@aws-sdk/client-sqs';
import { createDynamoDBClient, createSqsClient } from '../../shared/aws-clients.ts';
import type { PlainTemplate } from './template-reader.ts';

export const localRegion = 'us-east-1';
const account = '000000000000';

/** Properties of a queue that are attributes of the same name in SQS's API. */
const queueAttributes = new Set<string>([
  'DeduplicationScope',
  'FifoQueue',
  'FifoThroughputLimit',
  'MessageRetentionPeriod',
  'RedrivePolicy',
  'SqsManagedSseEnabled',
  'VisibilityTimeout',
] satisfies QueueAttributeName[]);

type Properties = Readonly<Record<string, unknown>>;

/** What CloudFormation would know of the resources once they exist. */
interface Physical {
  readonly ref: string;
  readonly arn: string;
  readonly name: string;
}

/** The tables and queues of a template, made on emulators; everything else of the template stays on paper. */
export class TemplateDeployment {
  readonly template: PlainTemplate;
  readonly #physical = new Map<string, Physical>();

  /** `endpoints`: where DynamoDB and SQS are. @throws {Error} for a queue property that the emulator is not told of. */
  static async create(
    template: PlainTemplate,
    endpoints: { readonly dynamodb: string; readonly sqs: string },
  ): Promise<TemplateDeployment> {
    const deployment = new TemplateDeployment(template);
    const common = { region: localRegion, credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
    const dynamodb = createDynamoDBClient('general', { ...common, endpoint: endpoints.dynamodb });
    const sqs = createSqsClient('general', { ...common, endpoint: endpoints.sqs });
    const resources = Object.entries(template.Resources);
    for (const [id, { Properties }] of resources.filter(([, { Type }]) => Type === 'AWS::DynamoDB::GlobalTable')) {
      await dynamodb.send(new CreateTableCommand(tableRequest(Properties)));
      await dynamodb.send(new UpdateTimeToLiveCommand(expiryRequest(Properties))).catch(unlessUnknown);
      const name = Properties['TableName'] as string;
      deployment.#physical.set(id, { ref: name, arn: arnOf('dynamodb', `table/${name}`), name });
    }
    const queues = resources.filter(([, { Type }]) => Type === 'AWS::SQS::Queue');
    // Dead letters first: the others refer to them.
    queues.sort(
      ([, one], [, other]) => Number('RedrivePolicy' in one.Properties) - Number('RedrivePolicy' in other.Properties),
    );
    for (const [id, { Properties }] of queues) {
      const { QueueName: name, ...rest } = Properties as { QueueName: string };
      const { QueueUrl } = await sqs.send(
        new CreateQueueCommand({ QueueName: name, Attributes: deployment.#attributesOf(rest) }),
      );
      deployment.#physical.set(id, { ref: QueueUrl as string, arn: arnOf('sqs', name), name });
    }
    for (const [id, { Type, Properties }] of resources) {
      const stub = stubs[Type]?.(Properties);
      if (stub) deployment.#physical.set(id, stub);
    }
    dynamodb.destroy();
    sqs.destroy();
    return deployment;
  }

  private constructor(template: PlainTemplate) {
    this.template = template;
  }

  /** Variables with their references replaced by what they refer to. */
  environment(variables: Properties): Record<string, string> {
    return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, this.resolve(value)]));
  }

  /** @throws {Error} for a reference to something that does not exist here. */
  resolve(value: unknown): string {
    if (typeof value === 'string') return value;
    const [[intrinsic, argument] = []] = Object.entries(value as object) as [string, unknown][];
    if (intrinsic === 'Ref') return pseudoParameters[argument as string] ?? this.#find(argument as string).ref;
    if (intrinsic === 'Fn::GetAtt') {
      const [id, attribute] = argument as [string, string];
      if (attribute === 'Arn') return this.#find(id).arn;
      if (attribute === 'Name') return this.#find(id).name;
    }
    if (intrinsic === 'Fn::Join') {
      const [separator, parts] = argument as [string, unknown[]];
      return parts.map((part) => this.resolve(part)).join(separator);
    }
    throw new Error(`cannot resolve ${JSON.stringify(value)}`);
  }

  #find(id: string): Physical {
    const found = this.#physical.get(id);
    if (found === undefined) throw new Error(`nothing on this machine stands for ${id}`);
    return found;
  }

  #attributesOf(properties: Properties): Record<string, string> {
    return Object.fromEntries(
      Object.entries(properties).map(([name, value]) => {
        if (!queueAttributes.has(name)) throw new Error(`queue property ${name} is not known here`);
        return [name, name === 'RedrivePolicy' ? this.#redrivePolicy(value) : String(value)];
      }),
    );
  }

  #redrivePolicy(value: unknown): string {
    const { deadLetterTargetArn, maxReceiveCount } = value as { deadLetterTargetArn: unknown; maxReceiveCount: number };
    return JSON.stringify({ deadLetterTargetArn: this.resolve(deadLetterTargetArn), maxReceiveCount });
  }
}

const pseudoParameters: Readonly<Record<string, string>> = {
  'AWS::AccountId': account,
  'AWS::Partition': 'aws',
  'AWS::Region': localRegion,
};

/** What programs are told of resources that no emulator has. */
const stubs: Readonly<Record<string, (properties: Properties) => Physical>> = {
  'AWS::ECS::Cluster': ({ ClusterName }) => {
    const name = ClusterName as string;
    return { ref: name, arn: arnOf('ecs', `cluster/${name}`), name };
  },
  'AWS::ECS::Service': ({ ServiceName }) => {
    const name = ServiceName as string;
    const arn = arnOf('ecs', `service/baton/${name}`);
    return { ref: arn, arn, name };
  },
  'AWS::SecretsManager::Secret': ({ Name }) => {
    const arn = arnOf('secretsmanager', `secret:${Name as string}-AbCdEf`);
    return { ref: arn, arn, name: Name as string };
  },
};

function arnOf(service: string, resource: string): string {
  return `arn:aws:${service}:${localRegion}:${account}:${resource}`;
}

function tableRequest({
  TableName,
  KeySchema,
  AttributeDefinitions,
  BillingMode,
}: Properties): CreateTableCommandInput {
  return { TableName, KeySchema, AttributeDefinitions, BillingMode } as CreateTableCommandInput;
}

function expiryRequest({ TableName, TimeToLiveSpecification }: Properties): UpdateTimeToLiveCommandInput {
  return { TableName, TimeToLiveSpecification } as UpdateTimeToLiveCommandInput;
}

/** The emulator has no expiry; nothing of the fleet rests on it. */
function unlessUnknown(error: unknown): void {
  if (!(error instanceof Error && error.name === 'UnknownOperationException')) throw error;
}

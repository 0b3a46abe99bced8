import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { type AwsClientSettings, createDynamoDBDocumentClient, createSqsClient } from '../aws-clients.ts';
import { type Clock, systemClock } from '../clock.ts';
import type { FleetConfig } from '../config.ts';
import { DynamoDbStore } from '../coordination/dynamodb-store.ts';
import { type Logger, silentLogger } from '../logger.ts';
import { type Random, systemRandom } from '../random.ts';
import { DynamoDbReplies } from './dynamodb-replies.ts';
import { Fleet } from './fleet.ts';
import { SqsControlPlane } from './sqs-control-queue.ts';

export interface ConnectFleetOptions {
  /** Where DynamoDB and SQS are. @default what the AWS SDK reads from the environment */
  readonly aws?: { readonly dynamodb: AwsClientSettings; readonly sqs: AwsClientSettings };
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

/** A fleet seen from outside, over AWS. Nothing is sent before the first request. */
export class FleetConnection {
  readonly documents: DynamoDBDocumentClient;
  readonly store: DynamoDbStore;
  readonly control: SqsControlPlane;
  readonly fleet: Fleet;
  readonly #clients: readonly { destroy(): void }[];

  constructor(config: FleetConfig, options: ConnectFleetOptions = {}) {
    const { aws, clock = systemClock, random = systemRandom, logger = silentLogger } = options;
    const documents = createDynamoDBDocumentClient('general', aws?.dynamodb);
    const client = createSqsClient('general', aws?.sqs);
    this.#clients = [documents, client];
    this.documents = documents;
    this.store = new DynamoDbStore(documents, config.table, clock);
    // Control queues are only written to from here, so nothing polls.
    this.control = new SqsControlPlane({ fleet: config.fleet, client, pollingClient: client, logger });
    const replies = new DynamoDbReplies(documents, config.table, clock);
    this.fleet = new Fleet({ store: this.store, control: this.control, replies, clock, random, logger });
  }

  /** Closes the connections to AWS. */
  close(): void {
    for (const client of this.#clients) client.destroy();
  }
}

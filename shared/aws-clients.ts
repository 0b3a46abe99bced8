import { DynamoDBClient, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { SQSClient, type SQSClientConfig } from '@aws-sdk/client-sqs';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';

/** How long requests of one kind may take, in milliseconds, and how often the SDK tries (1: never again). */
interface RequestLimits {
  readonly connectionTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly maxAttempts: number;
}

const dynamoDBLimits = {
  /** Leases, checkpoints, the identify gate: what to do after an unknown outcome is the protocol's to decide. */
  coordination: { connectionTimeoutMs: 1000, requestTimeoutMs: 2000, maxAttempts: 1 },
  /** The directory, consumer marks, commands. */
  general: { connectionTimeoutMs: 1000, requestTimeoutMs: 5000, maxAttempts: 3 },
} as const satisfies Record<string, RequestLimits>;

/** A long poll is answered within 20 s (SQS, `WaitTimeSeconds`); the rest is travel. */
const longPollTimeoutMs = 25_000;

const sqsLimits = {
  /** Sending envelopes: no attempt may outlive its 5 s, or it could land after its shard has changed hands. */
  publishing: { connectionTimeoutMs: 1000, requestTimeoutMs: 5000, maxAttempts: 1 },
  /** Receiving with a wait of up to 20 s. */
  receiving: { connectionTimeoutMs: 1000, requestTimeoutMs: longPollTimeoutMs, maxAttempts: 1 },
  /** Everything else. */
  general: { connectionTimeoutMs: 1000, requestTimeoutMs: 5000, maxAttempts: 3 },
} as const satisfies Record<string, RequestLimits>;

/**
 * About a third of the CPU time of a request: TLS guards what MD5 sums would check again, and no command brings middleware
 * of its own, so the stack need not be put together for each.
 */
const publishingSavings = { md5: false, cacheMiddleware: true } as const;

export type DynamoDBUse = keyof typeof dynamoDBLimits;
export type SqsUse = keyof typeof sqsLimits;

/** Settings that a caller states instead of leaving them to the SDK's environment. */
export type AwsClientSettings = Pick<DynamoDBClientConfig & SQSClientConfig, 'endpoint' | 'region' | 'credentials'>;

/**
 * A DynamoDB client with the time limits of its use. Region, credentials and endpoint (`AWS_ENDPOINT_URL_DYNAMODB`)
 * come from the environment, as the SDK reads it, unless `settings` has them.
 */
export function createDynamoDBClient(use: DynamoDBUse, settings: AwsClientSettings = {}): DynamoDBClient {
  return new DynamoDBClient({ ...clientConfig(dynamoDBLimits[use]), ...settings });
}

/** The same client with plain JavaScript values for items; properties that are `undefined` are left out. */
export function createDynamoDBDocumentClient(
  use: DynamoDBUse,
  settings: AwsClientSettings = {},
): DynamoDBDocumentClient {
  return DynamoDBDocumentClient.from(createDynamoDBClient(use, settings), {
    marshallOptions: { removeUndefinedValues: true },
  });
}

/**
 * An SQS client with the time limits of its use. Region, credentials and endpoint (`AWS_ENDPOINT_URL_SQS`) come from
 * the environment, as the SDK reads it, unless `settings` has them.
 */
export function createSqsClient(use: SqsUse, settings: AwsClientSettings = {}): SQSClient {
  return new SQSClient({
    ...clientConfig(sqsLimits[use]),
    // A queue URL names the queue; where requests go is the endpoint's to say.
    useQueueUrlAsEndpoint: false,
    ...(use === 'publishing' && publishingSavings),
    ...settings,
  });
}

/**
 * `requestTimeout` ends the wait for the answer's head (and only warns unless told to throw), `socketTimeout` a silence
 * inside its body. Both destroy the socket, so a request that was given up is not still under way on it.
 * Otherwise sockets are kept alive and used again (the SDK's default).
 */
function clientConfig({ connectionTimeoutMs, requestTimeoutMs, maxAttempts }: RequestLimits) {
  return {
    maxAttempts,
    // Not AWS_RETRY_MODE's to say: the adaptive mode holds requests back, for as long as it likes, before their time limits begin.
    retryMode: 'standard',
    requestHandler: {
      connectionTimeout: connectionTimeoutMs,
      requestTimeout: requestTimeoutMs,
      socketTimeout: requestTimeoutMs,
      throwOnRequestTimeout: true,
    },
  };
}

/**
 * What the resources of a fleet are like. `provision` makes them so on emulators and the stack in AWS, and both
 * read it here. Durations are seconds, as SQS and CloudFormation count.
 */
export interface QueueSettings {
  /** FIFO, in high-throughput mode and its dead letters likewise: order and deduplication per message group. */
  readonly fifo: boolean;
  readonly visibilityTimeoutSeconds: number;
  readonly retentionSeconds: number;
  /** Deliveries before SQS itself moves a message to the dead letters. */
  readonly maxReceiveCount: number;
  readonly deadLetterRetentionSeconds: number;
}

const daySeconds = 24 * 60 * 60;

/** Longest run of the functions that empty the queues. */
export const functionTimeoutSeconds = { events: 30, interactions: 15 } as const;

/** Lambda, "Using Lambda with Amazon SQS": a message stays hidden for six times the longest run of its function. */
const visibilityPerFunctionTimeout = 6;

const deadLetterRetentionSeconds = 14 * daySeconds;

export const eventsQueueSettings: QueueSettings = {
  fifo: true,
  visibilityTimeoutSeconds: visibilityPerFunctionTimeout * functionTimeoutSeconds.events,
  retentionSeconds: 4 * daySeconds,
  // High, so that a throttled function does not push healthy messages out (protocol, "From the queue to the handler").
  maxReceiveCount: 100,
  deadLetterRetentionSeconds,
};

export const interactionsQueueSettings: QueueSettings = {
  fifo: false,
  visibilityTimeoutSeconds: visibilityPerFunctionTimeout * functionTimeoutSeconds.interactions,
  // Discord takes an answer for three seconds, and a follow-up for fifteen minutes.
  retentionSeconds: 15 * 60,
  // Ten deliveries fit into that time, and the first of them is the one that counts.
  maxReceiveCount: 5,
  deadLetterRetentionSeconds,
};

/** Key of both tables, the coordination table and the directory; both parts are strings. */
export const tableKey = { partition: 'pk', sort: 'sk' } as const;

/** Partitions of the coordination table that hold replies to requests: the prefix and the request's id. */
export const replyPartitionPrefix = 'REPLY#';

/** Partitions of the directory that hold frames that SQS cannot carry: the prefix and the shard. */
export const parkedPartitionPrefix = 'PARKED#';

/** Epoch seconds after which DynamoDB may delete an item. */
export const timeToLiveAttribute = 'expiresAt';

/** `baton-events.fifo` to `baton-events-dlq.fifo`, `baton-interactions` to `baton-interactions-dlq`. */
export function deadLetterQueueName(queueName: string): string {
  return queueName.endsWith('.fifo') ? `${queueName.slice(0, -'.fifo'.length)}-dlq.fifo` : `${queueName}-dlq`;
}

/** Start of the names of all control queues of a fleet. */
export function controlQueuePrefix(fleet: string): string {
  return `${fleet}-control-`;
}

/** Fields of the JSON value of the secret that holds the bot's credentials. */
export const secretFields = { token: 'token', publicKey: 'publicKey' } as const;

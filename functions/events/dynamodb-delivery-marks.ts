import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, GetCommand, PutCommand, UpdateCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';
import type { DeliveryMarks, GuardOutcome, Progress, ProgressOutcome } from './delivery-marks.ts';

/** Longer than a message, or a session without events, lives. Only DynamoDB's TTL looks at it. */
const keepSeconds = 14 * 24 * 3600;

/** A delivery whose visibility has run out may still be writing; the next one's marks stand. */
const noLaterDelivery = 'attribute_not_exists(receiveCount) OR receiveCount <= :receiveCount';
const markIsLower = 'attribute_not_exists(mark) OR mark < :last';

/**
 * Marks in the directory table: `DELIVERY#<message id>` / `PROGRESS` and `GUARD#<group>` / `<session>`.
 * `expiresAt` (Unix seconds) is for the table's TTL.
 */
export class DynamoDBDeliveryMarks implements DeliveryMarks {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
  }

  async loadProgress(messageId: string): Promise<Progress | undefined> {
    const { Item } = await this.#documents.send(
      new GetCommand({ TableName: this.#table, Key: progressKey(messageId), ConsistentRead: true }),
    );
    if (!Item) return undefined;
    return {
      done: unpackBits(Item['done'] as Uint8Array),
      running: new Set(Item['running'] as number[]),
      alone: Item['alone'] as boolean,
    };
  }

  async saveProgress(messageId: string, receiveCount: number, progress: Progress): Promise<ProgressOutcome> {
    try {
      await this.#documents.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            ...progressKey(messageId),
            receiveCount,
            done: packBits(progress.done),
            running: [...progress.running],
            alone: progress.alone,
            expiresAt: this.#expiresAt(),
          },
          ConditionExpression: noLaterDelivery,
          ExpressionAttributeValues: { ':receiveCount': receiveCount },
        }),
      );
      return { kind: 'saved' };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return { kind: 'superseded' };
      throw error;
    }
  }

  async raiseGuard(group: string, session: string, last: number): Promise<GuardOutcome> {
    try {
      const { Attributes } = await this.#documents.send(
        new UpdateCommand({
          TableName: this.#table,
          Key: { pk: `GUARD#${group}`, sk: session },
          UpdateExpression: 'SET mark = :last, expiresAt = :expiresAt',
          ConditionExpression: markIsLower,
          ExpressionAttributeValues: { ':last': last, ':expiresAt': this.#expiresAt() },
          ReturnValues: 'UPDATED_OLD',
        }),
      );
      return { kind: 'raised', previous: Attributes?.['mark'] as number | undefined };
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return { kind: 'behind' };
      throw error;
    }
  }

  #expiresAt(): number {
    return Math.floor(this.#clock.wallClockMs() / 1000) + keepSeconds;
  }
}

const progressKey = (messageId: string) => ({ pk: `DELIVERY#${messageId}`, sk: 'PROGRESS' });

/** One bit an event: an envelope of a thousand events takes 125 bytes. */
function packBits(indexes: ReadonlySet<number>): Uint8Array {
  // DynamoDB keeps empty binary values, some emulators do not.
  const bits = new Uint8Array(1 + (Math.max(0, ...indexes) >> 3));
  for (const index of indexes) bits[index >> 3] = (bits[index >> 3] as number) | (1 << (index & 7));
  return bits;
}

function unpackBits(bits: Uint8Array): Set<number> {
  const indexes = new Set<number>();
  for (const [position, byte] of bits.entries()) {
    for (let bit = 0; bit < 8; bit += 1) if (byte & (1 << bit)) indexes.add(position * 8 + bit);
  }
  return indexes;
}

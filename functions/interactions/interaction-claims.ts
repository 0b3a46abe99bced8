import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';

/** An interaction's token lives for 15 minutes: after that nothing can act on it twice. */
const keepSeconds = 15 * 60;

/**
 * Who runs an interaction: the first to ask, whoever else has it. A standard queue may deliver twice, and a worker
 * that takes a shard over may send an interaction again. Items `INTERACTION#<id>` / `CLAIM` of the directory table.
 */
export class InteractionClaims {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
  }

  /** Whether the interaction is ours to run. Rejects when the table gave no answer. */
  async claim(interactionId: string): Promise<boolean> {
    try {
      await this.#documents.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            pk: `INTERACTION#${interactionId}`,
            sk: 'CLAIM',
            expiresAt: Math.floor(this.#clock.wallClockMs() / 1000) + keepSeconds,
          },
          ConditionExpression: 'attribute_not_exists(pk)',
        }),
      );
      return true;
    } catch (error) {
      if (error instanceof ConditionalCheckFailedException) return false;
      throw error;
    }
  }
}

import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import { type DynamoDBDocumentClient, PutCommand } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';

/** An interaction's token lives for 15 minutes: after that nothing can act on it twice. */
const keepSeconds = 15 * 60;

/**
 * Who runs an interaction: the first to ask, whoever else has it. A standard queue may deliver twice, a worker that
 * takes a shard over may send an interaction again, and a signed request may be replayed. Items `INTERACTION#<id>` /
 * `CLAIM` of the directory table.
 */
export class InteractionClaims {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;
  readonly #random: Random;

  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock, random: Random) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
    this.#random = random;
  }

  /**
   * Whether the interaction is ours to run. A claim is never taken back: what has begun to run may have had its effect.
   * Rejects when the table gave no answer, or `signal` aborted.
   */
  async claim(interactionId: string, signal?: AbortSignal): Promise<boolean> {
    const claimant = this.#random.uuid();
    try {
      await this.#documents.send(
        new PutCommand({
          TableName: this.#table,
          Item: {
            pk: `INTERACTION#${interactionId}`,
            sk: 'CLAIM',
            claimant,
            expiresAt: Math.floor(this.#clock.wallClockMs() / 1000) + keepSeconds,
          },
          ConditionExpression: 'attribute_not_exists(pk)',
          ReturnValuesOnConditionCheckFailure: 'ALL_OLD',
        }),
        signal && { abortSignal: signal },
      );
      return true;
    } catch (error) {
      // The SDK sends a write again whose answer was lost, and then it meets itself.
      if (error instanceof ConditionalCheckFailedException) return error.Item?.['claimant']?.S === claimant;
      throw error;
    }
  }
}

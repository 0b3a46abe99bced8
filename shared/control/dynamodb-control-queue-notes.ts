import { DeleteCommand, type DynamoDBDocumentClient, PutCommand, QueryCommand } from '@aws-sdk/lib-dynamodb';
import { StoreUnavailable } from '../coordination/store.ts';
import type { Incarnation } from '../coordination/model.ts';
import type { ControlQueueNote, ControlQueueNotes } from './control-queue-notes.ts';

const partition = 'CONTROLQUEUES';

/** Notes in the coordination table: partition `CONTROLQUEUES`, sort key the incarnation. */
export class DynamoDbControlQueueNotes implements ControlQueueNotes {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;

  constructor(documents: DynamoDBDocumentClient, table: string) {
    this.#documents = documents;
    this.#table = table;
  }

  async note({ incarnation, url }: ControlQueueNote): Promise<void> {
    const Item = { pk: partition, sk: incarnation, ...(url !== undefined && { url }) };
    await ask(this.#documents.send(new PutCommand({ TableName: this.#table, Item })));
  }

  async forget(incarnation: Incarnation): Promise<void> {
    const Key = { pk: partition, sk: incarnation };
    await ask(this.#documents.send(new DeleteCommand({ TableName: this.#table, Key })));
  }

  async list(): Promise<ControlQueueNote[]> {
    const notes: ControlQueueNote[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const page = await ask(
        this.#documents.send(
          new QueryCommand({
            TableName: this.#table,
            KeyConditionExpression: 'pk = :pk',
            ExpressionAttributeValues: { ':pk': partition },
            ConsistentRead: true,
            ...(from && { ExclusiveStartKey: from }),
          }),
        ),
      );
      for (const item of page.Items ?? []) {
        const url = item['url'] as string | undefined;
        notes.push({ incarnation: item['sk'] as string, ...(url !== undefined && { url }) });
      }
      from = page.LastEvaluatedKey;
    } while (from !== undefined);
    return notes;
  }
}

async function ask<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw new StoreUnavailable('notes of control queues', error);
  }
}

import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { provision, type ProvisionedFleet } from '../../../shared/provision.ts';
import type { SQSClient } from '@aws-sdk/client-sqs';
import { startDynalite, startFauxqs } from '../in-process-emulators.ts';

/** A provisioned fleet on emulators in this process. */
export interface EmulatedFleet extends AsyncDisposable {
  readonly fleet: string;
  readonly provisioned: ProvisionedFleet;
  readonly dynamodb: DynamoDBClient;
  readonly documents: DynamoDBDocumentClient;
  readonly sqs: SQSClient;
  readonly receivingSqs: SQSClient;
}

export async function emulatedFleet(fleet: string): Promise<EmulatedFleet> {
  const [tables, queues] = await Promise.all([startDynalite(), startFauxqs()]);
  const dynamodb = createDynamoDBClient('general', tables.settings);
  const sqs = createSqsClient('general', queues.settings);
  const receivingSqs = createSqsClient('receiving', queues.settings);
  return {
    fleet,
    provisioned: await provision(readFleetConfig({ BATON_FLEET: fleet }), { dynamodb, sqs }),
    dynamodb,
    documents: DynamoDBDocumentClient.from(dynamodb, { marshallOptions: { removeUndefinedValues: true } }),
    sqs,
    receivingSqs,
    async [Symbol.asyncDispose]() {
      for (const client of [dynamodb, sqs, receivingSqs]) client.destroy();
      await Promise.all([tables[Symbol.asyncDispose](), queues[Symbol.asyncDispose]()]);
    },
  };
}

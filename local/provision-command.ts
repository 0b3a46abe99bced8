import { createDynamoDBClient, createSqsClient } from '../shared/aws-clients.ts';
import { readFleetConfig } from '../shared/config.ts';
import { provision } from '../shared/provision.ts';

/**
 * Makes what is missing of the tables and queues and prints what was done.
 * @throws {BatonError} `STORE_UNREACHABLE`, `QUEUE_UNREACHABLE`, `PROVISION_FAILED`, or `CONFIG_INVALID`.
 */
export async function printProvision({ json }: { json: boolean }): Promise<void> {
  const config = readFleetConfig(process.env);
  const clients = { dynamodb: createDynamoDBClient('general'), sqs: createSqsClient('general') };
  try {
    const provisioned = await provision(config, clients);
    const { created, updated } = provisioned;
    if (json) console.log(JSON.stringify(provisioned));
    else if (created.length + updated.length === 0) console.log(`Fleet ${config.fleet}: everything is there.`);
    else {
      for (const name of created) console.log(`created ${name}`);
      for (const name of updated) console.log(`updated ${name}`);
    }
  } finally {
    clients.dynamodb.destroy();
    clients.sqs.destroy();
  }
}

// Run by sqs-event-source.integration.test.ts: after stop() nothing may keep the process alive.
import { startEmbeddedCloud } from '../../../local/cloud/embedded-cloud.ts';
import { startSchedule } from '../../../local/cloud/lambda-schedule.ts';
import { startEventSource } from '../../../local/cloud/sqs-event-source.ts';
import { createDynamoDBClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { provision } from '../../../shared/provision.ts';

const cloud = await startEmbeddedCloud();
Object.assign(process.env, cloud.environment);
const dynamodb = createDynamoDBClient('general');
const sqs = createSqsClient('receiving');
const { eventsQueueUrl } = await provision(readFleetConfig({}), { dynamodb, sqs });
const source = await startEventSource({
  sqs,
  queueUrl: eventsQueueUrl,
  functionName: 'events',
  handler: async () => {},
});
const schedule = startSchedule({ functionName: 'rebalance', handler: async () => {} });
await Promise.all([source.stop(), schedule.stop()]);
sqs.destroy();
dynamodb.destroy();
await cloud.stop();
process.stdout.write('stopped');

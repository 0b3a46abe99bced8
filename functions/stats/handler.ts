import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { systemClock } from '../../shared/clock.ts';
import { readStatsConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { DynamoDbTimeline } from '../../shared/stats/dynamodb-timeline.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { cloudWatchQueueAges } from './cloudwatch-queue-ages.ts';
import { ConsoleApi } from './console-api.ts';
import { DynamoDbSeries } from './dynamodb-series.ts';
import { FleetCollector } from './fleet-collector.ts';
import { QueueFigures } from './queue-figures.ts';
import { createStatsHandler } from './stats-handler.ts';

const config = readStatsConfig(process.env);
const logger = createLambdaLogger('baton-stats', config.logLevel);
const documents = createDynamoDBDocumentClient('general');
const store = new DynamoDbStore(documents, config.table);
const series = new DynamoDbSeries(documents, config.table);
const queues = new QueueFigures(
  createSqsClient('general'),
  {
    events: config.eventsQueue,
    eventsDeadLetters: config.eventsDlq,
    interactions: config.interactionsQueue,
    interactionsDeadLetters: config.interactionsDlq,
  },
  cloudWatchQueueAges({
    // Two attempts at most: the console waits for this answer.
    cloudWatch: new CloudWatchClient({
      maxAttempts: 2,
      requestHandler: { connectionTimeout: 1000, requestTimeout: 3000, throwOnRequestTimeout: true },
    }),
    queues: { events: config.eventsQueue, interactions: config.interactionsQueue },
    clock: systemClock,
    logger,
  }),
);
const collector = new FleetCollector({
  fleet: config.fleet,
  store,
  rules: config,
  readQueues: () => queues.read(),
  clock: systemClock,
  logger,
});

/** Lambda entry of the schedule and of the function URL, with 30 s of time. A bad variable ends the start of the function with one line that names it. */
export const handler = createStatsHandler({
  fleet: config.fleet,
  collector,
  series,
  api: new ConsoleApi({
    collector,
    series,
    timeline: new DynamoDbTimeline(documents, config.table, systemClock, systemRandom),
    store,
    clock: systemClock,
  }),
  // Past the console object, which Lambda wraps into lines of its own form: CloudWatch takes metrics from a bare line alone.
  writeMetric: (line) => process.stdout.write(`${line}\n`),
  clock: systemClock,
  logger,
});

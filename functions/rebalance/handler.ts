import { ECSClient } from '@aws-sdk/client-ecs';
import { createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { systemClock } from '../../shared/clock.ts';
import { readRebalanceConfig } from '../../shared/config.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { SqsControlPlane } from '../../shared/control/sqs-control-queue.ts';
import { DynamoDbTimeline } from '../../shared/stats/dynamodb-timeline.ts';
import { TimelineRecorder } from '../../shared/stats/timeline.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { EcsDesiredCount } from './ecs-desired-count.ts';
import { createRebalanceHandler } from './rebalance-handler.ts';

const config = readRebalanceConfig(process.env);
const logger = createLambdaLogger('baton-rebalance', config.logLevel);
const sqs = createSqsClient('general');

const documents = createDynamoDBDocumentClient('coordination');

/** Lambda entry of the schedule, with 60 s of time. A bad variable ends the start of the function with one line that names it. */
export const handler = createRebalanceHandler({
  store: new DynamoDbStore(documents, config.table),
  timeline: new TimelineRecorder({
    store: new DynamoDbTimeline(documents, config.table, systemClock, systemRandom),
    clock: systemClock,
    logger,
  }),
  // Nothing is received here, so no client with the time for it is needed.
  control: new SqsControlPlane({ fleet: config.fleet, client: sqs, pollingClient: sqs, logger }),
  rules: config,
  ...(config.service && { desiredCount: new EcsDesiredCount(createEcsClient(), config.service, logger) }),
  clock: systemClock,
  random: systemRandom,
  logger,
});

/** Two attempts at most, so that ECS cannot use up the time of a round. */
function createEcsClient(): ECSClient {
  return new ECSClient({
    maxAttempts: 2,
    requestHandler: { connectionTimeout: 1000, requestTimeout: 5000, throwOnRequestTimeout: true },
  });
}

import { createDynamoDBDocumentClient, createSqsClient } from '../../shared/aws-clients.ts';
import { systemClock } from '../../shared/clock.ts';
import { readOperateConfig } from '../../shared/config.ts';
import { DynamoDbReplies } from '../../shared/control/dynamodb-replies.ts';
import { Fleet } from '../../shared/control/fleet.ts';
import { FleetOperations } from '../../shared/control/fleet-operations.ts';
import { SqsControlPlane } from '../../shared/control/sqs-control-queue.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import { systemRandom } from '../../shared/random.ts';
import { DynamoDbTimeline } from '../../shared/stats/dynamodb-timeline.ts';
import { TimelineRecorder } from '../../shared/stats/timeline.ts';
import { createLambdaLogger } from '../kit/lambda-logger.ts';
import { createRebalanceHandler } from '../rebalance/rebalance-handler.ts';
import { FleetActions } from './fleet-actions.ts';
import { createOperateHandler } from './operate-handler.ts';
import { redrive } from './redrive.ts';

/** A round watches the fleet for some heartbeats; the number of workers is the scheduled round's to set. */
const rebalanceWithinMs = 60_000;
/** What is left then is for the next request. */
const redriveWithinMs = 120_000;

const config = readOperateConfig(process.env);
const logger = createLambdaLogger('baton-operate', config.logLevel);
const documents = createDynamoDBDocumentClient('general');
const sqs = createSqsClient('general');
const clock = systemClock;
const store = new DynamoDbStore(documents, config.table);
// Nothing is received here, so no client with the time for it is needed.
const control = new SqsControlPlane({ fleet: config.fleet, client: sqs, pollingClient: sqs, logger });
const timeline = new TimelineRecorder({
  store: new DynamoDbTimeline(documents, config.table, clock, systemRandom),
  clock,
  logger,
});
const fleet = new Fleet({
  store,
  control,
  replies: new DynamoDbReplies(documents, config.table, clock),
  clock,
  random: systemRandom,
  logger,
});
const rebalance = createRebalanceHandler({
  store,
  control,
  timeline,
  rules: config,
  clock,
  random: systemRandom,
  logger,
});

/** Lambda entry of the operators' function URL, with 180 s of time. A bad variable ends the start of the function with one line that names it. */
export const handler = createOperateHandler(
  new FleetActions({
    operations: new FleetOperations({ store, control, fleet, clock, logger }),
    fleet,
    rebalance: (request) => rebalance(request, { getRemainingTimeInMillis: () => rebalanceWithinMs }),
    redrive: (request) =>
      redrive(
        { sqs, deadLetters: config.eventsDlq, queue: config.eventsQueue, clock },
        { ...request, withinMs: redriveWithinMs },
      ),
    timeline,
    logger,
  }),
);

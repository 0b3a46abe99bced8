import { createDynamoDBDocumentClient, createSqsClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { type FleetConfig, readFleetConfig } from '../shared/config.ts';
import { DynamoDbReplies } from '../shared/control/dynamodb-replies.ts';
import { Fleet } from '../shared/control/fleet.ts';
import { FleetOperations } from '../shared/control/fleet-operations.ts';
import { SqsControlPlane } from '../shared/control/sqs-control-queue.ts';
import { DynamoDbStore } from '../shared/coordination/dynamodb-store.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';
import { DynamoDbTimeline } from '../shared/stats/dynamodb-timeline.ts';
import { TimelineRecorder } from '../shared/stats/timeline.ts';

/** The fleet that the environment names, as a command sees it. */
export interface FleetClient {
  readonly config: FleetConfig;
  readonly store: DynamoDbStore;
  readonly control: SqsControlPlane;
  readonly fleet: Fleet;
  readonly operations: FleetOperations;
  readonly timeline: TimelineRecorder;
}

/**
 * Runs `command` with clients to the fleet's table and queues, and closes them behind it.
 * @throws {BatonError} `CONFIG_INVALID` for a wrong environment.
 */
export async function withFleet<T>(env: NodeJS.ProcessEnv, command: (client: FleetClient) => Promise<T>): Promise<T> {
  const config = readFleetConfig(env);
  const documents = createDynamoDBDocumentClient('general');
  const sqs = createSqsClient('general');
  const receivingSqs = createSqsClient('receiving');
  const tools = { clock: systemClock, random: systemRandom, logger: silentLogger };
  try {
    const store = new DynamoDbStore(documents, config.table);
    const control = new SqsControlPlane({
      fleet: config.fleet,
      client: sqs,
      pollingClient: receivingSqs,
      logger: silentLogger,
    });
    const replies = new DynamoDbReplies(documents, config.table, systemClock);
    const fleet = new Fleet({ store, control, replies, ...tools });
    const operations = new FleetOperations({ store, control, fleet, ...tools });
    const timeline = new TimelineRecorder({
      store: new DynamoDbTimeline(documents, config.table, systemClock, systemRandom),
      ...tools,
    });
    const result = await command({ config, store, control, fleet, operations, timeline });
    await fleet.tidied();
    return result;
  } finally {
    for (const client of [documents, sqs, receivingSqs]) client.destroy();
  }
}

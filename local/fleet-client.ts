import { systemClock } from '../shared/clock.ts';
import { type FleetConfig, readFleetConfig } from '../shared/config.ts';
import { FleetConnection } from '../shared/control/connect-fleet.ts';
import type { Fleet } from '../shared/control/fleet.ts';
import { FleetOperations } from '../shared/control/fleet-operations.ts';
import type { SqsControlPlane } from '../shared/control/sqs-control-queue.ts';
import type { DynamoDbStore } from '../shared/coordination/dynamodb-store.ts';
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
  const connection = new FleetConnection(config);
  const { documents, store, control, fleet } = connection;
  const tools = { clock: systemClock, random: systemRandom, logger: silentLogger };
  try {
    const operations = new FleetOperations({ store, control, fleet, ...tools });
    const timeline = new TimelineRecorder({
      store: new DynamoDbTimeline(documents, config.table, systemClock, systemRandom),
      ...tools,
    });
    const result = await command({ config, store, control, fleet, operations, timeline });
    await fleet.tidied();
    return result;
  } finally {
    connection.close();
  }
}

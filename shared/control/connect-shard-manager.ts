import type { AwsClientSettings } from '../aws-clients.ts';
import { systemClock } from '../clock.ts';
import { readFleetConfig } from '../config.ts';
import { FleetConnection } from './connect-fleet.ts';
import { ShardManager } from './shard-manager.ts';

export interface ConnectShardManagerOptions {
  /** Name of the fleet. @default the environment's BATON_FLEET, else `baton` */
  readonly fleet?: string;
  /** Where DynamoDB and SQS are. @default what the AWS SDK reads from the environment */
  readonly aws?: { readonly dynamodb: AwsClientSettings; readonly sqs: AwsClientSettings };
}

/**
 * A manager of a fleet that runs already, in an AWS account or anywhere else its table and queues are. It starts and
 * ends nothing: `spawnShards` only waits until every shard is ready, `stop` only lets go of the connection.
 * @throws {BatonError} `CONFIG_INVALID` for a wrong name or variable.
 */
export function connectShardManager(
  { fleet, aws }: ConnectShardManagerOptions = {},
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ShardManager {
  const config = readFleetConfig({ ...environment, ...(fleet !== undefined && { BATON_FLEET: fleet }) });
  const connection = new FleetConnection(config, aws === undefined ? {} : { aws });
  return new ShardManager({ clock: systemClock, fleet: connection.fleet, close: () => connection.close() });
}

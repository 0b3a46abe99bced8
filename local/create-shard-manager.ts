import { pino } from 'pino';
import { systemClock } from '../shared/clock.ts';
import { readWorkerConfig } from '../shared/config.ts';
import { ShardManager } from '../shared/control/shard-manager.ts';
import { checkShardManagerOptions, type ShardManagerOptions } from '../shared/control/shard-manager-options.ts';
import { EmbeddedShards } from './embedded-shards.ts';

/**
 * A manager that runs a bot's shards on this machine: worker processes on an embedded cloud, started by its
 * `spawnShards`. `botFile` is a module of handlers (`.ts`, `.js`, `.mjs`), or any other file whose extension has a command
 * in `interpreters`. Nothing is started yet.
 * @throws {BatonError} `REQUEST_INVALID`, naming the option, its value and what it may be; `CONFIG_INVALID` for a wrong
 *   `BATON_*` variable.
 */
export function createShardManager(
  botFile: string,
  options: ShardManagerOptions = {},
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ShardManager {
  const checked = checkShardManagerOptions(botFile, options, environment);
  const { logLevel } = readWorkerConfig({ ...environment, DISCORD_TOKEN: checked.token });
  // Quiet unless asked: a manager is part of somebody's program.
  const logger = pino({ level: environment['BATON_LOG_LEVEL'] === undefined ? 'error' : logLevel, messageKey: 'msg' });
  return new ShardManager({
    clock: systemClock,
    spawner: new EmbeddedShards(checked, environment, logger),
    ...(checked.shardList !== 'auto' && { shardIds: checked.shardList }),
  });
}

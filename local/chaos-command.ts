import { systemRandom, randomBelow } from '../shared/random.ts';
import { start } from './start-command.ts';

/** Options of `baton chaos` as the command line gives them. */
export interface ChaosOptions {
  readonly json: boolean;
  readonly minutes: number;
  readonly workers: number;
  readonly shards: number;
  /** Events a second over all shards. */
  readonly rate: number;
  readonly seed?: number;
  /** DynamoDB Local instead of the embedded emulator. */
  readonly dynamodbLocal: boolean;
  readonly port?: number;
}

/**
 * Runs a fleet on the simulated Discord for some minutes and does to it whatever happens to fleets: processes that die
 * or stand still, connections that break, an AWS that fails. Resolves to the exit code: 0 when no event was lost, doubled
 * (outside marked envelopes) or out of order, and every recovery was a RESUME.
 * @throws {BatonError} when a part does not start.
 */
export function runChaosCommand(options: ChaosOptions): Promise<number> {
  const { json, minutes, workers, shards, rate, port = 0, dynamodbLocal } = options;
  return start({
    json,
    workers,
    shards,
    rate,
    port,
    duration: minutes * 60_000,
    chaos: true,
    chaosSeed: options.seed ?? randomBelow(systemRandom, 2 ** 32),
    chaosMix: 'harsh',
    dynamodb: dynamodbLocal ? 'local' : 'embedded',
    progress: true,
  });
}

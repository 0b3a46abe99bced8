import { RemovalPolicy } from 'aws-cdk-lib';
import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { BatonFleetProps } from './baton-fleet.ts';

/**
 * Settings of a stage; what is not here has the default of {@link BatonFleetProps}. Yours belong here too, such as
 * `alarmEmail` and `secretArn`: what is given on the command line is forgotten at the next deployment.
 */
export const stages = {
  /** A fleet to try things on: small, and of it only the secret is left when it is removed. */
  dev: {
    fleet: 'baton-dev',
    capacity: { cpu: 256, memoryMb: 512, minWorkers: 1, maxWorkers: 2, spotShare: 0 },
    logRetention: RetentionDays.ONE_WEEK,
    removalPolicy: RemovalPolicy.DESTROY,
  },
  /** Two workers at least, so that a shard always has somewhere to go. */
  prod: {
    fleet: 'baton',
    capacity: { cpu: 512, memoryMb: 1024, minWorkers: 2, maxWorkers: 20, spotShare: 0 },
    // Kept out of the account's concurrency, which must be 200 or more: a new account has 10, and has to ask for more first.
    interactionsReservedConcurrency: 50,
    endpointReservedConcurrency: 50,
  },
} as const satisfies Record<string, BatonFleetProps>;

export type StageName = keyof typeof stages;

/** @throws {Error} naming the stages there are. */
export function readStage(value: unknown): StageName {
  if (typeof value === 'string' && Object.hasOwn(stages, value)) return value as StageName;
  throw new Error(
    `stage=${String(value)} must be one of ${Object.keys(stages).join(', ')}, as in: cdk synth -c stage=dev`,
  );
}

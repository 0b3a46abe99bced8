import { Duration } from 'aws-cdk-lib';
import { Rule, RuleTargetInput, Schedule } from 'aws-cdk-lib/aws-events';
import { LambdaFunction } from 'aws-cdk-lib/aws-events-targets';
import type { Construct } from 'constructs';
import type { BotSecret } from './bot-secret.ts';
import type { FleetTable } from './fleet-table.ts';
import { grantHandlerFleet, type HandlerFleet, handlerFleetEnvironment } from './handler-fleet-access.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import { grantDirectory } from './handler-tables.ts';

/** A round goes as far as it comes; most do nothing, and take a second. */
const timeout = Duration.seconds(120);
/** How long a guild that was left while its shard had no session may be shown. */
const period = Duration.minutes(5);

export interface DirectoryFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly handlerFleet: HandlerFleet;
  readonly directory: FleetTable;
  readonly secret: BotSecret;
}

/** Every five minutes: takes guilds out that were left while nobody listened, and fetches what it is told to. */
export class DirectoryFunction extends HandlerFunction {
  constructor(scope: Construct, id: string, props: DirectoryFunctionProps) {
    const { handlerFleet, directory, secret, ...rest } = props;
    super(scope, id, {
      ...rest,
      program: 'directory',
      description: 'Compares the directory with what the shards know, and preloads it',
      timeout,
      environment: {
        ...rest.environment,
        ...handlerFleetEnvironment(handlerFleet),
        DISCORD_SECRET: secret.secret.secretArn,
      },
    });
    secret.grantRead(this.function);
    grantHandlerFleet(this, handlerFleet);
    grantDirectory(this.function, directory);
    new Rule(this, 'EveryFiveMinutes', {
      description: 'A round of the directory',
      schedule: Schedule.rate(period),
      // The next round looks anew, so none is made up for.
      targets: [new LambdaFunction(this.function, { event: RuleTargetInput.fromObject({}), retryAttempts: 0 })],
    });
  }
}

import { Duration } from 'aws-cdk-lib';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Construct } from 'constructs';
import { functionTimeoutSeconds } from '../shared/fleet-resources.ts';
import type { BotSecret } from './bot-secret.ts';
import type { FleetQueue } from './fleet-queue.ts';
import type { FleetTable } from './fleet-table.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import { grantHandlerFleet, type HandlerFleet, handlerFleetEnvironment } from './handler-fleet-access.ts';
import { grantHandlerTable } from './handler-tables.ts';

export interface InteractionsFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly interactions: FleetQueue;
  readonly handlerFleet: HandlerFleet;
  readonly directory: FleetTable;
  readonly secret: BotSecret;
  /** Invocations at once. */
  readonly maxConcurrency: number;
}

/** Answers commands that reach the bot over the gateway. */
export class InteractionsFunction extends HandlerFunction {
  constructor(scope: Construct, id: string, props: InteractionsFunctionProps) {
    const { interactions, handlerFleet, directory, secret, maxConcurrency, ...rest } = props;
    super(scope, id, {
      ...rest,
      environment: {
        ...rest.environment,
        ...handlerFleetEnvironment(handlerFleet),
        DISCORD_SECRET: secret.secret.secretArn,
      },
      program: 'interactions',
      description: 'Answers interactions of the interactions queue',
      timeout: Duration.seconds(functionTimeoutSeconds.interactions),
    });
    this.function.addEventSource(
      new SqsEventSource(interactions.queue, { batchSize: 10, reportBatchItemFailures: true, maxConcurrency }),
    );
    secret.grantRead(this.function);
    grantHandlerFleet(this, handlerFleet);
    grantHandlerTable(this.function, directory);
  }
}

import { Duration } from 'aws-cdk-lib';
import { SqsEventSource } from 'aws-cdk-lib/aws-lambda-event-sources';
import type { Construct } from 'constructs';
import { functionTimeoutSeconds } from '../shared/fleet-resources.ts';
import { grantHandlerFleet, type HandlerFleet, handlerFleetEnvironment } from './handler-fleet-access.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import type { BotSecret } from './bot-secret.ts';
import type { FleetQueue } from './fleet-queue.ts';
import { grantDirectory } from './handler-tables.ts';
import type { FleetTable } from './fleet-table.ts';

export interface EventsFunctionProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly events: FleetQueue;
  readonly handlerFleet: HandlerFleet;
  readonly directory: FleetTable;
  readonly secret: BotSecret;
  /** Invocations at once. */
  readonly maxConcurrency: number;
}

/** Runs the handlers of events; a queue group (a shard) is handled in order, groups side by side. */
export class EventsFunction extends HandlerFunction {
  constructor(scope: Construct, id: string, props: EventsFunctionProps) {
    const { events, handlerFleet, directory, secret, maxConcurrency, ...rest } = props;
    super(scope, id, {
      ...rest,
      environment: {
        ...rest.environment,
        ...handlerFleetEnvironment(handlerFleet),
        DISCORD_SECRET: secret.secret.secretArn,
      },
      program: 'events',
      description: 'Runs event handlers on envelopes of the events queue',
      timeout: Duration.seconds(functionTimeoutSeconds.events),
    });
    this.function.addEventSource(
      new SqsEventSource(events.queue, { batchSize: 10, reportBatchItemFailures: true, maxConcurrency }),
    );
    events.deadLetters.grant(this.function, 'sqs:SendMessage');
    secret.grantRead(this.function);
    grantHandlerFleet(this, handlerFleet);
    grantDirectory(this.function, directory);
  }
}

import { CfnOutput, Duration } from 'aws-cdk-lib';
import { FunctionUrl, FunctionUrlAuthType, InvokeMode } from 'aws-cdk-lib/aws-lambda';
import type { Construct } from 'constructs';
import { functionTimeoutSeconds } from '../shared/fleet-resources.ts';
import type { BotSecret } from './bot-secret.ts';
import type { FleetTable } from './fleet-table.ts';
import { HandlerFunction, type HandlerFunctionProps } from './handler-function.ts';
import { grantHandlerFleet, type HandlerFleet, handlerFleetEnvironment } from './handler-fleet-access.ts';
import { grantHandlerTable } from './handler-tables.ts';

export interface InteractionsEndpointProps extends Omit<HandlerFunctionProps, 'program' | 'description' | 'timeout'> {
  readonly handlerFleet: HandlerFleet;
  readonly directory: FleetTable;
  readonly secret: BotSecret;
}

/**
 * Takes interactions from Discord over HTTPS, at an address of its own. Anybody may call it: Discord has no AWS
 * credentials, so every request is checked by its signature. Its concurrency is what bounds the bill.
 */
export class InteractionsEndpoint extends HandlerFunction {
  readonly url: FunctionUrl;

  constructor(scope: Construct, id: string, props: InteractionsEndpointProps) {
    const { handlerFleet, directory, secret, ...rest } = props;
    super(scope, id, {
      ...rest,
      // A cold start has to fit into Discord's three seconds, and is bound by CPU: this is 0.6 of one.
      memoryMb: Math.max(1024, rest.memoryMb ?? 0),
      environment: {
        ...rest.environment,
        ...handlerFleetEnvironment(handlerFleet),
        DISCORD_SECRET: secret.secret.secretArn,
      },
      program: 'interactions-endpoint',
      mapsSources: false,
      description: 'Answers interactions that Discord sends over HTTPS',
      timeout: Duration.seconds(functionTimeoutSeconds.interactions),
    });
    secret.grantRead(this.function);
    grantHandlerFleet(this, handlerFleet);
    grantHandlerTable(this.function, directory);
    this.url = new FunctionUrl(this, 'Url', {
      function: this.function,
      authType: FunctionUrlAuthType.NONE,
      // The response is out when it is made, and the handler goes on; buffered, it would wait for the handler's end.
      invokeMode: InvokeMode.RESPONSE_STREAM,
    });
    new CfnOutput(this, 'InteractionsEndpointUrl', {
      description: "For Discord's developer portal, General Information, Interactions Endpoint URL",
      value: this.url.url,
    });
  }
}

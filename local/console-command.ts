import { createSqsClient } from '../shared/aws-clients.ts';
import { systemClock } from '../shared/clock.ts';
import { BatonError } from '../shared/errors.ts';
import { ConsoleServer } from './console-server.ts';
import { RemoteConsole } from './remote-console.ts';
import { StopSignals } from './stop-signals.ts';

export interface ConsoleOptions {
  readonly json: boolean;
  readonly url: URL;
  readonly operatorUrl?: URL;
  readonly port?: number;
}

/**
 * Serves the console of a deployed fleet on this machine until Ctrl-C; what it asks of the fleet is signed with the
 * credentials that the AWS SDK finds here.
 * @throws {BatonError} `PORT_IN_USE`; `CONFIG_INVALID` when there are no credentials.
 */
export async function serveConsole({ json, url, operatorUrl, port }: ConsoleOptions): Promise<void> {
  // Only its settings are of interest: region and credentials as every command finds them.
  const client = createSqsClient('general');
  const credentials = () =>
    client.config.credentials().catch((error: unknown) => {
      throw new BatonError('CONFIG_INVALID', 'there are no AWS credentials: set AWS_PROFILE, or log in', {
        cause: error,
      });
    });
  await credentials();
  const region = /\.lambda-url\.([a-z0-9-]+)\.on\.aws$/.exec(url.hostname)?.[1] ?? (await client.config.region());
  const stopSignals = new StopSignals(() => systemClock.monotonicMs());
  stopSignals.listen();
  const server = await ConsoleServer.start({ port, state: () => ({ phase: 'remote' }), isKeyed: true });
  try {
    server.attach(new RemoteConsole({ url, operatorUrl, region, credentials, clock: systemClock }));
    process.stdout.write(
      json ? `${JSON.stringify({ url: server.url })}\n` : `Console: ${server.url}  (Ctrl-C ends it)\n`,
    );
    const { orderly } = stopSignals;
    if (!orderly.aborted) {
      await new Promise<void>((resolve) => orderly.addEventListener('abort', () => resolve(), { once: true }));
    }
  } finally {
    stopSignals.stopListening();
    await server.stop();
    client.destroy();
  }
}

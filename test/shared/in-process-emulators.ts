import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { buildApp } from 'fauxqs';
import type { AwsClientSettings } from '../../shared/aws-clients.ts';

/** An emulator in this process, on a free port of 127.0.0.1. */
export interface Emulator extends AsyncDisposable {
  readonly settings: AwsClientSettings;
}

export async function startDynalite(): Promise<Emulator> {
  type Dynalite = (options: { createTableMs: number; deleteTableMs: number }) => Server;
  const dynalite = createRequire(import.meta.url)('dynalite') as Dynalite;
  const server = dynalite({ createTableMs: 0, deleteTableMs: 0 });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    settings: emulatorSettings(`http://127.0.0.1:${(server.address() as AddressInfo).port}`),
    [Symbol.asyncDispose]: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

export async function startFauxqs(): Promise<Emulator> {
  const app = buildApp({ logger: false });
  const endpoint = await app.listen({ port: 0, host: '127.0.0.1' });
  return { settings: emulatorSettings(endpoint), [Symbol.asyncDispose]: () => app.close() };
}

/** Any credentials do for an emulator. */
export function emulatorSettings(endpoint: string): AwsClientSettings {
  return { endpoint, region: 'us-east-1', credentials: { accessKeyId: 'local', secretAccessKey: 'local' } };
}

import { once } from 'node:events';
import type { Server } from 'node:http';
import { createRequire } from 'node:module';
import type { AddressInfo } from 'node:net';
import { type EmulatorServer, runEmulator } from './emulator-child.ts';

/** The part of dynalite's options that is used here; the package has no types. */
type Dynalite = (options: { path?: string; createTableMs: number; deleteTableMs: number }) => Server;

const dynalite = createRequire(import.meta.url)('dynalite') as Dynalite;

async function start(dataDirectory: string | undefined): Promise<EmulatorServer> {
  const server = dynalite({
    createTableMs: 0,
    deleteTableMs: 0,
    ...(dataDirectory !== undefined && { path: dataDirectory }),
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await openDatabase(port);
  return {
    port,
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

/** dynalite opens its database with the first request, and dies then if the directory is in use: better now. */
async function openDatabase(port: number): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}/`, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amz-target': 'DynamoDB_20120810.ListTables',
      'x-amz-date': '20200101T000000Z',
      authorization: 'AWS4-HMAC-SHA256 Credential=local, SignedHeaders=host, Signature=local',
    },
    body: '{}',
  });
  if (!response.ok) throw new Error(`dynalite answered ${response.status}: ${await response.text()}`);
  await response.arrayBuffer();
}

await runEmulator(start);

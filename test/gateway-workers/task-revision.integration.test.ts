import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, test } from 'vitest';
import { readTaskRevision } from '../../gateway-workers/task-revision.ts';

/** The environment of a container whose metadata endpoint answers `/v4/id/task` with `body`. */
async function inEcs<T>(body: string, run: (env: NodeJS.ProcessEnv) => Promise<T>): Promise<T> {
  const server = createServer((request, response) =>
    request.url === '/v4/id/task' ? response.end(body) : response.writeHead(404).end('{}'),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  try {
    return await run({ ECS_CONTAINER_METADATA_URI_V4: `http://127.0.0.1:${port}/v4/id` });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

test('a later revision sorts behind an earlier one', async () => {
  const ninth = await inEcs('{"Family":"baton-worker","Revision":"9"}', readTaskRevision);
  const tenth = await inEcs('{"Family":"baton-worker","Revision":"10"}', readTaskRevision);
  expect((tenth as string) > (ninth as string)).toBe(true);
});

test('there is none outside of ECS', async () => expect(await readTaskRevision({})).toBeUndefined());

test('an answer of another form is an error', async () => {
  await expect(inEcs('{"Revision":"main"}', readTaskRevision)).rejects.toThrow('Revision');
});

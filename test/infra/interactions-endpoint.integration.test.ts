import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bundleProgram } from '../../infra/bundle.ts';
import { FunctionUrl } from '../../local/cloud/function-url.ts';
import { type DiscordSimulator, startSimulator } from '../../local/discord/simulator.ts';
import { DeployedFunction } from './deployed-programs.ts';

let folder: string;
let bundle: string;
let cleanUp: AsyncDisposableStack;
let simulator: DiscordSimulator;
let environment: Record<string, string>;

beforeAll(async () => {
  cleanUp = new AsyncDisposableStack();
  folder = mkdtempSync(join(tmpdir(), 'baton-endpoint-'));
  bundle = join(folder, 'index.mjs');
  bundleProgram('interactions-endpoint', bundle);
  simulator = await startSimulator({ shards: 1, guildsPerShard: 1 });
  cleanUp.defer(() => simulator.stop());
  environment = {
    AWS_REGION: 'us-east-1',
    AWS_ACCESS_KEY_ID: 'local',
    AWS_SECRET_ACCESS_KEY: 'local',
    AWS_ENDPOINT_URL_DYNAMODB: await tableThatTakesAll(),
    DISCORD_TOKEN: simulator.token ?? '',
    DISCORD_API_URL: simulator.apiUrl,
    DISCORD_PUBLIC_KEY: simulator.publicKey,
  };
}, 60_000);
afterAll(async () => {
  await cleanUp.disposeAsync();
  rmSync(folder, { recursive: true, force: true });
});

/** DynamoDB that takes every claim and has no item. */
async function tableThatTakesAll(): Promise<string> {
  const server = createServer((request, response) => {
    request
      .resume()
      .on('end', () => response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' }).end('{}'));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanUp.defer(() => {
    server.close();
    server.closeAllConnections();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test('the bundled function, run by plain Node, is an endpoint that Discord takes and gets answers from', async () => {
  await using deployed = await DeployedFunction.start(bundle, environment);
  const served = await FunctionUrl.start({
    functionName: 'interactions-endpoint',
    handler: async (event, respond, context) => void (await deployed.invoke(event, context, respond)),
  });
  try {
    const set = await simulator.endpoint.set(served.url);
    expect(set).toEqual({ status: 200 });
    const [guild] = simulator.world.guilds;
    for (const command of ['ping', 'shard', 'no-such-command']) {
      const record = simulator.traffic.sendCommand(command, guild as never);
      await expect.poll(() => record?.answers[0]?.status, { timeout: 10_000 }).toBe(204);
    }
    expect(simulator.endpoint.totals).toMatchObject({ sent: 3, answered: 3, failures: {} });
  } finally {
    await served.stop();
  }
}, 60_000);

describe('without its public key', () => {
  test.each([
    {
      what: 'missing',
      key: { DISCORD_PUBLIC_KEY: '' },
      says: 'DISCORD_PUBLIC_KEY is missing: it must be the 64 hex digits',
    },
    { what: 'wrong', key: { DISCORD_PUBLIC_KEY: 'abc' }, says: 'DISCORD_PUBLIC_KEY="abc" must be the 64 hex digits' },
  ])(
    '($what) the function does not start, and names the setting',
    async ({ key, says }) => {
      const { DISCORD_PUBLIC_KEY: _, ...rest } = environment;
      await expect(DeployedFunction.start(bundle, { ...rest, ...key })).rejects.toThrow(says);
    },
    30_000,
  );
});

test('the file is under 1 MB, so that it starts quickly, and brings no second HTTP client', () => {
  expect(statSync(bundle).size).toBeLessThan(1_000_000);
  const { sources } = JSON.parse(readFileSync(`${bundle}.map`, 'utf8')) as { sources: string[] };
  expect(sources.filter((source) => /node_modules\/(undici|ws|@discordjs\/ws)\//.test(source))).toEqual([]);
});

import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ECSClient } from '@aws-sdk/client-ecs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EcsDesiredCount, wantedCount } from '../../../functions/rebalance/ecs-desired-count.ts';
import { RecordingLogger } from '../../shared/recording-logger.ts';

const config = { cluster: 'baton', service: 'baton-workers', minWorkers: 2, maxWorkers: 10 };

/** ECS with one service, as far as two operations of it go. */
let server: Server;
let client: ECSClient;
let service: { desiredCount: number; deployments: unknown[] } | undefined;
let updates: unknown[];

beforeEach(async () => {
  updates = [];
  service = { desiredCount: 3, deployments: [{}] };
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const isUpdate = String(request.headers['x-amz-target']).endsWith('.UpdateService');
      if (isUpdate) updates.push(JSON.parse(Buffer.concat(chunks).toString()));
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(JSON.stringify(isUpdate ? { service } : { services: service ? [service] : [] }));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  client = new ECSClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
});

afterEach(async () => {
  client.destroy();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('more workers are asked of ECS, once', async () => {
  const count = new EcsDesiredCount(client, config, new RecordingLogger());
  await count.advise({ kind: 'atLeast', count: 5, because: 'cpu' });
  expect(updates).toEqual([{ cluster: 'baton', service: 'baton-workers', desiredCount: 5 }]);
});

test('what is as it should be is left alone', async () => {
  await new EcsDesiredCount(client, config, new RecordingLogger()).advise({ kind: 'keep' });
  expect(updates).toEqual([]);
});

test('a service that is not there is told in the log and ends no round', async () => {
  service = undefined;
  const logger = new RecordingLogger();
  await new EcsDesiredCount(client, config, logger).advise({ kind: 'keep' });
  expect(JSON.stringify(logger.lines)).toContain('BATON_ECS_SERVICE=baton-workers is no service of cluster baton');
});

describe('the count that is wanted', () => {
  const calm = { desiredCount: 4, isDeploying: false };
  test.each([
    ['stays', { kind: 'keep' }, calm, 4],
    ['grows', { kind: 'atLeast', count: 6, because: 'cpu' }, calm, 6],
    ['does not shrink because fewer would do', { kind: 'atLeast', count: 2, because: 'cpu' }, calm, 4],
    ['shrinks', { kind: 'atMost', count: 3, because: 'idle' }, calm, 3],
    [
      'does not shrink during a deployment',
      { kind: 'atMost', count: 3, because: 'idle' },
      { ...calm, isDeploying: true },
      4,
    ],
    ['is never above the bound', { kind: 'atLeast', count: 60, because: 'capacity' }, calm, 10],
    ['is brought up from nothing', { kind: 'keep' }, { desiredCount: 0, isDeploying: false }, 2],
    ['is brought down to a lowered bound', { kind: 'keep' }, { desiredCount: 12, isDeploying: false }, 10],
  ] as const)('%s', (_, advice, service, expected) => {
    expect(wantedCount(advice, service, config)).toBe(expected);
  });
});

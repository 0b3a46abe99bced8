import { createServer } from 'node:http';
import { type AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { HealthServer } from '../../gateway-workers/health-server.ts';
import type { ShardReport, WorkerReport } from '../../shared/coordination/model.ts';

const shard = (id: number, ready: boolean): ShardReport => ({
  shard: `4.${id}`,
  epoch: 1,
  state: ready ? 'ready' : 'resuming',
  ready,
  seq: 10,
  guildCount: 5,
  latencyMs: 20 + id,
  eventsPerSecond: 3,
  bufferedEvents: 1,
});

const report = (shards: ShardReport[]): WorkerReport => ({
  incarnation: 'i',
  workerId: 'worker-1',
  cpuPercent: 12,
  memoryMb: 90,
  eventsPerSecond: 6,
  coordinator: true,
  shards,
});

let current: WorkerReport | undefined;
let server: HealthServer | undefined;

afterEach(async () => {
  await server?.[Symbol.asyncDispose]();
});

async function open(): Promise<string> {
  const probe = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => probe.once('listening', resolve));
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  server = new HealthServer(() => current);
  await server.listen(port);
  return `http://127.0.0.1:${port}`;
}

test('is healthy once registered, and ready when every shard is', async () => {
  current = undefined;
  const url = await open();
  expect((await fetch(`${url}/healthz`)).status).toBe(503);
  current = report([shard(0, true), shard(1, false)]);
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  const ready = await fetch(`${url}/readyz`);
  expect(ready.status).toBe(503);
  expect(await ready.json()).toEqual({ ok: false, worker: 'worker-1', shards: 2, notReady: ['4.1'] });
  current = report([shard(0, true), shard(1, true)]);
  expect((await fetch(`${url}/readyz`)).status).toBe(200);
});

test('shows its figures as Prometheus text', async () => {
  current = report([shard(0, true), shard(1, false)]);
  const response = await fetch(`${await open()}/metrics`);
  expect(response.headers.get('content-type')).toContain('text/plain');
  const text = await response.text();
  expect(text).toMatch(/^baton_shards_held 2$/m);
  expect(text).toMatch(/^baton_shards_ready 1$/m);
  expect(text).toMatch(/^baton_gateway_latency_ms 21$/m);
  expect(text).toMatch(/^# HELP baton_guilds /m);
});

test('knows no other path and no other method', async () => {
  const url = await open();
  expect((await fetch(`${url}/`)).status).toBe(404);
  expect((await fetch(`${url}/healthz`, { method: 'POST' })).status).toBe(405);
});

test('says which variable to change when the port is taken', async () => {
  const url = await open();
  const second = new HealthServer(() => current);
  await expect(second.listen(Number(new URL(url).port))).rejects.toThrow(/BATON_HTTP_PORT=\d+ cannot be opened/);
});

import type { EventEmitter } from 'node:events';
import { requirePeer } from './peers.ts';
import type { Receiver, ReceiveTask } from './receivers.ts';

/** What these libraries look like from here: only what is called. */
// oxlint-disable-next-line typescript/no-explicit-any
type Untyped = any;

const token = 'Ym90.bench.token';

const gatewayBot = ({ gatewayUrl, shards }: ReceiveTask) => ({
  url: gatewayUrl,
  shards,
  session_start_limit: { total: 1000, remaining: 1000, reset_after: 86_400_000, max_concurrency: Math.max(16, shards) },
});

const shardIds = ({ shards }: ReceiveTask) => Array.from({ length: shards }, (_, shardId) => shardId);

const intents = 33_281;

async function discordjsWs(task: ReceiveTask, method: 'ZlibNative' | 'ZlibSync'): Promise<void> {
  const { WebSocketManager, WebSocketShardEvents, CompressionMethod } = requirePeer('@discordjs/ws') as Untyped;
  const manager = new WebSocketManager({
    token,
    intents,
    rest: { get: () => Promise.resolve(gatewayBot(task)) },
    shardCount: task.shards,
    compression: task.compress === 'none' ? null : CompressionMethod[method],
  });
  manager.on(WebSocketShardEvents.Dispatch, task.onEvent);
  manager.on(WebSocketShardEvents.Error, fail);
  await manager.connect();
}

async function discordJs(task: ReceiveTask): Promise<void> {
  const { Client } = requirePeer('discord.js') as Untyped;
  const client = new Client({
    intents,
    shards: shardIds(task),
    shardCount: task.shards,
    rest: { api: `${task.gatewayUrl.replace('ws:', 'http:')}/api` },
  });
  client.on('raw', task.onEvent);
  client.on('error', fail);
  await client.login(token);
}

async function discordeno(task: ReceiveTask): Promise<void> {
  const { createGatewayManager, TransportCompression } = requirePeer('@discordeno/gateway') as Untyped;
  const { url, shards } = gatewayBot(task);
  const manager = createGatewayManager({
    token,
    intents,
    url,
    connection: {
      url,
      shards,
      sessionStartLimit: { total: 1000, remaining: 1000, resetAfter: 86_400_000, maxConcurrency: 16 },
    },
    totalShards: shards,
    lastShardId: shards - 1,
    spawnShardDelay: 10,
    preferSnakeCase: true,
    resharding: { enabled: false, shardsFullPercentage: 80, checkInterval: -1 },
    transportCompression: task.compress === 'none' ? null : TransportCompression[task.compress.replace('-stream', '')],
    events: { message: (_shard: unknown, { op }: { op: number }) => op === 0 && task.onEvent() },
  });
  await manager.spawnShards();
}

async function cloudstorm(task: ReceiveTask): Promise<void> {
  const { Client } = requirePeer('cloudstorm') as Untyped;
  const client = new Client(token, {
    intents,
    shards: shardIds(task),
    totalShards: task.shards,
    ws: { compress: task.compress !== 'none', encoding: 'json' },
    snowtransferInstance: { bot: { getGatewayBot: () => Promise.resolve(gatewayBot(task)) } },
  });
  client.on('dispatch', task.onEvent);
  client.on('error', fail);
  await client.connect();
}

async function oceanic(task: ReceiveTask): Promise<void> {
  const { Client } = requirePeer('oceanic.js') as Untyped;
  const query = `/?v=10&encoding=json${task.compress === 'none' ? '' : `&compress=${task.compress}`}`;
  const client = new Client({
    auth: `Bot ${token}`,
    gateway: {
      intents,
      concurrency: 16,
      maxShards: task.shards,
      shardIDs: shardIds(task),
      compress: task.compress === 'none' ? false : task.compress,
      override: {
        url: () => Promise.resolve(task.gatewayUrl + query),
        getBot: () =>
          Promise.resolve({
            ...gatewayBot(task),
            sessionStartLimit: { total: 1000, remaining: 1000, resetAfter: 86_400_000, maxConcurrency: 16 },
          }),
        timeBetweenShardConnects: 0,
      },
    },
  }) as EventEmitter & { connect(): Promise<void> };
  client.on('packet', task.onEvent);
  client.on('error', fail);
  await client.connect();
}

async function eris(task: ReceiveTask): Promise<void> {
  const { Client } = requirePeer('eris') as Untyped;
  const client = new Client(`Bot ${token}`, {
    intents,
    maxShards: task.shards,
    lastShardID: task.shards - 1,
    shardConcurrency: 16,
    compress: task.compress !== 'none',
  });
  client.getBotGateway = client.getGateway = () => Promise.resolve(gatewayBot(task));
  client.on('rawWS', ({ op }: { op: number }) => op === 0 && task.onEvent());
  client.on('error', fail);
  await client.connect();
}

function fail(error: unknown): void {
  throw error;
}

export interface PeerReceiver {
  readonly receive: Receiver;
  /** Transports it can use here. */
  readonly compress: readonly string[];
}

const plainAndZlib = ['none', 'zlib-stream'];

/** Other libraries, each as its documentation says, counting what it emits for every dispatch. */
export const peerReceivers: Readonly<Record<string, PeerReceiver>> = {
  cloudstorm: { receive: cloudstorm, compress: plainAndZlib },
  discordeno: { receive: discordeno, compress: [...plainAndZlib, 'zstd-stream'] },
  '@discordjs/ws': { receive: (task) => discordjsWs(task, 'ZlibSync'), compress: plainAndZlib },
  '@discordjs/ws (no addon)': { receive: (task) => discordjsWs(task, 'ZlibNative'), compress: ['zlib-stream'] },
  'discord.js': { receive: discordJs, compress: plainAndZlib },
  'oceanic.js': { receive: oceanic, compress: [...plainAndZlib, 'zstd-stream'] },
  eris: { receive: eris, compress: plainAndZlib },
};

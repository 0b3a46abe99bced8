import { constants, createInflate, createZstdDecompress } from 'node:zlib';
import { WebSocket } from 'ws';
import { GatewayConnection } from '../gateway-workers/gateway/connection.ts';
import type { GatewayListener } from '../gateway-workers/gateway/gateway-session.ts';
import { systemClock } from '../shared/clock.ts';
import type { GatewayCompression } from '../shared/config.ts';
import { silentLogger } from '../shared/logger.ts';
import { systemRandom } from '../shared/random.ts';

export interface ReceiveTask {
  /** Base URL of the gateway, without a query. */
  readonly gatewayUrl: string;
  readonly shards: number;
  readonly compress: GatewayCompression;
  /** To be called for each dispatch. */
  readonly onEvent: () => void;
}

/** Connects every shard and goes on receiving. Resolves when that is under way. */
export type Receiver = (task: ReceiveTask) => Promise<void> | void;

/** The only session parts of the bare ones: enough for the player to begin. */
const identify = (shardId: number, shards: number) =>
  JSON.stringify({ op: 2, d: { token: 'bench', intents: 0, shard: [shardId, shards] } });

/** A bare WebSocket for each shard; `onMessage` gets every message as one Buffer. */
function bareSockets({ gatewayUrl, shards }: ReceiveTask, open: () => (message: Buffer) => void): void {
  for (let shardId = 0; shardId < shards; shardId += 1) {
    const socket = new WebSocket(gatewayUrl, { perMessageDeflate: false, maxPayload: 2 ** 26 });
    socket.once('message', () => socket.send(identify(shardId, shards)));
    socket.on('message', open() as (message: unknown) => void);
  }
}

const scratch = Buffer.allocUnsafeSlow(1024 * 1024);

/** A handle does not outlive its stream. */
const keptAlive: object[] = [];

/** The least work there is: the native handle's synchronous write into memory that is used again, without a copy. */
function inflater(compress: GatewayCompression): (message: Buffer) => Buffer {
  if (compress === 'none') return (message) => message;
  const isZlib = compress === 'zlib-stream';
  const stream = isZlib ? createInflate({ chunkSize: 64 }) : createZstdDecompress({ chunkSize: 64 });
  keptAlive.push(stream);
  const { _handle: handle, _writeState: left } = stream as unknown as {
    _handle: { writeSync(...args: unknown[]): void };
    _writeState: Uint32Array;
  };
  const flush = isZlib ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_continue;
  return (message) => {
    handle.writeSync(flush, message, 0, message.length, scratch, 0, scratch.length);
    return scratch.subarray(0, scratch.length - (left[0] as number));
  };
}

/** `t` and `s` of `{"t":"…","s":1,"op":0,"d":…}`, found where Discord puts them. */
function scan(frame: Buffer): boolean {
  let at = 6;
  while (frame[at] !== 0x22) at += 1;
  at += 6;
  let seq = 0;
  for (let digit = (frame[at] as number) - 0x30; digit >= 0 && digit <= 9; digit = (frame[at] as number) - 0x30) {
    seq = seq * 10 + digit;
    at += 1;
  }
  return seq > 0;
}

function baton({ gatewayUrl, shards, compress, onEvent }: ReceiveTask): void {
  const listener: GatewayListener = {
    onDispatch: onEvent,
    onSessionStarted() {},
    onResumed() {},
    onSessionLost() {},
    onStateChange() {},
    onFatal: (error) => {
      throw error;
    },
  };
  for (let shardId = 0; shardId < shards; shardId += 1) {
    const connection = new GatewayConnection({
      shard: { shardId, shardCount: shards },
      token: 'bench',
      intents: 0,
      gatewayUrl,
      compress,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      listener,
      identifyGate: {
        approach: () => Promise.resolve(),
        win: () => Promise.resolve({ sendBeforeMs: systemClock.monotonicMs() + 2000, settle() {} }),
      },
      confirmBeforeResume: () => Promise.resolve(),
    });
    connection.connect();
  }
}

/** Baton, and the bare minimum it is measured against. `floor` is what no gateway client can do without. */
export const ownReceivers: Readonly<Record<string, Receiver>> = {
  ws: (task) => bareSockets(task, () => task.onEvent),
  'ws+inflate': (task) =>
    bareSockets(task, () => {
      const inflate = inflater(task.compress);
      return (message) => {
        inflate(message);
        task.onEvent();
      };
    }),
  floor: (task) =>
    bareSockets(task, () => {
      const inflate = inflater(task.compress);
      return (message) => {
        if (scan(inflate(message))) task.onEvent();
      };
    }),
  'ws+inflate+parse': (task) =>
    bareSockets(task, () => {
      const inflate = inflater(task.compress);
      return (message) => {
        if ((JSON.parse(inflate(message).toString()) as { op: number }).op === 0) task.onEvent();
      };
    }),
  baton,
};

import { once } from 'node:events';
import { type AddressInfo, type Socket, createServer } from 'node:net';
import { type Server, createServer as createHttpServer } from 'node:http';
import { type Deflate, type ZstdCompress, constants, createDeflate, createZstdCompress } from 'node:zlib';
import { type WebSocket, WebSocketServer } from 'ws';

/** One client's connection, as the server sees it. */
export class ServedConnection {
  readonly received: { op: number; d: unknown }[] = [];
  readonly socket: WebSocket;
  readonly raw: Socket;
  closeCode: number | undefined;
  readonly #compressor: Deflate | ZstdCompress | undefined;
  readonly #chunks: Buffer[] = [];

  constructor(socket: WebSocket, raw: Socket, compress: string | null) {
    this.socket = socket;
    this.raw = raw;
    if (compress === 'zlib-stream') this.#compressor = createDeflate();
    if (compress === 'zstd-stream') this.#compressor = createZstdCompress();
    this.#compressor?.on('data', (chunk: Buffer) => this.#chunks.push(chunk));
    socket.on('message', (data) => this.received.push(JSON.parse((data as Buffer).toString())));
    socket.on('close', (code) => {
      this.closeCode = code;
    });
    socket.on('error', () => this.raw.destroy());
  }

  ops(): number[] {
    return this.received.map(({ op }) => op);
  }

  /** What would be sent for `frame`. */
  async encode(frame: object): Promise<Buffer | string> {
    const text = JSON.stringify(frame);
    const compressor = this.#compressor;
    if (!compressor) return text;
    compressor.write(text);
    const flush = 'params' in compressor ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush;
    await new Promise<void>((resolve) => compressor.flush(flush, resolve));
    return Buffer.concat(this.#chunks.splice(0));
  }

  async send(...frames: object[]): Promise<void> {
    for (const frame of frames) this.socket.send(await this.encode(frame));
  }

  hello(heartbeat_interval = 40_000): Promise<void> {
    return this.send({ t: null, s: null, op: 10, d: { heartbeat_interval } });
  }

  dispatch(s: number, t = 'MESSAGE_CREATE', d: object = { id: String(s) }): Promise<void> {
    return this.send({ t, s, op: 0, d });
  }
}

/** A WebSocket server on the loop-back that does only what a test tells it. */
export class ScriptedGateway {
  readonly connections: ServedConnection[] = [];
  readonly url: string;
  readonly #http: Server;
  readonly #sockets: WebSocketServer;
  readonly #raws = new Set<Socket>();
  /** Answered instead of an upgrade, while set. */
  refuseWith: number | undefined;

  private constructor(http: Server) {
    this.#http = http;
    this.url = `ws://127.0.0.1:${(http.address() as AddressInfo).port}`;
    this.#sockets = new WebSocketServer({ noServer: true });
    http.on('connection', (raw) => {
      this.#raws.add(raw);
      raw.on('close', () => this.#raws.delete(raw));
    });
    http.on('upgrade', (request, raw, head) => {
      if (this.refuseWith !== undefined) {
        raw.end(`HTTP/1.1 ${this.refuseWith} Refused\r\ncontent-length: 0\r\n\r\n`);
        return;
      }
      this.#sockets.handleUpgrade(request, raw, head, (socket) => {
        const compress = new URL(request.url as string, this.url).searchParams.get('compress');
        this.connections.push(new ServedConnection(socket, raw as Socket, compress));
      });
    });
  }

  static async start(): Promise<ScriptedGateway> {
    const http = createHttpServer();
    http.listen(0, '127.0.0.1');
    await once(http, 'listening');
    return new ScriptedGateway(http);
  }

  /** Sockets that clients hold open. */
  get openSockets(): number {
    return this.#raws.size;
  }

  async stop(): Promise<void> {
    for (const raw of this.#raws) raw.destroy();
    this.#sockets.close();
    this.#http.close();
    await once(this.#http, 'close');
  }
}

/** A port where nothing listens. */
export async function deadUrl(): Promise<string> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return `ws://127.0.0.1:${port}`;
}

/** A server that accepts and then says nothing, not even HTTP. */
export async function silentServer(): Promise<{ url: string; accepted: () => number; stop: () => Promise<void> }> {
  const sockets: Socket[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    sockets.push(socket);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`,
    accepted: () => sockets.length,
    stop: async () => {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

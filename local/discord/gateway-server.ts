import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { WebSocketServer } from 'ws';
import { BatonError } from '../../shared/errors.ts';
import { type Transport, transports } from './frame-encoder.ts';
import { type ConnectionDeps, GatewayConnection } from './gateway-connection.ts';

/** What happens to connections made from now on. */
export interface NewConnectionFaults {
  /** HELLO is sent this late, in milliseconds. */
  helloDelayMs: number;
  /** Connections are silent from the start: no HELLO, no answer. */
  silent: boolean;
  /** Heartbeats are not acknowledged. */
  ignoreHeartbeats: boolean;
}

export type ResumeUrlState = 'alive' | 'refused' | 'hanging';

/** The gateway's door: takes WebSockets at the main URL and at the resume URL, and knows who is connected. */
export class GatewayServer {
  readonly newConnectionFaults: NewConnectionFaults = { helloDelayMs: 0, silent: false, ignoreHeartbeats: false };
  readonly #host: string;
  readonly #deps: Omit<ConnectionDeps, 'onClosed'>;
  readonly #connections = new Set<GatewayConnection>();
  // Compression is the gateway's own; a frame that is too long must reach the connection, which answers with 4002.
  readonly #webSockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 1024 * 1024 });
  readonly #hangingSockets = new Set<Duplex>();
  #resumeServer: Server | undefined;
  #resumePort = 0;
  #resumeUrlState: ResumeUrlState = 'alive';

  constructor(host: string, deps: Omit<ConnectionDeps, 'onClosed'>) {
    this.#host = host;
    this.#deps = deps;
  }

  get connections(): ReadonlySet<GatewayConnection> {
    return this.#connections;
  }

  get resumeUrl(): string {
    return `ws://${this.#host}:${this.#resumePort}`;
  }

  get resumeUrlState(): ResumeUrlState {
    return this.#resumeUrlState;
  }

  /** Opens the resume URL at `port` (0: any). @throws {BatonError} `PORT_IN_USE`. */
  async listenForResumes(port: number): Promise<void> {
    const server = createServer((_request, response) => response.writeHead(426).end());
    server.on('upgrade', (request, socket, head) => this.accept(request, socket, head, true));
    await listen(server, this.#host, port);
    this.#resumePort = (server.address() as AddressInfo).port;
    this.#resumeServer = server;
  }

  /** `refused`: nobody listens at the resume URL; `hanging`: TCP connects and nothing is ever answered. */
  async setResumeUrl(state: ResumeUrlState): Promise<void> {
    this.#resumeUrlState = state;
    if (state === 'refused') {
      this.#resumeServer?.close();
      this.#resumeServer = undefined;
    } else if (!this.#resumeServer) {
      await this.listenForResumes(this.#resumePort);
    }
    if (state !== 'hanging') this.#dropHangingSockets();
  }

  /** Takes an HTTP upgrade. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer, atResumeUrl: boolean): void {
    if (atResumeUrl && this.#resumeUrlState === 'hanging') {
      this.#hangingSockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => this.#hangingSockets.delete(socket));
      return;
    }
    const url = new URL(request.url ?? '/', 'ws://gateway');
    if (url.pathname !== '/') {
      socket.on('error', () => socket.destroy());
      socket.end('HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
      return;
    }
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => {
      const compress = url.searchParams.get('compress') ?? 'none';
      // An old version is refused although Discord still speaks some: who asks for one, or for none, does so by mistake.
      const version = url.searchParams.get('v');
      const encoding = url.searchParams.get('encoding') ?? 'json';
      if (version !== '10' && version !== '9') {
        webSocket.close(4012, 'Invalid API version.');
      } else if (encoding !== 'json' || !isTransport(compress)) {
        webSocket.close(4002, 'Unsupported encoding or compression.');
      } else {
        this.#connect(webSocket, compress, atResumeUrl);
        return;
      }
      webSocket.on('error', () => webSocket.terminate());
    });
  }

  /** Applies the time limits of all connections; called about once a second. */
  sweep(): void {
    const nowMs = this.#deps.clock.monotonicMs();
    for (const connection of this.#connections) connection.sweep(nowMs);
  }

  stop(): void {
    this.#resumeServer?.close();
    this.#resumeServer?.closeAllConnections();
    for (const connection of this.#connections) connection.cut();
    for (const client of this.#webSockets.clients) client.terminate();
    this.#dropHangingSockets();
    this.#webSockets.close();
  }

  #connect(webSocket: ConstructorParameters<typeof GatewayConnection>[0], transport: Transport, atResumeUrl: boolean) {
    const { helloDelayMs, silent, ignoreHeartbeats } = this.newConnectionFaults;
    this.#deps.stats.connections += 1;
    const connection = new GatewayConnection(
      webSocket,
      { transport, atResumeUrl, helloDelayMs, silent },
      { ...this.#deps, onClosed: (closed) => this.#connections.delete(closed) },
    );
    connection.acknowledgesHeartbeats = !ignoreHeartbeats;
    this.#connections.add(connection);
  }

  #dropHangingSockets(): void {
    for (const socket of this.#hangingSockets) socket.destroy();
  }
}

function isTransport(value: string): value is Transport {
  return (transports as readonly string[]).includes(value);
}

/** Resolves once `server` listens. @throws {BatonError} `PORT_IN_USE` naming the port. */
export function listen(server: Server, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const refuse = (error: NodeJS.ErrnoException) => {
      const inUse = `simulator: port ${port} of ${host} is in use; choose another one`;
      reject(error.code === 'EADDRINUSE' ? new BatonError('PORT_IN_USE', inUse, { cause: error }) : error);
    };
    server.once('error', refuse);
    server.listen(port, host, () => {
      server.off('error', refuse);
      resolve();
    });
  });
}

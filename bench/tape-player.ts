import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { systemClock } from '../shared/clock.ts';
import type { TrafficTape } from './traffic-tape.ts';

/** A gateway that plays the same tape to everybody who connects: no session is looked after, nothing is resumed. */
export class TapePlayer {
  readonly #server: Server;
  readonly #listeners = new Set<Listener>();
  #tape: TrafficTape | undefined;
  #shards = 1;
  /** When each event was sent, by listener and position. */
  readonly sentAtMs: Float64Array[] = [];

  constructor() {
    this.#server = createServer((request, answer) => {
      // GET /gateway/bot, of whatever API version.
      answer.setHeader('content-type', 'application/json');
      answer.end(JSON.stringify(request.url?.endsWith('/gateway/bot') ? this.#gatewayBot() : {}));
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex) => this.#accept(request, socket));
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** What the next listeners hear; those of before are cut off. */
  load(tape: TrafficTape, shards: number): void {
    this.hangUp();
    this.#tape = tape;
    this.#shards = shards;
  }

  /** Listeners that have identified. */
  get listening(): number {
    return [...this.#listeners].filter(({ isIdentified }) => isIdentified).length;
  }

  /** Plays the events from `from` to `to` to every listener as fast as it takes them. Resolves when all is written. */
  async playAtOnce(from: number, to: number): Promise<void> {
    const { events, ends } = this.#loaded();
    const start = from === 0 ? 0 : (ends[from - 1] as number);
    const end = ends[to - 1] as number;
    await Promise.all([...this.#listeners].map(({ socket }) => writeInPieces(socket, events.subarray(start, end))));
  }

  /** Plays to all listeners in turn, `eventsPerSecond` over all of them, one write an event as a live gateway does. */
  async playAtRate(eventsPerSecond: number, from: number, to: number): Promise<void> {
    const { events, ends } = this.#loaded();
    const listeners = [...this.#listeners];
    const count = (to - from) * listeners.length;
    this.sentAtMs.length = 0;
    for (const _ of listeners) this.sentAtMs.push(new Float64Array(ends.length));
    const startedMs = systemClock.monotonicMs();
    for (let sent = 0; sent < count; ) {
      const nowMs = systemClock.monotonicMs();
      const due = Math.min(count, Math.ceil(((nowMs - startedMs) * eventsPerSecond) / 1000));
      const atMs = systemClock.wallClockMs();
      for (; sent < due; sent += 1) {
        const which = sent % listeners.length;
        const index = from + Math.floor(sent / listeners.length);
        const start = index === 0 ? 0 : (ends[index - 1] as number);
        const listener = listeners[which] as Listener;
        (this.sentAtMs[listener.number] as Float64Array)[index] = atMs;
        listener.socket.write(events.subarray(start, ends[index]));
      }
      await systemClock.sleep(1);
    }
  }

  hangUp(): void {
    for (const { socket } of this.#listeners) socket.destroy();
    this.#listeners.clear();
  }

  async close(): Promise<void> {
    this.hangUp();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #loaded(): TrafficTape {
    if (this.#tape === undefined) throw new Error('no tape is loaded');
    return this.#tape;
  }

  #gatewayBot(): unknown {
    return {
      url: `ws://127.0.0.1:${this.port}`,
      shards: this.#shards,
      session_start_limit: { total: 1000, remaining: 1000, reset_after: 86_400_000, max_concurrency: 16 },
    };
  }

  #accept(request: IncomingMessage, socket: Duplex): void {
    const key = request.headers['sec-websocket-key'] ?? '';
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
    );
    const { hello, session } = this.#loaded();
    const listener: Listener = { socket, isIdentified: false, number: this.#listeners.size };
    this.#listeners.add(listener);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#listeners.delete(listener));
    socket.on('data', (data: Buffer) => {
      const opcode = (data[0] as number) & 0x0f;
      if (opcode === 8) socket.end();
      if (opcode !== 1 && opcode !== 2) return;
      const op = opOf(data);
      if (op !== 2) return;
      listener.isIdentified = true;
      const shard = /"shard":\[(\d+),/.exec(unmasked(data))?.[1];
      if (shard !== undefined) listener.number = Number(shard);
      socket.write(session);
    });
    // In a packet of its own, as across a network: some clients lose what comes with the answer to their upgrade.
    void systemClock.sleep(20).then(() => socket.write(hello));
  }
}

interface Listener {
  readonly socket: Duplex;
  isIdentified: boolean;
  /** Its shard. */
  number: number;
}

function opOf(data: Buffer): number | undefined {
  const op = /"op":\s*(\d+)/.exec(unmasked(data))?.[1];
  return op === undefined ? undefined : Number(op);
}

/** The text of a client's first frame in `data`: clients mask what they send (RFC 6455, section 5.3). */
function unmasked(data: Buffer): string {
  const short = (data[1] as number) & 0x7f;
  const head = short < 126 ? 2 : 4;
  const length = short < 126 ? short : data.readUInt16BE(2);
  const mask = data.subarray(head, head + 4);
  const text = Buffer.from(data.subarray(head + 4, head + 4 + length));
  for (let i = 0; i < text.length; i += 1) text[i] = (text[i] as number) ^ (mask[i & 3] as number);
  return text.toString();
}

const pieceBytes = 256 * 1024;

async function writeInPieces(socket: Duplex, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length && !socket.destroyed; at += pieceBytes) {
    if (socket.write(bytes.subarray(at, at + pieceBytes))) continue;
    await new Promise<void>((resolve) => {
      const go = () => {
        socket.off('drain', go);
        socket.off('close', go);
        resolve();
      };
      socket.on('drain', go);
      socket.on('close', go);
    });
  }
}

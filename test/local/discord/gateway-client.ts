import { constants, createInflate, createZstdDecompress, inflateSync } from 'node:zlib';
import { type RawData, WebSocket } from 'ws';
import type { DiscordSimulator } from '../../../local/discord/simulator.ts';

export interface Frame {
  op: number;
  // Test code looks into payloads of many shapes.
  // oxlint-disable-next-line typescript/no-explicit-any
  d: any;
  s: number | null;
  t: string | null;
}

export const allIntentBits = 53_608_447;

/** A gateway client that does nothing by itself: tests send each frame and look at what comes back. */
export class GatewayClient {
  readonly frames: Frame[] = [];
  /** Raw WebSocket messages, as they came. */
  readonly messages: { data: Buffer; isBinary: boolean }[] = [];
  readonly closed: Promise<{ code: number; reason: string }>;
  /** Messages that are no JSON object. */
  readonly undecodable: Buffer[] = [];
  readonly #socket: WebSocket;
  readonly #waiting = new Set<() => void>();
  readonly #inflated: Buffer[] = [];
  #isClosed = false;
  readonly #inflate: ReturnType<typeof createInflate> | ReturnType<typeof createZstdDecompress> | undefined;

  constructor(url: string, compress?: 'zlib-stream' | 'zstd-stream') {
    this.#socket = new WebSocket(`${url}/?v=10&encoding=json${compress ? `&compress=${compress}` : ''}`, {
      perMessageDeflate: false,
    });
    if (compress === 'zlib-stream') this.#inflate = createInflate({ flush: constants.Z_SYNC_FLUSH });
    if (compress === 'zstd-stream') this.#inflate = createZstdDecompress({ flush: constants.ZSTD_e_flush });
    this.#inflate?.on('data', (chunk: Buffer) => this.#inflated.push(chunk));
    this.#socket.on('message', (data, isBinary) => this.#onMessage(data, isBinary));
    this.#socket.on('error', () => undefined);
    this.closed = new Promise((resolve) => {
      this.#socket.on('close', (code, reason) => {
        this.#isClosed = true;
        resolve({ code, reason: reason.toString() });
        this.#wake();
      });
    });
  }

  send(op: number, d: unknown): void {
    this.sendText(JSON.stringify({ op, d }));
  }

  sendText(text: string): void {
    this.#socket.send(text);
  }

  /** Closes with `code`, or drops the connection. */
  close(code: number | 'cut'): void {
    if (code === 'cut') this.#socket.terminate();
    else this.#socket.close(code);
  }

  /** Stops reading from the socket. */
  pause(): void {
    this.#socket.pause();
  }

  resumeReading(): void {
    this.#socket.resume();
  }

  /** The first frame that fits, of those received or still to come. Rejects when the connection ends first. */
  async frame(fits: (frame: Frame) => boolean): Promise<Frame> {
    for (;;) {
      const found = this.frames.find(fits);
      if (found) return found;
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.frames).slice(0, 2000)}`);
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  op(op: number): Promise<Frame> {
    return this.frame((frame) => frame.op === op);
  }

  dispatch(type: string): Promise<Frame> {
    return this.frame((frame) => frame.t === type);
  }

  /** Sends a heartbeat and waits for its acknowledgement: everything sent before has arrived then. */
  async settle(): Promise<void> {
    const acknowledged = this.frames.filter(({ op }) => op === 11).length;
    this.send(1, null);
    while (this.frames.filter(({ op }) => op === 11).length === acknowledged) {
      if (this.#isClosed) throw new Error('closed while settling');
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /** Sequence numbers of the dispatches so far. */
  get seqs(): number[] {
    return this.frames.filter(({ op }) => op === 0).map(({ s }) => s as number);
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    const bytes = data as Buffer;
    this.messages.push({ data: bytes, isBinary });
    if (this.#inflate) {
      // The stream works on one message at a time: what has come when a write is done is that message.
      this.#inflate.write(bytes, () => this.#take(Buffer.concat(this.#inflated.splice(0))));
    } else {
      this.#take(isBinary ? inflateSync(bytes) : bytes);
    }
  }

  #take(json: Buffer): void {
    try {
      this.frames.push(JSON.parse(json.toString()) as Frame);
    } catch {
      this.undecodable.push(json);
    }
    this.#wake();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }
}

/** `d` of IDENTIFY. */
export function identifyData(simulator: DiscordSimulator, shard: [number, number], changes: object = {}): object {
  return {
    token: simulator.token,
    intents: allIntentBits,
    properties: { os: 'linux', browser: 'test', device: 'test' },
    shard,
    ...changes,
  };
}

/** A client that has its READY. */
export async function identified(
  simulator: DiscordSimulator,
  shard: [number, number] = [0, 1],
  { changes = {}, compress }: { changes?: object; compress?: 'zlib-stream' | 'zstd-stream' } = {},
): Promise<{ client: GatewayClient; sessionId: string; resumeUrl: string }> {
  const client = new GatewayClient(simulator.gatewayUrl, compress);
  await client.op(10);
  client.send(2, identifyData(simulator, shard, changes));
  const { d } = await client.dispatch('READY');
  return { client, sessionId: d.session_id, resumeUrl: d.resume_gateway_url };
}

/** A client that has sent RESUME. */
export async function resuming(
  simulator: DiscordSimulator,
  sessionId: string,
  seq: number,
  url = simulator.resumeGatewayUrl,
): Promise<GatewayClient> {
  const client = new GatewayClient(url);
  await client.op(10);
  client.send(6, { token: simulator.token, session_id: sessionId, seq });
  return client;
}

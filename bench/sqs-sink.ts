import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, request as forward, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import type { EnvelopeHeader } from '../shared/envelope.ts';
import { systemClock } from '../shared/clock.ts';

interface BatchEntry {
  readonly Id: string;
  readonly MessageBody: string;
  readonly MessageAttributes?: { readonly events?: { readonly BinaryValue?: string } };
}

/** What arrived since the count was last taken. */
export interface SinkCounts {
  requests: number;
  /** SQS bills a request once for every 64 KB of its payload. */
  billedRequests: number;
  envelopes: number;
  events: number;
  payloadBytes: number;
}

const billedChunkBytes = 64 * 1024;

/**
 * An SQS endpoint that takes envelopes and throws them away, so that a fast worker does not wait for an emulator; all
 * other requests go on to the emulator behind it.
 */
export class SqsSink {
  readonly #server = createServer((request, answer) => void this.#serve(request, answer));
  readonly #behind: URL;
  #counts: SinkCounts = noCounts();
  onEnvelope: (header: EnvelopeHeader, arrivedAtMs: number) => void = () => {};
  /** While set, sends are refused as they are when SQS is down. */
  isDown = false;

  constructor(behind: string) {
    this.#behind = new URL(behind);
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  takeCounts(): SinkCounts {
    const counts = this.#counts;
    this.#counts = noCounts();
    return counts;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const target = String(request.headers['x-amz-target'] ?? '');
    if (!target.startsWith('AmazonSQS.SendMessage')) return this.#pass(request, answer);
    const body = await text(request);
    answer.setHeader('content-type', 'application/x-amz-json-1.0');
    if (this.isDown) {
      answer.statusCode = 503;
      answer.end('{"__type":"ServiceUnavailable"}');
      return;
    }
    const { Entries = [], MessageBody } = JSON.parse(body) as { Entries?: BatchEntry[]; MessageBody?: string };
    if (MessageBody !== undefined) {
      answer.end(JSON.stringify({ MessageId: '1', MD5OfMessageBody: md5(MessageBody) }));
      return;
    }
    this.#count(Entries);
    const Successful = Entries.map((entry) => ({
      Id: entry.Id,
      MessageId: entry.Id,
      MD5OfMessageBody: md5(entry.MessageBody),
      SequenceNumber: '1',
    }));
    answer.end(JSON.stringify({ Successful }));
  }

  #count(entries: readonly BatchEntry[]): void {
    const atMs = systemClock.wallClockMs();
    let bytes = 0;
    for (const { MessageBody, MessageAttributes } of entries) {
      const header = JSON.parse(MessageBody) as EnvelopeHeader;
      const payload = MessageAttributes?.events?.BinaryValue ?? '';
      bytes += MessageBody.length + Math.floor((payload.length * 3) / 4) + 'eventsBinary'.length;
      this.#counts.events += header.count;
      this.onEnvelope(header, atMs);
    }
    this.#counts.requests += 1;
    this.#counts.billedRequests += Math.max(1, Math.ceil(bytes / billedChunkBytes));
    this.#counts.envelopes += entries.length;
    this.#counts.payloadBytes += bytes;
  }

  #pass(request: IncomingMessage, answer: ServerResponse): void {
    const { hostname, port } = this.#behind;
    const { method, url: path, headers } = request;
    const passed = forward({ hostname, port, method, path, headers }, (response) => {
      answer.writeHead(response.statusCode ?? 500, response.headers);
      response.pipe(answer);
    });
    passed.on('error', () => answer.destroy());
    answer.on('close', () => passed.destroy());
    request.pipe(passed);
  }
}

function noCounts(): SinkCounts {
  return { requests: 0, billedRequests: 0, envelopes: 0, events: 0, payloadBytes: 0 };
}

function md5(body: string): string {
  return createHash('md5').update(body).digest('hex');
}

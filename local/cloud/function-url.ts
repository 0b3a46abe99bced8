import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Context, LambdaFunctionURLEvent } from 'aws-lambda';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import { type Random, systemRandom } from '../../shared/random.ts';
import { LambdaFunction, type LambdaStats } from './lambda-runner.ts';

/** What a function answers over its URL. */
export interface FunctionUrlResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** A function that streams its response: it may go on when it has responded. */
export type StreamingHandler = (
  event: LambdaFunctionURLEvent,
  respond: (response: FunctionUrlResponse) => void,
  context: Context,
) => Promise<void>;

export interface FunctionUrlOptions {
  readonly functionName: string;
  readonly handler: StreamingHandler;
  /** 0: any free one. */
  readonly port?: number;
  readonly functionTimeoutMs?: number;
  /** Most invocations at a time; beyond that requests are refused with 429, as by reserved concurrency. */
  readonly maximumConcurrency?: number;
  readonly clock?: Clock;
  readonly random?: Random;
  readonly logger?: Logger;
}

interface Invocation {
  readonly event: LambdaFunctionURLEvent;
  readonly respond: (response: FunctionUrlResponse) => void;
}

/** Lambda, "Quotas": payload of a synchronous invocation. */
const maxBodyBytes = 6 * 1024 * 1024;

/**
 * Lambda's function URL with auth type NONE and invoke mode RESPONSE_STREAM, on 127.0.0.1: requests become events of
 * format 2.0; bodies that are not text come as base64; a function that fails before it has responded is a 502.
 */
export class FunctionUrl {
  readonly url: string;
  readonly #server: Server;
  readonly #lambda: LambdaFunction<Invocation, void>;
  readonly #maximumConcurrency: number;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #running = new Set<Promise<void>>();
  readonly #stopping = new AbortController();

  /** @throws {BatonError} `PORT_IN_USE`. */
  static async start(options: FunctionUrlOptions): Promise<FunctionUrl> {
    const { port = 0 } = options;
    const server = createServer();
    server.listen(port, '127.0.0.1');
    try {
      await once(server, 'listening');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      throw new BatonError('PORT_IN_USE', `port ${port} is in use: choose another, or 0 for any`, { cause: error });
    }
    return new FunctionUrl(server, options);
  }

  private constructor(server: Server, options: FunctionUrlOptions) {
    const { functionTimeoutMs = 30_000, maximumConcurrency = 100 } = options;
    const { clock = systemClock, random = systemRandom, logger = silentLogger } = options;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    this.#server = server;
    this.#clock = clock;
    this.#random = random;
    this.#maximumConcurrency = maximumConcurrency;
    this.#lambda = new LambdaFunction({
      name: options.functionName,
      handler: ({ event, respond }, context) => options.handler(event, respond, context),
      functionTimeoutMs,
      clock,
      random,
      logger,
    });
    server.on('request', (request, response) => {
      const handled = this.#handle(request, response)
        .catch((error: unknown) => logger.warn({ error: messageOf(error) }, 'function_url.request_broken'))
        .finally(() => this.#running.delete(handled));
      this.#running.add(handled);
    });
  }

  get stats(): LambdaStats {
    return this.#lambda.stats;
  }

  /** Takes no further requests, and waits for the invocations under way: `withinMs` at most. */
  async stop({ withinMs = 5000 }: { withinMs?: number } = {}): Promise<void> {
    this.#stopping.abort();
    const closed = once(this.#server, 'close');
    this.#server.close();
    const over = new AbortController();
    await Promise.race([Promise.all(this.#running), this.#clock.sleep(withinMs, over.signal)]);
    over.abort();
    this.#server.closeAllConnections();
    await closed;
  }

  async #handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const body = Buffer.concat(await request.toArray());
    if (body.length > maxBodyBytes) {
      send(response, jsonMessage(413, 'Request Entity Too Large'));
      return;
    }
    if (this.#stopping.signal.aborted || this.#lambda.stats.concurrentExecutions >= this.#maximumConcurrency) {
      send(response, jsonMessage(429, 'Rate Exceeded.'));
      return;
    }
    const outcome = await this.#lambda.invoke({
      event: this.#eventOf(request, body),
      respond: (answer) => send(response, answer),
    });
    if (outcome.kind === 'failed' && !response.headersSent) send(response, jsonMessage(502, 'Internal Server Error'));
  }

  #eventOf(request: IncomingMessage, body: Buffer): LambdaFunctionURLEvent {
    const { pathname, search } = new URL(request.url ?? '/', this.url);
    const headers = Object.fromEntries(
      Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(',') : value]),
    );
    const isText = /^(text\/|application\/(json|javascript|xml))/.test(request.headers['content-type'] ?? '');
    const nowMs = this.#clock.wallClockMs();
    return {
      version: '2.0',
      routeKey: '$default',
      rawPath: pathname,
      rawQueryString: search.slice(1),
      headers,
      requestContext: {
        accountId: 'anonymous',
        apiId: 'local',
        domainName: request.headers.host ?? '',
        domainPrefix: 'local',
        http: {
          method: request.method ?? 'GET',
          path: pathname,
          protocol: `HTTP/${request.httpVersion}`,
          sourceIp: request.socket.remoteAddress ?? '',
          userAgent: request.headers['user-agent'] ?? '',
        },
        requestId: this.#random.uuid(),
        routeKey: '$default',
        stage: '$default',
        time: new Date(nowMs).toISOString(),
        timeEpoch: Math.floor(nowMs),
      },
      ...(body.length > 0 && { body: body.toString(isText ? 'utf8' : 'base64') }),
      isBase64Encoded: body.length > 0 && !isText,
    };
  }
}

function send(response: ServerResponse, { statusCode, headers, body }: FunctionUrlResponse): void {
  response.writeHead(statusCode, { ...headers }).end(body);
}

function jsonMessage(statusCode: number, Message: string): FunctionUrlResponse {
  return { statusCode, headers: { 'content-type': 'application/json' }, body: JSON.stringify({ Message }) };
}

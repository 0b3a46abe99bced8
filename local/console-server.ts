import { randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ActionLine, FleetAction } from '../functions/operate/fleet-actions.ts';
import { readAction } from '../functions/operate/fleet-actions.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import { type ConsoleAsset, consoleAssets } from './console-assets.ts';

/** Where the page's figures come from, and who carries out what it asks for. */
export interface ConsoleSource {
  /** `events`: {@link watch} tells what is new. `polling`: the page asks again. */
  readonly updates: 'events' | 'polling';
  /** Whether {@link act} carries out anything. */
  readonly mayAct: boolean;
  readonly hasTail: boolean;
  /** Answers `GET /api/…`; `undefined` for a path that it does not know. */
  get(path: string, query: URLSearchParams): Promise<unknown>;
  /** Sends what is new, as named events, until `signal` aborts. */
  watch(send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void>;
  /** Sends live dispatches until `signal` aborts. */
  tail(filter: TailFilter, send: (event: string, data: unknown) => void, signal: AbortSignal): Promise<void>;
  /** Runs an action to its end; the last line is `done` or `error`. */
  act(action: FleetAction, tell: (line: ActionLine) => void, signal: AbortSignal): Promise<void>;
}

export interface TailFilter {
  readonly types: readonly string[];
  readonly guilds: readonly string[];
}

/** Where the console is when no port is asked for and this one is free. */
const usualPort = 4410;
const maxBodyBytes = 16 * 1024;
/** What is sent is not let pile up for a page that takes nothing, such as one in a sleeping laptop. */
const maxUnsentBytes = 8 * 1024 * 1024;
const tokenHeader = 'x-baton-token';

/** No script, style or image but the page's own, no frames around it, no connection elsewhere. */
const securityHeaders = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

export interface ConsoleServerOptions {
  /** @default 4410, or any when that is taken */
  readonly port?: number | undefined;
  /** What `/state` answers, from the start. */
  readonly state: () => unknown;
  /**
   * Whether the page must bring the token with its address, and `/api` answers to nobody without it: for a console that
   * lends somebody's rights, on a machine that others use as well. @default false: the page has it in itself
   */
  readonly isKeyed?: boolean;
}

/**
 * The console's page on this machine, on 127.0.0.1 alone. Other sites can neither read from it nor act through it: their
 * pages have another `Origin` or `Host`, and not the token of this run that every action needs.
 */
export class ConsoleServer {
  readonly url: string;
  readonly #server: Server;
  readonly #token: string;
  readonly #handler: RequestHandler;

  /** Listens on 127.0.0.1 only. @throws {BatonError} `PORT_IN_USE` when `port` is taken. */
  static async start({ port, state, isKeyed = false }: ConsoleServerOptions): Promise<ConsoleServer> {
    const token = randomBytes(32).toString('base64url');
    const handler = new RequestHandler(token, state, isKeyed);
    const server = createServer((request, response) => {
      handler.handle(request, response).catch((error: unknown) => {
        if (!response.headersSent) sendError(response, 500, 'REQUEST_FAILED', messageOf(error));
        else response.destroy();
      });
    });
    try {
      await listen(server, port ?? usualPort);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
      if (port !== undefined) {
        throw new BatonError('PORT_IN_USE', `port ${port} is in use: choose another with --port, or 0 for any`);
      }
      await listen(server, 0);
    }
    return new ConsoleServer(server, token, handler, isKeyed);
  }

  private constructor(server: Server, token: string, handler: RequestHandler, isKeyed: boolean) {
    this.#server = server;
    this.#token = token;
    this.#handler = handler;
    const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    // What stands behind # is sent to no server and written into no log of one.
    this.url = isKeyed ? `${origin}/#key=${token}` : origin;
  }

  /** The token that actions need. */
  get token(): string {
    return this.#token;
  }

  /** Builds the page if it must be, so that nobody waits for it. What goes wrong is told to whoever opens it. */
  async prepare(): Promise<void> {
    await this.#handler.assets().catch(() => undefined);
  }

  /** From now on the page shows this; before, it says that the fleet is starting. */
  attach(source: ConsoleSource): void {
    this.#handler.source = source;
  }

  async stop(): Promise<void> {
    this.#handler.stopping.abort();
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

class RequestHandler {
  source: ConsoleSource | undefined;
  readonly stopping = new AbortController();
  readonly #token: string;
  readonly #state: () => unknown;
  readonly #isKeyed: boolean;
  #assets: Promise<ReadonlyMap<string, ConsoleAsset>> | undefined;

  constructor(token: string, state: () => unknown, isKeyed: boolean) {
    this.#token = token;
    this.#state = state;
    this.#isKeyed = isKeyed;
  }

  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A page elsewhere may have its own name resolve to this machine; it still sends that name.
    const host = request.headers.host ?? '';
    if (!/^(127\.0\.0\.1|localhost)(:\d+)?$/.test(host)) {
      sendError(response, 403, 'REQUEST_INVALID', 'the console answers to 127.0.0.1 and localhost alone');
      return;
    }
    const { origin, 'sec-fetch-site': site } = request.headers;
    const isOwnPage = origin === undefined || origin === `http://${host}`;
    const isForeign = site === 'cross-site' || site === 'same-site';
    // A link elsewhere may lead here: the page that it opens is this one's own, and nobody else can read it.
    const isLink =
      request.method === 'GET' &&
      request.url === '/' &&
      request.headers['sec-fetch-mode'] === 'navigate' &&
      request.headers['sec-fetch-dest'] === 'document';
    if (!isOwnPage || (isForeign && !isLink)) {
      sendError(response, 403, 'REQUEST_INVALID', 'the console answers its own page alone');
      return;
    }
    const address = URL.parse(request.url ?? '/', `http://${host}`);
    if (address === null || address.host !== host) {
      sendError(response, 400, 'REQUEST_INVALID', 'the address is none of this server');
      return;
    }
    const { pathname, searchParams } = address;
    if (this.#isKeyed && pathname.startsWith('/api/') && !this.#isToken(request.headers[tokenHeader])) {
      sendError(response, 401, 'REQUEST_INVALID', 'open the console by the address that baton console has printed');
    } else if (pathname === '/api/actions') await this.#act(request, response);
    else if (request.method !== 'GET' && request.method !== 'HEAD') {
      response.writeHead(405, { allow: 'GET, HEAD' }).end();
    } else if (pathname === '/state') sendJson(request, response, this.#state());
    else if (pathname.startsWith('/api/')) await this.#answer(request, response, pathname, searchParams);
    else await this.#page(request, response, pathname);
  }

  async assets(): Promise<ReadonlyMap<string, ConsoleAsset>> {
    this.#assets ??= consoleAssets();
    return this.#assets.catch((error: unknown) => {
      // Perhaps something was just being edited.
      this.#assets = undefined;
      throw error;
    });
  }

  async #page(request: IncomingMessage, response: ServerResponse, path: string): Promise<void> {
    const assets = await this.assets();
    const asset = assets.get(path === '/' ? '/index.html' : path);
    if (asset === undefined) {
      sendError(response, 404, 'REQUEST_INVALID', `there is no ${path}`);
      return;
    }
    const takesGzip = /\bgzip\b/.test(request.headers['accept-encoding'] ?? '');
    const isPage = asset.type.startsWith('text/html');
    const body = isPage ? this.#withSettings(asset.body) : takesGzip ? asset.gzipped : asset.body;
    response.writeHead(200, {
      ...securityHeaders,
      'content-type': asset.type,
      'content-length': body.length,
      'cache-control': asset.immutable ? 'public, max-age=31536000, immutable' : 'no-store',
      ...(!isPage && takesGzip && { 'content-encoding': 'gzip' }),
    });
    response.end(request.method === 'HEAD' ? '' : body);
  }

  /** A block of data, which no policy needs to allow: it is not run. Other sites cannot read it. */
  #withSettings(page: Buffer): Buffer {
    const settings = JSON.stringify(this.#isKeyed ? {} : { token: this.#token }).replaceAll('<', '\\u003c');
    const block = `<script type="application/json" id="settings">${settings}</script>`;
    return Buffer.from(page.toString('utf8').replace('</head>', () => `${block}</head>`));
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
    query: URLSearchParams,
  ): Promise<void> {
    const { source } = this;
    if (source === undefined) {
      sendError(response, 503, 'STARTING', 'the fleet is starting');
      return;
    }
    if (path === '/api/console') {
      const { updates, mayAct, hasTail } = source;
      sendJson(request, response, { updates, mayAct, hasTail });
    } else if (path === '/api/events') {
      await this.#stream(request, response, (send, signal) => source.watch(send, signal));
    } else if (path === '/api/tail') {
      const list = (name: string): string[] => (query.get(name) ?? '').split(',').filter((value) => value !== '');
      const filter = { types: list('types'), guilds: list('guilds') };
      await this.#stream(request, response, (send, signal) => source.tail(filter, send, signal));
    } else {
      try {
        const found = await source.get(path, query);
        if (found === undefined) sendError(response, 404, 'REQUEST_INVALID', `there is no ${path}`);
        else sendJson(request, response, found);
      } catch (error) {
        sendFailure(response, error);
      }
    }
  }

  /** Server-sent events until the page goes, or this server does. */
  async #stream(
    request: IncomingMessage,
    response: ServerResponse,
    run: (send: (event: string, data: unknown) => void, signal: AbortSignal) => Promise<void>,
  ): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort());
    const signal = AbortSignal.any([gone.signal, this.stopping.signal]);
    response.writeHead(200, {
      ...securityHeaders,
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
    });
    response.write('retry: 1000\n\n');
    if (request.method === 'HEAD') {
      response.end();
      return;
    }
    const send = (event: string, data: unknown): void => {
      if (response.writableLength > maxUnsentBytes) gone.abort();
      else response.write(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    };
    try {
      await run(send, signal);
    } catch (error) {
      if (!signal.aborted) send('failed', errorOf(error));
    }
    response.end();
  }

  async #act(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'POST') {
      response.writeHead(405, { allow: 'POST' }).end();
      return;
    }
    if (!this.#isToken(request.headers[tokenHeader])) {
      sendError(response, 401, 'REQUEST_INVALID', 'actions need the token of this run: reload the page');
      return;
    }
    const { source } = this;
    if (source === undefined || !source.mayAct) {
      sendError(response, 403, 'REQUEST_INVALID', 'this console only shows the fleet');
      return;
    }
    let action: FleetAction;
    try {
      action = readAction(await bodyOf(request));
    } catch (error) {
      sendFailure(response, error, 400);
      return;
    }
    response.writeHead(200, {
      ...securityHeaders,
      'content-type': 'application/x-ndjson; charset=utf-8',
      'cache-control': 'no-store',
    });
    // An action that somebody began goes on when the page is closed: half a move is worse than a whole one.
    await source.act(action, (line) => response.write(`${JSON.stringify(line)}\n`), this.stopping.signal);
    response.end();
  }

  #isToken(given: string | readonly string[] | undefined): boolean {
    const bytes = Buffer.from(String(given ?? ''));
    const expected = Buffer.from(this.#token);
    return bytes.length === expected.length && timingSafeEqual(bytes, expected);
  }
}

async function listen(server: Server, port: number): Promise<void> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) throw new BatonError('REQUEST_INVALID', `an action has at most ${maxBodyBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function sendJson(request: IncomingMessage, response: ServerResponse, value: unknown): void {
  response.writeHead(200, {
    ...securityHeaders,
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  });
  response.end(request.method === 'HEAD' ? '' : JSON.stringify(value));
}

function errorOf(error: unknown): { code: string; message: string } {
  return { code: error instanceof BatonError ? error.code : 'REQUEST_FAILED', message: messageOf(error) };
}

function sendFailure(response: ServerResponse, error: unknown, status = 503): void {
  const { code, message } = errorOf(error);
  sendError(response, status, code, message);
}

function sendError(response: ServerResponse, status: number, code: string, message: string): void {
  response.writeHead(status, {
    ...securityHeaders,
    'content-type': 'application/json; charset=utf-8',
    'cache-control': 'no-store',
  });
  response.end(JSON.stringify({ error: { code, message } }));
}

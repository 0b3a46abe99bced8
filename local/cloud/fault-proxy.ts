import { once } from 'node:events';
import {
  Agent,
  createServer,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  request as startRequest,
  type Server,
  type ServerResponse,
} from 'node:http';
import { pipeline } from 'node:stream';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { Random } from '../../shared/random.ts';

export type AwsService = 'dynamodb' | 'sqs';

/** What the proxy does to a request instead of passing it on as it is. */
export type RequestFault =
  /** HTTP 500; the request is not passed on. */
  | { readonly kind: 'error' }
  /** The service's own way to say "too fast"; the request is not passed on. */
  | { readonly kind: 'throttle' }
  /** The request is taken and never answered, nor passed on. */
  | { readonly kind: 'hang' }
  /** The request is carried out; the connection then ends without the answer, or nothing comes at all. */
  | { readonly kind: 'loseAnswer'; readonly how: 'reset' | 'silence' }
  /** The request is passed on late, even when its sender has given it up meanwhile. */
  | { readonly kind: 'delay'; readonly byMs: number }
  /** The request is passed on and answered, and passed on once more later. */
  | { readonly kind: 'duplicate'; readonly afterMs: number };

export interface FaultTerms {
  /** Share of the requests that it strikes. @default 1 */
  readonly probability?: number;
  /** Names of API operations, such as `UpdateItem`. @default all */
  readonly operations?: readonly string[];
  /** Ends by itself after this time. @default never */
  readonly forMs?: number;
}

/** A fault that is in force until it is lifted. */
export interface ImposedFault {
  /** Ends the fault; requests that it left hanging lose their connection. A second call does nothing. */
  lift(): void;
}

export interface FaultProxyOptions {
  readonly service: AwsService;
  /** Where requests go, e.g. `http://127.0.0.1:8000`. */
  readonly upstream: string;
  readonly clock: Clock;
  readonly random: Random;
}

export type FaultKind = RequestFault['kind'] | 'refuse';

interface Imposition {
  readonly fault: RequestFault;
  readonly probability: number;
  readonly operations: readonly string[] | undefined;
  readonly hanging: Set<ServerResponse>;
}

interface Answer {
  readonly status: number;
  readonly headers: OutgoingHttpHeaders;
  readonly body: Buffer;
}

/** What belongs to one connection and must not be copied to the next (RFC 9110, section 7.6.1). */
const hopByHop = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'trailer', 'upgrade']);
const listenAgainAfterMs = 50;

/**
 * An HTTP proxy on loopback before DynamoDB or SQS that misbehaves on demand: emulators never throttle, lose answers or
 * answer late. Without faults it passes requests and answers on as streams, over connections that it keeps.
 */
export class FaultProxy {
  /** For `AWS_ENDPOINT_URL_…`. */
  readonly url: string;
  readonly #service: AwsService;
  readonly #upstream: URL;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #server: Server;
  readonly #port: number;
  readonly #agent = new Agent({ keepAlive: true });
  readonly #impositions = new Set<Imposition>();
  readonly #timers = new Set<Timer>();
  readonly #stopping = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #struck = new Map<FaultKind, number>();
  #refusals = 0;
  #listening: Promise<void> = Promise.resolve();

  /** Starts one on a free port of 127.0.0.1. */
  static async start(options: FaultProxyOptions): Promise<FaultProxy> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new FaultProxy(server, options);
  }

  private constructor(server: Server, { service, upstream, clock, random }: FaultProxyOptions) {
    this.#server = server;
    this.#service = service;
    this.#upstream = new URL(upstream);
    this.#clock = clock;
    this.#random = random;
    this.#port = (server.address() as AddressInfo).port;
    this.url = `http://127.0.0.1:${this.#port}`;
    server.on('request', (request, response) => this.#take(request, response));
  }

  /** How many requests each kind of fault has struck; for `refuse`, how many times it was imposed. */
  get struck(): ReadonlyMap<FaultKind, number> {
    return this.#struck;
  }

  /** Of several faults in force, the one imposed first that its terms let strike does. */
  impose(fault: RequestFault, { probability = 1, operations, forMs }: FaultTerms = {}): ImposedFault {
    const imposition: Imposition = { fault, probability, operations, hanging: new Set() };
    this.#impositions.add(imposition);
    return this.#imposed(forMs, () => {
      this.#impositions.delete(imposition);
      for (const response of imposition.hanging) response.destroy();
    });
  }

  /** Ends every connection and refuses new ones, as a machine does on which nothing listens. */
  refuseConnections({ forMs }: Pick<FaultTerms, 'forMs'> = {}): ImposedFault {
    this.#count('refuse');
    this.#refusals += 1;
    this.#changeListening();
    return this.#imposed(forMs, () => {
      this.#refusals -= 1;
      this.#changeListening();
    });
  }

  /** Ends it: what hangs is cut, what was to be passed on later is dropped. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    for (const timer of this.#timers) timer.cancel();
    this.#impositions.clear();
    await this.#listening;
    await this.#close();
    await Promise.all(this.#tasks);
    this.#agent.destroy();
  }

  #imposed(forMs: number | undefined, end: () => void): ImposedFault {
    let isOver = false;
    const lift = () => {
      if (isOver) return;
      isOver = true;
      timer?.cancel();
      if (timer) this.#timers.delete(timer);
      end();
    };
    const timer = forMs === undefined ? undefined : this.#clock.schedule(forMs, lift);
    if (timer) this.#timers.add(timer);
    return { lift };
  }

  /** One change after the other: closing and listening again both take a moment. */
  #changeListening(): void {
    this.#listening = this.#listening.then(async () => {
      if (this.#stopping.signal.aborted) return;
      if (this.#refusals > 0 && this.#server.listening) await this.#close();
      else if (this.#refusals === 0 && !this.#server.listening) await this.#listenAgain();
    });
  }

  async #close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  /** The port may for a moment belong to somebody's outgoing connection. */
  async #listenAgain(): Promise<void> {
    while (!this.#stopping.signal.aborted && !this.#server.listening) {
      const listening = once(this.#server, 'listening').then(() => true);
      this.#server.listen(this.#port, '127.0.0.1');
      // `once` rejects with the `error` event.
      if (await listening.catch(() => false)) return;
      await this.#clock.sleep(listenAgainAfterMs, this.#stopping.signal);
    }
  }

  #take(request: IncomingMessage, response: ServerResponse): void {
    // A sender that goes away while it is served ends its own request, nothing else.
    request.on('error', () => response.destroy());
    response.on('error', () => request.destroy());
    const imposition = this.#draw(operationOf(request));
    if (imposition === undefined) {
      this.#passOn(request, response);
      return;
    }
    this.#count(imposition.fault.kind);
    const struck = this.#strike(imposition, request, response)
      // The other side is gone, and with it the answer.
      .catch(() => void response.destroy())
      .finally(() => this.#tasks.delete(struck));
    this.#tasks.add(struck);
  }

  #draw(operation: string): Imposition | undefined {
    for (const imposition of this.#impositions) {
      const { operations, probability } = imposition;
      if (operations !== undefined && !operations.includes(operation)) continue;
      if (probability >= 1 || this.#random.next() < probability) return imposition;
    }
    return undefined;
  }

  async #strike({ fault, hanging }: Imposition, request: IncomingMessage, response: ServerResponse): Promise<void> {
    switch (fault.kind) {
      case 'error':
      case 'throttle':
        request.resume();
        reply(response, refusal(this.#service, fault.kind));
        return;
      case 'hang':
        request.resume();
        leaveHanging(response, hanging);
        return;
      case 'loseAnswer':
        await this.#ask(request, await buffer(request));
        if (fault.how === 'reset') response.destroy();
        else leaveHanging(response, hanging);
        return;
      case 'delay': {
        const body = await buffer(request);
        await this.#clock.sleep(fault.byMs, this.#stopping.signal);
        if (!this.#stopping.signal.aborted) reply(response, await this.#ask(request, body));
        return;
      }
      case 'duplicate': {
        const body = await buffer(request);
        reply(response, await this.#ask(request, body));
        await this.#clock.sleep(fault.afterMs, this.#stopping.signal);
        if (!this.#stopping.signal.aborted) await this.#ask(request, body);
        return;
      }
    }
  }

  #passOn(request: IncomingMessage, response: ServerResponse): void {
    const onward = this.#onward(request, request.headers);
    const abandon = () => onward.destroy();
    response.on('close', abandon);
    onward.on('error', () => response.destroy());
    onward.on('response', (answer) => {
      response.off('close', abandon);
      response.writeHead(answer.statusCode as number, withoutHopByHop(answer.headers));
      pipeline(answer, response, (error) => {
        if (error) response.destroy();
      });
    });
    request.pipe(onward);
  }

  /** Carries the request out, whatever becomes of its sender. */
  async #ask(request: IncomingMessage, body: Buffer): Promise<Answer> {
    const { 'transfer-encoding': _, ...headers } = request.headers;
    const onward = this.#onward(request, { ...headers, 'content-length': String(body.length) });
    onward.end(body);
    const [answer] = (await once(onward, 'response')) as [IncomingMessage];
    const { 'transfer-encoding': __, ...answerHeaders } = withoutHopByHop(answer.headers);
    return { status: answer.statusCode as number, headers: answerHeaders, body: await buffer(answer) };
  }

  #onward({ method, url }: IncomingMessage, headers: IncomingHttpHeaders) {
    return startRequest({
      agent: this.#agent,
      host: this.#upstream.hostname,
      port: this.#upstream.port,
      method: method as string,
      path: url as string,
      // The emulator builds queue URLs from it; they must not depend on the way that a request took.
      headers: { ...withoutHopByHop(headers), host: this.#upstream.host },
    });
  }

  #count(kind: FaultKind): void {
    this.#struck.set(kind, (this.#struck.get(kind) ?? 0) + 1);
  }
}

/** Both services name the operation in a header: `DynamoDB_20120810.UpdateItem`, `AmazonSQS.SendMessageBatch`. */
function operationOf(request: IncomingMessage): string {
  return String(request.headers['x-amz-target'] ?? '')
    .split('.')
    .at(-1) as string;
}

function withoutHopByHop(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !hopByHop.has(name)));
}

function reply(response: ServerResponse, { status, headers, body }: Answer): void {
  if (response.destroyed) return;
  response.writeHead(status, { ...headers, 'content-length': body.length });
  response.end(body);
}

function leaveHanging(response: ServerResponse, hanging: Set<ServerResponse>): void {
  hanging.add(response);
  response.on('close', () => hanging.delete(response));
}

/** As the services say it in their JSON protocols. */
function refusal(service: AwsService, kind: 'error' | 'throttle'): Answer {
  const { status, type } = refusals[service][kind];
  const body = Buffer.from(JSON.stringify({ __type: type, message: 'A fault on purpose.' }));
  const code = type.slice(type.indexOf('#') + 1);
  return {
    status,
    headers: {
      'content-type': 'application/x-amz-json-1.0',
      'x-amzn-requestid': 'fault-proxy',
      ...(service === 'sqs' && { 'x-amzn-query-error': `${code};${kind === 'error' ? 'Receiver' : 'Sender'}` }),
    },
    body,
  };
}

const refusals = {
  dynamodb: {
    error: { status: 500, type: 'com.amazonaws.dynamodb.v20120810#InternalServerError' },
    throttle: { status: 400, type: 'com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException' },
  },
  sqs: {
    error: { status: 500, type: 'com.amazonaws.sqs#InternalError' },
    throttle: { status: 400, type: 'com.amazonaws.sqs#RequestThrottled' },
  },
} as const;

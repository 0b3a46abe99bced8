import { pathToFileURL } from 'node:url';
import { Writable } from 'node:stream';
import type { Context } from 'aws-lambda';

/** One invocation, and its answer under the same number. */
export interface Invocation {
  readonly number: number;
  readonly event: unknown;
  readonly context: Omit<Context, 'getRemainingTimeInMillis' | 'done' | 'fail' | 'succeed'>;
  readonly deadlineAtMs: number;
}

/** The response of a streaming function, under the number of its invocation. It comes before the answer. */
export interface StreamedResponse {
  readonly number: number;
  readonly response: { readonly statusCode: number; readonly headers: Record<string, string>; readonly body: string };
}

export type InvocationAnswer =
  | { readonly number: number; readonly result: unknown }
  | { readonly number: number; readonly failure: string };

type Handler = (event: unknown, context: Context) => Promise<unknown>;
type StreamingHandler = (event: unknown, response: Writable, context: Context) => Promise<unknown>;

/** A stream with what `HttpResponseStream.from` has told of it. */
interface ResponseStream extends Writable {
  prelude?: { readonly statusCode: number; readonly headers: Record<string, string> };
}

const streamingHandlers = new WeakSet<object>();

/** What Lambda's runtime puts into the global scope; a streaming handler's answer is its promise, as there. */
Object.assign(globalThis, {
  awslambda: {
    streamifyResponse(handler: StreamingHandler) {
      streamingHandlers.add(handler);
      return handler;
    },
    HttpResponseStream: {
      from: (stream: ResponseStream, prelude: ResponseStream['prelude']) => Object.assign(stream, { prelude }),
    },
  },
});

/** A bundled function in a process with an environment of its own, as Lambda runs it. Its file is the first argument. */
const { handler } = (await import(pathToFileURL(process.argv[2] as string).href)) as {
  handler: Handler & StreamingHandler;
};

/** Sends the response when the stream ends, which is before the handler does. */
function responseStream(number: number): ResponseStream {
  const chunks: Buffer[] = [];
  const stream: ResponseStream = new Writable({
    write(chunk: Buffer, _, done) {
      chunks.push(chunk);
      done();
    },
    final(done) {
      const { statusCode = 200, headers = {} } = stream.prelude ?? {};
      const response = { statusCode, headers, body: Buffer.concat(chunks).toString() };
      process.send?.({ number, response } satisfies StreamedResponse);
      done();
    },
  });
  return stream;
}

process.on('message', ({ number, event, context, deadlineAtMs }: Invocation) => {
  const answer = (message: InvocationAnswer) => process.send?.(message);
  const live = { ...context, getRemainingTimeInMillis: () => deadlineAtMs - Date.now() } as Context;
  const running = streamingHandlers.has(handler) ? handler(event, responseStream(number), live) : handler(event, live);
  running.then(
    (result) => answer({ number, result }),
    (error: unknown) => answer({ number, failure: String(error) }),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('started');

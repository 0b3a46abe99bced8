import type { Writable } from 'node:stream';
import type { Context } from 'aws-lambda';
import type { FunctionUrlEvent, HttpResponse } from './function-url-request.ts';
import type { InteractionsEndpointHandler } from './interactions-endpoint.ts';

/** What Lambda's Node.js runtime puts into the global scope before it loads a function. */
interface LambdaGlobal {
  streamifyResponse<Handler extends (event: FunctionUrlEvent, response: Writable, context: Context) => Promise<void>>(
    handler: Handler,
  ): Handler;
  readonly HttpResponseStream: {
    from(response: Writable, prelude: Pick<HttpResponse, 'statusCode' | 'headers'>): Writable;
  };
}

/**
 * A function whose response is out when `respond` is called, and which goes on until its promise resolves: with a
 * streamed response Lambda waits for the handler after the end of the stream (runtime interface client for Node.js,
 * "streaming"), where a buffered one would hold the answer back until then. Needs a function URL with invoke mode
 * `RESPONSE_STREAM`.
 */
export function streamed(handler: InteractionsEndpointHandler) {
  const { streamifyResponse, HttpResponseStream } = (globalThis as unknown as { awslambda: LambdaGlobal }).awslambda;
  return streamifyResponse(async (event, response, context) => {
    const respond = ({ statusCode, headers, body }: HttpResponse): void => {
      const stream = HttpResponseStream.from(response, { statusCode, headers });
      // Status and headers go with the first write, so there must be one.
      stream.write(body);
      stream.end();
    };
    await handler(event, respond, context);
  });
}

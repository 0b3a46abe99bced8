import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface RestRequest {
  readonly method: string;
  readonly path: string;
  readonly body: unknown;
}

/** Discord's REST API as far as these tests go: notes every request and answers as Discord would. */
export interface FakeDiscordRest extends AsyncDisposable {
  /** For `DISCORD_API_URL`. */
  readonly url: string;
  readonly requests: RestRequest[];
  /** Answers to come, before the ordinary ones: status and JSON body. */
  readonly refusals: { readonly status: number; readonly body: object }[];
}

/** The JSON of a request; with files it is a part of a form. */
async function jsonOf(request: IncomingMessage): Promise<string> {
  const body = Buffer.concat(await request.toArray());
  const contentType = request.headers['content-type'] ?? '';
  if (!contentType.startsWith('multipart/form-data')) return body.toString();
  const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
  return form.get('payload_json') as string;
}

export async function startFakeDiscordRest(): Promise<FakeDiscordRest> {
  const requests: RestRequest[] = [];
  const refusals: { status: number; body: object }[] = [];
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const text = await jsonOf(request);
    const { method = '', url = '' } = request;
    requests.push({
      method,
      path: decodeURIComponent(url),
      body: text === '' ? undefined : (JSON.parse(text) as unknown),
    });
    const refusal = refusals.shift();
    if (!refusal && /\/callback(\?|$)/.test(url)) {
      response.writeHead(204).end();
      return;
    }
    response.writeHead(refusal?.status ?? 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(refusal?.body ?? { id: '1', content: '' }));
  };
  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => response.destroy(error as Error));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/api/v10`,
    requests,
    refusals,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

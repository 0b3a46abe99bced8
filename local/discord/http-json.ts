import type { IncomingMessage, ServerResponse } from 'node:http';

/** Largest request body taken: attachments of messages are not stored, so this is ample. */
const maxBodyBytes = 12 * 1024 * 1024;

export type RequestBody =
  | { readonly kind: 'json'; readonly value: unknown }
  | { readonly kind: 'invalid' | 'tooLarge' };

/** Reads a JSON body, or the `payload_json` of a form with files. An empty body is `undefined`. */
export async function readBody(request: IncomingMessage): Promise<RequestBody> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > maxBodyBytes) return { kind: 'tooLarge' };
    chunks.push(chunk);
  }
  if (bytes === 0) return { kind: 'json', value: undefined };
  const body = Buffer.concat(chunks);
  try {
    const contentType = request.headers['content-type'] ?? '';
    if (!contentType.startsWith('multipart/form-data')) return { kind: 'json', value: JSON.parse(body.toString()) };
    const form = await new Response(body, { headers: { 'content-type': contentType } }).formData();
    const json = form.get('payload_json');
    return { kind: 'json', value: typeof json === 'string' ? JSON.parse(json) : {} };
  } catch {
    return { kind: 'invalid' };
  }
}

export function sendJson(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (body === undefined) {
    response.writeHead(status, headers).end();
    return;
  }
  const text = JSON.stringify(body);
  response
    .writeHead(status, { ...headers, 'Content-Type': 'application/json', 'Content-Length': Buffer.byteLength(text) })
    .end(text);
}

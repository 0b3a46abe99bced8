import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { FunctionUrlEvent } from '../../../../functions/interactions/endpoint/function-url-request.ts';

/** Discord's side of an application's key. */
export class SigningKey {
  /** 64 hex digits. */
  readonly publicKey: string;
  readonly #privateKey: KeyObject;

  constructor() {
    const { publicKey, privateKey } = generateKeyPairSync('ed25519');
    this.publicKey = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
    this.#privateKey = privateKey;
  }

  /** 128 hex digits. */
  sign(timestamp: string, body: string | Buffer): string {
    return sign(null, Buffer.concat([Buffer.from(timestamp), Buffer.from(body)]), this.#privateKey).toString('hex');
  }
}

export interface TestRequest {
  readonly method?: string;
  readonly headers: Record<string, string>;
  readonly body: string;
  readonly isBase64Encoded?: boolean;
}

/** What a function URL makes of a request. */
export function functionUrlEvent({
  method = 'POST',
  headers,
  body,
  isBase64Encoded = false,
}: TestRequest): FunctionUrlEvent {
  return { headers, body, isBase64Encoded, requestContext: { http: { method } } };
}

/** A signed request, sent at `atMs`. */
export function signedRequest(key: SigningKey, body: string, atMs: number): TestRequest {
  const timestamp = String(Math.floor(atMs / 1000));
  return {
    headers: {
      'content-type': 'application/json',
      'x-signature-ed25519': key.sign(timestamp, body),
      'x-signature-timestamp': timestamp,
    },
    body,
  };
}

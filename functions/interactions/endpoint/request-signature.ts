import { createPublicKey, type KeyObject, verify } from 'node:crypto';

/** ASN.1 head of an Ed25519 public key (RFC 8410); the 32 bytes of the key follow. */
const spkiHead = Buffer.from('302a300506032b6570032100', 'hex');

/** Headers of a request as its signature needs them; `undefined` where a header is missing. */
export interface SignedRequest {
  /** `X-Signature-Ed25519`: 128 hex digits. */
  readonly signature: string | undefined;
  /** `X-Signature-Timestamp`, as it was sent. */
  readonly timestamp: string | undefined;
  /** The body's bytes as they were sent. */
  readonly body: Buffer;
}

/**
 * Checks that requests come from Discord: Ed25519 over timestamp and body (Discord, "Setting Up an Endpoint"), byte for
 * byte as sent. Anything malformed is no signature; nothing throws.
 */
export class RequestSignature {
  readonly #key: KeyObject;

  /** `publicKey`: the application's, as 64 hex digits. */
  constructor(publicKey: string) {
    this.#key = createPublicKey({
      key: Buffer.concat([spkiHead, Buffer.from(publicKey, 'hex')]),
      format: 'der',
      type: 'spki',
    });
  }

  isValid({ signature, timestamp, body }: SignedRequest): boolean {
    if (signature === undefined || timestamp === undefined || !/^[0-9a-f]{128}$/i.test(signature)) return false;
    return verify(null, Buffer.concat([Buffer.from(timestamp), body]), this.#key, Buffer.from(signature, 'hex'));
  }
}

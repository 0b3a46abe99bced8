import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { BatonError, messageOf } from '../errors.ts';

/** Guards the reader: nothing packed here is larger. */
const maxPlainBytes = 64 * 1024 * 1024;

/**
 * JSON, compressed: DynamoDB counts every started kilobyte, and Discord's objects repeat their keys.
 * `text` is what {@link canonicalJson} made.
 */
export function packText(text: string): Buffer {
  const plain = Buffer.from(text);
  return brotliCompressSync(plain, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 5,
      [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT,
      // The usual window is 4 MiB: to set that up takes longer than to pack what is in it.
      [constants.BROTLI_PARAM_LGWIN]: 16,
      [constants.BROTLI_PARAM_SIZE_HINT]: plain.length,
    },
  });
}

/** The inverse of {@link packText}, as text. @throws {BatonError} `STORE_ITEM_INVALID`, naming `what`. */
export function unpackText(packed: Uint8Array, what: string): string {
  try {
    return brotliDecompressSync(packed, { maxOutputLength: maxPlainBytes }).toString('utf8');
  } catch (error) {
    throw new BatonError('STORE_ITEM_INVALID', `directory: ${what} does not decode: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** JSON with sorted keys: equal values make equal texts, whatever event they came in. */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) => {
    if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return inner;
    return Object.fromEntries(Object.entries(inner).sort(([one], [other]) => (one < other ? -1 : 1)));
  });
}

import { constants, deflateSync } from 'node:zlib';
import { Deflate, ZstdCompress } from 'minizlib';

/** Values of `compress` in the connect URL. */
export const transports = ['none', 'zlib-stream', 'zstd-stream'] as const;
export type Transport = (typeof transports)[number];

/** Turns gateway frames into WebSocket messages, for one connection. */
export interface FrameEncoder {
  encode(frame: Buffer): { data: Buffer; binary: boolean };
  /** Frees the compression context. */
  close(): void;
}

/**
 * One compression context for the whole connection, flushed after each frame (Discord, "Gateway", Transport Compression).
 * Compression is synchronous: at a kilobyte a frame, a trip to the thread pool costs several times the work itself.
 */
class StreamEncoder implements FrameEncoder {
  readonly #stream: Deflate | ZstdCompress;

  constructor(stream: Deflate | ZstdCompress) {
    this.#stream = stream;
  }

  encode(frame: Buffer): { data: Buffer; binary: boolean } {
    this.#stream.write(frame);
    // An empty frame compresses to nothing.
    return { data: this.#stream.read() ?? Buffer.alloc(0), binary: true };
  }

  close(): void {
    this.#stream.close();
  }
}

const plainText: FrameEncoder = {
  encode: (frame) => ({ data: frame, binary: false }),
  close() {},
};

/** The declared options of minizlib leave out `params`, which it passes on to the runtime. */
const zstdOptions = { flush: constants.ZSTD_e_flush, params: { [constants.ZSTD_c_compressionLevel]: 1 } } as object;

export function createEncoder(transport: Transport): FrameEncoder {
  switch (transport) {
    case 'none':
      return plainText;
    case 'zlib-stream':
      return new StreamEncoder(new Deflate({ level: 1, flush: constants.Z_SYNC_FLUSH }));
    case 'zstd-stream':
      return new StreamEncoder(new ZstdCompress(zstdOptions));
  }
}

/** Frames below this are sent as text even with payload compression: Discord compresses some frames only. */
const payloadCompressionFromBytes = 1024;

/** Payload compression (`compress: true` in IDENTIFY): every compressed frame stands for itself. */
export const payloadCompression: FrameEncoder = {
  encode: (frame) =>
    frame.length < payloadCompressionFromBytes
      ? { data: frame, binary: false }
      : { data: deflateSync(frame, { level: 1 }), binary: true },
  close() {},
};

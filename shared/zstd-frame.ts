import * as zlib from 'node:zlib';

/** The part of node:zlib's native handle that writes synchronously. */
interface NativeHandle {
  writeSync(
    flush: number,
    input: Buffer,
    inputAt: number,
    inputLength: number,
    output: Buffer,
    outputAt: number,
    outputLength: number,
  ): void;
}

interface Context {
  readonly stream: zlib.ZstdCompress;
  readonly handle: NativeHandle;
  /** Filled by each call: room left in the output, bytes left of the input. */
  readonly left: Uint32Array;
}

/** Level 1 is the quickest that gains anything: 2 and 3 take longer and make gateway events no smaller. */
const level = 1;
/** A window of 128 KB holds what a flush has of one shard; a larger one only costs memory and cache misses. */
const windowLog = 17;

let context: Context | undefined;
let output = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * Compresses `plain` to one zstd frame, synchronously. The same context is used again for every frame: making one costs as
 * much as compressing thirty events, and `zstdCompressSync` makes one for each call.
 */
export function compressZstdFrame(plain: Buffer): Buffer {
  context ??= openContext();
  // What zstd itself asks for (ZSTD_compressBound), and room to tell that nothing was left out.
  const needed = plain.length + (plain.length >> 8) + 1024;
  if (output.length < needed) output = Buffer.allocUnsafeSlow(needed);
  if (context !== undefined) {
    const { stream, handle, left } = context;
    handle.writeSync(zlib.constants.ZSTD_e_end, plain, 0, plain.length, output, 0, output.length);
    const roomLeft = left[0] as number;
    if (!stream.errored && left[1] === 0 && roomLeft > 0)
      return Buffer.from(output.subarray(0, output.length - roomLeft));
    context = undefined;
  }
  return zlib.zstdCompressSync(plain, { params });
}

const params = { [zlib.constants.ZSTD_c_compressionLevel]: level, [zlib.constants.ZSTD_c_windowLog]: windowLog };

/** `undefined` on a Node that is built differently: the public function then does the work. */
function openContext(): Context | undefined {
  const stream = zlib.createZstdCompress({ chunkSize: 64, params });
  // The error is taken from the stream right after the call; its event comes later and says nothing new.
  stream.on('error', () => undefined);
  const { _handle: handle, _writeState: left } = stream as unknown as {
    _handle?: NativeHandle;
    _writeState?: Uint32Array;
  };
  if (typeof handle?.writeSync === 'function' && left instanceof Uint32Array) return { stream, handle, left };
  stream.destroy();
  return undefined;
}

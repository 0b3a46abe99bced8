import { type Inflate, type ZstdDecompress, constants, createInflate, createZstdDecompress } from 'node:zlib';
import type { GatewayCompression } from '../../shared/config.ts';
import { BatonError } from '../../shared/errors.ts';

/** The compressed stream of a connection is broken; nothing that comes after can be read. */
export class InflateError extends Error {
  override readonly name = 'InflateError';
}

/** The transport compression of one connection; its context lives and dies with the socket. */
export interface Inflater {
  /** Whether frames travel as text messages, or as binary ones. */
  readonly textMessages: boolean;
  /**
   * Takes the next message and gives the frame that it completes; `undefined` while more is to come. The frame is on
   * loan: the next `push` of any inflater writes over it.
   * @throws {InflateError} for corrupt data, or a frame above the limit.
   */
  push(message: Buffer): Buffer | undefined;
  /** Frees the context. */
  close(): void;
}

/**
 * `maxFrameBytes` bounds a frame after inflation, so that a broken peer cannot fill the memory.
 * @throws {BatonError} `CONFIG_INVALID` where this Node cannot read such a stream.
 */
export function createInflater(compression: GatewayCompression, maxFrameBytes: number): Inflater {
  switch (compression) {
    case 'none':
      return plain;
    case 'zlib-stream':
      return new ZlibStream(maxFrameBytes);
    case 'zstd-stream':
      return new ZstdStream(maxFrameBytes);
  }
}

const plain: Inflater = { textMessages: true, push: (message) => message, close() {} };

const suffixLength = 4;

/** One zlib context over the whole connection; a frame ends where a message ends in `00 00 ff ff` (Discord, "Gateway", Transport Compression). */
class ZlibStream implements Inflater {
  readonly textMessages = false;
  readonly #context: StreamContext;
  readonly #maxFrameBytes: number;
  #waiting: Buffer | undefined;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#context = new StreamContext(createInflate({ chunkSize: smallestChunk }), constants.Z_SYNC_FLUSH);
  }

  push(message: Buffer): Buffer | undefined {
    // The four bytes may themselves be split between two messages, so they are looked for in all that waits.
    const data = this.#waiting ? Buffer.concat([this.#waiting, message]) : message;
    if (!endsInFlush(data)) {
      if (data.length > this.#maxFrameBytes) throw tooLarge(this.#maxFrameBytes);
      this.#waiting = data;
      return undefined;
    }
    this.#waiting = undefined;
    return this.#context.read(data, this.#maxFrameBytes);
  }

  close(): void {
    this.#context.close();
  }
}

function endsInFlush(data: Buffer): boolean {
  const end = data.length;
  return (
    end >= suffixLength &&
    data[end - 1] === 0xff &&
    data[end - 2] === 0xff &&
    data[end - 3] === 0 &&
    data[end - 4] === 0
  );
}

/** One zstd context over the whole connection; every message is one frame (Discord, "Gateway", Transport Compression). */
class ZstdStream implements Inflater {
  readonly textMessages = false;
  readonly #context: StreamContext;
  readonly #maxFrameBytes: number;

  constructor(maxFrameBytes: number) {
    this.#maxFrameBytes = maxFrameBytes;
    this.#context = new StreamContext(createZstdDecompress({ chunkSize: smallestChunk }), constants.ZSTD_e_continue);
  }

  push(message: Buffer): Buffer | undefined {
    return this.#context.read(message, this.#maxFrameBytes);
  }

  close(): void {
    this.#context.close();
  }
}

/** The stream's own output buffer is never used. */
const smallestChunk = 64;

const usualOutputBytes = 64 * 1024;
/** Memory for larger frames is kept up to this size; megabytes come at the start of a session only. */
const keptOutputBytes = 1024 * 1024;

/** Where frames are inflated to. All contexts share it: reading is synchronous, and who keeps a frame copies it. */
let output = Buffer.allocUnsafeSlow(usualOutputBytes);

/** The part of node:zlib's native handle that reads synchronously and keeps its context. */
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

/**
 * Drives node:zlib's native handle directly. The public stream API hands every message to the thread pool and back, which costs
 * about fifteen times as much for a frame of usual size and lets frames arrive after their socket is gone; the public
 * synchronous functions keep no context from one message to the next. `writeSync` and `_writeState` are what those
 * functions themselves are made of, unchanged since Node 9.
 */
class StreamContext {
  readonly #stream: Inflate | ZstdDecompress;
  readonly #handle: NativeHandle;
  /** Filled by each call: room left in the output, bytes left of the input. */
  readonly #left: Uint32Array;
  readonly #flush: number;

  constructor(stream: Inflate | ZstdDecompress, flush: number) {
    const { _handle: handle, _writeState: left } = stream as unknown as {
      _handle?: NativeHandle;
      _writeState?: Uint32Array;
    };
    if (typeof handle?.writeSync !== 'function' || !(left instanceof Uint32Array)) {
      stream.destroy();
      throw new BatonError(
        'CONFIG_INVALID',
        `Node ${process.version} cannot read the gateway's compressed stream: use Node 24, or set BATON_COMPRESS=none`,
      );
    }
    // The error is taken from the stream right after the call; its event comes later and says nothing new.
    stream.on('error', () => undefined);
    this.#stream = stream;
    this.#handle = handle;
    this.#left = left;
    this.#flush = flush;
  }

  /** Everything that `input` inflates to, until the next call. @throws {InflateError} */
  read(input: Buffer, maxBytes: number): Buffer {
    // Node ends the whole process when a closed handle is written to.
    if (this.#stream.destroyed) throw new InflateError('the stream is closed');
    if (output.length > keptOutputBytes) output = Buffer.allocUnsafeSlow(usualOutputBytes);
    let inputAt = 0;
    let written = 0;
    for (;;) {
      const inputLength = input.length - inputAt;
      const room = output.length - written;
      this.#handle.writeSync(this.#flush, input, inputAt, inputLength, output, written, room);
      if (this.#stream.errored) throw new InflateError(this.#stream.errored.message);
      const roomLeft = this.#left[0] as number;
      const inputLeft = this.#left[1] as number;
      written += room - roomLeft;
      if (written > maxBytes) throw tooLarge(maxBytes);
      if (roomLeft > 0 && inputLeft === 0) return output.subarray(0, written);
      if (roomLeft === room && inputLeft === inputLength) throw new InflateError('data after the end of the stream');
      inputAt = input.length - inputLeft;
      if (roomLeft === 0) output = Buffer.concat([output], output.length * 2);
    }
  }

  close(): void {
    this.#stream.close();
  }
}

function tooLarge(maxBytes: number): InflateError {
  return new InflateError(`a frame of more than ${maxBytes} bytes`);
}

import { constants, createDeflate, createZstdCompress } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { InflateError, type Inflater, createInflater } from '../../../gateway-workers/gateway/inflate.ts';
import { corpusDispatches, readCorpus } from './corpus.ts';

const limit = 64 * 1024 * 1024;

/** The messages that Discord would send for `frames`, one each. */
async function compress(kind: 'zlib-stream' | 'zstd-stream', frames: readonly Buffer[]): Promise<Buffer[]> {
  const stream = kind === 'zlib-stream' ? createDeflate() : createZstdCompress();
  const flush = kind === 'zlib-stream' ? constants.Z_SYNC_FLUSH : constants.ZSTD_e_flush;
  const messages: Buffer[] = [];
  let chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  for (const frame of frames) {
    stream.write(frame);
    await new Promise<void>((resolve) => stream.flush(flush, resolve));
    messages.push(Buffer.concat(chunks));
    chunks = [];
  }
  stream.destroy();
  return messages;
}

function withInflater<T>(kind: Parameters<typeof createInflater>[0], use: (inflater: Inflater) => T, max = limit): T {
  const inflater = createInflater(kind, max);
  try {
    return use(inflater);
  } finally {
    inflater.close();
  }
}

const corpusFrames = () =>
  corpusDispatches().map(({ t, d }, index) => Buffer.from(JSON.stringify({ t, s: index + 1, op: 0, d })));

/** One frame of each size that matters: empty object, around the inner buffer, and megabytes. */
const sizedFrames = [2, 65_534, 65_535, 65_536, 65_537, 131_072, 5_000_000].map((size) => {
  const frame = Buffer.alloc(size, 'ab{}"');
  for (let at = 0; at < size; at += 997) frame[at] = 32 + (at % 90);
  return frame;
});

test('a recorded zlib stream of Discord reads back exactly', () => {
  const { frames_base64, ...rest } = readCorpus('_zlib-stream-capture.json') as {
    frames_base64: string[];
    plaintext: string[];
  };
  const messages = frames_base64.map((frame) => Buffer.from(frame, 'base64'));
  expect(messages.map(({ length }) => length)).toEqual([115, 681, 2018]);
  withInflater('zlib-stream', (inflater) => {
    expect(messages.map((message) => inflater.push(message)?.toString())).toEqual(rest.plaintext);
  });
  withInflater('zlib-stream', (inflater) => {
    expect(() => inflater.push(messages[1] as Buffer)).toThrow(InflateError);
  });
});

describe.each(['zlib-stream', 'zstd-stream'] as const)('%s', (kind) => {
  test('gives every frame back, also those larger than the inner buffer', async () => {
    const frames = [...corpusFrames(), ...sizedFrames, ...corpusFrames()];
    const messages = await compress(kind, frames);
    withInflater(kind, (inflater) => {
      for (const [index, message] of messages.entries()) {
        expect(inflater.push(message)?.equals(frames[index] as Buffer), `frame ${index}`).toBe(true);
      }
    });
  });

  test('contexts of several connections do not disturb each other', async () => {
    const frames = corpusFrames().slice(0, 60);
    const messages = await compress(kind, frames);
    const inflaters = [0, 1, 2].map(() => createInflater(kind, limit));
    for (const [index, message] of messages.entries()) {
      for (const inflater of inflaters) expect(inflater.push(message)?.equals(frames[index] as Buffer)).toBe(true);
    }
    for (const inflater of inflaters) inflater.close();
  });

  test('corrupt data is an InflateError, and so is everything after it', () => {
    withInflater(kind, (inflater) => {
      const garbage = Buffer.from('ff00ff00ff00ff000000ffff', 'hex');
      expect(() => inflater.push(garbage)).toThrow(InflateError);
      expect(() => inflater.push(garbage)).toThrow(InflateError);
    });
  });

  test('flipped bits never crash: an error, or other bytes', async () => {
    const messages = await compress(kind, corpusFrames().slice(0, 8));
    fc.assert(
      fc.property(fc.nat(messages.length - 1), fc.nat(), fc.integer({ min: 1, max: 255 }), (index, at, mask) => {
        withInflater(kind, (inflater) => {
          for (const [position, message] of messages.entries()) {
            const bytes = Buffer.from(message);
            if (position === index) (bytes[at % bytes.length] as number) ^= mask;
            try {
              inflater.push(bytes);
            } catch (error) {
              expect(error).toBeInstanceOf(InflateError);
              return;
            }
          }
        });
      }),
      { numRuns: 200 },
    );
  });

  test('a frame above the limit is refused before it fills the memory', async () => {
    const [small, bomb] = await compress(kind, [Buffer.alloc(1_000, 'a'), Buffer.alloc(3_000_000, 'a')]);
    withInflater(
      kind,
      (inflater) => {
        expect(inflater.push(small as Buffer)?.length).toBe(1_000);
        expect(() => inflater.push(bomb as Buffer)).toThrow(/more than 1000000 bytes/);
      },
      1_000_000,
    );
  });

  test('after close, a late message is refused', async () => {
    const [message] = await compress(kind, [Buffer.from('{}')]);
    const inflater = createInflater(kind, limit);
    inflater.close();
    expect(() => inflater.push(message as Buffer)).toThrow(InflateError);
  });
});

test('zlib: a frame split over messages anywhere, even inside its flush marker, comes out whole', async () => {
  const frames = corpusFrames().slice(0, 20);
  const messages = await compress('zlib-stream', frames);
  fc.assert(
    fc.property(fc.array(fc.nat(), { minLength: 20, maxLength: 60 }), (cuts) => {
      withInflater('zlib-stream', (inflater) => {
        const read: Buffer[] = [];
        for (const [index, message] of messages.entries()) {
          // Cuts near the end fall into the marker `00 00 ff ff`.
          const at = [cuts[index] as number, message.length - 1, message.length - 3][index % 3] as number;
          const cut = at % message.length;
          for (const part of [message.subarray(0, cut), message.subarray(cut)]) {
            const frame = part.length === 0 ? undefined : inflater.push(part);
            if (frame) read.push(Buffer.from(frame));
          }
        }
        expect(read.map(String)).toEqual(frames.map(String));
      });
    }),
    { numRuns: 30 },
  );
});

test('zlib: a flush marker alone is an empty frame', async () => {
  const [, nothing] = await compress('zlib-stream', [Buffer.from('{}'), Buffer.alloc(0)]);
  const [first] = await compress('zlib-stream', [Buffer.from('{}')]);
  withInflater('zlib-stream', (inflater) => {
    expect(inflater.push(first as Buffer)?.toString()).toBe('{}');
    expect(inflater.push(nothing as Buffer)?.length ?? 0).toBe(0);
    expect(inflater.push(Buffer.from('000000ffff', 'hex'))?.length).toBe(0);
  });
});

test('zlib: data that never ends a frame is bounded too', () => {
  withInflater(
    'zlib-stream',
    (inflater) => {
      expect(inflater.push(Buffer.alloc(600, 1))).toBeUndefined();
      expect(() => inflater.push(Buffer.alloc(600, 1))).toThrow(InflateError);
    },
    1_000,
  );
});

test('zstd: a frame that ends is followed by the next one in the same stream', async () => {
  const { zstdCompressSync } = await import('node:zlib');
  withInflater('zstd-stream', (inflater) => {
    expect(inflater.push(zstdCompressSync('{"op":11}'))?.toString()).toBe('{"op":11}');
    expect(inflater.push(zstdCompressSync('{"op":1}'))?.toString()).toBe('{"op":1}');
  });
});

test('without compression a message is the frame itself', () => {
  const message = Buffer.from('{"op":11}');
  expect(createInflater('none', limit).push(message)).toBe(message);
  expect(createInflater('none', limit).textMessages).toBe(true);
});

import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  asciiJson,
  decodeEnvelope,
  decodeHeader,
  decodeInteraction,
  encodeFrames,
  encodeHeader,
  type EnvelopeHeader,
  envelopeEncodings,
  eventsAttribute,
  maxEnvelopeBytes,
  messageBytes,
  messageDeduplicationId,
  messageGroupId,
} from '../../shared/envelope.ts';
import { BatonError } from '../../shared/errors.ts';

const header: EnvelopeHeader = {
  v: 1,
  shard: [3, 64],
  epoch: 7,
  session: '0123456789abcdef0123456789abcdef',
  after: 100,
  first: 101,
  last: 150,
  count: 2,
  types: { MESSAGE_CREATE: 1, TYPING_START: 1 },
  encoding: 'gzip',
  at: 1_790_000_000_000,
};

const frames = [
  '{"t":"MESSAGE_CREATE","s":101,"op":0,"d":{"content":"héllo 🎉\\n"}}',
  '{"t":"TYPING_START","s":150,"op":0,"d":{}}',
];

const bytesOf = (texts: readonly string[]): Buffer[] => texts.map((text) => Buffer.from(text));
const invalid = (reason: string) =>
  expect.objectContaining({ code: 'ENVELOPE_INVALID', message: expect.stringContaining(reason) });
const withHeader = (changes: Record<string, unknown>): string => JSON.stringify({ ...header, ...changes });

/** Text with what JSON, SQS and UTF-8 find hard: quotes, controls, separators, half surrogates, characters beyond 16 bits. */
const nastyText = fc.string({
  unit: fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom('"', '\\', '\n', '\0', '\u007f', '\u2028', '\ufffe', '\uffff', '\ud800', '\udfff', '🎉'),
  ),
  minLength: 1,
  maxLength: 60,
});

describe('the header', () => {
  test('is the JSON that the contract shows', () => {
    expect(encodeHeader(header)).toBe(
      '{"v":1,"shard":[3,64],"epoch":7,"session":"0123456789abcdef0123456789abcdef","after":100,"first":101,"last":150,' +
        '"count":2,"types":{"MESSAGE_CREATE":1,"TYPING_START":1},"encoding":"gzip","at":1790000000000}',
    );
  });

  test('is ASCII and comes back as it was, whatever session and types hold', () => {
    const count = fc.nat();
    // JSON itself reads this one as a property like any other, objects do not; Discord has no such event.
    const typeName = nastyText.filter((name) => name !== '__proto__');
    fc.assert(
      fc.property(nastyText, fc.dictionary(typeName, count), fc.boolean(), count, (session, types, flag, seq) => {
        const nasty: EnvelopeHeader = {
          ...header,
          session,
          types,
          first: seq,
          ...(flag && { replayed: true, unfenced: false }),
        };
        const body = encodeHeader(nasty);
        expect(body).toMatch(/^[\x20-\x7e]+$/);
        expect(decodeHeader(body)).toEqual(nasty);
      }),
      { numRuns: 500 },
    );
  });

  test('may hold what a later version adds', () => {
    expect(decodeHeader(withHeader({ kind: 'shard-message' }))).toEqual(header);
  });

  test.each([
    { name: 'no JSON', body: '{"v":1', reason: 'not JSON' },
    { name: 'no object', body: 'null', reason: 'header' },
    { name: 'another version', body: withHeader({ v: 2 }), reason: 'v:' },
    { name: 'a shard beyond its count', body: withHeader({ shard: [64, 64] }), reason: 'shard' },
    { name: 'half a shard', body: withHeader({ shard: [3] }), reason: 'shard' },
    { name: 'no session', body: withHeader({ session: '' }), reason: 'session' },
    { name: 'a negative seq', body: withHeader({ first: -1 }), reason: 'first' },
    { name: 'a broken seq', body: withHeader({ last: 1.5 }), reason: 'last' },
    { name: 'a seq as text', body: withHeader({ after: '100' }), reason: 'after' },
    { name: 'no count', body: withHeader({ count: undefined }), reason: 'count' },
    { name: 'an unknown encoding', body: withHeader({ encoding: 'brotli' }), reason: 'encoding' },
  ])('with $name is refused with the reason', ({ body, reason }) => {
    expect(() => decodeHeader(body)).toThrow(invalid(reason));
  });
});

describe.each(envelopeEncodings)('frames in encoding %s', (encoding) => {
  const decode = (events: Buffer, count: number) => decodeEnvelope(withHeader({ encoding, count }), events).frames;

  test('come back byte for byte, in order', () => {
    const json = fc.json({ stringUnit: 'binary' });
    fc.assert(
      fc.property(fc.array(json, { maxLength: 30 }), (texts) => {
        expect(decode(encodeFrames(bytesOf(texts), encoding), texts.length)).toEqual(texts);
      }),
    );
    expect(decode(encodeFrames(bytesOf(frames), encoding), 2)).toEqual(frames);
  });

  test('may be none, in a value that is not empty, as SQS wants it', () => {
    const events = encodeFrames([], encoding);
    expect(events.length).toBeGreaterThan(0);
    expect(decode(events, 0)).toEqual([]);
  });

  test('that are fewer or more than the header says are refused', () => {
    const events = encodeFrames(bytesOf(frames), encoding);
    expect(() => decode(events, 1)).toThrow(invalid('header says 1 frames, the envelope holds 2'));
    expect(() => decode(events, 3)).toThrow(invalid('header says 3 frames, the envelope holds 2'));
    expect(() => decode(encodeFrames([], encoding), 1)).toThrow(invalid('holds 0'));
  });

  test('with white space that would end a line are kept apart', () => {
    const spread = '{\n"t":"X",\n"s":1}';
    const [one, other] = decode(encodeFrames(bytesOf([spread, '{}']), encoding), 2);
    expect(JSON.parse(one as string)).toEqual(JSON.parse(spread));
    expect(other).toBe('{}');
  });
});

describe('frames that do not decode', () => {
  const plain = Buffer.from(frames.join('\n'));

  test.each([
    { name: 'plain text as gzip', encoding: 'gzip', events: plain },
    { name: 'plain text as zstd', encoding: 'zstd', events: plain },
    { name: 'gzip as zstd', encoding: 'zstd', events: gzipSync(plain) },
    { name: 'zstd as gzip', encoding: 'gzip', events: zstdCompressSync(plain) },
    { name: 'half of gzip', encoding: 'gzip', events: gzipSync(plain).subarray(0, 60) },
    { name: 'half of zstd', encoding: 'zstd', events: zstdCompressSync(plain).subarray(0, 60) },
    { name: 'nothing as gzip', encoding: 'gzip', events: Buffer.alloc(0) },
    { name: 'nothing as zstd', encoding: 'zstd', events: Buffer.alloc(0) },
  ])('$name are refused with a typed error', ({ encoding, events }) => {
    expect(() => decodeEnvelope(withHeader({ encoding }), events)).toThrow(
      expect.objectContaining({ code: 'ENVELOPE_INVALID' }),
    );
  });

  test.each([
    { encoding: 'gzip', compress: (bomb: Buffer) => gzipSync(bomb, { level: 1 }) },
    {
      encoding: 'zstd',
      compress: (bomb: Buffer) => zstdCompressSync(bomb, { params: { [constants.ZSTD_c_compressionLevel]: 1 } }),
    },
  ])('because they unpack to more than any envelope are refused ($encoding)', ({ encoding, compress }) => {
    const bomb = compress(Buffer.alloc(65 * 1024 * 1024, 0x20));
    expect(bomb.length).toBeLessThan(maxEnvelopeBytes * 2);
    expect(() => decodeEnvelope(withHeader({ encoding }), bomb)).toThrow(invalid(`do not decode as ${encoding}`));
  });

  test('any bytes are frames or a typed error', () => {
    const encodings = fc.constantFrom(...envelopeEncodings);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), encodings, fc.nat({ max: 3 }), (bytes, encoding, count) => {
        try {
          expect(decodeEnvelope(withHeader({ encoding, count }), Buffer.from(bytes)).frames).toHaveLength(count);
        } catch (error) {
          expect(error).toBeInstanceOf(BatonError);
        }
      }),
    );
  });
});

test('the message group is the shard', () => {
  expect(messageGroupId({ shardId: 3, shardCount: 64 })).toBe('64.3');
});

describe('the deduplication id', () => {
  test('keeps a session as Discord gives it readable', () => {
    expect(messageDeduplicationId(header.session, 101, 150)).toBe(`${header.session}.0.101.150`);
    expect(messageDeduplicationId(header.session, 101, 150, 2)).toBe(`${header.session}.2.101.150`);
  });

  test('has at most 128 characters that SQS allows, for any session and range', () => {
    fc.assert(
      fc.property(
        fc.oneof(nastyText, fc.string({ minLength: 60, maxLength: 256 })),
        fc.maxSafeNat(),
        fc.maxSafeNat(),
        fc.nat({ max: 10_000 }),
        (session, first, last, partition) => {
          const id = messageDeduplicationId(session, first, last, partition);
          expect(id).toMatch(/^[\w!"#$%&'()*+,\-./:;<=>?@[\\\]^`{|}~]{1,128}$/);
          expect(messageDeduplicationId(session, first, last, partition)).toBe(id);
        },
      ),
    );
  });

  test('differs when session, partition, first or last differ', () => {
    const long = 'x'.repeat(100);
    const ids = [
      messageDeduplicationId('a', 1, 2),
      messageDeduplicationId('b', 1, 2),
      messageDeduplicationId('a', 1, 3),
      messageDeduplicationId('a', 2, 2),
      messageDeduplicationId('a', 1, 2, 1),
      messageDeduplicationId('a', 11, 2),
      messageDeduplicationId('a', 1, 12),
      messageDeduplicationId('a.1', 1, 2),
      messageDeduplicationId(`${long}a`, 1, 2),
      messageDeduplicationId(`${long}b`, 1, 2),
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });
});

test('a message counts what SQS counts: body, and name, type and value of the attribute', () => {
  expect(messageBytes('{"é":1}', Buffer.alloc(10))).toBe(8 + eventsAttribute.length + 'Binary'.length + 10);
});

test('JSON in ASCII reads back as what went in', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), nastyText, (value, text) => {
      const ascii = asciiJson([value, text]);
      expect(ascii).toMatch(/^[\x20-\x7e]*$/);
      expect(JSON.parse(ascii)).toEqual(JSON.parse(JSON.stringify([value, text])));
    }),
  );
});

describe('an interaction', () => {
  const interaction = {
    id: '1180000000000000001',
    type: 2,
    token: 'aW50ZXJhY3Rpb24',
    data: { name: 'ping', options: [] },
  };
  const envelope = { v: 1, shard: [3, 64], epoch: 7, session: 's', seq: 512, at: 1_790_000_000_000, interaction };

  test('comes back with everything Discord sent', () => {
    expect(decodeInteraction(asciiJson(envelope))).toEqual(envelope);
  });

  test.each([
    { name: 'no JSON', body: 'ping', reason: 'not JSON' },
    { name: 'another version', body: JSON.stringify({ ...envelope, v: 3 }), reason: 'v:' },
    { name: 'no interaction', body: JSON.stringify({ ...envelope, interaction: undefined }), reason: 'interaction:' },
    {
      name: 'an id that is no snowflake',
      body: JSON.stringify({ ...envelope, interaction: { ...interaction, id: 'abc' } }),
      reason: 'interaction.id',
    },
    {
      name: 'no token',
      body: JSON.stringify({ ...envelope, interaction: { ...interaction, token: undefined } }),
      reason: 'interaction.token',
    },
  ])('with $name is refused with the reason', ({ body, reason }) => {
    expect(() => decodeInteraction(body)).toThrow(invalid(reason));
  });
});

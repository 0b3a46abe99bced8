import { createHash } from 'node:crypto';
import * as zlib from 'node:zlib';
import * as z from 'zod';
import { BatonError, messageOf } from './errors.ts';
import { type ShardAddress, shardKey } from './sharding.ts';
import { compressZstdFrame } from './zstd-frame.ts';

/** How the frames of an envelope are encoded in its Binary attribute. */
export const envelopeEncodings = ['none', 'gzip', 'zstd'] as const;
export type EnvelopeEncoding = (typeof envelopeEncodings)[number];

/** The best encoding this runtime has: zstd since Node 22.15, else gzip. */
export const bestEnvelopeEncoding: EnvelopeEncoding = 'zstdCompressSync' in zlib ? 'zstd' : 'gzip';

/** Name of the message attribute that holds the frames. */
export const eventsAttribute = 'events';

/** A message is at most this large, unless a single frame alone is larger (contract, section 3). */
export const maxEnvelopeBytes = 256 * 1024;
/** The limit of SQS for one message and for one batch: body, attribute names, types and values together. */
export const maxMessageBytes = 1024 * 1024;

/** Guards the decoder: an envelope never unpacks to more than this. */
const maxDecodedBytes = 64 * 1024 * 1024;

const seq = z.int().nonnegative();

/** `[shard_id, num_shards]` */
const shard = z
  .tuple([z.int().nonnegative(), z.int().positive()])
  .refine(([shardId, shardCount]) => shardId < shardCount, 'shard_id must be below num_shards');

const headerSchema = z.object({
  v: z.literal(1),
  shard,
  epoch: seq,
  session: z.string().min(1).max(256),
  after: seq,
  first: seq,
  last: seq,
  count: seq,
  types: z.record(z.string(), seq),
  encoding: z.enum(envelopeEncodings),
  at: z.number().nonnegative(),
  replayed: z.boolean().optional(),
  unfenced: z.boolean().optional(),
});

/**
 * The JSON body of a message on the events queue (contract, section 3).
 * `shard` is `[shard_id, num_shards]`; `after`, `first` and `last` are gateway sequence numbers; `at` is Unix milliseconds.
 */
export type EnvelopeHeader = z.infer<typeof headerSchema>;

/** `MessageGroupId` of a shard's envelopes: `<num_shards>.<shard_id>`. */
export function messageGroupId(shard: ShardAddress): string {
  return shardKey(shard);
}

/**
 * `MessageDeduplicationId`: a function of session, partition and range alone, so an owner that sends the same range
 * again sends the same id. SQS allows 128 letters, digits and punctuation; a session id that would not fit is hashed.
 */
export function messageDeduplicationId(session: string, first: number, last: number, partition = 0): string {
  const name = /^[\w-]{1,64}$/.test(session) ? session : createHash('sha256').update(session).digest('hex');
  return `${name}.${partition}.${first}.${last}`;
}

/** JSON with everything outside ASCII escaped: SQS refuses some characters in a body. */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replace(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

/** The message body of an envelope. */
export function encodeHeader(header: EnvelopeHeader): string {
  return asciiJson(header);
}

/** Joins frames, one a line, and encodes them. An envelope without frames encodes an empty text. */
export function encodeFrames(frames: readonly Buffer[], encoding: EnvelopeEncoding): Buffer {
  const plain = joinLines(frames);
  switch (encoding) {
    case 'none':
      // SQS refuses an empty Binary value, and an empty line is no frame.
      return plain.length === 0 ? Buffer.from([newlineByte]) : plain;
    case 'gzip':
      return zlib.gzipSync(plain, { level: 1 });
    case 'zstd':
      return compressZstdFrame(plain);
  }
}

const newlineByte = 0x0a;
const spaceByte = 0x20;

function joinLines(frames: readonly Buffer[]): Buffer {
  let length = Math.max(0, frames.length - 1);
  for (const frame of frames) length += frame.length;
  const plain = Buffer.allocUnsafe(length);
  let end = 0;
  for (const frame of frames) {
    plain.set(frame, end);
    end += frame.length;
    if (end < length) plain[end++] = spaceByte;
  }
  // Inside JSON a bare newline is white space between tokens, never part of a string; here it would end the frame.
  for (let at = plain.indexOf(newlineByte); at !== -1; at = plain.indexOf(newlineByte, at + 1)) plain[at] = spaceByte;
  end = -1;
  for (const frame of frames) {
    end += frame.length + 1;
    if (end < length) plain[end] = newlineByte;
  }
  return plain;
}

/** Bytes that a message counts for SQS: body, attribute name, type and value. */
export function messageBytes(body: string, value: Buffer): number {
  return Buffer.byteLength(body) + eventsAttribute.length + 'Binary'.length + value.length;
}

/** A decoded envelope: `frames` are the dispatch frames exactly as Discord sent them, in order of `s`. */
export interface Envelope {
  readonly header: EnvelopeHeader;
  readonly frames: readonly string[];
}

/**
 * Reads a message of the events queue.
 * @throws {BatonError} `ENVELOPE_INVALID` with the reason, when the header, the encoding or the number of frames is wrong.
 */
export function decodeEnvelope(body: string, events: Buffer): Envelope {
  const header = decodeHeader(body);
  let plain: Buffer;
  try {
    plain = decodeFrames(events, header.encoding);
  } catch (error) {
    throw new BatonError('ENVELOPE_INVALID', `frames do not decode as ${header.encoding}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  const text = plain.toString('utf8');
  const frames = text === '' || text === '\n' ? [] : text.split('\n');
  if (frames.length !== header.count) {
    throw new BatonError('ENVELOPE_INVALID', `header says ${header.count} frames, the envelope holds ${frames.length}`);
  }
  return { header, frames };
}

/** Reads the JSON body alone. @throws {BatonError} `ENVELOPE_INVALID` with the reason. */
export function decodeHeader(body: string): EnvelopeHeader {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw new BatonError('ENVELOPE_INVALID', `header is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const header = headerSchema.safeParse(json);
  if (!header.success) {
    const issues = header.error.issues.map((issue) => `${issue.path.join('.') || 'header'}: ${issue.message}`);
    throw new BatonError('ENVELOPE_INVALID', `header: ${issues.join('; ')}`);
  }
  return header.data;
}

function decodeFrames(events: Buffer, encoding: EnvelopeEncoding): Buffer {
  const limits = { maxOutputLength: maxDecodedBytes };
  switch (encoding) {
    case 'none':
      return events;
    case 'gzip':
      return zlib.gunzipSync(events, limits);
    case 'zstd':
      return zlib.zstdDecompressSync(events, limits);
  }
}

const interactionEnvelopeSchema = z.object({
  v: z.literal(1),
  shard,
  epoch: seq,
  session: z.string().min(1).max(256),
  seq,
  at: z.number().nonnegative(),
  interaction: z.looseObject({ id: z.string().regex(/^\d{1,20}$/), type: z.int(), token: z.string() }),
});

/** The JSON body of a message on the interactions queue; `interaction` is the `d` of INTERACTION_CREATE as Discord sent it. */
export type InteractionEnvelope = z.infer<typeof interactionEnvelopeSchema>;

/** Reads a message of the interactions queue. @throws {BatonError} `ENVELOPE_INVALID` with the reason. */
export function decodeInteraction(body: string): InteractionEnvelope {
  let json: unknown;
  try {
    json = JSON.parse(body);
  } catch (error) {
    throw new BatonError('ENVELOPE_INVALID', `interaction is not JSON: ${messageOf(error)}`, { cause: error });
  }
  const envelope = interactionEnvelopeSchema.safeParse(json);
  if (!envelope.success) {
    const issues = envelope.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
    throw new BatonError('ENVELOPE_INVALID', `interaction: ${issues.join('; ')}`);
  }
  return envelope.data;
}

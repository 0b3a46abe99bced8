import { BatonError } from '../errors.ts';
import { parseShardKey, type ShardKey } from '../sharding.ts';
import type { CheckpointEntry, EnvelopeInDoubt } from './model.ts';

/**
 * Packs a worker's checkpoint entries: about 32 bytes a shard, so that one small write covers all of them.
 * Layout: version byte, then per shard: num, id, epoch (varints); flags (1 byte: session as 32 hex digits, session as
 * text, in doubt, in doubt and unfenced); the session (16 bytes, or varint length and UTF-8); a, p (varints);
 * in doubt: first, last − first, time of the first attempt (varints).
 */
export function encodeCheckpointEntries(entries: ReadonlyMap<ShardKey, CheckpointEntry>): Buffer {
  const writer = new ByteWriter();
  writer.byte(formatVersion);
  for (const [key, entry] of entries) {
    const { shardId, shardCount } = parseShardKey(key);
    writer.varint(shardCount);
    writer.varint(shardId);
    writer.varint(entry.epoch);
    const hexSession = entry.session !== undefined && /^[0-9a-f]{32}$/.test(entry.session);
    const { inDoubt } = entry;
    writer.byte(
      (hexSession ? flag.hexSession : 0) |
        (entry.session !== undefined && !hexSession ? flag.textSession : 0) |
        (inDoubt ? flag.inDoubt : 0) |
        (inDoubt?.unfenced ? flag.unfenced : 0),
    );
    if (entry.session !== undefined) {
      const bytes = Buffer.from(entry.session, hexSession ? 'hex' : 'utf8');
      if (!hexSession) writer.varint(bytes.length);
      writer.bytes(bytes);
    }
    writer.varint(entry.acknowledgedSeq);
    writer.varint(entry.publishedSeq);
    if (inDoubt) {
      writer.varint(inDoubt.first);
      writer.varint(inDoubt.last - inDoubt.first);
      writer.varint(inDoubt.firstAttemptAtMs);
    }
  }
  return writer.finish();
}

/** The inverse of {@link encodeCheckpointEntries}. @throws {BatonError} `STORE_ITEM_INVALID` on anything else. */
export function decodeCheckpointEntries(packed: Uint8Array): Map<ShardKey, CheckpointEntry> {
  const reader = new ByteReader(packed);
  const version = reader.byte();
  if (version !== formatVersion) throw new BatonError('STORE_ITEM_INVALID', `checkpoint entries of version ${version}`);
  const entries = new Map<ShardKey, CheckpointEntry>();
  while (!reader.done) {
    const shardCount = reader.varint();
    const shardId = reader.varint();
    const epoch = reader.varint();
    const flags = reader.byte();
    let session: string | undefined;
    if (flags & flag.hexSession) session = reader.bytes(16).toString('hex');
    else if (flags & flag.textSession) session = reader.bytes(reader.varint()).toString('utf8');
    const acknowledgedSeq = reader.varint();
    const publishedSeq = reader.varint();
    const inDoubt = flags & flag.inDoubt ? readInDoubt(reader, (flags & flag.unfenced) !== 0) : undefined;
    entries.set(`${shardCount}.${shardId}`, {
      epoch,
      acknowledgedSeq,
      publishedSeq,
      ...(session !== undefined && { session }),
      ...(inDoubt && { inDoubt }),
    });
  }
  return entries;
}

function readInDoubt(reader: ByteReader, unfenced: boolean): EnvelopeInDoubt {
  const first = reader.varint();
  const last = first + reader.varint();
  const firstAttemptAtMs = reader.varint();
  return { first, last, firstAttemptAtMs, ...(unfenced && { unfenced }) };
}

const formatVersion = 1;
const flag = { hexSession: 1, textSession: 2, inDoubt: 4, unfenced: 8 } as const;

class ByteWriter {
  #buffer = Buffer.allocUnsafe(1024);
  #length = 0;

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length);
    this.#buffer.set(value, this.#length);
    this.#length += value.length;
  }

  /** Unsigned LEB128, up to 2^53 − 1: arithmetic instead of shifts, which would cut at 32 bits. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 128) {
      this.#buffer[this.#length++] = (rest % 128) | 128;
      rest = Math.floor(rest / 128);
    }
    this.#buffer[this.#length++] = rest;
  }

  finish(): Buffer {
    return Buffer.from(this.#buffer.subarray(0, this.#length));
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#length + bytes));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

class ByteReader {
  readonly #buffer: Buffer;
  #offset = 0;

  constructor(bytes: Uint8Array) {
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get done(): boolean {
    return this.#offset >= this.#buffer.length;
  }

  byte(): number {
    const value = this.#buffer[this.#offset++];
    if (value === undefined) throw new BatonError('STORE_ITEM_INVALID', 'checkpoint entries end too early');
    return value;
  }

  bytes(length: number): Buffer {
    if (this.#offset + length > this.#buffer.length) {
      throw new BatonError('STORE_ITEM_INVALID', 'checkpoint entries end too early');
    }
    const value = this.#buffer.subarray(this.#offset, this.#offset + length);
    this.#offset += length;
    return value;
  }

  varint(): number {
    let value = 0;
    for (let factor = 1; factor <= 2 ** 49; factor *= 128) {
      const next = this.byte();
      value += (next & 127) * factor;
      if (next < 128) return value;
    }
    throw new BatonError('STORE_ITEM_INVALID', 'checkpoint entries hold a number that is too large');
  }
}

import { BatonError } from '../errors.ts';
import { isShardKey, parseShardKey, type ShardKey } from '../sharding.ts';
import type { CheckpointEntry, EnvelopeInDoubt } from './model.ts';
import { ByteReader, ByteWriter } from './packed-bytes.ts';

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
  const reader = new ByteReader(packed, 'checkpoint entries');
  const version = reader.byte();
  if (version !== formatVersion) throw new BatonError('STORE_ITEM_INVALID', `checkpoint entries of version ${version}`);
  const entries = new Map<ShardKey, CheckpointEntry>();
  while (!reader.done) {
    const shardCount = reader.varint();
    const shardId = reader.varint();
    const epoch = reader.varint();
    const flags = reader.byte();
    const key: ShardKey = `${shardCount}.${shardId}`;
    if (!isShardKey(key) || !knownFlags.has(flags)) {
      throw new BatonError(
        'STORE_ITEM_INVALID',
        `checkpoint entries hold shard ${shardId} of ${shardCount}, flags ${flags}`,
      );
    }
    let session: string | undefined;
    if (flags & flag.hexSession) session = reader.bytes(16).toString('hex');
    else if (flags & flag.textSession) session = reader.bytes(reader.varint()).toString('utf8');
    const acknowledgedSeq = reader.varint();
    const publishedSeq = reader.varint();
    const inDoubt = flags & flag.inDoubt ? readInDoubt(reader, (flags & flag.unfenced) !== 0) : undefined;
    entries.set(key, {
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
/** One form of session at most, and `unfenced` only of an envelope in doubt. */
const knownFlags: ReadonlySet<number> = new Set([0, 1, 2, 4, 5, 6, 12, 13, 14]);

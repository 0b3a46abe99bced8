import { BatonError } from '../errors.ts';
import { ByteReader, ByteWriter } from './packed-bytes.ts';

/**
 * Packs a shard's guilds and their member counts: about 10 bytes a guild, so that 2,500 guilds stay below 30 KB.
 * Layout: version byte, then per guild its id (8 bytes, big endian) and its member count (varint).
 */
export function encodeRosterGuilds(guilds: ReadonlyMap<string, number>): Buffer {
  const writer = new ByteWriter();
  writer.byte(formatVersion);
  const id = Buffer.alloc(8);
  for (const [guildId, memberCount] of guilds) {
    id.writeBigUInt64BE(BigInt(guildId));
    writer.bytes(id);
    writer.varint(memberCount);
  }
  return writer.finish();
}

/** The inverse of {@link encodeRosterGuilds}. @throws {BatonError} `STORE_ITEM_INVALID` on anything else. */
export function decodeRosterGuilds(packed: Uint8Array): Map<string, number> {
  const reader = new ByteReader(packed, 'roster guilds');
  const version = reader.byte();
  if (version !== formatVersion) throw new BatonError('STORE_ITEM_INVALID', `roster guilds of version ${version}`);
  const guilds = new Map<string, number>();
  while (!reader.done) guilds.set(reader.bytes(8).readBigUInt64BE().toString(), reader.varint());
  return guilds;
}

const formatVersion = 1;

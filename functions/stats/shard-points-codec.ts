import { BatonError } from '../../shared/errors.ts';
import { ByteReader, ByteWriter } from '../../shared/coordination/packed-bytes.ts';
import type { ShardPoint, ShardView } from '../../shared/stats/fleet-view.ts';

/** Shards of one item: it is read as a whole for the history of a single shard, so it stays at three kilobytes. */
export const shardsPerItem = 256;

const formatVersion = 1;

/**
 * Packs a minute of up to 256 shards, eight to twelve bytes each. Layout: version byte, then per shard its place in the
 * item, ready, epoch, ten times its events a second, latency, guilds and members, all varints.
 */
export function encodeShardPoints(shards: readonly ShardView[]): Buffer {
  const writer = new ByteWriter();
  writer.byte(formatVersion);
  for (const { id, ready, epoch, eventsPerSecond = 0, latencyMs = 0, guildCount = 0, figures } of shards) {
    writer.varint(id % shardsPerItem);
    writer.byte(ready ? 1 : 0);
    writer.varint(epoch);
    writer.varint(Math.round(eventsPerSecond * 10));
    writer.varint(Math.round(latencyMs));
    writer.varint(guildCount);
    writer.varint(figures?.memberCount ?? 0);
  }
  return writer.finish();
}

/** One shard's figures out of what {@link encodeShardPoints} made; `undefined` when it is not there. @throws {BatonError} `STORE_ITEM_INVALID`. */
export function decodeShardPoint(packed: Uint8Array, shardId: number): Omit<ShardPoint, 'atMs'> | undefined {
  const reader = new ByteReader(packed, 'shard points');
  const version = reader.byte();
  if (version !== formatVersion) throw new BatonError('STORE_ITEM_INVALID', `shard points of version ${version}`);
  while (!reader.done) {
    const place = reader.varint();
    const ready = reader.byte() === 1;
    const [epoch, rate, latencyMs, guilds, members] = [
      reader.varint(),
      reader.varint(),
      reader.varint(),
      reader.varint(),
      reader.varint(),
    ];
    if (place === shardId % shardsPerItem) {
      return { ready, epoch, eventsPerSecond: rate / 10, latencyMs, guilds, members };
    }
  }
  return undefined;
}

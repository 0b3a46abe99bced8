/** One shard of one generation: `[shardId, shardCount]` in Discord's words. */
export interface ShardAddress {
  readonly shardId: number;
  readonly shardCount: number;
}

/** `<num_shards>.<shard_id>`: names a shard in keys of items and in SQS message groups. */
export type ShardKey = `${number}.${number}`;

/** The key of a shard, e.g. `64.3` for shard 3 of 64. */
export function shardKey({ shardId, shardCount }: ShardAddress): ShardKey {
  return `${shardCount}.${shardId}`;
}

/** The inverse of {@link shardKey}. @throws {RangeError} when `key` is not of the form `<count>.<id>` with id < count. */
export function parseShardKey(key: string): ShardAddress {
  if (!isShardKey(key)) throw new RangeError(`not a shard key: ${JSON.stringify(key)}`);
  const [shardCount, shardId] = key.split('.').map(Number) as [number, number];
  return { shardId, shardCount };
}

/** Whether {@link parseShardKey} accepts `key`. */
export function isShardKey(key: string): key is ShardKey {
  const match = shardKeyPattern.exec(key);
  return match !== null && Number(match[2]) < Number(match[1]);
}

const shardKeyPattern = /^([1-9]\d{0,6})\.(0|[1-9]\d{0,6})$/;

/**
 * The shard that Discord sends a guild's events to: `(guild_id >> 22) % num_shards`
 * (Discord, "Gateway", Sharding). Ids are 64 bits, so the shift is done on a BigInt.
 */
export function shardIdOfGuild(guildId: string, shardCount: number): number {
  return Number((BigInt(guildId) >> 22n) % BigInt(shardCount));
}

const discordEpochMs = 1_420_070_400_000;

/** When a snowflake was made, in Unix milliseconds: `(id >> 22) + 1420070400000` (Discord, "Reference", Snowflakes). */
export function snowflakeTimeMs(id: string): number {
  return Number(BigInt(id) >> 22n) + discordEpochMs;
}

import { z } from 'zod';
import type { ShardAddress } from '../../shared/sharding.ts';
import { allIntents, privilegedIntents } from './intents.ts';

/** What a valid IDENTIFY asks for. */
export interface Identify {
  readonly intents: number;
  readonly shard: ShardAddress | undefined;
  /** Payload compression; the string form that some clients send for transport compression does not count. */
  readonly compressPayloads: boolean;
  readonly presence: unknown;
}

export type IdentifyVerdict =
  | { readonly kind: 'valid'; readonly identify: Identify }
  | {
      readonly kind: 'refused';
      readonly code: number;
      readonly reason: string;
      readonly shard: ShardAddress | undefined;
    };

/** What IDENTIFY is checked against. */
export interface IdentifyRules {
  acceptsToken(token: string): boolean;
  /** Privileged intents that the application may use. */
  readonly privilegedIntents: number;
  /** The shard count must be a multiple of this (very large bots). */
  readonly shardCountMultiple: number;
  guildsOn(shard: ShardAddress): number;
}

const identifySchema = z.looseObject({
  token: z.string(),
  properties: z.looseObject({}),
  intents: z.unknown().optional(),
  shard: z.unknown().optional(),
  compress: z.union([z.boolean(), z.string()]).nullish(),
  large_threshold: z.int().min(50).max(250).nullish(),
  presence: z.unknown().optional(),
});

/** A session may hold at most this many guilds (Discord, "Gateway", Sharding). */
const maxGuildsPerShard = 2500;

/** Checks the `d` of op 2 the way Discord's close codes tell. */
export function judgeIdentify(d: unknown, rules: IdentifyRules): IdentifyVerdict {
  const parsed = identifySchema.safeParse(d);
  if (!parsed.success) return refused(4001, 'Invalid payload.', undefined);
  const { token, intents, compress, presence } = parsed.data;
  const shard =
    parsed.data.shard === undefined || parsed.data.shard === null ? undefined : readShard(parsed.data.shard);
  if (!rules.acceptsToken(token)) return refused(4004, 'Authentication failed.', shard || undefined);
  if (shard === false) return refused(4010, 'Invalid shard.', undefined);
  const { shardId, shardCount } = shard ?? { shardId: 0, shardCount: 1 };
  if (shardCount % rules.shardCountMultiple !== 0) return refused(4010, 'Invalid shard.', shard);
  if (rules.guildsOn({ shardId, shardCount }) > maxGuildsPerShard) return refused(4011, 'Sharding required.', shard);
  if (!isIntents(intents)) return refused(4013, 'Invalid intent(s).', shard);
  if (intents & privilegedIntents & ~rules.privilegedIntents) return refused(4014, 'Disallowed intent(s).', shard);
  return { kind: 'valid', identify: { intents, shard, compressPayloads: compress === true, presence } };
}

function refused(code: number, reason: string, shard: ShardAddress | undefined): IdentifyVerdict {
  return { kind: 'refused', code, reason, shard };
}

function isIntents(value: unknown): value is number {
  // Above 2^31 bit operations would look at the low bits only.
  return (
    Number.isInteger(value) &&
    (value as number) >= 0 &&
    (value as number) <= allIntents &&
    ((value as number) & ~allIntents) === 0
  );
}

/** `[shard_id, num_shards]`; false when it is none. Counts beyond 2^20 are refused, to keep tables of shards small. */
function readShard(value: unknown): ShardAddress | false {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [shardId, shardCount] = value as unknown[];
  if (typeof shardId !== 'number' || typeof shardCount !== 'number') return false;
  if (!Number.isInteger(shardId) || !Number.isInteger(shardCount)) return false;
  return shardId >= 0 && shardId < shardCount && shardCount <= 1 << 20 && { shardId, shardCount };
}

export const resumeSchema = z.looseObject({
  token: z.string(),
  session_id: z.string(),
  seq: z.int().nonnegative(),
});

const snowflake = z.string().regex(/^\d{1,20}$/);

export const presenceUpdateSchema = z.looseObject({
  since: z.number().nullable(),
  activities: z.array(z.looseObject({})),
  status: z.enum(['online', 'dnd', 'idle', 'invisible', 'offline']),
  afk: z.boolean(),
});

export const voiceStateUpdateSchema = z.looseObject({
  guild_id: snowflake,
  channel_id: snowflake.nullable(),
  self_mute: z.boolean(),
  self_deaf: z.boolean(),
});

/** Op 8: exactly one of `query` (with `limit`) and `user_ids`. */
export const requestGuildMembersSchema = z
  .looseObject({
    guild_id: z.union([snowflake, z.tuple([snowflake]).transform(([id]) => id)]),
    query: z.string().optional(),
    limit: z.int().nonnegative().optional(),
    presences: z.boolean().optional(),
    user_ids: z.union([snowflake.transform((id) => [id]), z.array(snowflake).max(100)]).optional(),
    nonce: z.string().optional(),
  })
  .refine(({ query, user_ids }) => (query === undefined) !== (user_ids === undefined), 'query or user_ids');

export const requestSoundboardSoundsSchema = z.looseObject({ guild_ids: z.array(snowflake) });

export const requestChannelInfoSchema = z.looseObject({
  guild_id: snowflake,
  fields: z.array(z.enum(['status', 'voice_start_time'])),
});

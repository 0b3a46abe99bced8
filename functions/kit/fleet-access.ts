import type {
  GatewayPresenceUpdateData,
  GatewayRequestGuildMembersData,
  GatewayVoiceStateUpdateData,
} from 'discord-api-types/v10';
import type { QueryDefinition } from '../../shared/control/define-query.ts';
import type { ShardAnswer } from '../../shared/control/answers.ts';
import type { CommandResult } from '../../shared/control/requests.ts';
import type { MessageReceipt } from '../../shared/control/shard-messages.ts';
import type { FleetMessage } from './define-message.ts';

/**
 * What a handler can ask of the workers: gateway commands, which only a shard's socket can send, queries, and messages
 * to handlers of other shards. Every method rejects with `BatonError` `REQUEST_INVALID` for what can never be sent, and
 * `STORE_UNREACHABLE` or `QUEUE_UNREACHABLE` when the fleet cannot be reached.
 */
export interface FleetAccess {
  /**
   * Sets the bot's presence (Discord, "Gateway Events", Update Presence) on some shards or all. Shards that gave no
   * answer are named in the answer.
   */
  updatePresence(
    presence: GatewayPresenceUpdateData,
    choice?: { readonly shards?: readonly number[] },
  ): Promise<ShardAnswer<CommandResult>>;
  /** Joins, moves to or leaves (`channel_id: null`) a voice channel. Rejects with `REQUEST_FAILED` without an answer. */
  updateVoiceState(guildId: string, state: Omit<GatewayVoiceStateUpdateData, 'guild_id'>): Promise<CommandResult>;
  /**
   * Asks for members of a guild; they arrive as `GUILD_MEMBERS_CHUNK` events. Rejects with `REQUEST_FAILED` without an
   * answer.
   */
  requestMembers(guildId: string, request: MembersRequest): Promise<CommandResult>;
  /** Asks shards a query of `shared/queries`, all unless told otherwise. Shards that gave no answer are named in it. */
  query<In, Result>(
    query: QueryDefinition<In, Result>,
    args: In,
    choice?: { readonly shards?: readonly number[] },
  ): Promise<ShardAnswer<Result>>;
  /** Runs the `defineMessage` handlers of the message on a shard, in order with the shard's events. */
  send(shardId: number, message: FleetMessage): Promise<{ readonly id: string }>;
  /** {@link send} to the shard of a guild, in order with the guild's events. */
  sendToGuild(guildId: string, message: FleetMessage): Promise<{ readonly id: string }>;
  /** {@link send} to every shard. Shards that could not be sent to are named in the receipt. */
  broadcast(message: FleetMessage): Promise<MessageReceipt>;
}

/** Discord, "Gateway Events", Request Guild Members: `query` with `limit`, or `user_ids`. */
export type MembersRequest = DistributiveOmit<GatewayRequestGuildMembersData, 'guild_id'>;

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

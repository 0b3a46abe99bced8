import type {
  GatewayPresenceUpdateData,
  GatewayRequestGuildMembersData,
  GatewayVoiceStateUpdateData,
} from 'discord-api-types/v10';
import type { FleetMessage } from './define-message.ts';

/** Which shards a gateway command goes to. @default all */
export interface ShardChoice {
  readonly shards?: readonly number[];
}

/**
 * What a handler can ask of the workers: gateway commands, which only a shard's socket can send, and messages to
 * handlers of other shards. Every method resolves when the request is in the worker's queue.
 */
export interface FleetAccess {
  /** Sets the bot's presence (Discord, "Gateway Events", Update Presence). */
  updatePresence(presence: GatewayPresenceUpdateData, choice?: ShardChoice): Promise<unknown>;
  /** Joins, moves to or leaves (`channel_id: null`) a voice channel. */
  updateVoiceState(guildId: string, state: Omit<GatewayVoiceStateUpdateData, 'guild_id'>): Promise<unknown>;
  /** Asks for members of a guild; they arrive as `GUILD_MEMBERS_CHUNK` events. */
  requestMembers(
    guildId: string,
    request: DistributiveOmit<GatewayRequestGuildMembersData, 'guild_id'>,
  ): Promise<unknown>;
  /** Runs the `defineMessage` handlers of the message on a shard, in order with the shard's events. */
  send(shardId: number, message: FleetMessage): Promise<unknown>;
  /** {@link send} to the shard of a guild, in order with the guild's events. */
  sendToGuild(guildId: string, message: FleetMessage): Promise<unknown>;
  /** {@link send} to every shard. */
  broadcast(message: FleetMessage): Promise<unknown>;
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never;

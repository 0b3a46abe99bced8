import type { SQSClient } from '@aws-sdk/client-sqs';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import {
  GatewayOpcodes,
  type GatewayPresenceUpdateData,
  type GatewayVoiceStateUpdateData,
} from 'discord-api-types/v10';
import { createSqsClient } from '../../shared/aws-clients.ts';
import type { Clock } from '../../shared/clock.ts';
import type { FleetConfig } from '../../shared/config.ts';
import { parseQueryArguments, type QueryDefinition } from '../../shared/control/define-query.ts';
import { DynamoDbReplies } from '../../shared/control/dynamodb-replies.ts';
import type { ShardAnswer } from '../../shared/control/answers.ts';
import { Fleet } from '../../shared/control/fleet.ts';
import type { CommandResult, FleetCommand } from '../../shared/control/requests.ts';
import { type MessageReceipt, ShardMessages } from '../../shared/control/shard-messages.ts';
import { SqsControlPlane } from '../../shared/control/sqs-control-queue.ts';
import { DynamoDbStore } from '../../shared/coordination/dynamodb-store.ts';
import type { Logger } from '../../shared/logger.ts';
import { resolveQueueUrl } from '../../shared/provision.ts';
import type { Random } from '../../shared/random.ts';
import { shardIdOfGuild } from '../../shared/sharding.ts';
import type { FleetMessage } from './define-message.ts';
import type { FleetAccess, MembersRequest } from './fleet-access.ts';

/** Gateway commands, queries and messages between shards, as handlers ask for them. */
export class HandlerFleet implements FleetAccess {
  readonly #fleet: Fleet;
  readonly #messages: ShardMessages;

  constructor(fleet: Fleet, messages: ShardMessages) {
    this.#fleet = fleet;
    this.#messages = messages;
  }

  updatePresence(
    presence: GatewayPresenceUpdateData,
    { shards }: { readonly shards?: readonly number[] } = {},
  ): Promise<ShardAnswer<CommandResult>> {
    const command = { op: GatewayOpcodes.PresenceUpdate, d: presence } as FleetCommand;
    return this.#fleet.askShards(shards ?? 'all', { kind: 'command', command });
  }

  updateVoiceState(guildId: string, state: Omit<GatewayVoiceStateUpdateData, 'guild_id'>): Promise<CommandResult> {
    return this.#toGuild(guildId, { op: GatewayOpcodes.VoiceStateUpdate, d: { guild_id: guildId, ...state } });
  }

  requestMembers(guildId: string, request: MembersRequest): Promise<CommandResult> {
    const command = { op: GatewayOpcodes.RequestGuildMembers, d: { guild_id: guildId, ...request } } as FleetCommand;
    return this.#toGuild(guildId, command);
  }

  async query<In, Result>(
    query: QueryDefinition<In, Result>,
    args: In,
    { shards }: { readonly shards?: readonly number[] } = {},
  ): Promise<ShardAnswer<Result>> {
    await parseQueryArguments(query, args);
    const answer = await this.#fleet.askShards(shards ?? 'all', {
      kind: 'query',
      name: query.name,
      args: args ?? null,
    });
    return answer as ShardAnswer<Result>;
  }

  send(shardId: number, message: FleetMessage): Promise<{ readonly id: string }> {
    return this.#messages.send(shardId, message);
  }

  sendToGuild(guildId: string, message: FleetMessage): Promise<{ readonly id: string }> {
    return this.#messages.sendToGuild(guildId, message);
  }

  broadcast(message: FleetMessage): Promise<MessageReceipt> {
    return this.#messages.broadcast(message);
  }

  async #toGuild(guildId: string, command: FleetCommand): Promise<CommandResult> {
    return this.#fleet.command(shardIdOfGuild(guildId, await this.#fleet.shardCount()), command);
  }
}

export interface ConnectFleetOptions {
  readonly config: FleetConfig;
  readonly documents: DynamoDBDocumentClient;
  /** @default a client of its own */
  readonly sqs?: SQSClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/**
 * Over the control queues and the events queue. No worker is asked anything before the first request.
 * @throws {BatonError} `QUEUE_UNREACHABLE` when the events queue, given by name, cannot be found.
 */
export async function connectHandlerFleet(options: ConnectFleetOptions): Promise<HandlerFleet> {
  const { config, documents, sqs = createSqsClient('general'), clock, random, logger } = options;
  const store = new DynamoDbStore(documents, config.table, clock);
  const fleet = new Fleet({
    store,
    control: new SqsControlPlane({ fleet: config.fleet, client: sqs, pollingClient: sqs, logger }),
    replies: new DynamoDbReplies(documents, config.table, clock),
    clock,
    random,
    logger,
  });
  const eventsQueueUrl = await resolveQueueUrl(config.eventsQueue, sqs);
  return new HandlerFleet(fleet, new ShardMessages({ store, sqs, eventsQueueUrl, clock, random }));
}

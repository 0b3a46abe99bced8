import { SendMessageBatchCommand, type SQSClient } from '@aws-sdk/client-sqs';
import type { Clock } from '../clock.ts';
import type { CoordinationStore } from '../coordination/store.ts';
import {
  encodeFrames,
  encodeHeader,
  type EnvelopeHeader,
  eventsAttribute,
  maxEnvelopeBytes,
  messageBytes,
  messageDeduplicationId,
  messageGroupId,
} from '../envelope.ts';
import { BatonError, messageOf } from '../errors.ts';
import type { Random } from '../random.ts';
import { shardIdOfGuild } from '../sharding.ts';
import { checkedIds } from './addressees.ts';

/** Type of the synthetic dispatch that carries a message between shards. Discord has none of that name. */
export const shardMessageType = 'BATON_MESSAGE';

/** What handlers send to each other: a name that handlers are chosen by, and JSON. */
export interface ShardMessage {
  readonly name: string;
  readonly data: unknown;
}

/** The `d` of the dispatch that carries a message. */
export interface ShardMessageData extends ShardMessage {
  /** The same at every shard that a broadcast reaches. */
  readonly id: string;
  /** With it the message runs in order with the events of that guild, else with the shard's events without a guild. */
  readonly guild_id?: string;
}

/** Every shard that was sent to is in one of the two. */
export interface MessageReceipt {
  readonly id: string;
  readonly sent: readonly number[];
  readonly missing: readonly { readonly shard: number; readonly reason: string }[];
}

export interface ShardMessagesOptions {
  readonly store: Pick<CoordinationStore, 'readFleet'>;
  readonly sqs: SQSClient;
  readonly eventsQueueUrl: string;
  readonly clock: Clock;
  readonly random: Random;
}

const maxEntriesPerBatch = 10;
/** Below SQS's limit also where binary values are counted as base64. */
const maxBatchBytes = 700 * 1024;
const batchesAtOnce = 4;
const namePattern = /^[\w.:-]{1,64}$/;

/**
 * Messages from shard to shard: events of their own kind, put on the message group of the shard they are for. So they
 * reach handlers in order with what the shard publishes, at least once, also while the shard is moving or down.
 */
export class ShardMessages {
  readonly #options: ShardMessagesOptions;

  constructor(options: ShardMessagesOptions) {
    this.#options = options;
  }

  /**
   * Sends to one shard; resolves when the events queue has it.
   * @throws {BatonError} `REQUEST_INVALID` for a shard that the fleet does not have, or a message that is no JSON or too
   * large; `QUEUE_UNREACHABLE`, `STORE_UNREACHABLE`.
   */
  async send(shardId: number, message: ShardMessage): Promise<{ readonly id: string }> {
    const shardCount = await this.#shardCount();
    return this.#sendToOne(checkedIds([shardId], shardCount)[0] as number, shardCount, message);
  }

  /** Sends to the shard of a guild, in order with the guild's events. Throws as {@link send}. */
  async sendToGuild(guildId: string, message: ShardMessage): Promise<{ readonly id: string }> {
    if (!/^\d{1,20}$/.test(guildId)) {
      throw new BatonError('REQUEST_INVALID', `${JSON.stringify(guildId)} is no guild id: it must be a snowflake`);
    }
    const shardCount = await this.#shardCount();
    return this.#sendToOne(shardIdOfGuild(guildId, shardCount), shardCount, message, guildId);
  }

  /** Sends to every shard. What the queue did not take is told, not thrown. Otherwise throws as {@link send}. */
  async broadcast(message: ShardMessage): Promise<MessageReceipt> {
    const shardCount = await this.#shardCount();
    return this.#sendToAll(
      Array.from({ length: shardCount }, (_, shardId) => shardId),
      shardCount,
      message,
    );
  }

  async #sendToOne(
    shardId: number,
    shardCount: number,
    message: ShardMessage,
    guildId?: string,
  ): Promise<{ readonly id: string }> {
    const { id, missing } = await this.#sendToAll([shardId], shardCount, message, guildId);
    const [failure] = missing;
    if (failure === undefined) return { id };
    throw new BatonError('QUEUE_UNREACHABLE', `message "${message.name}" to shard ${shardId}: ${failure.reason}`);
  }

  async #sendToAll(
    shardIds: readonly number[],
    shardCount: number,
    message: ShardMessage,
    guildId?: string,
  ): Promise<MessageReceipt> {
    const id = this.#options.random.uuid();
    const frame = encodeMessage(message, id, guildId);
    const headerOf = (shardId: number) => this.#headerOf(id, shardId, shardCount);
    const bytes = messageBytes(encodeHeader(headerOf(shardCount - 1)), frame);
    if (bytes > maxEnvelopeBytes) {
      const reason = `message "${message.name}" has ${bytes} bytes, at most ${maxEnvelopeBytes} are sent: store the data and send where it is`;
      throw new BatonError('REQUEST_INVALID', reason);
    }
    const perBatch = Math.min(maxEntriesPerBatch, Math.floor(maxBatchBytes / bytes));
    const batches: number[][] = [];
    for (let index = 0; index < shardIds.length; index += perBatch)
      batches.push(shardIds.slice(index, index + perBatch));
    const missing: { shard: number; reason: string }[] = [];
    const waiting = batches.values();
    const sendNext = async () => {
      for (const batch of waiting) missing.push(...(await this.#sendBatch(batch.map(headerOf), frame)));
    };
    await Promise.all(Array.from({ length: batchesAtOnce }, sendNext));
    const failed = new Set(missing.map(({ shard }) => shard));
    return { id, sent: shardIds.filter((shardId) => !failed.has(shardId)), missing };
  }

  /** The frame is the only one of a session of its own, so it stands in nobody's sequence. */
  #headerOf(id: string, shardId: number, shardCount: number): EnvelopeHeader {
    return {
      v: 1,
      shard: [shardId, shardCount],
      epoch: 0,
      session: `message:${id}:${shardId}`,
      after: 0,
      first: 1,
      last: 1,
      count: 1,
      types: { [shardMessageType]: 1 },
      encoding: 'none',
      at: this.#options.clock.wallClockMs(),
    };
  }

  async #sendBatch(headers: readonly EnvelopeHeader[], frame: Buffer): Promise<{ shard: number; reason: string }[]> {
    const { sqs, eventsQueueUrl } = this.#options;
    try {
      const { Failed: failed = [] } = await sqs.send(
        new SendMessageBatchCommand({
          QueueUrl: eventsQueueUrl,
          Entries: headers.map((header) => ({
            Id: String(header.shard[0]),
            MessageGroupId: messageGroupId({ shardId: header.shard[0], shardCount: header.shard[1] }),
            MessageDeduplicationId: messageDeduplicationId(header.session, header.first, header.last),
            MessageBody: encodeHeader(header),
            MessageAttributes: { [eventsAttribute]: { DataType: 'Binary', BinaryValue: frame } },
          })),
        }),
      );
      return failed.map(({ Id, Code, Message }) => ({ shard: Number(Id), reason: Message ?? Code ?? 'refused' }));
    } catch (error) {
      return headers.map(({ shard }) => ({ shard: shard[0], reason: messageOf(error) }));
    }
  }

  async #shardCount(): Promise<number> {
    const fleet = await this.#options.store.readFleet();
    if (fleet !== undefined) return fleet.shardCount;
    throw new BatonError('REQUEST_FAILED', 'the fleet has no shards yet: no worker has ever been started');
  }
}

function encodeMessage({ name, data }: ShardMessage, id: string, guildId: string | undefined): Buffer {
  if (!namePattern.test(name)) {
    const allowed = '1 to 64 letters, digits, _, ., : or -';
    throw new BatonError('REQUEST_INVALID', `message name ${JSON.stringify(name)} must be ${allowed}`);
  }
  let json: string | undefined;
  try {
    json = JSON.stringify(data ?? null);
  } catch (error) {
    throw new BatonError('REQUEST_INVALID', `message "${name}": its data is no JSON: ${messageOf(error)}`);
  }
  if (json === undefined) {
    throw new BatonError('REQUEST_INVALID', `message "${name}": its data is no JSON, but a ${typeof data}`);
  }
  const about = guildId === undefined ? '' : `,"guild_id":${JSON.stringify(guildId)}`;
  const frame = `{"t":"${shardMessageType}","s":1,"op":0,"d":{"id":"${id}"${about},"name":"${name}","data":${json}}}`;
  return encodeFrames([Buffer.from(frame)], 'none');
}

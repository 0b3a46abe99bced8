import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { Directory, type DirectoryOptions } from '../../../shared/directory/directory.ts';
import {
  type DirectoryEntities,
  type DirectoryEntity,
  defaultDirectoryEntities,
} from '../../../shared/directory/directory-options.ts';
import { DirectoryWriter } from '../../../shared/directory/directory-writer.ts';
import type { GuildEvent } from '../../../shared/directory/guild-state.ts';
import { streamPosition } from '../../../shared/directory/stream-position.ts';
import { provision } from '../../../shared/provision.ts';
import type { ShardKey } from '../../../shared/sharding.ts';
import { ManualClock } from '../../manual-clock.ts';
import { startDynalite, startFauxqs } from '../in-process-emulators.ts';

/** A directory table in an emulator, empty at first. */
export class DirectoryFixture implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly table: string;
  readonly documents: DynamoDBDocumentClient;
  readonly #stop: () => Promise<void>;

  static async start(): Promise<DirectoryFixture> {
    const dynalite = await startDynalite();
    const fauxqs = await startFauxqs();
    const config = readFleetConfig({});
    const dynamodb = createDynamoDBClient('general', dynalite.settings);
    const sqs = createSqsClient('general', fauxqs.settings);
    await provision(config, { dynamodb, sqs });
    await fauxqs[Symbol.asyncDispose]();
    const documents = createDynamoDBDocumentClient('general', dynalite.settings);
    return new DirectoryFixture(config.directoryTable, documents, async () => {
      for (const client of [dynamodb, sqs, documents]) client.destroy();
      await dynalite[Symbol.asyncDispose]();
    });
  }

  private constructor(table: string, documents: DynamoDBDocumentClient, stop: () => Promise<void>) {
    this.table = table;
    this.documents = documents;
    this.#stop = stop;
  }

  writer(entities: DirectoryEntities = defaultDirectoryEntities, documents = this.documents): DirectoryWriter {
    return new DirectoryWriter({ documents, table: this.table, clock: this.clock, entities });
  }

  directory(options: Partial<DirectoryOptions> = {}): Directory {
    return new Directory({ documents: this.documents, table: this.table, clock: this.clock, ...options });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}

export const entities = (...names: DirectoryEntity[]): DirectoryEntities => new Set(names);

/** Makes events of one guild on one shard, numbered as a session does. */
export class GuildStream {
  readonly guildId: string;
  readonly #shard: ShardKey;
  readonly #sessionNumber: number;
  #seq = 1;

  constructor(
    guildId: string,
    { shard = '4.1', sessionNumber = 1 }: { shard?: ShardKey; sessionNumber?: number } = {},
  ) {
    this.guildId = guildId;
    this.#shard = shard;
    this.#sessionNumber = sessionNumber;
  }

  event(type: string, data: unknown): GuildEvent {
    this.#seq += 1;
    const position = streamPosition(this.#sessionNumber, this.#seq);
    return { type, guildId: this.guildId, shard: this.#shard, position, data };
  }

  /** GUILD_CREATE with lists that are empty unless `lists` has them. */
  created(lists: Record<string, unknown> = {}): GuildEvent {
    const { guildId } = this;
    return this.event('GUILD_CREATE', {
      id: guildId,
      name: `guild ${guildId}`,
      unavailable: false,
      member_count: 10,
      channels: [],
      threads: [],
      roles: [],
      emojis: [],
      members: [],
      ...lists,
    });
  }
}

export const channel = (id: string, more: Record<string, unknown> = {}): { id: string; [key: string]: unknown } => ({
  id,
  type: 0,
  name: `channel ${id}`,
  parent_id: null,
  topic: null,
  position: 1,
  permission_overwrites: [],
  ...more,
});

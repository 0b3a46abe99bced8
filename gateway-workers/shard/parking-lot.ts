import { PutCommand, type DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import type { Clock } from '../../shared/clock.ts';
import { parkedPartitionPrefix } from '../../shared/fleet-resources.ts';
import { type ShardAddress, shardKey } from '../../shared/sharding.ts';
import type { KeptFrame } from '../publishing/pack.ts';

/** Where frames go that SQS cannot carry. */
export interface ParkingLot {
  /** Stores the frame; repeating it does no harm. Rejects when it is not known to be stored. */
  park(shard: ShardAddress, session: string, frame: KeptFrame): Promise<void>;
}

/** Bytes of a frame in one item; DynamoDB allows 400 KB with names. */
const maxPartBytes = 350 * 1024;
const keptForSeconds = 14 * 24 * 3600;

/** Parked frames in the directory table: `PARKED#<num>.<id>`, one item for each part of a frame, kept 14 days. */
export class DynamoDbParkingLot implements ParkingLot {
  readonly #client: DynamoDBDocumentClient;
  readonly #tableName: string;
  readonly #clock: Clock;

  constructor(client: DynamoDBDocumentClient, tableName: string, clock: Clock) {
    this.#client = client;
    this.#tableName = tableName;
    this.#clock = clock;
  }

  async park(shard: ShardAddress, session: string, frame: KeptFrame): Promise<void> {
    const parts = Math.ceil(frame.bytes.length / maxPartBytes);
    for (let part = 0; part < parts; part += 1) {
      await this.#client.send(
        new PutCommand({
          TableName: this.#tableName,
          Item: {
            pk: `${parkedPartitionPrefix}${shardKey(shard)}`,
            sk: `${session}#${String(frame.seq).padStart(16, '0')}#${part}`,
            format: 1,
            type: frame.type,
            parts,
            bytes: frame.bytes.subarray(part * maxPartBytes, (part + 1) * maxPartBytes),
            expiresAt: Math.floor(this.#clock.wallClockMs() / 1000) + keptForSeconds,
          },
        }),
      );
    }
  }
}

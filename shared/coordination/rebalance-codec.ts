import { BatonError } from '../errors.ts';
import { ByteReader, ByteWriter } from './packed-bytes.ts';
import type { RebalanceState, SmoothedLoad } from './rebalance.ts';

/**
 * Packs the smoothed loads and the cooldowns: about 75 bytes a worker, and a few for a shard in its cooldown, so that
 * 400 workers and 16,000 shards stay far below DynamoDB's 400 KB.
 * Layout: version byte; number of workers (varint); per worker: length and UTF-8 of the incarnation, CPU, latency, weight,
 * observed milliseconds (8-byte floats), shards (varint), marks (1 byte: hot, filling). Then per shard: its id less the one
 * before, and its time of move less the one before, folded to be positive (varints).
 */
export function encodeRebalanceLoads({ workers, movedAtMs }: Pick<RebalanceState, 'workers' | 'movedAtMs'>): Buffer {
  const writer = new ByteWriter();
  writer.byte(formatVersion);
  writer.varint(workers.size);
  const figures = Buffer.alloc(4 * 8);
  for (const [incarnation, load] of workers) {
    const name = Buffer.from(incarnation, 'utf8');
    writer.varint(name.length);
    writer.bytes(name);
    [load.cpuPercent, load.latencyMs, load.weight, load.observedMs].forEach((figure, place) =>
      figures.writeDoubleBE(figure, place * 8),
    );
    writer.bytes(figures);
    writer.varint(load.shardCount);
    writer.byte((load.isHot ? mark.hot : 0) | (load.isFilling ? mark.filling : 0));
  }
  let lastId = 0;
  let lastMs = 0;
  for (const [shardId, atMs] of [...movedAtMs].sort(([one], [other]) => one - other)) {
    writer.varint(shardId - lastId);
    const laterMs = atMs - lastMs;
    writer.varint(laterMs >= 0 ? laterMs * 2 : -laterMs * 2 - 1);
    lastId = shardId;
    lastMs = atMs;
  }
  return writer.finish();
}

/** The inverse of {@link encodeRebalanceLoads}. @throws {BatonError} `STORE_ITEM_INVALID` on anything else. */
export function decodeRebalanceLoads(packed: Uint8Array): Pick<RebalanceState, 'workers' | 'movedAtMs'> {
  const reader = new ByteReader(packed, 'rebalance loads');
  const version = reader.byte();
  if (version !== formatVersion) throw new BatonError('STORE_ITEM_INVALID', `rebalance loads of version ${version}`);
  const workers = new Map<string, SmoothedLoad>();
  for (let count = reader.varint(); count > 0; count -= 1) {
    const incarnation = reader.bytes(reader.varint()).toString('utf8');
    const figures = reader.bytes(4 * 8);
    const shardCount = reader.varint();
    const marks = reader.byte();
    workers.set(incarnation, {
      cpuPercent: figures.readDoubleBE(0),
      latencyMs: figures.readDoubleBE(8),
      weight: figures.readDoubleBE(16),
      observedMs: figures.readDoubleBE(24),
      shardCount,
      isHot: (marks & mark.hot) !== 0,
      isFilling: (marks & mark.filling) !== 0,
    });
  }
  const movedAtMs = new Map<number, number>();
  let shardId = 0;
  let atMs = 0;
  while (!reader.done) {
    shardId += reader.varint();
    const folded = reader.varint();
    atMs += folded % 2 === 0 ? folded / 2 : -(folded + 1) / 2;
    movedAtMs.set(shardId, atMs);
  }
  return { workers, movedAtMs };
}

const formatVersion = 1;
const mark = { hot: 1, filling: 2 } as const;

/** The shard that an event or interaction came through. */
export interface ShardContext {
  readonly id: number;
  /** `num_shards` of the shard's session. */
  readonly total: number;
  /** How often the shard has changed hands: the fencing number of the worker that sent the event. */
  readonly epoch: number;
}

/** From the envelope's `shard` and `epoch` (contract, section 3). */
export function shardContext([id, total]: readonly [number, number], epoch: number): ShardContext {
  return { id, total, epoch };
}

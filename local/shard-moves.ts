import { parseShardKey } from '../shared/sharding.ts';
import type { WorkerLogLine } from './worker-fleet.ts';

/** A shard that changed hands. */
export interface ShardMove {
  readonly shard: number;
  readonly from: string;
  readonly to: string;
  readonly fromIncarnation: string;
}

/** Follows who holds which shard in the workers' own log lines, and tells planned moves from unplanned ones. */
export class ShardMoves {
  readonly #holders = new Map<number, { incarnation: string; workerId: string; epoch: number }>();
  /** `<incarnation> <shard>` of what workers held when they were taken for dead. */
  readonly #fenced = new Set<string>();
  readonly #moves: ShardMove[] = [];

  /** Takes a line in; the move that it tells of, if it does. */
  take(workerId: string, line: WorkerLogLine): ShardMove | undefined {
    if (line.msg === 'worker.fenced' && Array.isArray(line['shards'])) {
      for (const key of line['shards'])
        this.#fenced.add(`${String(line['fenced'])} ${parseShardKey(String(key)).shardId}`);
    }
    if (line.msg !== 'shard.held') return undefined;
    const { shard, incarnation, epoch } = line;
    if (shard === undefined || typeof incarnation !== 'string' || typeof epoch !== 'number') return undefined;
    const before = this.#holders.get(shard);
    // Lines of two processes may arrive in the wrong order.
    if (before !== undefined && before.epoch >= epoch) return undefined;
    this.#holders.set(shard, { incarnation, workerId, epoch });
    if (before === undefined) return undefined;
    const move = { shard, from: before.workerId, to: workerId, fromIncarnation: before.incarnation };
    this.#moves.push(move);
    return move;
  }

  /** The fence and the grant that follows it are told by different processes, in any order: so this is decided late. */
  isTakeover(move: ShardMove): boolean {
    return this.#fenced.has(`${move.fromIncarnation} ${move.shard}`);
  }

  get takeovers(): number {
    return this.#moves.filter((move) => this.isTakeover(move)).length;
  }

  get handoffs(): number {
    return this.#moves.length - this.takeovers;
  }
}

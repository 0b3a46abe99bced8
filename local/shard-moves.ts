import { parseShardKey } from '../shared/sharding.ts';
import type { WorkerLogLine } from './worker-fleet.ts';

/** A shard that changed hands. */
export interface ShardMove {
  readonly shard: number;
  /** Names of workers. */
  readonly from: string;
  readonly to: string;
  readonly fromIncarnation: string;
  /** The new owner's. */
  readonly epoch: number;
  /** The new owner stood ready before the old one let go. */
  readonly poised: boolean;
}

/** Follows who holds which shard in the workers' own log lines, and tells planned moves from unplanned ones. */
export class ShardMoves {
  readonly #holders = new Map<number, { incarnation: string; workerId: string; epoch: number }>();
  /** Incarnations that were fenced. */
  readonly #fenced = new Set<string>();
  /** `<incarnation> <shard>` of what workers let go by themselves. */
  readonly #released = new Set<string>();
  readonly #moves: ShardMove[] = [];

  /** Takes a line in; the move that it tells of, if it does. */
  take(workerId: string, line: WorkerLogLine): ShardMove | undefined {
    if (line.msg === 'worker.fenced') this.#fenced.add(String(line['fenced']));
    if (line.msg === 'worker.released_to_nobody') this.#noteReleased(String(line['incarnation']), line['shards']);
    if (line.msg === 'shard.handoff') this.#released.add(`${String(line['incarnation'])} ${String(line['shard'])}`);
    if (line.msg !== 'shard.held') return undefined;
    const { shard, incarnation, epoch, poised } = line;
    if (typeof shard !== 'number' || typeof incarnation !== 'string' || typeof epoch !== 'number') return undefined;
    const before = this.#holders.get(shard);
    // Lines of two processes may arrive in the wrong order.
    if (before !== undefined && before.epoch >= epoch) return undefined;
    this.#holders.set(shard, { incarnation, workerId, epoch });
    if (before === undefined) return undefined;
    const move = {
      shard,
      from: before.workerId,
      to: workerId,
      fromIncarnation: before.incarnation,
      epoch,
      poised: poised === true,
    };
    this.#moves.push(move);
    return move;
  }

  /** The fence and the grant that follows it are told by different processes, in any order: so this is decided late. */
  isTakeover(move: ShardMove): boolean {
    const held = `${move.fromIncarnation} ${move.shard}`;
    // A worker that has handed everything over fences itself on leaving.
    return !move.poised && this.#fenced.has(move.fromIncarnation) && !this.#released.has(held);
  }

  /** What a worker holds, as far as its log lines have told. */
  heldBy(workerId: string): { readonly shard: number; readonly epoch: number }[] {
    return [...this.#holders]
      .filter(([, holder]) => holder.workerId === workerId)
      .map(([shard, { epoch }]) => ({ shard, epoch }));
  }

  /** Whether the move that gave `shard` this epoch was a planned one. */
  isHandoff(shard: number, epoch: number): boolean {
    const move = this.#moves.find((each) => each.shard === shard && each.epoch === epoch);
    return move !== undefined && !this.isTakeover(move);
  }

  get takeovers(): number {
    return this.#moves.filter((move) => this.isTakeover(move)).length;
  }

  get handoffs(): number {
    return this.#moves.length - this.takeovers;
  }

  #noteReleased(incarnation: string, shards: unknown): void {
    if (!Array.isArray(shards)) return;
    for (const key of shards) this.#released.add(`${incarnation} ${parseShardKey(String(key)).shardId}`);
  }
}

import { checkedIds } from '../../../shared/control/addressees.ts';
import type { MissingShard, ShardAnswer } from '../../../shared/control/answers.ts';
import type { AskOptions } from '../../../shared/control/fleet.ts';
import type { LiveShardFigures, ShardRequest, ShardResults } from '../../../shared/control/requests.ts';
import type { ShardFleet } from '../../../shared/control/shard-manager.ts';
import { shardView } from './shard-view-fixture.ts';

/** A fleet that answers at once, each shard with ten guilds of ten members. Code and paths know the shard's id only. */
export class FakeFleet implements ShardFleet {
  readonly asked: ShardRequest[] = [];
  readonly askedWithinMs: (number | undefined)[] = [];
  /** Shards that do not answer, and what is said of them. */
  readonly silent = new Map<number, string>();
  readonly unready = new Set<number>();
  evalIsOff = false;
  readonly #count: number;

  constructor(count: number) {
    this.#count = count;
  }

  async shardCount(): Promise<number> {
    return this.#count;
  }

  async askShards<R extends ShardRequest>(
    shards: 'all' | readonly number[],
    request: R,
    options: AskOptions = {},
  ): Promise<ShardAnswer<ShardResults[R['kind']]>> {
    this.asked.push(request);
    this.askedWithinMs.push(options.withinMs);
    const ids = shards === 'all' ? Array.from({ length: this.#count }, (_, id) => id) : checkedIds(shards, this.#count);
    const missing = ids.flatMap((shard) => this.#whyMissing(shard, request));
    const results = ids
      .filter((shard) => !missing.some((one) => one.shard === shard))
      .map((shard) => ({ shard, worker: 'worker-1', value: this.#valueOf(shard, request) }));
    const answer: ShardAnswer<unknown> = { results, missing };
    return answer as ShardAnswer<ShardResults[R['kind']]>;
  }

  #whyMissing(shard: number, request: ShardRequest): MissingShard[] {
    const worker = 'worker-1';
    const reason = this.silent.get(shard);
    if (reason !== undefined) return [{ shard, worker, code: 'no-answer', reason }];
    if (request.kind === 'eval' && this.evalIsOff) return [{ shard, worker, code: 'off', reason: 'eval is off' }];
    return [];
  }

  #valueOf(shard: number, request: ShardRequest): unknown {
    switch (request.kind) {
      case 'figures':
        return this.#figuresOf(shard);
      case 'respawn':
        return { how: request.fresh ? 'identified' : 'resumed', tookMs: 7 };
      case 'eval':
        return shard * 2;
      case 'fetch':
        return request.path === 'shard.ids.0' ? shard : null;
      case 'query':
        return { name: request.name, args: request.args };
      case 'ping':
      case 'command':
        throw new Error(`nobody asks for ${request.kind}`);
    }
  }

  #figuresOf(shard: number): LiveShardFigures {
    const { report, workerId, memoryMb, workerUptimeMs } = shardView();
    const ready = !this.unready.has(shard);
    return {
      ...report,
      shard: `${this.#count}.${shard}`,
      state: ready ? 'ready' : 'identifying',
      ready,
      guildCount: 10,
      ...(report.figures && { figures: { ...report.figures, memberCount: 100 } }),
      workerId,
      memoryMb,
      workerUptimeMs,
    };
  }
}

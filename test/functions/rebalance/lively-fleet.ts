import type { ControlMessage } from '../../../shared/control/control-queue.ts';
import type {
  CheckpointEntry,
  Incarnation,
  Lease,
  WorkerRecord,
  WorkerReport,
} from '../../../shared/coordination/model.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import { MemoryControlPlane } from '../../../shared/control/memory-control-queue.ts';
import { seededRandom } from '../../../shared/random.ts';
import { type ShardKey, shardKey } from '../../../shared/sharding.ts';
import type { RebalanceDeps, RebalanceResult } from '../../../functions/rebalance/rebalance-round.ts';
import { createRebalanceHandler } from '../../../functions/rebalance/rebalance-handler.ts';
import { ManualClock } from '../../manual-clock.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';
import { RecordingLogger } from '../../shared/recording-logger.ts';

export const heartbeatMs = 3000;

/** A table with workers that write their checkpoints, and a coordinator that moves its counter, on a clock of the test's. */
export class LivelyFleet {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore(this.clock);
  readonly control = new MemoryControlPlane(this.clock);
  readonly logger = new RecordingLogger();
  readonly shardCount: number;
  readonly #versions = new Map<Incarnation, number>();
  readonly #stopped = new Set<string>();

  private constructor(shardCount: number) {
    this.shardCount = shardCount;
  }

  /** A fleet of so many shards that nobody holds. */
  static async of(shardCount: number): Promise<LivelyFleet> {
    const fleet = new LivelyFleet(shardCount);
    await fleet.store.swapFleet(undefined, { shardCount, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' });
    await fleet.store.createLeases(shardCount, [...Array(shardCount).keys()]);
    await fleet.store.refreshBudget(undefined, { total: 1000, remaining: 1000 });
    return fleet;
  }

  /** A living worker that holds these shards, at 10 events a second each. */
  async start(
    incarnation: Incarnation,
    shardIds: readonly number[],
    changes: Partial<WorkerRecord> = {},
  ): Promise<void> {
    const controlQueueUrl = await this.control.open(incarnation);
    await this.store.join({
      ...workerRecord(incarnation, { workerId: `name-of-${incarnation}`, ...changes }),
      controlQueueUrl,
    });
    for (const shardId of shardIds) {
      await this.store.grant({ shardId, shardCount: this.shardCount }, { epoch: 0, to: incarnation });
    }
    await this.#beat(incarnation);
  }

  /** Ends heartbeats, of a worker or of the `coordinator`. */
  stop(name: string): void {
    this.#stopped.add(name);
  }

  /** Somebody moves the role's counter every second. */
  async lead(): Promise<void> {
    this.#stopped.delete('coordinator');
    await this.#moveRole();
  }

  /** Every living worker reports what it has, at `cpuPerShard` percent of CPU each. */
  async report(cpuPerShard: number): Promise<void> {
    const leases = await this.leases();
    for (const { incarnation, workerId } of await this.store.listWorkers()) {
      if (this.#stopped.has(incarnation)) continue;
      const shards = leases
        .filter(({ owner }) => owner === incarnation)
        .map(({ shard, epoch }) => ({
          shard: shardKey(shard),
          epoch,
          state: 'ready',
          ready: true,
          seq: 1,
          guildCount: 1,
          latencyMs: 40,
          eventsPerSecond: 10,
          bufferedEvents: 0,
        }));
      const report: WorkerReport = {
        incarnation,
        workerId,
        cpuPercent: shards.length * cpuPerShard,
        memoryMb: 100,
        eventsPerSecond: shards.length * 10,
        coordinator: false,
        shards,
      };
      await this.store.writeReport(report);
    }
  }

  /** Invokes the function on this clock until it answers. */
  async invoke(
    event: unknown = {},
    { deps = {}, withinMs = 60_000 }: { deps?: Partial<RebalanceDeps>; withinMs?: number } = {},
  ): Promise<RebalanceResult> {
    return this.untilAnswered(this.invocation(event, { deps, withinMs }));
  }

  /** The same, without moving the clock. */
  invocation(
    event: unknown = {},
    { deps = {}, withinMs = 60_000 }: { deps?: Partial<RebalanceDeps>; withinMs?: number } = {},
  ): Promise<RebalanceResult> {
    const startedMs = this.clock.monotonicMs();
    const handler = createRebalanceHandler({
      store: this.store,
      control: this.control,
      rules: { heartbeatMs, missedHeartbeats: 3 },
      clock: this.clock,
      random: seededRandom(1),
      logger: this.logger,
      ...deps,
    });
    return handler(event, { getRemainingTimeInMillis: () => startedMs + withinMs - this.clock.monotonicMs() });
  }

  async untilAnswered<T>(answer: Promise<T>): Promise<T> {
    const answered = new AbortController();
    const mark = () => answered.abort();
    answer.then(mark, mark);
    await this.clock.settle();
    for (let steps = 0; !answered.signal.aborted; steps += 1) {
      if (steps > 1000) throw new Error('no answer within 100 s');
      await this.clock.advance(100);
    }
    return answer;
  }

  /** Three rounds a minute apart in which everybody reports; the last one's result. */
  async minutes(rounds: number, cpuPerShard: number): Promise<RebalanceResult> {
    for (let round = 1; ; round += 1) {
      await this.report(cpuPerShard);
      const result = await this.invoke();
      if (round === rounds) return result;
      await this.clock.advance(60_000);
    }
  }

  async leases(): Promise<Lease[]> {
    return this.store.listLeases(this.shardCount);
  }

  /** Of shard 0 and so on. */
  async owners(): Promise<(Incarnation | undefined)[]> {
    return (await this.leases()).map(({ owner }) => owner);
  }

  async fencedBy(incarnation: Incarnation): Promise<Incarnation | undefined> {
    return (await this.store.readCheckpoints([{ incarnation, chunk: 0 }]))[0]?.fencedBy;
  }

  async messagesTo(incarnation: Incarnation): Promise<ControlMessage[]> {
    const signal = new AbortController().signal;
    return this.untilAnswered(this.control.receive(`memory:${incarnation}`, { waitMs: 0, signal }));
  }

  async #beat(incarnation: Incarnation): Promise<void> {
    if (this.#stopped.has(incarnation)) return;
    const version = (this.#versions.get(incarnation) ?? 0) + 1;
    this.#versions.set(incarnation, version);
    const entries = new Map<ShardKey, CheckpointEntry>();
    for (const { shard, epoch, owner } of await this.leases()) {
      if (owner !== incarnation) continue;
      entries.set(shardKey(shard), { epoch, session: 's', acknowledgedSeq: 100 + shard.shardId, publishedSeq: 90 });
    }
    await this.store.writeCheckpoint({ incarnation, chunk: 0, version, entries });
    this.clock.schedule(heartbeatMs, () => void this.#beat(incarnation));
  }

  async #moveRole(): Promise<void> {
    if (this.#stopped.has('coordinator')) return;
    const role = await this.store.readRole();
    const next = { holder: 'coordinator', term: role?.term ?? 1, counter: (role?.counter ?? 0) + 1 };
    await this.store.swapRole(role, next);
    this.clock.schedule(1000, () => void this.#moveRole());
  }
}

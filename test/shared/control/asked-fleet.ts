import { ControlInbox } from '../../../gateway-workers/control-inbox.ts';
import { ControlService, type RequestedShard } from '../../../gateway-workers/requests/control-service.ts';
import { Fleet } from '../../../shared/control/fleet.ts';
import { FleetOperations } from '../../../shared/control/fleet-operations.ts';
import { MemoryControlPlane } from '../../../shared/control/memory-control-queue.ts';
import { MemoryReplies } from '../../../shared/control/memory-replies.ts';
import type { RequestRunner } from '../../../shared/control/request-runner.ts';
import type { FleetCommand, RequestMessage } from '../../../shared/control/requests.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import type { WorkerRecord, WorkerReport } from '../../../shared/coordination/model.ts';
import { parseShardKey, type ShardKey, shardKey } from '../../../shared/sharding.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';
import { RecordingLogger } from '../recording-logger.ts';
import { workerReport } from '../coordination/store-contract.ts';

/** A shard of a worker under test; a test replaces what it is about. */
export class AskedShard implements RequestedShard {
  readonly shard;
  isFrozen = false;
  readonly sent: FleetCommand[] = [];
  readonly respawns: { fresh: boolean }[] = [];
  roster = { userId: '1', applicationId: '2', guilds: new Map([['10', 5]]) };
  onSend: () => Promise<void> = async () => {};

  constructor(key: ShardKey) {
    this.shard = parseShardKey(key);
  }

  report() {
    const [figures] = workerReport('any').shards;
    return { ...(figures as NonNullable<typeof figures>), shard: shardKey(this.shard) };
  }

  async send(command: FleetCommand): Promise<void> {
    this.sent.push(command);
    await this.onSend();
  }

  async respawn(how: { fresh: boolean }): Promise<'resumed' | 'identified'> {
    this.respawns.push(how);
    return how.fresh ? 'identified' : 'resumed';
  }
}

/** A worker as far as requests go: its queue, and shards that are not connected to anything. */
export class AskedWorker {
  readonly held = new Map<ShardKey, AskedShard>();
  readonly stop = new AbortController();
  /** Messages that it has read. */
  readonly read: RequestMessage[] = [];
  drains = 0;
  /** As if stopped: it reads nothing more. */
  isSilent = false;
  service: ControlService | undefined;
  running: Promise<unknown> = Promise.resolve();

  hold(...keys: ShardKey[]): void {
    for (const key of keys) this.held.set(key, new AskedShard(key));
  }

  shard(key: ShardKey): AskedShard {
    return this.held.get(key) as AskedShard;
  }
}

/** A fleet in memory that requests are made to, on a clock that stands still. */
export class AskedFleet {
  readonly clock = new ManualClock();
  readonly store = new MemoryStore(this.clock);
  readonly control = new MemoryControlPlane(this.clock);
  readonly replies = new MemoryReplies();
  readonly logger = new RecordingLogger();
  readonly shardCount: number;
  readonly fleet: Fleet;
  readonly operations: FleetOperations;
  readonly workers = new Map<string, AskedWorker>();

  constructor(shardCount: number) {
    this.shardCount = shardCount;
    const { store, control, replies, clock, logger } = this;
    this.fleet = new Fleet({ store, control, replies, clock, random: seededRandom(1), logger });
    this.operations = new FleetOperations({ store, control, fleet: this.fleet, clock, logger });
  }

  async found(): Promise<this> {
    const { shardCount } = this;
    await this.store.swapFleet(undefined, { shardCount, maxConcurrency: 1, gatewayUrl: 'wss://gateway.test' });
    await this.store.createLeases(
      shardCount,
      Array.from({ length: shardCount }, (_, shardId) => shardId),
    );
    return this;
  }

  /** A worker that holds these shards, by its leases and by what it knows. */
  async worker(
    name: string,
    shardIds: readonly number[],
    { runner, ...fields }: Partial<WorkerRecord> & { runner?: RequestRunner } = {},
  ): Promise<AskedWorker> {
    const { clock, control, store, logger, replies } = this;
    const controlQueueUrl = await control.open(name);
    await store.join({
      incarnation: name,
      workerId: name,
      release: 'r1',
      chunkCount: 1,
      controlQueueUrl,
      originalCoordinator: false,
      assignable: true,
      draining: false,
      ...fields,
    });
    const worker = new AskedWorker();
    for (const shardId of shardIds) await this.give(shardId, name);
    worker.hold(...shardIds.map((shardId) => shardKey({ shardId, shardCount: this.shardCount })));
    const report = (): WorkerReport => ({ ...workerReport(name), workerId: name });
    worker.service = new ControlService({
      incarnation: name,
      workerId: name,
      release: 'r1',
      host: {
        held: (key) => worker.held.get(key),
        report,
        usage: () => ({ memoryMb: 181, uptimeMs: 1000 }),
      },
      replies,
      drain: () => (worker.drains += 1),
      ...(runner && { runner }),
      clock,
      logger,
    });
    const { signal } = worker.stop;
    const inbox = new ControlInbox({ control, store, clock, logger });
    worker.running = Promise.all([
      worker.service.run(signal),
      inbox.run(
        controlQueueUrl,
        async (message) => {
          if (message.kind !== 'request' || worker.isSilent) return;
          worker.read.push(message);
          worker.service?.accept(message);
        },
        signal,
      ),
    ]);
    this.workers.set(name, worker);
    return worker;
  }

  /** Gives an unheld shard to a worker, in the table alone. */
  async give(shardId: number, to: string): Promise<void> {
    const shard = { shardId, shardCount: this.shardCount };
    const [lease] = await this.store.readLeases([shard]);
    const outcome =
      lease?.owner === undefined
        ? await this.store.grant(shard, { epoch: lease?.epoch ?? 0, to })
        : await this.store.takeOver(shard, { from: lease.owner, epoch: lease.epoch, to, entry: undefined });
    if (outcome.kind === 'refused') throw new Error(`shard ${shardId} could not be given to ${to}`);
  }

  /** Lets time pass until `promise` has settled. */
  async settled<T>(promise: Promise<T>, withinMs = 60_000): Promise<T> {
    const state = { isSettled: false };
    const watched = promise.finally(() => {
      state.isSettled = true;
    });
    watched.catch(() => {});
    for (let passedMs = 0; !state.isSettled && passedMs <= withinMs; passedMs += 5) await this.clock.advance(5);
    if (!state.isSettled) throw new Error(`not settled within ${withinMs} ms`);
    return watched;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const worker of this.workers.values()) worker.stop.abort();
    await this.clock.advance(10_000);
    await Promise.all([...this.workers.values()].map((worker) => worker.running));
  }
}

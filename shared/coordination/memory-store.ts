import { type Clock, systemClock } from '../clock.ts';
import { type ShardAddress, type ShardKey, shardKey } from '../sharding.ts';
import {
  type Checkpoint,
  type CheckpointEntry,
  type CheckpointItem,
  type CoordinatorRole,
  emptyCheckpoint,
  type FleetState,
  type GateToken,
  type IdentifyBudget,
  type Incarnation,
  type Lease,
  type ShardRoster,
  type WorkerRecord,
  type WorkerReport,
} from './model.ts';
import type { RebalanceState, StoredRebalanceState } from './rebalance.ts';
import {
  type CheckpointOutcome,
  type CoordinationStore,
  type FenceOutcome,
  type LeaseOutcome,
  reportLifetimeMs,
  type SwapOutcome,
} from './store.ts';

/**
 * The coordination table in the memory of one process, for tests and simulations. Every method decides at the moment
 * it is called and answers in a promise; what goes in and out is copied.
 */
export class MemoryStore implements CoordinationStore {
  readonly #clock: Clock;
  readonly #workers = new Map<Incarnation, WorkerRecord>();
  readonly #checkpoints = new Map<string, CheckpointItem>();
  readonly #leases = new Map<ShardKey, Lease>();
  readonly #gates = new Map<number, GateToken>();
  readonly #rosters = new Map<ShardKey, { epoch: number; roster: ShardRoster }>();
  readonly #reports = new Map<Incarnation, { report: WorkerReport; expiresAtMs: number }>();
  #joined = 0;
  #fleet: FleetState | undefined;
  #role: CoordinatorRole | undefined;
  #budget: IdentifyBudget | undefined;
  #rebalance: StoredRebalanceState | undefined;

  /** `clock` serves the age of reports alone. */
  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  async join(record: Omit<WorkerRecord, 'joinNumber'>): Promise<WorkerRecord> {
    const { incarnation, chunkCount } = record;
    const known = this.#workers.get(incarnation);
    if (known) return copyOf(known);
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const name = checkpointName(incarnation, chunk);
      if (!this.#checkpoints.has(name)) {
        this.#checkpoints.set(name, { incarnation, chunk, version: 0, entries: new Map() });
      }
    }
    const joined = copyOf({ ...record, joinNumber: ++this.#joined });
    this.#workers.set(incarnation, joined);
    return copyOf(joined);
  }

  async markDraining(incarnation: Incarnation): Promise<void> {
    const record = this.#workers.get(incarnation);
    if (record) this.#workers.set(incarnation, { ...record, draining: true });
  }

  async removeWorker(incarnation: Incarnation): Promise<void> {
    const chunkCount = this.#workers.get(incarnation)?.chunkCount ?? 0;
    for (let chunk = 0; chunk < chunkCount; chunk++) {
      const item = this.#checkpoints.get(checkpointName(incarnation, chunk));
      if (item && item.fencedBy === undefined) return;
    }
    this.#reports.delete(incarnation);
    this.#workers.delete(incarnation);
  }

  async listWorkers(): Promise<WorkerRecord[]> {
    return copyOf([...this.#workers.values()]);
  }

  async writeCheckpoint({
    incarnation,
    chunk,
    version,
    entries,
  }: Omit<CheckpointItem, 'fencedBy'>): Promise<CheckpointOutcome> {
    const name = checkpointName(incarnation, chunk);
    const item = this.#checkpoints.get(name);
    if (!item || item.fencedBy !== undefined || item.version >= version) {
      return { kind: 'refused', item: copyOf(item) };
    }
    this.#checkpoints.set(name, copyOf({ incarnation, chunk, version, entries }));
    return { kind: 'written' };
  }

  async readCheckpoints(items: readonly { incarnation: Incarnation; chunk: number }[]): Promise<CheckpointItem[]> {
    const names = new Set(items.map(({ incarnation, chunk }) => checkpointName(incarnation, chunk)));
    return copyOf([...names].flatMap((name) => this.#checkpoints.get(name) ?? []));
  }

  async fence({
    incarnation,
    chunk,
    seenVersion,
    by,
  }: {
    incarnation: Incarnation;
    chunk: number;
    seenVersion: number;
    by: Incarnation;
  }): Promise<FenceOutcome> {
    const name = checkpointName(incarnation, chunk);
    const item = this.#checkpoints.get(name);
    if (!item) return { kind: 'missing' };
    if (item.fencedBy !== undefined) return { kind: 'fenced', item: copyOf(item) };
    if (item.version !== seenVersion) return { kind: 'alive', item: copyOf(item) };
    const fenced = { ...item, fencedBy: by };
    this.#checkpoints.set(name, fenced);
    return { kind: 'fenced', item: copyOf(fenced) };
  }

  async createLeases(shardCount: number, shardIds: readonly number[]): Promise<void> {
    for (const shardId of shardIds) {
      const shard = { shardId, shardCount };
      const key = shardKey(shard);
      if (!this.#leases.has(key)) this.#leases.set(key, { shard, epoch: 0, checkpoint: emptyCheckpoint });
    }
  }

  async listLeases(shardCount: number): Promise<Lease[]> {
    const leases = [...this.#leases.values()].filter(({ shard }) => shard.shardCount === shardCount);
    return copyOf(leases.sort((one, other) => one.shard.shardId - other.shard.shardId));
  }

  async readLeases(shards: readonly ShardAddress[]): Promise<Lease[]> {
    const keys = new Set(shards.map(shardKey));
    return copyOf([...keys].flatMap((key) => this.#leases.get(key) ?? []));
  }

  async grant(shard: ShardAddress, grant: { epoch: number; to: Incarnation }): Promise<LeaseOutcome> {
    return this.#changeLease(
      shard,
      (lease) => lease.owner === undefined && lease.epoch === grant.epoch,
      ({ want: _want, ...lease }) => ({ ...lease, owner: grant.to, epoch: grant.epoch + 1 }),
    );
  }

  async takeOver(
    shard: ShardAddress,
    takeover: { from: Incarnation; epoch: number; to: Incarnation | undefined; entry: CheckpointEntry | undefined },
  ): Promise<LeaseOutcome> {
    const { from, epoch, to, entry } = takeover;
    return this.#changeLease(
      shard,
      (lease) => lease.owner === from && lease.epoch === epoch,
      (lease) => passOn(lease, to, entry?.epoch === epoch ? withoutEpoch(entry) : lease.checkpoint),
    );
  }

  async release(shard: ShardAddress, release: Parameters<CoordinationStore['release']>[1]): Promise<LeaseOutcome> {
    const { owner, epoch, to, checkpoint, resumeUrl } = release;
    return this.#changeLease(
      shard,
      (lease) => lease.owner === owner && lease.epoch === epoch && (to === undefined || lease.want === to),
      (lease) => ({ ...passOn(lease, to, checkpoint), ...(resumeUrl !== undefined && { resumeUrl }) }),
    );
  }

  async setWant(
    shard: ShardAddress,
    wish: { owner: Incarnation; epoch: number } & ({ want: Incarnation } | { unwanted: Incarnation }),
  ): Promise<LeaseOutcome> {
    return this.#changeLease(
      shard,
      (lease) =>
        lease.owner === wish.owner &&
        lease.epoch === wish.epoch &&
        ('want' in wish ? lease.want === undefined || lease.want === wish.want : lease.want === wish.unwanted),
      ({ want: _want, ...lease }) => ({ ...lease, ...('want' in wish && { want: wish.want }) }),
    );
  }

  async setResumeUrl(
    shard: ShardAddress,
    { owner, epoch, resumeUrl }: { owner: Incarnation; epoch: number; resumeUrl: string },
  ): Promise<LeaseOutcome> {
    return this.#changeLease(
      shard,
      (lease) => lease.owner === owner && lease.epoch === epoch,
      (lease) => ({ ...lease, resumeUrl }),
    );
  }

  async readFleet(): Promise<FleetState | undefined> {
    return copyOf(this.#fleet);
  }

  async swapFleet(expected: FleetState | undefined, next: FleetState): Promise<SwapOutcome<FleetState>> {
    const now = this.#fleet;
    const asExpected =
      now?.shardCount === expected?.shardCount &&
      now?.maxConcurrency === expected?.maxConcurrency &&
      now?.gatewayUrl === expected?.gatewayUrl;
    if (asExpected) this.#fleet = copyOf(next);
    return swapOutcome(asExpected, this.#fleet);
  }

  async readRole(): Promise<CoordinatorRole | undefined> {
    return copyOf(this.#role);
  }

  async swapRole(expected: CoordinatorRole | undefined, next: CoordinatorRole): Promise<SwapOutcome<CoordinatorRole>> {
    const asExpected = this.#role?.term === expected?.term && this.#role?.counter === expected?.counter;
    if (asExpected) this.#role = copyOf(next);
    return swapOutcome(asExpected, this.#role);
  }

  async readGate(bucket: number): Promise<GateToken | undefined> {
    return copyOf(this.#gates.get(bucket));
  }

  async swapGate(
    bucket: number,
    expected: GateToken | undefined,
    holder: Incarnation | undefined,
  ): Promise<SwapOutcome<GateToken>> {
    const now = this.#gates.get(bucket);
    if (now?.version !== expected?.version) return swapOutcome(false, now);
    const next = { ...(holder !== undefined && { holder }), version: (expected?.version ?? 0) + 1 };
    this.#gates.set(bucket, next);
    return swapOutcome(true, next);
  }

  async readBudget(): Promise<IdentifyBudget | undefined> {
    return copyOf(this.#budget);
  }

  async spendIdentify(reserve: number): Promise<SwapOutcome<IdentifyBudget>> {
    const now = this.#budget;
    if (!now || now.remaining <= reserve) return swapOutcome(false, now);
    this.#budget = { ...now, remaining: now.remaining - 1, version: now.version + 1 };
    return swapOutcome(true, this.#budget);
  }

  async refreshBudget(
    expectedVersion: number | undefined,
    budget: Omit<IdentifyBudget, 'version'>,
  ): Promise<SwapOutcome<IdentifyBudget>> {
    if (this.#budget?.version !== expectedVersion) return swapOutcome(false, this.#budget);
    this.#budget = { ...budget, version: (expectedVersion ?? 0) + 1 };
    return swapOutcome(true, this.#budget);
  }

  async readRebalanceState(): Promise<StoredRebalanceState | undefined> {
    return copyOf(this.#rebalance);
  }

  async swapRebalanceState(
    expectedVersion: number | undefined,
    next: RebalanceState,
  ): Promise<SwapOutcome<StoredRebalanceState>> {
    if (this.#rebalance?.version !== expectedVersion) return swapOutcome(false, this.#rebalance);
    const { atMs, shardCount, workers, movedAtMs } = copyOf(next);
    this.#rebalance = { atMs, shardCount, workers, movedAtMs, version: (expectedVersion ?? 0) + 1 };
    return swapOutcome(true, this.#rebalance);
  }

  async readRoster(shard: ShardAddress): Promise<ShardRoster | undefined> {
    return copyOf(this.#rosters.get(shardKey(shard))?.roster);
  }

  async writeRoster(shard: ShardAddress, epoch: number, roster: ShardRoster): Promise<boolean> {
    const key = shardKey(shard);
    if ((this.#rosters.get(key)?.epoch ?? 0) > epoch) return false;
    this.#rosters.set(key, { epoch, roster: copyOf(roster) });
    return true;
  }

  async writeReport(report: WorkerReport): Promise<void> {
    const expiresAtMs = this.#clock.wallClockMs() + reportLifetimeMs;
    this.#reports.set(report.incarnation, { report: copyOf(report), expiresAtMs });
  }

  async listReports(): Promise<WorkerReport[]> {
    const nowMs = this.#clock.wallClockMs();
    const fresh = [...this.#reports.values()].filter(({ expiresAtMs }) => expiresAtMs > nowMs);
    return copyOf(fresh.map(({ report }) => report));
  }

  #changeLease(shard: ShardAddress, allowed: (lease: Lease) => boolean, change: (lease: Lease) => Lease): LeaseOutcome {
    const lease = this.#leases.get(shardKey(shard));
    if (!lease || !allowed(lease)) return { kind: 'refused', lease: copyOf(lease) };
    const changed = copyOf(change(lease));
    this.#leases.set(shardKey(shard), changed);
    return { kind: 'done', lease: copyOf(changed) };
  }
}

/** As `structuredClone`, for the plain data that is stored here: the simulation copies millions of small objects. */
function copyOf<T>(value: T): T;
function copyOf(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(copyOf);
  if (value instanceof Map) return new Map([...value].map(([key, each]) => [key, copyOf(each)]));
  const copy: Record<string, unknown> = {};
  for (const key of Object.keys(value)) copy[key] = copyOf((value as Record<string, unknown>)[key]);
  return copy;
}

function checkpointName(incarnation: Incarnation, chunk: number): string {
  return `${incarnation}#${chunk}`;
}

/** The lease under its next epoch: without a wish, and without an owner when there is no next one. */
function passOn({ shard, epoch, resumeUrl }: Lease, to: Incarnation | undefined, checkpoint: Checkpoint): Lease {
  return {
    shard,
    ...(to !== undefined && { owner: to }),
    epoch: epoch + 1,
    ...(resumeUrl !== undefined && { resumeUrl }),
    checkpoint,
  };
}

function withoutEpoch({ epoch: _epoch, ...checkpoint }: CheckpointEntry): Checkpoint {
  return checkpoint;
}

function swapOutcome<T>(done: boolean, value: T | undefined): SwapOutcome<T> {
  return done ? { kind: 'done', value: copyOf(value) as T } : { kind: 'refused', value: copyOf(value) };
}

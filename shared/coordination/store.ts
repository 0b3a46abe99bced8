import { BatonError, messageOf } from '../errors.ts';
import type { ShardAddress } from '../sharding.ts';
import type {
  Checkpoint,
  CheckpointEntry,
  CheckpointItem,
  CoordinatorRole,
  FleetState,
  GateToken,
  IdentifyBudget,
  Incarnation,
  Lease,
  ShardRoster,
  WorkerRecord,
  WorkerReport,
} from './model.ts';
import type { RebalanceState, StoredRebalanceState } from './rebalance.ts';

/** The answer to a request is not known: a read failed, or a write may or may not have happened. Ask again, or read. */
export class StoreUnavailable extends BatonError {
  constructor(operation: string, cause: unknown) {
    super('STORE_UNREACHABLE', `coordination table: ${operation} got no answer: ${messageOf(cause)}`, { cause });
  }
}

/** For how long a worker that reports no more is still shown. */
export const reportLifetimeMs = 5 * 60 * 1000;

/**
 * Trouble with the table that a loop survives: no answer, or an item that this release cannot read (one of a newer
 * release, say). Sockets and neighbours must not suffer for it; the loop says so and looks again later.
 */
export function isPassingTrouble(error: unknown): boolean {
  return error instanceof StoreUnavailable || (error instanceof BatonError && error.code === 'STORE_ITEM_INVALID');
}

/** What became of a conditional write on a lease. `refused` comes with the lease as it is, if there is one. */
export type LeaseOutcome =
  | { readonly kind: 'done'; readonly lease: Lease }
  | { readonly kind: 'refused'; readonly lease: Lease | undefined };

export type CheckpointOutcome =
  | { readonly kind: 'written' }
  /** The condition failed: the item as it is. `fencedBy` set, or no item, means stop; a version equal to ours means it had succeeded. */
  | { readonly kind: 'refused'; readonly item: CheckpointItem | undefined };

export type FenceOutcome =
  /** The item is fenced, by this call or before; its image is what a takeover starts from. */
  | { readonly kind: 'fenced'; readonly item: CheckpointItem }
  /** The version moved: the worker is alive. */
  | { readonly kind: 'alive'; readonly item: CheckpointItem }
  | { readonly kind: 'missing' };

/** What a compare-and-swap found; `refused` carries the current value. */
export type SwapOutcome<T> =
  | { readonly kind: 'done'; readonly value: T }
  | { readonly kind: 'refused'; readonly value: T | undefined };

/**
 * The coordination table, one method per step of the protocol. Every read is consistent. No write is safe because of
 * who makes it: each is conditional on what it was decided on, and each may be repeated.
 * Every method rejects with {@link StoreUnavailable} when the answer is not known, and with `BatonError`
 * `STORE_ITEM_INVALID`, naming the item, when a stored item is of an unknown version or lacks fields.
 */
export interface CoordinationStore {
  /** Writes the record with the next join number and creates the checkpoint items (version 0), each if absent. */
  join(record: Omit<WorkerRecord, 'joinNumber'>): Promise<WorkerRecord>;
  /** Marks a registered worker as draining; nothing happens if the record is gone. */
  markDraining(incarnation: Incarnation): Promise<void>;
  /**
   * Removes the record of a worker whose checkpoint items are all fenced; nothing happens while one is not.
   * For a worker that owns nothing any more. The fenced items stay for a day, so that no late copy of a write revives one.
   */
  removeWorker(incarnation: Incarnation): Promise<void>;
  listWorkers(): Promise<WorkerRecord[]>;

  /** `SET v=:v, entries=:all IF attribute_not_exists(fenced) AND v < :v`. One at a time per item, always the full image. */
  writeCheckpoint(item: Omit<CheckpointItem, 'fencedBy'>): Promise<CheckpointOutcome>;
  /** The items that exist among those asked for. */
  readCheckpoints(items: readonly { incarnation: Incarnation; chunk: number }[]): Promise<CheckpointItem[]>;
  /** `SET fenced=:by IF v=:seen AND attribute_not_exists(fenced)`. */
  fence(item: { incarnation: Incarnation; chunk: number; seenVersion: number; by: Incarnation }): Promise<FenceOutcome>;

  /** Creates the leases of a generation that do not exist yet: unheld, epoch 0. */
  createLeases(shardCount: number, shardIds: readonly number[]): Promise<void>;
  listLeases(shardCount: number): Promise<Lease[]>;
  /** The leases that exist among those asked for. */
  readLeases(shards: readonly ShardAddress[]): Promise<Lease[]>;
  /** To an unheld shard: `SET owner=:to, epoch=:e+1 REMOVE want IF attribute_not_exists(owner) AND epoch=:e`. */
  grant(shard: ShardAddress, grant: { epoch: number; to: Incarnation }): Promise<LeaseOutcome>;
  /**
   * From a fenced owner: `SET owner=:to, epoch=:e+1, ck=(entry if entry.epoch=:e, else unchanged) REMOVE want IF owner=:from AND epoch=:e`.
   * Without `to` the shard becomes unheld. `entry` is the shard's entry in the image the fence returned.
   */
  takeOver(
    shard: ShardAddress,
    takeover: { from: Incarnation; epoch: number; to: Incarnation | undefined; entry: CheckpointEntry | undefined },
  ): Promise<LeaseOutcome>;
  /**
   * By the owner: `SET owner=:to, epoch=:e+1, ck=:mine REMOVE want IF owner=:me AND epoch=:e AND want=:to`;
   * to nobody: `REMOVE owner`, without the clause on `want`.
   */
  release(
    shard: ShardAddress,
    release: {
      owner: Incarnation;
      epoch: number;
      to: Incarnation | undefined;
      checkpoint: Checkpoint;
      /** Where the released session is resumed; without it the lease keeps what it has. */
      resumeUrl?: string | undefined;
    },
  ): Promise<LeaseOutcome>;
  /**
   * `SET want=:want IF owner=:owner AND epoch=:e AND (attribute_not_exists(want) OR want=:want)`: nobody overwrites the
   * fresh wish of another planner. `unwanted` takes a wish back, `IF … AND want=:unwanted`.
   */
  setWant(
    shard: ShardAddress,
    wish: { owner: Incarnation; epoch: number } & ({ want: Incarnation } | { unwanted: Incarnation }),
  ): Promise<LeaseOutcome>;
  /** `SET url=:url IF owner=:owner AND epoch=:e`. */
  setResumeUrl(
    shard: ShardAddress,
    url: { owner: Incarnation; epoch: number; resumeUrl: string },
  ): Promise<LeaseOutcome>;

  readFleet(): Promise<FleetState | undefined>;
  /** Writes the state if it is as `expected` (absent: `undefined`), and returns what is stored now. */
  swapFleet(expected: FleetState | undefined, next: FleetState): Promise<SwapOutcome<FleetState>>;

  readRole(): Promise<CoordinatorRole | undefined>;
  /** Compare-and-swap on term and counter (`undefined`: the role was never taken). */
  swapRole(expected: CoordinatorRole | undefined, next: CoordinatorRole): Promise<SwapOutcome<CoordinatorRole>>;

  readGate(bucket: number): Promise<GateToken | undefined>;
  /** Compare-and-swap on the token's version (`undefined`: never used); the new version is one more. */
  swapGate(
    bucket: number,
    expected: GateToken | undefined,
    holder: Incarnation | undefined,
  ): Promise<SwapOutcome<GateToken>>;

  readBudget(): Promise<IdentifyBudget | undefined>;
  /** Spends one IDENTIFY: an atomic decrement `IF remaining > :reserve`. `refused` carries the budget as it is. */
  spendIdentify(reserve: number): Promise<SwapOutcome<IdentifyBudget>>;
  /** Sets what Discord says, `IF version=:expected` (absent: `undefined`). */
  refreshBudget(
    expectedVersion: number | undefined,
    budget: Omit<IdentifyBudget, 'version'>,
  ): Promise<SwapOutcome<IdentifyBudget>>;

  readRebalanceState(): Promise<StoredRebalanceState | undefined>;
  /** Compare-and-swap on the version (`undefined`: never written); the new version is one more. */
  swapRebalanceState(
    expectedVersion: number | undefined,
    next: RebalanceState,
  ): Promise<SwapOutcome<StoredRebalanceState>>;

  readRoster(shard: ShardAddress): Promise<ShardRoster | undefined>;
  /**
   * Stores the roster unless a later owner has: `IF attribute_not_exists(epoch) OR epoch <= :epoch`.
   * Resolves with `false` when it has.
   */
  writeRoster(shard: ShardAddress, epoch: number, roster: ShardRoster): Promise<boolean>;

  writeReport(report: WorkerReport): Promise<void>;
  /** Reports younger than {@link reportLifetimeMs}, by the clock of this process. */
  listReports(): Promise<WorkerReport[]>;
}

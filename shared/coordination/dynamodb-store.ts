import type { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import {
  BatchGetCommand,
  DeleteCommand,
  type DynamoDBDocumentClient,
  GetCommand,
  PutCommand,
  QueryCommand,
  UpdateCommand,
} from '@aws-sdk/lib-dynamodb';
import { unmarshall } from '@aws-sdk/util-dynamodb';
import { type Clock, systemClock } from '../clock.ts';
import { BatonError, messageOf } from '../errors.ts';
import type { ShardAddress } from '../sharding.ts';
import { encodeCheckpointEntries } from './checkpoint-codec.ts';
import {
  type ItemKey,
  itemFormat,
  itemKey,
  leasesPartition,
  parseBudget,
  parseCheckpoint,
  parseFleet,
  parseGate,
  parseJoins,
  parseLease,
  parseRebalance,
  parseReport,
  parseRole,
  parseRoster,
  parseWorker,
  type RawItem,
  reportsPartition,
  storeCheckpoint,
  storeShardReports,
  workersPartition,
} from './dynamodb-store-items.ts';
import type {
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
import { encodeRebalanceLoads } from './rebalance-codec.ts';
import { encodeRosterGuilds } from './roster-codec.ts';
import {
  type CheckpointOutcome,
  type CoordinationStore,
  type FenceOutcome,
  type LeaseOutcome,
  reportLifetimeMs,
  StoreUnavailable,
  type SwapOutcome,
} from './store.ts';

// An item of another layout must survive this release, so no write touches one.
const formatIsOurs = '#format = :format';

/** What each write is conditional on, by what it means. `#name` is an attribute, `:name` a value. */
const when = {
  absent: 'attribute_not_exists(#pk)',
  known: formatIsOurs,
  absentOrKnown: `attribute_not_exists(#pk) OR ${formatIsOurs}`,
  checkpointIsOlderAndNotFenced: `attribute_not_exists(#fenced) AND #v < :v AND ${formatIsOurs}`,
  checkpointIsAsSeenAndNotFenced: `#v = :seen AND attribute_not_exists(#fenced) AND ${formatIsOurs}`,
  checkpointIsFenced: `attribute_exists(#fenced) AND ${formatIsOurs}`,
  leaseIsUnheld: `attribute_not_exists(#owner) AND #epoch = :epoch AND ${formatIsOurs}`,
  leaseIsOwned: `#owner = :owner AND #epoch = :epoch AND ${formatIsOurs}`,
  leaseIsOwnedAndNotWantedByOthers: `#owner = :owner AND #epoch = :epoch AND (attribute_not_exists(#want) OR #want = :want) AND ${formatIsOurs}`,
  leaseIsOwnedAndWantedBy: `#owner = :owner AND #epoch = :epoch AND #want = :want AND ${formatIsOurs}`,
  fleetIsAsSeen: `#shardCount = :seenShardCount AND #maxConcurrency = :seenMaxConcurrency AND #gatewayUrl = :seenGatewayUrl AND ${formatIsOurs}`,
  roleIsAsSeen: `#term = :seenTerm AND #counter = :seenCounter AND ${formatIsOurs}`,
  versionIsAsSeen: `#version = :seen AND ${formatIsOurs}`,
  rosterIsAbsentOrOfNoLaterEpoch: `attribute_not_exists(#pk) OR (#epoch <= :epoch AND ${formatIsOurs})`,
  budgetIsAboveReserve: `#remaining > :reserve AND ${formatIsOurs}`,
} as const;

/** Attribute values of an expression, by the name of their placeholder without the colon. */
type Values = Readonly<Record<string, unknown>>;

/** What became of a conditional write; `refused` comes with the item as it is, if there is one. */
type WriteOutcome =
  | { readonly kind: 'done'; readonly item: RawItem }
  | { readonly kind: 'refused'; readonly item: RawItem | undefined };

const maxBatchGetKeys = 100;
const parallelWrites = 20;
/** How long a fenced checkpoint outlives its worker's record: longer than any request can be on its way. */
const fencedCheckpointLifetimeMs = 24 * 60 * 60 * 1000;

/**
 * The coordination table in DynamoDB: string keys `pk` and `sk`, time to live in `expiresAt`.
 * Nothing is retried here; give it a client for the use `coordination`, whose requests have a deadline and no retries either.
 * Beside the rejections of the port: `BatonError` `STORE_UNREACHABLE` when the table is missing or refuses the request.
 */
export class DynamoDbStore implements CoordinationStore {
  readonly #documents: DynamoDBDocumentClient;
  readonly #table: string;
  readonly #clock: Clock;

  /** `clock` serves the times to live alone: no decision depends on it. */
  constructor(documents: DynamoDBDocumentClient, table: string, clock: Clock = systemClock) {
    this.#documents = documents;
    this.#table = table;
    this.#clock = clock;
  }

  /** Puts the checkpoint items, then the record, each if absent. The join number is an atomic counter's. */
  async join(record: Omit<WorkerRecord, 'joinNumber'>): Promise<WorkerRecord> {
    const key = itemKey.worker(record.incarnation);
    const known = await this.#get(key);
    if (known) return parseWorker(known);
    // The record comes last: whoever finds it finds a version to watch and to fence.
    await Promise.all(
      Array.from({ length: record.chunkCount }, (_, chunk) =>
        this.#put(
          itemKey.checkpoint(record.incarnation, chunk),
          { v: 0, entries: encodeCheckpointEntries(new Map()) },
          when.absent,
        ),
      ),
    );
    const { incarnation: _, ...fields } = record;
    const put = await this.#put(key, { ...fields, joinNumber: await this.#nextJoinNumber() }, when.absent);
    if (!put.item) throw new StoreUnavailable('join', new Error('the record was removed meanwhile'));
    return parseWorker(put.item);
  }

  /** `SET draining IF` the record exists. */
  async markDraining(incarnation: Incarnation): Promise<void> {
    const marked = await this.#update(itemKey.worker(incarnation), 'SET #draining = :true', when.known, { true: true });
    if (marked.kind === 'refused' && marked.item) parseWorker(marked.item);
  }

  /** `SET expiresAt IF` fenced on each checkpoint item; when all are, deletes the report and the record. */
  async removeWorker(incarnation: Incarnation): Promise<void> {
    const key = itemKey.worker(incarnation);
    const raw = await this.#get(key);
    if (!raw) return;
    const expiresAt = this.#unixSecondsIn(fencedCheckpointLifetimeMs);
    for (let chunk = 0; chunk < parseWorker(raw).chunkCount; chunk++) {
      const expiring = await this.#update(
        itemKey.checkpoint(incarnation, chunk),
        'SET #expiresAt = :expiresAt',
        when.checkpointIsFenced,
        { expiresAt },
      );
      if (expiring.kind === 'refused' && expiring.item) return;
    }
    await this.#delete(itemKey.report(incarnation));
    await this.#delete(key);
  }

  async listWorkers(): Promise<WorkerRecord[]> {
    return (await this.#query(workersPartition)).map(parseWorker);
  }

  /** Condition: `checkpointIsOlderAndNotFenced`. */
  async writeCheckpoint(item: Omit<CheckpointItem, 'fencedBy'>): Promise<CheckpointOutcome> {
    const written = await this.#update(
      itemKey.checkpoint(item.incarnation, item.chunk),
      'SET #v = :v, #entries = :entries',
      when.checkpointIsOlderAndNotFenced,
      { v: item.version, entries: encodeCheckpointEntries(item.entries) },
      'NONE',
    );
    if (written.kind === 'done') return { kind: 'written' };
    return { kind: 'refused', item: written.item && parseCheckpoint(written.item) };
  }

  async readCheckpoints(items: readonly { incarnation: Incarnation; chunk: number }[]): Promise<CheckpointItem[]> {
    const found = await this.#batchGet(items.map(({ incarnation, chunk }) => itemKey.checkpoint(incarnation, chunk)));
    return found.map(parseCheckpoint);
  }

  /** Condition: `checkpointIsAsSeenAndNotFenced`. */
  async fence(fence: {
    incarnation: Incarnation;
    chunk: number;
    seenVersion: number;
    by: Incarnation;
  }): Promise<FenceOutcome> {
    const fenced = await this.#update(
      itemKey.checkpoint(fence.incarnation, fence.chunk),
      'SET #fenced = :by',
      when.checkpointIsAsSeenAndNotFenced,
      { seen: fence.seenVersion, by: fence.by },
    );
    if (!fenced.item) return { kind: 'missing' };
    const item = parseCheckpoint(fenced.item);
    return { kind: item.fencedBy === undefined ? 'alive' : 'fenced', item };
  }

  /** Puts each lease if absent. */
  async createLeases(shardCount: number, shardIds: readonly number[]): Promise<void> {
    const present = new Set(
      (await this.#query(leasesPartition(shardCount))).map((raw) => parseLease(raw).shard.shardId),
    );
    const missing = shardIds.filter((shardId) => !present.has(shardId)).values();
    const createRest = async (): Promise<void> => {
      for (const shardId of missing) {
        await this.#put(itemKey.lease({ shardId, shardCount }), { epoch: 0, ck: { a: 0, p: 0 } }, when.absent);
      }
    };
    await Promise.all(Array.from({ length: parallelWrites }, createRest));
  }

  async listLeases(shardCount: number): Promise<Lease[]> {
    return (await this.#query(leasesPartition(shardCount))).map(parseLease);
  }

  async readLeases(shards: readonly ShardAddress[]): Promise<Lease[]> {
    return (await this.#batchGet(shards.map(itemKey.lease))).map(parseLease);
  }

  /** Condition: `leaseIsUnheld`. */
  async grant(shard: ShardAddress, grant: { epoch: number; to: Incarnation }): Promise<LeaseOutcome> {
    return this.#changeLease(shard, 'SET #owner = :to, #epoch = :next REMOVE #want', when.leaseIsUnheld, {
      epoch: grant.epoch,
      next: grant.epoch + 1,
      to: grant.to,
    });
  }

  /** Condition: `leaseIsOwned`, by the owner that was fenced. */
  async takeOver(
    shard: ShardAddress,
    takeover: { from: Incarnation; epoch: number; to: Incarnation | undefined; entry: CheckpointEntry | undefined },
  ): Promise<LeaseOutcome> {
    const { from, epoch, to, entry } = takeover;
    // An entry of an earlier epoch is older than what the lease carries.
    const checkpoint = entry?.epoch === epoch ? entry : undefined;
    return this.#changeLease(
      shard,
      `SET #epoch = :next${checkpoint ? ', #ck = :ck' : ''}${
        to === undefined ? ' REMOVE #want, #owner' : ', #owner = :to REMOVE #want'
      }`,
      when.leaseIsOwned,
      {
        owner: from,
        epoch,
        next: epoch + 1,
        ...(checkpoint && { ck: storeCheckpoint(checkpoint) }),
        ...(to !== undefined && { to }),
      },
    );
  }

  /** Condition: `leaseIsOwnedAndWantedBy` the next owner; to nobody: `leaseIsOwned`. */
  async release(shard: ShardAddress, release: Parameters<CoordinationStore['release']>[1]): Promise<LeaseOutcome> {
    const { owner, epoch, to, resumeUrl } = release;
    const ck = storeCheckpoint(release.checkpoint);
    const values = { owner, epoch, next: epoch + 1, ck, ...(resumeUrl !== undefined && { url: resumeUrl }) };
    const set = `SET #epoch = :next, #ck = :ck${resumeUrl === undefined ? '' : ', #url = :url'}`;
    return to === undefined
      ? this.#changeLease(shard, `${set} REMOVE #want, #owner`, when.leaseIsOwned, values)
      : this.#changeLease(shard, `${set}, #owner = :want REMOVE #want`, when.leaseIsOwnedAndWantedBy, {
          ...values,
          want: to,
        });
  }

  /** Condition: `leaseIsOwnedAndNotWantedByOthers`; to take the wish back: `leaseIsOwnedAndWantedBy` the unwanted one. */
  async setWant(
    shard: ShardAddress,
    wish: { owner: Incarnation; epoch: number } & ({ want: Incarnation } | { unwanted: Incarnation }),
  ): Promise<LeaseOutcome> {
    const { owner, epoch } = wish;
    return 'want' in wish
      ? this.#changeLease(shard, 'SET #want = :want', when.leaseIsOwnedAndNotWantedByOthers, {
          owner,
          epoch,
          want: wish.want,
        })
      : this.#changeLease(shard, 'REMOVE #want', when.leaseIsOwnedAndWantedBy, { owner, epoch, want: wish.unwanted });
  }

  /** Condition: `leaseIsOwned`. */
  async setResumeUrl(
    shard: ShardAddress,
    { owner, epoch, resumeUrl }: { owner: Incarnation; epoch: number; resumeUrl: string },
  ): Promise<LeaseOutcome> {
    return this.#changeLease(shard, 'SET #url = :url', when.leaseIsOwned, { owner, epoch, url: resumeUrl });
  }

  async readFleet(): Promise<FleetState | undefined> {
    const raw = await this.#get(itemKey.fleet);
    return raw && parseFleet(raw);
  }

  /** Condition: `fleetIsAsSeen`, or `absent`. */
  async swapFleet(expected: FleetState | undefined, next: FleetState): Promise<SwapOutcome<FleetState>> {
    const swap = expected
      ? this.#put(itemKey.fleet, { ...next }, when.fleetIsAsSeen, {
          seenShardCount: expected.shardCount,
          seenMaxConcurrency: expected.maxConcurrency,
          seenGatewayUrl: expected.gatewayUrl,
        })
      : this.#put(itemKey.fleet, { ...next }, when.absent);
    return swapOutcome(await swap, parseFleet);
  }

  async readRole(): Promise<CoordinatorRole | undefined> {
    const raw = await this.#get(itemKey.role);
    return raw && parseRole(raw);
  }

  /** Condition: `roleIsAsSeen`, or `absent`. */
  async swapRole(expected: CoordinatorRole | undefined, next: CoordinatorRole): Promise<SwapOutcome<CoordinatorRole>> {
    const swap = expected
      ? this.#put(itemKey.role, { ...next }, when.roleIsAsSeen, {
          seenTerm: expected.term,
          seenCounter: expected.counter,
        })
      : this.#put(itemKey.role, { ...next }, when.absent);
    return swapOutcome(await swap, parseRole);
  }

  async readGate(bucket: number): Promise<GateToken | undefined> {
    const raw = await this.#get(itemKey.gate(bucket));
    return raw && parseGate(raw);
  }

  /** Condition: `versionIsAsSeen`, or `absent`. */
  async swapGate(
    bucket: number,
    expected: GateToken | undefined,
    holder: Incarnation | undefined,
  ): Promise<SwapOutcome<GateToken>> {
    const next = { ...(holder !== undefined && { holder }), version: (expected?.version ?? 0) + 1 };
    return swapOutcome(await this.#putVersioned(itemKey.gate(bucket), next, expected?.version), parseGate);
  }

  async readBudget(): Promise<IdentifyBudget | undefined> {
    const raw = await this.#get(itemKey.budget);
    return raw && parseBudget(raw);
  }

  /** Condition: `budgetIsAboveReserve`. */
  async spendIdentify(reserve: number): Promise<SwapOutcome<IdentifyBudget>> {
    const spent = await this.#update(
      itemKey.budget,
      'SET #remaining = #remaining - :one, #version = #version + :one',
      when.budgetIsAboveReserve,
      { one: 1, reserve },
    );
    return swapOutcome(spent, parseBudget);
  }

  /** Condition: `versionIsAsSeen`, or `absent`. */
  async refreshBudget(
    expectedVersion: number | undefined,
    budget: Omit<IdentifyBudget, 'version'>,
  ): Promise<SwapOutcome<IdentifyBudget>> {
    const next = { ...budget, version: (expectedVersion ?? 0) + 1 };
    return swapOutcome(await this.#putVersioned(itemKey.budget, next, expectedVersion), parseBudget);
  }

  async readRebalanceState(): Promise<StoredRebalanceState | undefined> {
    const raw = await this.#get(itemKey.rebalance);
    return raw && parseRebalance(raw);
  }

  /** Condition: `versionIsAsSeen`, or `absent`. */
  async swapRebalanceState(
    expectedVersion: number | undefined,
    state: RebalanceState,
  ): Promise<SwapOutcome<StoredRebalanceState>> {
    const { atMs, shardCount } = state;
    const next = { at: atMs, shardCount, loads: encodeRebalanceLoads(state), version: (expectedVersion ?? 0) + 1 };
    return swapOutcome(await this.#putVersioned(itemKey.rebalance, next, expectedVersion), parseRebalance);
  }

  async readRoster(shard: ShardAddress): Promise<ShardRoster | undefined> {
    const raw = await this.#get(itemKey.roster(shard));
    return raw && parseRoster(raw);
  }

  /** Condition: `rosterIsAbsentOrOfNoLaterEpoch`. */
  async writeRoster(shard: ShardAddress, epoch: number, roster: ShardRoster): Promise<boolean> {
    const { userId, applicationId, guilds, readyAtMs, session } = roster;
    const fields = { epoch, userId, applicationId, guilds: encodeRosterGuilds(guilds), readyAt: readyAtMs, session };
    const put = await this.#put(itemKey.roster(shard), fields, when.rosterIsAbsentOrOfNoLaterEpoch, { epoch });
    if (put.kind === 'refused' && put.item) parseRoster(put.item);
    return put.kind === 'done';
  }

  /** Condition: `absentOrKnown`. */
  async writeReport({ incarnation, shards, ...rest }: WorkerReport): Promise<void> {
    const fields = {
      ...rest,
      shards: storeShardReports(shards),
      expiresAt: this.#unixSecondsIn(reportLifetimeMs),
    };
    const put = await this.#put(itemKey.report(incarnation), fields, when.absentOrKnown);
    if (put.kind === 'refused' && put.item) parseReport(put.item);
  }

  async listReports(): Promise<WorkerReport[]> {
    // DynamoDB deletes expired items within days, not at once.
    const now = this.#unixSecondsIn(0);
    const stored = (await this.#query(reportsPartition)).map(parseReport);
    return stored.filter(({ expiresAt }) => expiresAt > now).map(({ report }) => report);
  }

  async #changeLease(shard: ShardAddress, update: string, condition: string, values: Values): Promise<LeaseOutcome> {
    const changed = await this.#update(itemKey.lease(shard), update, condition, values);
    return changed.kind === 'done'
      ? { kind: 'done', lease: parseLease(changed.item) }
      : { kind: 'refused', lease: changed.item && parseLease(changed.item) };
  }

  async #nextJoinNumber(): Promise<number> {
    const counted = await this.#update(itemKey.joins, 'SET #format = :format ADD #joined :one', when.absentOrKnown, {
      one: 1,
    });
    if (!counted.item) throw new StoreUnavailable('join', new Error('the join counter was removed meanwhile'));
    return parseJoins(counted.item);
  }

  #putVersioned(key: ItemKey, fields: RawItem, expectedVersion: number | undefined): Promise<WriteOutcome> {
    return expectedVersion === undefined
      ? this.#put(key, fields, when.absent)
      : this.#put(key, fields, when.versionIsAsSeen, { seen: expectedVersion });
  }

  #unixSecondsIn(durationMs: number): number {
    return Math.floor((this.#clock.wallClockMs() + durationMs) / 1000);
  }

  async #get(key: ItemKey): Promise<RawItem | undefined> {
    const request = new GetCommand({ TableName: this.#table, Key: key, ConsistentRead: true });
    return (await this.#answer(`read of ${key.pk} / ${key.sk}`, this.#documents.send(request))).Item;
  }

  async #query(pk: string): Promise<RawItem[]> {
    const items: RawItem[] = [];
    let from: Record<string, unknown> | undefined;
    do {
      const request = new QueryCommand({
        TableName: this.#table,
        KeyConditionExpression: 'pk = :pk',
        ExpressionAttributeValues: { ':pk': pk },
        ConsistentRead: true,
        ...(from && { ExclusiveStartKey: from }),
      });
      const page = await this.#answer(`read of ${pk}`, this.#documents.send(request));
      for (const item of page.Items ?? []) items.push(item);
      from = page.LastEvaluatedKey;
    } while (from);
    return items;
  }

  /** The items that exist, in no order. */
  async #batchGet(keys: readonly ItemKey[]): Promise<RawItem[]> {
    const distinct = [...new Map(keys.map((key) => [`${key.pk} ${key.sk}`, key])).values()];
    const batches: Promise<RawItem[]>[] = [];
    for (let start = 0; start < distinct.length; start += maxBatchGetKeys) {
      batches.push(this.#getBatch(distinct.slice(start, start + maxBatchGetKeys)));
    }
    return (await Promise.all(batches)).flat();
  }

  async #getBatch(keys: readonly ItemKey[]): Promise<RawItem[]> {
    const operation = `read of ${keys.length} items from ${keys[0]?.pk} / ${keys[0]?.sk}`;
    const items: RawItem[] = [];
    let rest: Record<string, unknown>[] = keys.map((key) => ({ ...key }));
    while (rest.length > 0) {
      const request = new BatchGetCommand({ RequestItems: { [this.#table]: { Keys: rest, ConsistentRead: true } } });
      const page = await this.#answer(operation, this.#documents.send(request));
      const left = page.UnprocessedKeys?.[this.#table]?.Keys ?? [];
      // Some keys are left over when the answer is full; all of them only when the table is throttled.
      if (left.length === rest.length) throw new StoreUnavailable(operation, new Error('the table is throttled'));
      items.push(...(page.Responses?.[this.#table] ?? []));
      rest = left;
    }
    return items;
  }

  async #delete(key: ItemKey): Promise<WriteOutcome> {
    const request = new DeleteCommand({
      TableName: this.#table,
      Key: key,
      ...conditional(when.absentOrKnown, {}),
    });
    return this.#write(key, this.#documents.send(request));
  }

  async #put(key: ItemKey, fields: RawItem, condition: string, values: Values = {}): Promise<WriteOutcome> {
    // An optional field may be there and `undefined`, which no attribute can be.
    const present = Object.entries(fields).filter(([, value]) => value !== undefined);
    const item = { ...key, format: itemFormat, ...Object.fromEntries(present) };
    const request = new PutCommand({ TableName: this.#table, Item: item, ...conditional(condition, values) });
    const outcome = await this.#write(key, this.#documents.send(request));
    return outcome.kind === 'done' ? { kind: 'done', item } : outcome;
  }

  /** `returned` is what a write that is done comes back with: the new image, or nothing where nobody would look. */
  async #update(
    key: ItemKey,
    update: string,
    condition: string,
    values: Values,
    returned: 'ALL_NEW' | 'NONE' = 'ALL_NEW',
  ): Promise<WriteOutcome> {
    const request = new UpdateCommand({
      TableName: this.#table,
      Key: key,
      UpdateExpression: update,
      ...conditional(condition, values, update),
      ReturnValues: returned,
    });
    return this.#write(key, this.#documents.send(request));
  }

  async #write(key: ItemKey, answer: Promise<{ Attributes?: RawItem | undefined }>): Promise<WriteOutcome> {
    try {
      const { Attributes: item = {} } = await answer;
      return { kind: 'done', item };
    } catch (error) {
      if (!hasName(error, 'ConditionalCheckFailedException'))
        throw this.#rejection(`write of ${key.pk} / ${key.sk}`, error);
      const image = (error as ConditionalCheckFailedException).Item;
      // DynamoDB sends the item along, but not every emulator does.
      return { kind: 'refused', item: image ? unmarshall(image) : await this.#get(key) };
    }
  }

  async #answer<T>(operation: string, answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (error) {
      throw this.#rejection(operation, error);
    }
  }

  /** What the SDK threw, as a rejection of the port. */
  #rejection(operation: string, error: unknown): BatonError {
    if (hasName(error, 'ResourceNotFoundException')) {
      return new BatonError(
        'STORE_UNREACHABLE',
        `coordination table ${this.#table} does not exist here: run \`baton provision\`, or correct BATON_TABLE`,
        { cause: error },
      );
    }
    if (hasName(error, 'ValidationException')) {
      return new BatonError(
        'STORE_UNREACHABLE',
        `coordination table ${this.#table} refuses the ${operation}: ${messageOf(error)}`,
        { cause: error },
      );
    }
    return new StoreUnavailable(operation, error);
  }
}

function hasName(error: unknown, name: string): boolean {
  return error instanceof Error && error.name === name;
}

/** A condition with the names and values of all placeholders in it and in `update`. */
function conditional(condition: string, values: Values, update = '') {
  const expressions = `${condition} ${update}`;
  const names = [...expressions.matchAll(/#(\w+)/g)].map(([placeholder, name]) => [placeholder, name as string]);
  const bound = Object.entries({ ...values, ...(expressions.includes(':format') && { format: itemFormat }) });
  return {
    ConditionExpression: condition,
    ExpressionAttributeNames: Object.fromEntries(names) as Record<string, string>,
    ...(bound.length > 0 && {
      ExpressionAttributeValues: Object.fromEntries(bound.map(([name, value]) => [`:${name}`, value])),
    }),
    ReturnValuesOnConditionCheckFailure: 'ALL_OLD' as const,
  };
}

function swapOutcome<T>(outcome: WriteOutcome, parse: (raw: RawItem) => T): SwapOutcome<T> {
  return outcome.kind === 'done'
    ? { kind: 'done', value: parse(outcome.item) }
    : { kind: 'refused', value: outcome.item && parse(outcome.item) };
}

import { gunzipSync, gzipSync } from 'node:zlib';
import * as z from 'zod';
import { BatonError, messageOf } from '../errors.ts';
import { parseShardKey, type ShardAddress, shardKey } from '../sharding.ts';
import { decodeCheckpointEntries } from './checkpoint-codec.ts';
import type {
  Checkpoint,
  CheckpointItem,
  CoordinatorRole,
  FleetState,
  GateToken,
  IdentifyBudget,
  Incarnation,
  Lease,
  ShardReport,
  ShardRoster,
  WorkerRecord,
  WorkerReport,
} from './model.ts';
import type { StoredRebalanceState } from './rebalance.ts';
import { decodeRebalanceLoads } from './rebalance-codec.ts';
import { decodeRosterGuilds } from './roster-codec.ts';

/** Version of every item's layout. A process that finds another one neither reads nor overwrites the item. */
export const itemFormat = 1;

export interface ItemKey {
  readonly pk: string;
  readonly sk: string;
}

/** An item as the document client gives it. */
export type RawItem = Readonly<Record<string, unknown>>;

export const workersPartition = 'WORKERS';
export const reportsPartition = 'REPORTS';

/** All leases of one generation, in the order of their shard ids. */
export function leasesPartition(shardCount: number): string {
  return `SHARD#${shardCount}`;
}

/** Where each item lives. Checkpoints have a partition each, because every worker writes its own several times a second. */
export const itemKey = {
  worker: (incarnation: Incarnation): ItemKey => ({ pk: workersPartition, sk: incarnation }),
  checkpoint: (incarnation: Incarnation, chunk: number): ItemKey => ({
    pk: `WORKER#${incarnation}`,
    sk: `CHUNK#${chunk}`,
  }),
  lease: ({ shardId, shardCount }: ShardAddress): ItemKey => ({
    pk: leasesPartition(shardCount),
    sk: String(shardId).padStart(6, '0'),
  }),
  fleet: { pk: 'FLEET', sk: 'STATE' },
  role: { pk: 'FLEET', sk: 'ROLE' },
  budget: { pk: 'FLEET', sk: 'BUDGET' },
  rebalance: { pk: 'FLEET', sk: 'REBALANCE' },
  joins: { pk: 'FLEET', sk: 'JOINS' },
  gate: (bucket: number): ItemKey => ({ pk: 'GATE', sk: String(bucket) }),
  roster: (shard: ShardAddress): ItemKey => ({ pk: `ROSTER#${shardKey(shard)}`, sk: 'ROSTER' }),
  report: (incarnation: Incarnation): ItemKey => ({ pk: reportsPartition, sk: incarnation }),
} as const;

const whole = z.int().nonnegative();
const incarnation = z.string().min(1);
const binary = z.instanceof(Uint8Array);

/** A parser of one kind of item. @throws {BatonError} `STORE_ITEM_INVALID`, naming the item. */
function itemParser<S extends z.ZodType, T>(schema: S, convert: (item: z.infer<S>) => T): (raw: RawItem) => T {
  return (raw) => {
    if (raw['format'] !== itemFormat)
      throw invalidItem(raw, `its format is ${String(raw['format'])}, not ${itemFormat}`);
    const parsed = schema.safeParse(raw);
    if (!parsed.success) {
      const issues = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'item'}: ${issue.message}`);
      throw invalidItem(raw, issues.join('; '));
    }
    try {
      return convert(parsed.data);
    } catch (error) {
      throw invalidItem(raw, messageOf(error), error);
    }
  };
}

function invalidItem(raw: RawItem, reason: string, cause?: unknown): BatonError {
  const name = `${String(raw['pk'])} / ${String(raw['sk'])}`;
  return new BatonError(
    'STORE_ITEM_INVALID',
    `coordination table: item ${name} was written by another release or damaged, and is left as it is: ${reason}`,
    { cause },
  );
}

export const parseWorker: (raw: RawItem) => WorkerRecord = itemParser(
  z.object({
    sk: incarnation,
    workerId: z.string(),
    joinNumber: whole,
    release: z.string(),
    maxShards: whole.optional(),
    chunkCount: z.int().positive(),
    controlQueueUrl: z.string(),
    originalCoordinator: z.boolean(),
    assignable: z.boolean(),
    draining: z.boolean(),
  }),
  ({ sk, ...record }) => ({ incarnation: sk, ...record }),
);

export const parseCheckpoint: (raw: RawItem) => CheckpointItem = itemParser(
  z.object({
    pk: z.string().startsWith('WORKER#'),
    sk: z.string().regex(/^CHUNK#\d+$/),
    v: whole,
    fenced: incarnation.optional(),
    entries: binary,
  }),
  ({ pk, sk, v, fenced, entries }) => ({
    incarnation: pk.slice('WORKER#'.length),
    chunk: Number(sk.slice('CHUNK#'.length)),
    version: v,
    ...(fenced !== undefined && { fencedBy: fenced }),
    entries: decodeCheckpointEntries(entries),
  }),
);

const storedCheckpoint = z.object({
  session: z.string().optional(),
  a: whole,
  p: whole,
  d: z.object({ first: whole, last: whole, at: whole, mark: z.boolean().optional() }).optional(),
});

/** The attribute `ck` of a lease, in the protocol's names. */
export function storeCheckpoint({
  session,
  acknowledgedSeq,
  publishedSeq,
  inDoubt,
}: Checkpoint): z.infer<typeof storedCheckpoint> {
  return {
    ...(session !== undefined && { session }),
    a: acknowledgedSeq,
    p: publishedSeq,
    ...(inDoubt && {
      d: {
        first: inDoubt.first,
        last: inDoubt.last,
        at: inDoubt.firstAttemptAtMs,
        ...(inDoubt.unfenced && { mark: true }),
      },
    }),
  };
}

function loadCheckpoint({ session, a, p, d }: z.infer<typeof storedCheckpoint>): Checkpoint {
  return {
    ...(session !== undefined && { session }),
    acknowledgedSeq: a,
    publishedSeq: p,
    ...(d && {
      inDoubt: { first: d.first, last: d.last, firstAttemptAtMs: d.at, ...(d.mark && { unfenced: true }) },
    }),
  };
}

export const parseLease: (raw: RawItem) => Lease = itemParser(
  z.object({
    pk: z.string().regex(/^SHARD#\d+$/),
    sk: z.string().regex(/^\d{6,}$/),
    owner: incarnation.optional(),
    epoch: whole,
    want: incarnation.optional(),
    url: z.string().optional(),
    ck: storedCheckpoint,
  }),
  ({ pk, sk, owner, epoch, want, url, ck }) => ({
    shard: parseShardKey(`${pk.slice('SHARD#'.length)}.${Number(sk)}`),
    ...(owner !== undefined && { owner }),
    epoch,
    ...(want !== undefined && { want }),
    ...(url !== undefined && { resumeUrl: url }),
    checkpoint: loadCheckpoint(ck),
  }),
);

export const parseFleet: (raw: RawItem) => FleetState = itemParser(
  z.object({ shardCount: z.int().positive(), maxConcurrency: z.int().positive(), gatewayUrl: z.string() }),
  (state) => state,
);

export const parseRole: (raw: RawItem) => CoordinatorRole = itemParser(
  z.object({ holder: incarnation.optional(), term: whole, counter: whole }),
  (role) => role,
);

export const parseBudget: (raw: RawItem) => IdentifyBudget = itemParser(
  z.object({
    total: whole,
    remaining: z.int(),
    reported: whole.optional(),
    resetsAtMs: z.number().optional(),
    version: whole,
  }),
  (budget) => budget,
);

export const parseRebalance: (raw: RawItem) => StoredRebalanceState = itemParser(
  z.object({ at: whole, shardCount: z.int().positive(), loads: binary, version: whole }),
  ({ at, shardCount, loads, version }) => ({ atMs: at, shardCount, ...decodeRebalanceLoads(loads), version }),
);

export const parseJoins: (raw: RawItem) => number = itemParser(z.object({ joined: whole }), ({ joined }) => joined);

export const parseGate: (raw: RawItem) => GateToken = itemParser(
  z.object({ holder: incarnation.optional(), version: whole }),
  (token) => token,
);

export const parseRoster: (raw: RawItem) => ShardRoster = itemParser(
  z.object({
    epoch: whole,
    userId: z.string(),
    applicationId: z.string(),
    guilds: binary,
    readyAt: whole.optional(),
    session: z.string().optional(),
  }),
  ({ userId, applicationId, guilds, readyAt, session }) => ({
    userId,
    applicationId,
    guilds: decodeRosterGuilds(guilds),
    ...(readyAt !== undefined && { readyAtMs: readyAt }),
    ...(session !== undefined && { session }),
  }),
);

const shardReports: z.ZodType<ShardReport[]> = z.array(
  z.object({
    shard: z.templateLiteral([z.number(), '.', z.number()]),
    epoch: whole,
    state: z.string(),
    ready: z.boolean(),
    seq: whole,
    guildCount: whole,
    latencyMs: z.number(),
    eventsPerSecond: z.number(),
    bufferedEvents: whole,
    figures: z
      .object({
        memberCount: whole,
        commandsPerSecond: z.number(),
        identifies: whole,
        resumes: whole,
        reconnects: whole,
        lastCloseCode: whole.exactOptional(),
        sessionAgeMs: z.number().exactOptional(),
        silentForMs: z.number(),
      })
      .exactOptional(),
  }),
);

const maxReportBytes = 16 * 1024 * 1024;

/** Writes are paid by the kilobyte, and like figures next to each other pack best: some 25 bytes a shard. */
export function storeShardReports(shards: readonly ShardReport[]): Buffer {
  const columns: Record<string, unknown[]> = {};
  shards.forEach(({ figures, ...shard }, row) => {
    for (const [name, value] of Object.entries({ ...shard, ...figures })) (columns[name] ??= [])[row] = value;
  });
  return gzipSync(JSON.stringify({ count: shards.length, columns }), { level: 6 });
}

const reportColumns = z.object({ count: whole, columns: z.record(z.string(), z.array(z.unknown())) });

function loadShardReports(packed: Uint8Array): ShardReport[] {
  const stored: unknown = JSON.parse(gunzipSync(packed, { maxOutputLength: maxReportBytes }).toString('utf8'));
  // Rows are what earlier releases stored.
  if (Array.isArray(stored)) return shardReports.parse(stored);
  const { count, columns } = reportColumns.parse(stored);
  const rows = Array.from({ length: count }, (_, row) => {
    // A hole in a column is stored as null: the shard has no such figure.
    const cells = Object.entries(columns).map(([name, values]) => [name, values[row] ?? undefined] as const);
    const fields = Object.fromEntries(cells.filter(([, value]) => value !== undefined));
    return { ...fields, ...('memberCount' in fields && { figures: fields }) };
  });
  return shardReports.parse(rows);
}

/** A report as stored, with the time after which it is of no interest. */
export interface StoredReport {
  readonly report: WorkerReport;
  /** Unix seconds. */
  readonly expiresAt: number;
}

export const parseReport: (raw: RawItem) => StoredReport = itemParser(
  z.object({
    sk: incarnation,
    expiresAt: whole,
    workerId: z.string(),
    cpuPercent: z.number(),
    memoryMb: z.number(),
    eventsPerSecond: z.number(),
    coordinator: z.boolean(),
    shards: binary,
    figures: z
      .object({
        uptimeMs: z.number(),
        commandsPerSecond: z.number(),
        identifies: whole,
        resumes: whole,
        reconnects: whole,
        flushMs: z.number(),
        queueAgeMs: z.number(),
      })
      .exactOptional(),
  }),
  ({ sk, expiresAt, shards, ...rest }) => ({
    report: {
      incarnation: sk,
      ...rest,
      shards: loadShardReports(shards),
    },
    expiresAt,
  }),
);

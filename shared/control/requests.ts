import * as z from 'zod';
import type { ShardReport, WorkerReport } from '../coordination/model.ts';
import { isShardKey, type ShardKey } from '../sharding.ts';

/** Version of requests and replies. A worker answers a request of another version with `unsupported`. */
export const requestVersion = 1;

/** A request with everything around it is at most this large, far below SQS's limit of a message. */
export const maxRequestBytes = 256 * 1024;
/** No request is waited for, or worked on, for longer. */
export const maxWithinMs = 10 * 60_000;
/** What one shard, or one worker, may answer at most. */
export const maxResultBytes = 1024 * 1024;

const snowflake = z.string().regex(/^\d{1,20}$/, 'a snowflake');
const shardKeySchema = z.custom<ShardKey>((value) => typeof value === 'string' && isShardKey(value), 'not a shard key');

/** Commands of Discord's gateway that need a shard's socket (Discord, "Gateway Events", Send Events). */
const gatewayCommandSchema = z.discriminatedUnion('op', [
  z.object({
    op: z.literal(3),
    d: z.object({
      since: z.number().nullable(),
      activities: z.array(z.looseObject({ name: z.string().max(128), type: z.int().nonnegative() })),
      status: z.enum(['online', 'dnd', 'idle', 'invisible', 'offline']),
      afk: z.boolean(),
    }),
  }),
  z.object({
    op: z.literal(4),
    d: z.object({
      guild_id: snowflake,
      channel_id: snowflake.nullable(),
      self_mute: z.boolean(),
      self_deaf: z.boolean(),
    }),
  }),
  z.object({
    op: z.literal(8),
    d: z
      .object({
        guild_id: snowflake,
        query: z.string().max(100).optional(),
        limit: z.int().nonnegative(),
        presences: z.boolean().optional(),
        user_ids: z.union([snowflake, z.array(snowflake).max(100)]).optional(),
        nonce: z.string().max(32).optional(),
      })
      .refine(
        ({ query, user_ids }) => (query === undefined) !== (user_ids === undefined),
        'one of query and user_ids must be given',
      ),
  }),
]);

/** Presence update (op 3), voice state update (op 4) or request guild members (op 8). */
export type FleetCommand = z.infer<typeof gatewayCommandSchema>;

/** What each shard of a request is asked. */
const shardRequestSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ping') }),
  /** The shard's figures as they are now. */
  z.object({ kind: z.literal('figures') }),
  z.object({ kind: z.literal('command'), command: gatewayCommandSchema }),
  /** Closes so that the session lives, and RESUMEs; `fresh`: gives the session up and IDENTIFYs through the gate. */
  z.object({ kind: z.literal('respawn'), fresh: z.boolean() }),
  z.object({ kind: z.literal('eval'), code: z.string().min(1, 'there must be some') }),
  /** A property of the shard's client view, such as `guilds.cache.size`. */
  z.object({ kind: z.literal('fetch'), path: z.string().min(1).max(512) }),
  z.object({ kind: z.literal('query'), name: z.string().min(1).max(128), args: z.unknown() }),
]);

/** What a worker is asked. */
const workerRequestSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('ping') }),
  z.object({ kind: z.literal('figures') }),
  /** The same as SIGTERM: hand everything over, then exit. */
  z.object({ kind: z.literal('drain') }),
  /** Copies of what the worker's shards read, as summaries, until `forMs` is over. A further one extends the time. */
  z.object({
    kind: z.literal('tail'),
    tail: z.uuid(),
    types: z.array(z.string().regex(/^[A-Z_]{1,64}$/)).max(100),
    guilds: z.array(snowflake).max(100),
    perSecond: z.int().min(1).max(1000),
    forMs: z.int().min(100).max(60_000),
  }),
]);

export type ShardRequest = z.infer<typeof shardRequestSchema>;
export type WorkerRequest = z.infer<typeof workerRequestSchema>;

/** A request on its way to one worker. Its body is read apart, so that one of an unknown kind can be answered. */
export const requestMessageSchema = z.object({
  kind: z.literal('request'),
  v: z.int().positive(),
  /** Where the replies go: `Replies`. */
  id: z.uuid(),
  /** Number of this sending among all for the request. Queues may deliver one twice; it is carried out once. */
  sending: z.int().nonnegative(),
  /** Unix milliseconds by the caller's clock. Later than that nobody waits, so nothing is done. */
  expiresAtMs: z.number().nonnegative(),
  /** Absent: the worker itself is asked. */
  shards: z.array(shardKeySchema).min(1).optional(),
  body: z.looseObject({ kind: z.string() }),
});

export type RequestMessage = z.infer<typeof requestMessageSchema>;

/** What a request asks for, or why it cannot be carried out. */
export type ReadBody<T> =
  | { readonly kind: 'request'; readonly request: T }
  | { readonly kind: 'refused'; readonly code: 'unsupported' | 'invalid'; readonly reason: string };

/** Reads the body of a request to shards. */
export function readShardRequest(message: RequestMessage): ReadBody<ShardRequest> {
  return readBody(message, shardRequestSchema);
}

/** Reads the body of a request to a worker. */
export function readWorkerRequest(message: RequestMessage): ReadBody<WorkerRequest> {
  return readBody(message, workerRequestSchema);
}

function readBody<T>({ v, body }: RequestMessage, schema: z.ZodType<T>): ReadBody<T> {
  if (v !== requestVersion) {
    const reason = `the request is of version ${v}, this worker knows ${requestVersion}`;
    return { kind: 'refused', code: 'unsupported', reason };
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return { kind: 'request', request: parsed.data };
  const isUnknownKind = parsed.error.issues.some(
    ({ code, path }) => code === 'invalid_union' && path.length === 1 && path[0] === 'kind',
  );
  return isUnknownKind
    ? { kind: 'refused', code: 'unsupported', reason: `this worker knows no request "${body.kind}"` }
    : { kind: 'refused', code: 'invalid', reason: `${body.kind}: ${issuesOf(parsed.error)}` };
}

/** What is wrong with a request before it is sent; `undefined` when nothing is. */
export function flawOf(request: ShardRequest | WorkerRequest, to: 'shards' | 'workers'): string | undefined {
  const parsed = (to === 'shards' ? shardRequestSchema : workerRequestSchema).safeParse(request);
  return parsed.success ? undefined : `${request.kind}: ${issuesOf(parsed.error)}`;
}

/** Zod's complaints in one line. */
export function issuesOf(error: z.ZodError): string {
  return error.issues.map(({ path, message }) => `${path.join('.') || 'body'}: ${message}`).join('; ');
}

/** Why a worker did not do what it was asked. */
export const failureCodes = [
  /** The shard is not, or no longer, this worker's: it is asked of its next owner. */
  'not-mine',
  /** It arrived after its deadline, and was not carried out. */
  'expired',
  /** This release does not know the request. */
  'unsupported',
  'invalid',
  /** The way the worker is set up, e.g. eval is off. */
  'off',
  /** It was carried out and went wrong; the reason is its error. */
  'failed',
  'timed-out',
  'too-large',
] as const;
export type FailureCode = (typeof failureCodes)[number];

const outcomeSchema = z.union([
  z.object({ shard: shardKeySchema.optional(), ok: z.literal(true), value: z.unknown() }),
  z.object({
    shard: shardKeySchema.optional(),
    ok: z.literal(false),
    code: z.enum(failureCodes).catch('failed'),
    reason: z.string(),
  }),
]);

/** What became of a request at one shard, or without `shard` at the worker itself. */
export type Outcome = z.infer<typeof outcomeSchema>;

const workerReplySchema = z.object({
  v: z.literal(requestVersion),
  sending: z.int().nonnegative(),
  incarnation: z.string().min(1),
  workerId: z.string().min(1),
  outcomes: z.array(outcomeSchema),
});

/** One worker's answer to one sending of a request. */
export type WorkerReply = z.infer<typeof workerReplySchema>;

/** `undefined` when it is none, e.g. of a newer release. */
export function readWorkerReply(body: unknown): WorkerReply | undefined {
  return workerReplySchema.safeParse(body).data;
}

/** What a shard answers. */
export interface ShardResults {
  readonly ping: Pong;
  readonly figures: LiveShardFigures;
  readonly command: CommandResult;
  readonly respawn: RespawnResult;
  readonly eval: unknown;
  readonly fetch: unknown;
  readonly query: unknown;
}

/** What a worker answers. */
export interface WorkerResults {
  readonly ping: Pong;
  readonly figures: WorkerReport;
  /** It has begun to hand over. */
  readonly drain: { readonly shards: number };
  /** What follows is read with `Fleet.tail`. */
  readonly tail: { readonly forMs: number };
}

export interface Pong {
  readonly release: string;
}

/** A shard's figures with those of the worker that count for it. */
export interface LiveShardFigures extends ShardReport {
  readonly workerId: string;
  /** Of the whole process. */
  readonly memoryMb: number;
  readonly workerUptimeMs: number;
}

export interface CommandResult {
  /** `waiting`: Discord's send limits hold it back; the worker sends it when they allow. */
  readonly state: 'sent' | 'waiting';
}

export interface RespawnResult {
  readonly how: 'resumed' | 'identified';
  readonly tookMs: number;
}

const tailBatchSchema = z.object({
  workerId: z.string(),
  events: z.array(
    z.object({
      shard: z.int().nonnegative(),
      seq: z.int().nonnegative(),
      type: z.string(),
      guildId: z.string().optional(),
      id: z.string().optional(),
      bytes: z.int().nonnegative(),
      atMs: z.number(),
    }),
  ),
  /** Matching events that were left out, to keep to the rate. */
  skipped: z.int().nonnegative(),
});

/** Some moments of a tail, from one worker. */
export type TailBatch = z.infer<typeof tailBatchSchema>;

/** A dispatch as a shard read it, without its content. `id` is its own, `atMs` Unix milliseconds by the worker's clock. */
export type TailedEvent = TailBatch['events'][number];

export function readTailBatch(body: unknown): TailBatch | undefined {
  return tailBatchSchema.safeParse(body).data;
}

import * as z from 'zod';
import type { Incarnation } from '../coordination/model.ts';
import { BatonError, messageOf } from '../errors.ts';
import { controlQueuePrefix } from '../fleet-resources.ts';
import { isShardKey, type ShardKey } from '../sharding.ts';
import { requestMessageSchema } from './requests.ts';

const incarnation = z.string().min(1);
const shardKey = z.custom<ShardKey>((value) => typeof value === 'string' && isShardKey(value), 'not a shard key');

const controlMessageSchema = z.discriminatedUnion('kind', [
  /** Read these leases again: something about them concerns you. */
  z.object({ kind: z.literal('nudge'), shards: z.array(shardKey) }),
  /** `by` has fenced the worker of this incarnation. */
  z.object({ kind: z.literal('fenced'), incarnation, by: incarnation }),
  /** To the owner of a shard: the next one, `incarnation`, waits at HELLO for its release of this epoch. */
  z.object({ kind: z.literal('poised'), shard: shardKey, epoch: z.int().nonnegative(), incarnation }),
  /** To the coordinator: look at the fleet now. */
  z.object({ kind: z.literal('tick') }),
  requestMessageSchema,
]);

/**
 * A word to one worker. It may come late, twice or never: it hastens what the coordination table says anyway, or is a
 * request, whose caller waits no longer than it said.
 */
export type ControlMessage = z.infer<typeof controlMessageSchema>;

/** The control queues of all workers: one each, opened by its worker, written to by anybody. */
export interface ControlPlane {
  /** Creates the queue of a worker, or finds it again, and returns its URL. */
  open(incarnation: Incarnation): Promise<string>;
  /**
   * The next messages, at most ten, none of which is returned again as a rule; empty after `waitMs` (SQS: whole seconds,
   * rounded up, at most 20) or when `signal` aborts. What is no control message is dropped and logged.
   * @throws {BatonError} `QUEUE_UNREACHABLE` when the queue does not answer or is gone.
   */
  receive(url: string, options: { waitMs: number; signal: AbortSignal }): Promise<ControlMessage[]>;
  /** Best effort. @throws {BatonError} `QUEUE_UNREACHABLE` when the queue is gone or did not take the message. */
  send(url: string, message: ControlMessage): Promise<void>;
  /** Deletes the queue; nothing happens if it is gone. @throws {BatonError} `QUEUE_UNREACHABLE` when SQS does not answer. */
  close(url: string): Promise<void>;
}

/** Name of a worker's control queue. The incarnation loses its dashes, or a long fleet name would pass SQS's 80 characters. */
export function controlQueueName(fleet: string, incarnation: Incarnation): string {
  return `${controlQueuePrefix(fleet)}${incarnation.replaceAll('-', '')}`;
}

/** Reads the body of a control message. @throws {Error} with the reason when it is none. */
export function decodeControlMessage(body: string): ControlMessage {
  const message = controlMessageSchema.safeParse(JSON.parse(body));
  if (message.success) return message.data;
  throw new Error(
    message.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`).join('; '),
  );
}

/** The rejection of a {@link ControlPlane}. */
export function controlQueueUnreachable(url: string, cause: unknown): BatonError {
  return new BatonError('QUEUE_UNREACHABLE', `control queue ${url}: ${messageOf(cause)}`, { cause });
}

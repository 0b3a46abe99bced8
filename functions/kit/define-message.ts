import type { ShardMessage } from '../../shared/control/shard-messages.ts';
import type { HandlerContext } from './handler-context.ts';

/** A message between shards as it travels: JSON. */
export type FleetMessage = ShardMessage;

/** A validator in the form of the Standard Schema specification (zod, valibot, arktype and others have it). */
export interface PayloadSchema<T> {
  readonly '~standard': {
    validate(value: unknown): SchemaResult<T> | Promise<SchemaResult<T>>;
    readonly types?: { readonly output: T } | undefined;
  };
}
type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** What says whether a payload is what the handler expects: a schema, or a type guard. */
export type PayloadCheck<T> = PayloadSchema<T> | ((value: unknown) => value is T);

/** What a message handler gets beside the payload. */
export interface MessageContext extends HandlerContext {
  /** The guild it was sent to; `undefined` when it was sent to a shard. */
  readonly guildId: string | undefined;
  /** From 1; above it, an earlier try in this invocation threw. */
  readonly attempt: number;
}

export interface MessageDefinition<T = unknown> {
  readonly kind: 'message';
  /** 1 to 64 letters, digits, `_`, `.`, `:` or `-`; unique in the bot. */
  readonly name: string;
  readonly check: PayloadCheck<T>;
  /** The message with this payload, for `ctx.fleet.send` and `ctx.fleet.broadcast`. */
  with(data: T): FleetMessage;
  // A method, so that definitions of different payloads fit into one list.
  run(data: T, ctx: MessageContext): Promise<void> | void;
}

/**
 * A handler of messages that other handlers send with `ctx.fleet.send(shardId, message)`, `ctx.fleet.sendToGuild` or
 * `ctx.fleet.broadcast`. It runs in order with the events of that shard or guild, at least once. What `check` refuses
 * goes to the dead-letter queue.
 */
export function defineMessage<T>(
  name: string,
  check: PayloadCheck<T>,
  run: (data: T, ctx: MessageContext) => Promise<void> | void,
): MessageDefinition<T> {
  return { kind: 'message', name, check, with: (data) => ({ name, data }), run };
}

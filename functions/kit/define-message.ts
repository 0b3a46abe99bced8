import type { HandlerContext } from './handler-context.ts';

/** A message between shards as it travels: JSON, at most 200 KB. */
export interface FleetMessage {
  readonly name: string;
  readonly data: unknown;
}

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
  /** The message's name. */
  readonly name: string;
  /** From 1; above it, an earlier try in this invocation threw. */
  readonly attempt: number;
}

export interface MessageDefinition<T = unknown> {
  readonly kind: 'message';
  /** Unique in the bot. */
  readonly name: string;
  readonly check: PayloadCheck<T>;
  /** The message with this payload, for `ctx.fleet.send` and `ctx.fleet.broadcast`. */
  with(data: T): FleetMessage;
  // A method, so that definitions of different payloads fit into one list.
  run(data: T, ctx: MessageContext): Promise<void> | void;
}

/**
 * A handler of messages that other handlers send with `ctx.fleet.send(shardId, message)` or `ctx.fleet.broadcast`.
 * It runs in order with the events of the shard it was sent to, at least once. What `check` refuses goes to the
 * dead-letter queue.
 */
export function defineMessage<T>(
  name: string,
  check: PayloadCheck<T>,
  run: (data: T, ctx: MessageContext) => Promise<void> | void,
): MessageDefinition<T> {
  return { kind: 'message', name, check, with: (data) => ({ name, data }), run };
}

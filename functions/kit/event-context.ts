import type { API } from '@discordjs/core';
import type { Logger } from '../../shared/logger.ts';
import type { HandlerTable } from './handler-table.ts';
import type { ShardContext } from './shard-context.ts';

/** What an event handler gets beside the event's data. */
export interface EventContext {
  /** The event's type by Discord's name, e.g. `MESSAGE_CREATE`. */
  readonly type: string;
  /** The guild it belongs to; `undefined` for direct messages and events of the bot itself. */
  readonly guildId: string | undefined;
  readonly shard: ShardContext;
  /** Gateway sequence number within {@link session}. */
  readonly seq: number;
  readonly session: string;
  /** From 1; above it, an earlier try in this invocation threw. */
  readonly attempt: number;
  /** Discord's REST API, as the bot. */
  readonly api: API;
  readonly table: HandlerTable;
  /** Every line carries shard, guild, type and sequence number. */
  readonly log: Logger;
  /** Aborts when the event's time limit is over, and shortly before the invocation's is. */
  readonly signal: AbortSignal;
  /** Milliseconds until {@link signal} aborts for the end of the invocation. */
  remainingMs(): number;
}

import type { API } from '@discordjs/core';
import type { Logger } from '../../shared/logger.ts';
import type { DirectoryAccess } from './directory-access.ts';
import type { FleetAccess } from './fleet-access.ts';
import type { HandlerTable } from './handler-table.ts';
import type { ShardContext } from './shard-context.ts';

/** What every handler gets, whatever it handles. */
export interface HandlerContext {
  /** The shard it came through, or, for interactions over HTTP, the shard that its guild is on. */
  readonly shard: ShardContext;
  /** Discord's REST API, as the bot. */
  readonly api: API;
  /** Guilds, channels, roles and members, from the table that the fleet keeps of them. */
  readonly directory: DirectoryAccess;
  /** Gateway commands, and messages to other shards. */
  readonly fleet: FleetAccess;
  readonly table: HandlerTable;
  /** Every line carries what is handled: interaction or event, guild and shard. */
  readonly log: Logger;
  /** Aborts shortly before the invocation's time is over. */
  readonly signal: AbortSignal;
  /** Milliseconds until {@link signal} aborts for the end of the invocation. */
  remainingMs(): number;
}

/** What all handlers of an environment share. */
export type HandlerServices = Pick<HandlerContext, 'api' | 'table' | 'directory' | 'fleet'>;

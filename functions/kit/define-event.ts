import type { Logger } from '../../shared/logger.ts';
import type { EventContext } from './event-context.ts';
import type { IntentName } from './event-intents.ts';
import type { EventData, EventType } from './event-types.ts';
import type { HandlerTable } from './handler-table.ts';

export interface EventOptions {
  /**
   * Subscribe through these intents only, and through intents that fill in fields, such as `MESSAGE_CONTENT`.
   * @default every intent that carries the type and is not privileged; the privileged one where there is no other
   */
  readonly intents?: readonly IntentName[];
  /**
   * Runs once at the end of every invocation in which this handler ran, e.g. to write what it gathered.
   * What it throws is logged; no event counts as failed for it.
   */
  readonly afterBatch?: (ctx: BatchContext) => Promise<void>;
}

/** What `afterBatch` gets. */
export interface BatchContext {
  readonly table: HandlerTable;
  readonly log: Logger;
  /** Aborts shortly before the invocation's time is over. */
  readonly signal: AbortSignal;
}

export interface EventDefinition<T extends EventType = EventType> extends EventOptions {
  readonly kind: 'event';
  readonly types: readonly T[];
  // A method, so that definitions of different types fit into one list.
  run(data: EventData<T>, ctx: EventContext<T>): Promise<void> | void;
}

/**
 * A handler of one type of gateway event, or of several. Events of a guild come one after the other, in Discord's
 * order; guilds run side by side. An event whose handler throws is tried again a few times, then it goes to the
 * dead-letter queue. Delivery is at least once: a handler that must not act twice keeps its own record, or
 * `BATON_CONSUMER_GUARD` is on.
 */
export function defineEvent<const T extends EventType>(
  types: T | readonly T[],
  run: (data: EventData<T>, ctx: EventContext<T>) => Promise<void> | void,
  options: EventOptions = {},
): EventDefinition<T> {
  return { kind: 'event', types: typeof types === 'string' ? [types] : types, run, ...options };
}

import type { Clock } from '../../shared/clock.ts';
import type { Logger } from '../../shared/logger.ts';
import type { EventContext } from '../kit/event-context.ts';
import type { EventType } from '../kit/event-types.ts';
import type { HandlerServices } from '../kit/handler-context.ts';
import { type ShardContext, shardContext, type ShardReader } from '../kit/shard-context.ts';
import type { Delivery, QueuedEvent } from './delivery.ts';

/** What all events of an invocation share. */
export interface InvocationScope {
  readonly services: HandlerServices;
  readonly shards: ShardReader;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborts when the invocation is about to run out of time. */
  readonly stopSignal: AbortSignal;
  /** When it aborts, on the monotonic clock. */
  readonly stopAtMs: number;
}

/** One try of one handler: the context it sees. Logger and signal are made when asked for, as most events need neither. */
export class RunningEvent implements EventContext {
  readonly type: EventType;
  readonly guildId: string | undefined;
  readonly seq: number;
  readonly session: string;
  readonly attempt: number;
  readonly #delivery: Delivery;
  readonly #scope: InvocationScope;
  #log: Logger | undefined;
  #ownAbort: AbortController | undefined;
  #signal: AbortSignal | undefined;

  constructor(delivery: Delivery, event: QueuedEvent, attempt: number, scope: InvocationScope) {
    this.type = event.type as EventType;
    this.guildId = event.guildId;
    this.seq = event.seq;
    this.session = delivery.header.session;
    this.attempt = attempt;
    this.#delivery = delivery;
    this.#scope = scope;
  }

  get shard(): ShardContext {
    return shardContext(this.#delivery.header.shard, this.#delivery.header.epoch, this.#scope.shards);
  }

  get api(): HandlerServices['api'] {
    return this.#scope.services.api;
  }

  get table(): HandlerServices['table'] {
    return this.#scope.services.table;
  }

  get directory(): HandlerServices['directory'] {
    return this.#scope.services.directory;
  }

  get fleet(): HandlerServices['fleet'] {
    return this.#scope.services.fleet;
  }

  get log(): Logger {
    this.#log ??= this.#scope.logger.child({
      shard: this.#delivery.header.shard[0],
      type: this.type,
      guild: this.guildId,
      seq: this.seq,
    });
    return this.#log;
  }

  get signal(): AbortSignal {
    if (!this.#signal) {
      this.#ownAbort = new AbortController();
      this.#signal = AbortSignal.any([this.#scope.stopSignal, this.#ownAbort.signal]);
    }
    return this.#signal;
  }

  remainingMs(): number {
    return Math.max(0, this.#scope.stopAtMs - this.#scope.clock.monotonicMs());
  }

  /** The event's time limit is over: tells the handler, if it listens. */
  expire(): void {
    this.#ownAbort?.abort(new Error('the time limit of this event is over'));
  }
}

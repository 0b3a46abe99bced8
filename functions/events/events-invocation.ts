import { DiscordAPIError } from '@discordjs/rest';
import type { SQSRecord } from 'aws-lambda';
import type { Clock, Timer } from '../../shared/clock.ts';
import type { EnvelopeHeader } from '../../shared/envelope.ts';
import type { FoldTotals } from '../../shared/directory/directory-writer.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { backoffMs, type Random } from '../../shared/random.ts';
import type { DirectoryEvent } from '../directory/directory-fold.ts';
import type { EventDefinition } from '../kit/define-event.ts';
import type { HandlerServices } from '../kit/handler-context.ts';
import { handlersOfDispatch, type RegisteredEvent, type Registry } from '../kit/registry.ts';
import type { ShardReader } from '../kit/shard-context.ts';
import { judgeEnvelope } from './consumer-guard.ts';
import { type DeadLetterQueue, type DeadLetterReason, deadLetterOfEvent, deadLetterOfMessage } from './dead-letter.ts';
import { type Delivery, type QueuedEvent, readDelivery } from './delivery.ts';
import type { DeliveryMarks } from './delivery-marks.ts';
import { DeliveryProgress } from './delivery-progress.ts';
import { guildLanes, type Lane } from './guild-lanes.ts';
import { type InvocationScope, RunningEvent } from './running-event.ts';

/** What folds events into the directory; they may come again at any time. */
export interface EventsDirectory {
  /** Whether the directory changes with events of this type. */
  takes(type: string): boolean;
  /** Folds events of one guild, in order. Rejects when they have to come again. */
  fold(guildId: string, events: readonly DirectoryEvent[]): Promise<FoldTotals>;
}

/** Limits of one invocation. Durations are milliseconds. */
export interface EventsLimits {
  /** Tries of one handler for one event. */
  readonly attempts: number;
  /** Back-off between tries: exponential from `retryBaseMs`, at most `retryCapMs`, with full jitter. */
  readonly retryBaseMs: number;
  readonly retryCapMs: number;
  /** A try that takes longer counts as failed for good. At most half of the invocation's time. */
  readonly eventTimeoutMs: number;
  /** Kept at the end of the invocation for marks and the answer. */
  readonly stopMarginMs: number;
  /** What running handlers get between their signal and the end of {@link stopMarginMs}'s beginning. */
  readonly stopGraceMs: number;
  /** Guilds that run side by side. */
  readonly parallelGuilds: number;
}

export const defaultEventsLimits: EventsLimits = {
  attempts: 3,
  retryBaseMs: 100,
  retryCapMs: 1000,
  eventTimeoutMs: 10_000,
  stopMarginMs: 2000,
  stopGraceMs: 500,
  parallelGuilds: 100,
};

/** At the usual rates a shard whose batches take longer falls behind. */
const slowBatchMs = 2000;

/** An event that went through the handlers, or to the dead letters. For ledgers and live views. */
export interface ObservedEvent {
  readonly type: string;
  readonly guildId: string | undefined;
  readonly seq: number;
  /** The dispatch's `d`. */
  readonly data: unknown;
  readonly header: EnvelopeHeader;
  /** `<num_shards>.<shard_id>`, with the partition where there are any. */
  readonly group: string;
  readonly receiveCount: number;
  readonly outcome: 'handled' | 'dead-lettered';
}

/** What one invocation did, in numbers of events unless it says otherwise. */
export interface BatchSummary {
  /** Messages. */
  records: number;
  handled: number;
  /** Tries after the first. */
  retried: number;
  deadLettered: number;
  /** Done by an earlier delivery of the same message. */
  alreadyDone: number;
  /** Not run because the consumer guard's mark had passed them. */
  skippedByGuard: number;
  /** Messages with a gap before them, as the consumer guard sees it. */
  holes: number;
  /** Messages handed back to the queue. */
  unfinished: number;
}

export interface EventsDeps {
  readonly registry: Registry;
  readonly deadLetters: DeadLetterQueue;
  readonly marks: DeliveryMarks;
  /** @default events change nothing but what handlers do with them */
  readonly directory?: EventsDirectory;
  readonly services: HandlerServices;
  readonly shards: ShardReader;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** `BATON_CONSUMER_GUARD`. */
  readonly consumerGuard: boolean;
  readonly limits?: Partial<EventsLimits>;
  /** Called for every event right after it ran, in the order of its guild. */
  readonly observe?: (event: ObservedEvent) => void;
  /** Called once at the end of every invocation. */
  readonly observeBatch?: (summary: Readonly<BatchSummary>) => void;
}

/** A message of the batch and what has become of it. */
class DeliveryWork {
  readonly delivery: Delivery;
  readonly group: string;
  readonly events: readonly QueuedEvent[];
  readonly done = new Set<number>();
  /** Set on redelivery only: the ordinary way writes no marks. */
  progress: DeliveryProgress | undefined;
  /** Running when an earlier invocation died. */
  suspects: readonly QueuedEvent[] = [];
  /** One suspect, and it was running alone. */
  convicted = false;
  /** Why the message has to come again. */
  failure: string | undefined;

  constructor(delivery: Delivery) {
    this.delivery = delivery;
    this.group = delivery.group;
    this.events = delivery.events;
  }

  get complete(): boolean {
    return this.done.size === this.events.length;
  }
}

type TryOutcome =
  | { readonly kind: 'handled' }
  | { readonly kind: 'threw'; readonly error: unknown }
  | { readonly kind: 'timedOut' }
  | { readonly kind: 'interrupted' };

interface Failure {
  readonly reason: DeadLetterReason;
  readonly error: string;
  readonly stack?: string | undefined;
  readonly handler?: string;
  readonly attempts: number;
}

/**
 * One batch of the events queue. Guilds run side by side, each in order. An event ends by being handled or by going
 * to the dead-letter queue; a message whose events have not all ended when time is nearly over is handed back, with a
 * mark of those that have. Nothing is written for a batch that goes well.
 */
export class EventsInvocation {
  readonly #deps: EventsDeps;
  readonly #limits: EventsLimits;
  readonly #scope: InvocationScope;
  readonly #eventTimeoutMs: number;
  readonly #stop = new AbortController();
  readonly #graceTimer: Timer;
  readonly #stopTimer: Timer;
  /** Resolves when running handlers are not waited for any longer. */
  readonly #graceOver: Promise<TryOutcome>;
  readonly #ran = new Set<EventDefinition>();
  readonly #startedMs: number;
  #slowest: { readonly handler: string; readonly type: string; readonly ms: number } | undefined;
  readonly #summary: BatchSummary;

  constructor(deps: EventsDeps, remainingMs: number) {
    this.#deps = deps;
    this.#limits = { ...defaultEventsLimits, ...deps.limits };
    const { stopMarginMs, stopGraceMs, eventTimeoutMs } = this.#limits;
    const { clock } = deps;
    this.#startedMs = clock.monotonicMs();
    const graceOverInMs = Math.max(0, remainingMs - stopMarginMs);
    const stopInMs = Math.max(0, graceOverInMs - stopGraceMs);
    this.#eventTimeoutMs = Math.min(eventTimeoutMs, remainingMs / 2);
    this.#scope = {
      services: deps.services,
      shards: deps.shards,
      logger: deps.logger,
      clock,
      stopSignal: this.#stop.signal,
      stopAtMs: clock.monotonicMs() + stopInMs,
    };
    this.#stopTimer = clock.schedule(stopInMs, () => this.#stop.abort());
    const { promise, resolve } = Promise.withResolvers<TryOutcome>();
    this.#graceOver = promise;
    this.#graceTimer = clock.schedule(graceOverInMs, () => resolve({ kind: 'interrupted' }));
    this.#summary = {
      records: 0,
      handled: 0,
      retried: 0,
      deadLettered: 0,
      alreadyDone: 0,
      skippedByGuard: 0,
      holes: 0,
      unfinished: 0,
    };
  }

  /** Runs the batch. The answer names the messages that have to come again, with the reason. Never rejects. */
  async run(records: readonly SQSRecord[]): Promise<ReadonlyMap<string, string>> {
    this.#summary.records = records.length;
    const failures = new Map<string, string>();
    try {
      const works = await this.#read(records, failures);
      await this.#prepareAll(works);
      await this.#runSuspects(works);
      await this.#runLanes(guildLanes(works));
      await this.#runAfterBatch();
      await this.#settle(works, failures);
    } finally {
      this.#stopTimer.cancel();
      this.#graceTimer.cancel();
    }
    this.#report(failures);
    return failures;
  }

  async #read(records: readonly SQSRecord[], failures: Map<string, string>): Promise<DeliveryWork[]> {
    const works: DeliveryWork[] = [];
    const blockedGroups = new Set<string | undefined>();
    for (const record of records) {
      const read = readDelivery(record);
      if (read.kind === 'envelope') {
        const work = new DeliveryWork(read.delivery);
        if (blockedGroups.has(work.group)) this.#fail(work, 'a message before it has to come again');
        works.push(work);
        continue;
      }
      const fields = { messageId: record.messageId, group: record.attributes.MessageGroupId, error: read.reason };
      try {
        await this.#deps.deadLetters.send(deadLetterOfMessage(record, read.reason));
        this.#summary.deadLettered += 1;
        this.#deps.logger.error(fields, 'events.envelope_dead_lettered');
      } catch (error) {
        failures.set(record.messageId, messageOf(error));
        blockedGroups.add(record.attributes.MessageGroupId);
        this.#deps.logger.error({ ...fields, queue: messageOf(error) }, 'events.dead_letter_not_sent');
      }
    }
    return works;
  }

  /** Marks of a group are looked at in its order; groups do not wait for each other. */
  async #prepareAll(works: readonly DeliveryWork[]): Promise<void> {
    const needing = works.filter((work) => this.#deps.consumerGuard || work.delivery.receiveCount > 1);
    if (needing.length === 0) return;
    const groups = Map.groupBy(works, (work) => work.group);
    await Promise.all(
      [...groups.values()].map(async (group) => {
        for (const work of group) {
          try {
            await this.#prepare(work);
          } catch (error) {
            // Later messages of the group keep behind this one.
            for (const behind of group.slice(group.indexOf(work))) behind.failure = `marks: ${messageOf(error)}`;
            return;
          }
        }
      }),
    );
  }

  async #prepare(work: DeliveryWork): Promise<void> {
    const { delivery } = work;
    const { marks, consumerGuard } = this.#deps;
    if (delivery.receiveCount > 1) {
      const earlier = await marks.loadProgress(delivery.messageId);
      const done = earlier?.done ?? new Set();
      for (const event of work.events) if (done.has(event.index)) work.done.add(event.index);
      this.#summary.alreadyDone += work.done.size;
      work.progress = new DeliveryProgress(marks, delivery.messageId, delivery.receiveCount, done);
      if (earlier) {
        work.suspects = work.events.filter(({ index }) => earlier.running.has(index) && !done.has(index));
        work.convicted = earlier.alone && work.suspects.length === 1;
        return;
      }
    }
    if (consumerGuard && !delivery.redriven) await this.#applyGuard(work);
  }

  async #applyGuard({ delivery, events, done }: DeliveryWork): Promise<void> {
    const { header, group } = delivery;
    const outcome = await this.#deps.marks.raiseGuard(group, header.session, header.last);
    const verdict = judgeEnvelope(header, outcome);
    let skipped = 0;
    for (const { index, seq } of events) {
      if (seq > verdict.skipUpTo || done.has(index)) continue;
      done.add(index);
      skipped += 1;
    }
    this.#summary.skippedByGuard += skipped;
    if (verdict.hole) this.#summary.holes += 1;
    if (verdict.hole || skipped > 0) {
      const fields = { group, session: header.session, after: header.after, first: header.first, last: header.last };
      this.#deps.logger.warn({ ...fields, skipped, mark: verdict.skipUpTo, hole: verdict.hole }, 'events.guard');
    }
  }

  /** What ran when an invocation died runs before everything else and one at a time, so that the guilty one shows. */
  async #runSuspects(works: readonly DeliveryWork[]): Promise<void> {
    for (const work of works) {
      for (const event of work.suspects) {
        if (this.#mustStop()) return;
        if (work.failure !== undefined) break;
        if (work.convicted) {
          const error = 'the process died while this event, and nothing else, was running';
          await this.#bury(work, event, { reason: 'invocation-died', error, attempts: work.delivery.receiveCount - 1 });
        } else {
          const ended = (await this.#markStarted(work, event, true)) && (await this.#runEvent(work, event));
          if (ended)
            await work.progress?.flush().catch((error: unknown) => this.#fail(work, `marks: ${messageOf(error)}`));
        }
      }
    }
  }

  async #runLanes(lanes: readonly Lane<DeliveryWork>[]): Promise<void> {
    const waiting = lanes.values();
    const runNext = async () => {
      for (const lane of waiting) await this.#runLane(lane);
    };
    await Promise.all(Array.from({ length: Math.min(this.#limits.parallelGuilds, lanes.length) }, runNext));
  }

  /** Ends early at an event that cannot end now: what comes after it in its guild waits for it. */
  async #runLane(lane: Lane<DeliveryWork>): Promise<void> {
    const folding = this.#foldLane(lane);
    if (folding) await folding;
    for (const { work, event } of lane) {
      if (work.done.has(event.index)) continue;
      if (work.failure !== undefined || this.#mustStop()) return;
      if (work.progress && !(await this.#markStarted(work, event, false))) return;
      const ended = this.#runEvent(work, event);
      // Most handlers of busy events end at once; no promise for those.
      if (!(typeof ended === 'boolean' ? ended : await ended)) return;
    }
  }

  /**
   * The directory first: handlers find in it what their events say. What was done by an earlier delivery is folded
   * again, because the directory alone knows how far it is.
   */
  #foldLane(lane: Lane<DeliveryWork>): Promise<void> | undefined {
    const { directory } = this.#deps;
    if (!directory) return undefined;
    const wanted: Lane<DeliveryWork> = [];
    for (const entry of lane) {
      if (entry.work.failure !== undefined) break;
      if (entry.event.guildId !== undefined && directory.takes(entry.event.type)) wanted.push(entry);
    }
    return wanted.length === 0 || this.#mustStop() ? undefined : this.#fold(directory, wanted);
  }

  async #fold(directory: EventsDirectory, lane: Lane<DeliveryWork>): Promise<void> {
    const guildId = lane[0]?.event.guildId as string;
    const events = lane.map(({ work, event: { type, seq, data } }) => {
      const { header, redriven } = work.delivery;
      return { type, seq, data, header, redriven };
    });
    const { clock, random, logger } = this.#deps;
    const { retryBaseMs, retryCapMs } = this.#limits;
    // A message that comes again holds up its shard for the visibility timeout: so all there is of this invocation first.
    for (let attempt = 0; ; attempt += 1) {
      try {
        const { invalid, stale, unknownGuild } = await directory.fold(guildId, events);
        if (invalid + unknownGuild === 0) return;
        // Nothing for anybody to mend: the guild is filled in when it is announced the next time.
        logger.warn({ guild: guildId, invalid, stale, unknownGuild }, 'directory.events_passed_over');
        return;
      } catch (error) {
        if (isLasting(error)) {
          // Coming again would hold up the whole shard for a guild that no try can mend.
          logger.error({ guild: guildId, error: messageOf(error) }, 'directory.guild_not_foldable');
          return;
        }
        logger.warn({ guild: guildId, attempt, error: messageOf(error) }, 'directory.not_folded');
        await clock.sleep(backoffMs(attempt, random, { baseMs: retryBaseMs, capMs: retryCapMs }), this.#stop.signal);
        if (!this.#mustStop()) continue;
        for (const { work } of lane) this.#fail(work, `directory: ${messageOf(error)}`);
        return;
      }
    }
  }

  async #markStarted(work: DeliveryWork, event: QueuedEvent, alone: boolean): Promise<boolean> {
    if (!work.progress) return true;
    try {
      const outcome = await work.progress.start(event.index, { alone });
      if (outcome.kind === 'superseded') this.#fail(work, 'a later delivery of the message is at work');
    } catch (error) {
      this.#fail(work, `marks: ${messageOf(error)}`);
    }
    return work.failure === undefined;
  }

  /** Runs all handlers of the event's type. The answer is whether the event has ended, one way or the other. */
  #runEvent(work: DeliveryWork, event: QueuedEvent): boolean | Promise<boolean> {
    if (event.flaw !== undefined) {
      return this.#bury(work, event, { reason: 'frame-invalid', error: event.flaw, attempts: 0 });
    }
    const handlers = handlersOfDispatch(this.#deps.registry, event.type, event.data);
    for (const [position, handler] of handlers.entries()) {
      const running = new RunningEvent(work.delivery, event, 1, this.#scope);
      const started = this.#start(handler, event, running);
      if (started) return this.#finishHandlers(work, event, handlers, position, running, started);
    }
    return this.#end(work, event, 'handled');
  }

  /** Calls the handler. A promise if there is something to wait for, or to catch. */
  #start({ definition }: RegisteredEvent, event: QueuedEvent, running: RunningEvent): Promise<void> | undefined {
    this.#ran.add(definition);
    try {
      const result: unknown = definition.run(event.data as never, running);
      return result instanceof Promise ? (result as Promise<void>) : undefined;
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Waits for the handler at `position`, tries it again as often as it may be, then goes on with those behind it. */
  async #finishHandlers(
    work: DeliveryWork,
    event: QueuedEvent,
    handlers: readonly RegisteredEvent[],
    position: number,
    firstTry: RunningEvent,
    firstStarted: Promise<void>,
  ): Promise<boolean> {
    let running = firstTry;
    let started: Promise<void> | undefined = firstStarted;
    for (const handler of handlers.slice(position)) {
      for (let attempt = 1; ; attempt += 1) {
        if (!started) {
          running = new RunningEvent(work.delivery, event, attempt, this.#scope);
          started = this.#start(handler, event, running);
        }
        const outcome: TryOutcome = started ? await this.#settleTry(running, started, handler) : { kind: 'handled' };
        started = undefined;
        if (outcome.kind === 'handled') break;
        const failed = this.#failureOf(outcome, handler, attempt);
        if (failed === 'interrupted') return this.#interrupted(work, event, handler, attempt);
        if (failed !== 'retry') return this.#bury(work, event, failed);
        const { retryBaseMs, retryCapMs } = this.#limits;
        const pauseMs = backoffMs(attempt - 1, this.#deps.random, { baseMs: retryBaseMs, capMs: retryCapMs });
        await this.#deps.clock.sleep(pauseMs, this.#stop.signal);
        if (this.#mustStop()) return false;
        this.#summary.retried += 1;
      }
    }
    return this.#end(work, event, 'handled');
  }

  async #settleTry(
    running: RunningEvent,
    started: Promise<void>,
    { name: handler }: RegisteredEvent,
  ): Promise<TryOutcome> {
    const startedMs = this.#deps.clock.monotonicMs();
    const limit = Promise.withResolvers<TryOutcome>();
    const timer = this.#deps.clock.schedule(this.#eventTimeoutMs, () => limit.resolve({ kind: 'timedOut' }));
    const ended = started.then(
      (): TryOutcome => ({ kind: 'handled' }),
      (error: unknown): TryOutcome => ({ kind: 'threw', error }),
    );
    try {
      const outcome = await Promise.race([ended, limit.promise, this.#graceOver]);
      if (outcome.kind === 'timedOut') running.expire();
      return outcome;
    } finally {
      timer.cancel();
      const ms = Math.round(this.#deps.clock.monotonicMs() - startedMs);
      if (ms > (this.#slowest?.ms ?? 0)) this.#slowest = { handler, type: running.type, ms };
    }
  }

  #failureOf(
    outcome: Exclude<TryOutcome, { kind: 'handled' }>,
    { name }: RegisteredEvent,
    attempts: number,
  ): Failure | 'retry' | 'interrupted' {
    switch (outcome.kind) {
      case 'interrupted':
        return 'interrupted';
      case 'timedOut': {
        const error = `not ended after ${this.#eventTimeoutMs} ms`;
        return { reason: 'handler-timed-out', error, handler: name, attempts };
      }
      case 'threw': {
        // A handler that heeds its signal throws when it is told to stop: that is no fault of the event.
        if (this.#stop.signal.aborted) return 'interrupted';
        const { error } = outcome;
        if (attempts < this.#limits.attempts && isWorthRetrying(error)) return 'retry';
        const stack = error instanceof Error ? error.stack : undefined;
        return { reason: 'handler-failed', error: messageOf(error), stack, handler: name, attempts };
      }
    }
  }

  /** Time is over half-way through: the event runs again with the next delivery, unless it must not run twice. */
  async #interrupted(
    work: DeliveryWork,
    event: QueuedEvent,
    { name }: RegisteredEvent,
    attempts: number,
  ): Promise<boolean> {
    if (!this.#deps.consumerGuard) return false;
    const error = 'the invocation was out of time, and the consumer guard forbids a second run';
    return this.#bury(work, event, { reason: 'interrupted', error, handler: name, attempts });
  }

  /** Sends one event to the dead-letter queue. The answer is whether it is there. */
  async #bury(work: DeliveryWork, event: QueuedEvent, failure: Failure): Promise<boolean> {
    const { header, group, messageId } = work.delivery;
    const { reason, error, stack, handler, attempts } = failure;
    const { type, guildId, seq, index, frame } = event;
    const fields = { reason, error, handler, attempts, type, guild: guildId, shard: header.shard[0], seq, messageId };
    const { logger, deadLetters } = this.#deps;
    try {
      await deadLetters.send(
        deadLetterOfEvent({
          reason,
          error,
          handler,
          attempts,
          type,
          guildId,
          seq,
          index,
          frame,
          header,
          group,
          messageId,
        }),
      );
    } catch (sendError) {
      this.#fail(work, messageOf(sendError));
      logger.error({ ...fields, queue: messageOf(sendError) }, 'events.dead_letter_not_sent');
      return false;
    }
    logger.error({ ...fields, session: header.session, stack }, 'events.event_dead_lettered');
    return this.#end(work, event, 'dead-lettered');
  }

  #end(work: DeliveryWork, event: QueuedEvent, outcome: ObservedEvent['outcome']): true {
    work.done.add(event.index);
    work.progress?.finish(event.index);
    if (outcome === 'handled') this.#summary.handled += 1;
    else this.#summary.deadLettered += 1;
    if (this.#deps.observe) {
      const { type, guildId, seq, data } = event;
      const { header, group, receiveCount } = work.delivery;
      this.#deps.observe({ type, guildId, seq, data, header, group, receiveCount, outcome });
    }
    return true;
  }

  async #runAfterBatch(): Promise<void> {
    const { services, logger } = this.#deps;
    for (const { afterBatch, types } of this.#ran) {
      if (!afterBatch) continue;
      if (this.#mustStop()) return;
      const log = logger.child({ type: types.join(',') });
      const ended = (async () => afterBatch({ table: services.table, log, signal: this.#stop.signal }))();
      try {
        await Promise.race([ended, this.#graceOver]);
      } catch (error) {
        log.error({ error: messageOf(error) }, 'events.after_batch_failed');
      }
    }
  }

  /** Hands back what is not complete, and everything of its group behind it, with marks of what was done. */
  async #settle(works: readonly DeliveryWork[], failures: Map<string, string>): Promise<void> {
    const saving: Promise<void>[] = [];
    for (const group of Map.groupBy(works, (work) => work.group).values()) {
      let blocked = false;
      for (const work of group) {
        if (!work.complete) this.#fail(work, 'not all events had ended when time was nearly over');
        blocked ||= work.failure !== undefined;
        if (blocked) failures.set(work.delivery.messageId, work.failure ?? 'a message before it has to come again');
        const anythingToSay = work.done.size > 0 || this.#deps.consumerGuard;
        if (work.progress || (blocked && anythingToSay)) saving.push(this.#saveProgress(work));
      }
    }
    await Promise.all(saving);
  }

  async #saveProgress(work: DeliveryWork): Promise<void> {
    const { messageId, receiveCount } = work.delivery;
    try {
      if (work.progress) {
        work.progress.stop();
        await work.progress.flush();
      } else {
        const progress = { done: work.done, running: new Set<number>(), alone: false };
        await this.#deps.marks.saveProgress(messageId, receiveCount, progress);
      }
    } catch (error) {
      this.#deps.logger.error({ messageId, error: messageOf(error) }, 'events.progress_not_saved');
    }
  }

  #report(failures: ReadonlyMap<string, string>): void {
    const summary = this.#summary;
    summary.unfinished = failures.size;
    const { retried, deadLettered, alreadyDone, skippedByGuard, holes } = summary;
    const smooth = failures.size + retried + deadLettered + alreadyDone + skippedByGuard + holes === 0;
    const tookMs = Math.round(this.#deps.clock.monotonicMs() - this.#startedMs);
    const { handler: slowestHandler, type: slowestType, ms: slowestMs } = this.#slowest ?? {};
    const fields = { ...summary, tookMs, slowestHandler, slowestType, slowestMs };
    if (smooth && tookMs < slowBatchMs) this.#deps.logger.debug(fields, 'events.batch');
    else this.#deps.logger.warn({ ...fields, failures: Object.fromEntries(failures) }, 'events.batch');
    this.#deps.observeBatch?.(summary);
  }

  #fail(work: DeliveryWork, reason: string): void {
    work.failure ??= reason;
  }

  // The stop timer does not fire while handlers that never wait keep the process busy.
  #mustStop(): boolean {
    if (!this.#stop.signal.aborted && this.#deps.clock.monotonicMs() >= this.#scope.stopAtMs) this.#stop.abort();
    return this.#stop.signal.aborted;
  }
}

/**
 * What Discord refuses once it refuses again, and too many refusals get the whole address banned; a message that is
 * not of its handler's form stays so.
 */
function isWorthRetrying(error: unknown): boolean {
  if (error instanceof BatonError && error.code === 'MESSAGE_INVALID') return false;
  return !(error instanceof DiscordAPIError && error.status >= 400 && error.status < 500);
}

/** Of what is stored or was sent, and not of the table's state: it would be the same the next time. */
function isLasting(error: unknown): boolean {
  if (error instanceof BatonError) return error.code === 'STORE_ITEM_INVALID';
  return error instanceof RangeError || (error instanceof Error && error.name === 'ValidationException');
}

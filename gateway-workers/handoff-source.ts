import type { Clock } from '../shared/clock.ts';
import type { Incarnation } from '../shared/coordination/model.ts';
import { type CoordinationStore, type LeaseOutcome, StoreUnavailable } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import { type ShardKey, shardKey } from '../shared/sharding.ts';
import type { TimelineSink } from '../shared/stats/timeline.ts';
import { waitAtMost } from '../shared/wait-at-most.ts';
import type { ControlInbox } from './control-inbox.ts';
import type { Shard } from './shard/shard.ts';

export interface HandoffSourceOptions {
  readonly incarnation: Incarnation;
  readonly store: CoordinationStore;
  readonly inbox: ControlInbox;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Whether this worker still holds the shard. */
  readonly holds: (shard: Shard) => boolean;
  /** Sends what the shard has read so far. */
  readonly flushSoon: (shard: Shard) => void;
  /** Resolves when no checkpoint write that lists the shard is open. */
  readonly writeSettled: (shard: Shard) => Promise<void>;
  /** The release is confirmed: the shard belongs to this worker no more and is about to be closed. */
  readonly onReleased: (shard: Shard) => void;
  /** The shard stays, under conditions that are not known: its lease should be read again. */
  readonly onKept: (shard: Shard) => void;
  /** Told of shards that were handed over. @default nobody */
  readonly timeline?: TimelineSink;
}

/** The owner waits this long for the target to say that it waits at HELLO, then keeps the shard. */
const offeredForMs = 5000;
/** A shard that is just starting a session, or still sends frames of a dead one, is given this long to finish. */
const settleForMs = 5000;
const rosterPatienceMs = 500;
const retryMs = 250;

/** The owner's side of handoffs (protocol, "Handoff"): waits for the target, then releases first and closes after. */
export class HandoffSource {
  readonly #options: HandoffSourceOptions;
  readonly #underWay = new Map<ShardKey, Promise<void>>();
  /** Targets that have said that they wait at HELLO, and for which epoch. */
  readonly #announced = new Map<ShardKey, { incarnation: Incarnation; epoch: number }>();
  readonly #waits = new Map<ShardKey, AbortController>();

  constructor(options: HandoffSourceOptions) {
    this.#options = options;
  }

  isUnderWay(key: ShardKey): boolean {
    return this.#underWay.has(key);
  }

  /** A target says that it waits at HELLO for the release of this epoch. */
  announce(key: ShardKey, target: { incarnation: Incarnation; epoch: number }): void {
    this.#announced.set(key, target);
    this.#waits.get(key)?.abort();
  }

  /** Offers the shard to `to`, unless that is under way or it is being released. Resolves when the handoff has ended, either way. */
  async offer(shard: Shard, to: Incarnation, signal: AbortSignal): Promise<void> {
    const key = shardKey(shard.shard);
    if (this.#underWay.has(key) || shard.isFrozen) return;
    const handoff = this.#handOver(key, shard, to, signal).finally(() => this.#underWay.delete(key));
    this.#underWay.set(key, handoff);
    await handoff;
  }

  /** Waits until the target is poised, then releases to it. A target that does not answer in time loses the wish. */
  async #handOver(key: ShardKey, shard: Shard, to: Incarnation, signal: AbortSignal): Promise<void> {
    const { clock, logger, holds, flushSoon } = this.#options;
    const startedMs = clock.monotonicMs();
    // While the target opens its socket; what is sent by then need not be replayed to it.
    flushSoon(shard);
    const isPoised = await this.#untilPoised(key, shard.epoch, to, signal);
    const isReady = isPoised && (await this.#untilSettled(shard, settleForMs, signal));
    if (signal.aborted || !holds(shard) || shard.isFrozen) return;
    if (!isReady) {
      logger.warn({ shard: shard.shard.shardId, to, isPoised }, 'handoff.target_silent');
      await this.#takeWishBack(key, shard, to, signal);
      return;
    }
    if (!(await this.release(shard, to, signal))) return;
    const tookMs = Math.round(clock.monotonicMs() - startedMs);
    logger.info({ shard: shard.shard.shardId, to, tookMs }, 'shard.handoff');
    const { timeline, incarnation } = this.#options;
    timeline?.record({ kind: 'handoff', shards: [shard.shard.shardId], from: incarnation, to });
  }

  async #untilPoised(key: ShardKey, epoch: number, to: Incarnation, signal: AbortSignal): Promise<boolean> {
    const { clock, inbox } = this.#options;
    const untilMs = clock.monotonicMs() + offeredForMs;
    const isAnnounced = () => {
      const announced = this.#announced.get(key);
      return announced?.incarnation === to && announced.epoch === epoch;
    };
    // The coordinator has told the target; this makes up for a message that got lost, in either direction.
    if (!isAnnounced()) await inbox.tell(to, { kind: 'nudge', shards: [key] });
    while (!isAnnounced() && clock.monotonicMs() < untilMs && !signal.aborted) {
      const wait = new AbortController();
      this.#waits.set(key, wait);
      await clock.sleep(untilMs - clock.monotonicMs(), AbortSignal.any([wait.signal, signal]));
      this.#waits.delete(key);
    }
    return isAnnounced();
  }

  /** A checkpoint speaks of one session: frames of a dead one go out first, and one that is starting is waited for. */
  async #untilSettled(shard: Shard, withinMs: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.monotonicMs() + withinMs;
    while (!shard.isSettled && clock.monotonicMs() < untilMs && !signal.aborted) await clock.sleep(20, signal);
    return shard.isSettled;
  }

  async #takeWishBack(key: ShardKey, shard: Shard, unwanted: Incarnation, signal: AbortSignal): Promise<void> {
    const { store, incarnation } = this.#options;
    this.#announced.delete(key);
    const { epoch } = shard;
    await this.#untilAnswered(() => store.setWant(shard.shard, { owner: incarnation, epoch, unwanted }), signal);
  }

  /**
   * Releases to `to`, or to nobody. From the first attempt until a definite answer the shard is frozen: it neither sends
   * nor connects. Resolves with `false` when it is still this worker's: refused, or `signal` aborted first.
   */
  async release(shard: Shard, to: Incarnation | undefined, signal: AbortSignal): Promise<boolean> {
    const { store, incarnation, inbox, clock, writeSettled, onReleased, onKept } = this.#options;
    const key = shardKey(shard.shard);
    if (shard.isFrozen) return false;
    if (to === undefined) await this.#untilSettled(shard, settleForMs, signal);
    // The next owner does without it if it must: what holds the checkpoint back is replayed to it.
    await waitAtMost(rosterPatienceMs, shard.storeRoster(), clock);
    if (shard.isFrozen) return false;
    shard.isFrozen = true;
    // An IDENTIFY that left meanwhile brings a session, which must go along.
    while (shard.isIdentifying && !signal.aborted) await clock.sleep(20, signal);
    await writeSettled(shard);
    // Discord may have ended the session since it was looked at: what was read of it goes out first, and the wish stands.
    if (to !== undefined && !shard.isSettled) {
      shard.isFrozen = false;
      onKept(shard);
      return false;
    }
    const { epoch, resumeUrl } = shard;
    const checkpoint = shard.releaseCheckpoint();
    let isFirstAttempt = true;
    let isUncertain = false;
    const outcome = await this.#untilAnswered(() => {
      isUncertain = !isFirstAttempt;
      isFirstAttempt = false;
      return store.release(shard.shard, { owner: incarnation, epoch, to, checkpoint, resumeUrl });
    }, signal);
    // Not known, and no time left: the shard stays frozen, and whoever fences this worker finds out.
    if (outcome === undefined) return false;
    if (outcome.kind === 'done' || (outcome.lease !== undefined && outcome.lease.epoch > epoch)) {
      this.#announced.delete(key);
      onReleased(shard);
      if (to !== undefined) await inbox.tell(to, { kind: 'nudge', shards: [key] });
      await shard.close();
      return true;
    }
    this.#announced.delete(key);
    if (isUncertain && !(await this.#outdate(shard, signal))) return false;
    shard.isFrozen = false;
    onKept(shard);
    return false;
  }

  /**
   * An earlier attempt may still arrive, and would find its condition true again if the same wish came back: the epoch
   * is moved on, so that it finds another one. The lease takes the checkpoint along, because the entry of the old epoch no longer counts.
   */
  async #outdate(shard: Shard, signal: AbortSignal): Promise<boolean> {
    const { store, incarnation } = this.#options;
    const { epoch } = shard;
    const takeover = { from: incarnation, epoch, to: incarnation, entry: shard.checkpointEntry() };
    const outcome = await this.#untilAnswered(() => store.takeOver(shard.shard, takeover), signal);
    const lease = outcome?.lease;
    if (lease?.owner !== incarnation || lease.epoch !== epoch + 1) return false;
    shard.epoch = lease.epoch;
    return true;
  }

  /** Repeats `request` until the table answers; `undefined` when `signal` aborts first. */
  async #untilAnswered(request: () => Promise<LeaseOutcome>, signal: AbortSignal): Promise<LeaseOutcome | undefined> {
    const { clock, logger } = this.#options;
    while (!signal.aborted) {
      try {
        return await request();
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        logger.warn({ error: messageOf(error) }, 'handoff.store_unreachable');
        await clock.sleep(retryMs, signal);
      }
    }
    return undefined;
  }
}

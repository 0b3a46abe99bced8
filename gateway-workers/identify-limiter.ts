import type { Clock, Timer } from '../shared/clock.ts';
import { identifyReserve } from '../shared/coordination/identify-budget.ts';
import {
  decideGate,
  identifyBucket,
  identifySpacingMs,
  observeToken,
  permitMs,
  renewEveryMs,
  type TokenObservation,
} from '../shared/coordination/identify-gate.ts';
import type { GateToken, Incarnation } from '../shared/coordination/model.ts';
import { type CoordinationStore, StoreUnavailable } from '../shared/coordination/store.ts';
import { messageOf } from '../shared/errors.ts';
import type { Logger } from '../shared/logger.ts';
import type { ShardAddress } from '../shared/sharding.ts';
import type { IdentifyGate, IdentifyPermit } from './gateway/gateway-session.ts';
import type { IdentifyOutcome } from './gateway/session-machine.ts';

export interface IdentifyLimiterOptions {
  readonly store: CoordinationStore;
  readonly incarnation: Incarnation;
  readonly maxConcurrency: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * This worker's side of the fleet-wide identify gate: the shards of one bucket stand in line here, and the first of
 * them contends for the bucket's token in the table. Every IDENTIFY spends the daily budget first.
 */
export class IdentifyLimiter implements IdentifyGate {
  readonly #options: IdentifyLimiterOptions;
  readonly #buckets = new Map<number, Bucket>();
  /** IDENTIFYs in a row that did not lead to READY, by shard. */
  readonly #failures = new Map<number, number>();
  readonly #retryAtMs = new Map<number, number>();

  constructor(options: IdentifyLimiterOptions) {
    this.#options = options;
  }

  /**
   * Resolves when `shard` is first in its line, so that it is worth opening a socket. Also when `signal` aborts. A
   * shard whose IDENTIFYs keep failing waits longer each time: they are spent all the same.
   */
  async approach(shard: ShardAddress, signal: AbortSignal): Promise<void> {
    const waitMs = (this.#retryAtMs.get(shard.shardId) ?? 0) - this.#options.clock.monotonicMs();
    if (waitMs > 0) await this.#options.clock.sleep(waitMs, signal);
    await this.#bucket(shard).approach(shard.shardId, signal);
  }

  /** Wins the right to send one IDENTIFY. Rejects when `signal` aborts. */
  async win(shard: ShardAddress, signal: AbortSignal): Promise<IdentifyPermit> {
    // A shard that cannot start must not spend what others will need.
    const isRoutine = (this.#failures.get(shard.shardId) ?? 0) >= patientAfterFailures;
    const permit = await this.#bucket(shard).win(shard.shardId, isRoutine, signal);
    return {
      sendBeforeMs: permit.sendBeforeMs,
      settle: (outcome) => {
        this.#count(shard.shardId, outcome);
        permit.settle(outcome);
      },
    };
  }

  #count(shardId: number, outcome: IdentifyOutcome): void {
    const { clock, logger } = this.#options;
    if (outcome === 'unused') return;
    if (outcome === 'ready') {
      this.#failures.delete(shardId);
      this.#retryAtMs.delete(shardId);
      return;
    }
    const failures = (this.#failures.get(shardId) ?? 0) + 1;
    this.#failures.set(shardId, failures);
    if (failures < patientAfterFailures) return;
    const waitMs = Math.min(longestPauseMs, firstPauseMs * 2 ** (failures - patientAfterFailures));
    this.#retryAtMs.set(shardId, clock.monotonicMs() + waitMs);
    logger.error({ shard: shardId, failures, waitMs }, 'identify.keeps_failing');
  }

  /** The shard is closed: it leaves its line. */
  leave(shard: ShardAddress): void {
    this.#failures.delete(shard.shardId);
    this.#retryAtMs.delete(shard.shardId);
    this.#bucket(shard).leave(shard.shardId);
  }

  /** Lets go of every token that is held. Call when all shards are closed. */
  async close(): Promise<void> {
    await Promise.all([...this.#buckets.values()].map((bucket) => bucket.close()));
  }

  #bucket(shard: ShardAddress): Bucket {
    const key = identifyBucket(shard.shardId, this.#options.maxConcurrency);
    let bucket = this.#buckets.get(key);
    if (!bucket) {
      bucket = new Bucket(key, this.#options);
      this.#buckets.set(key, bucket);
    }
    return bucket;
  }
}

/** After so many failures in a row a shard pauses, twice as long each time: a thousand IDENTIFYs are all there is in a day. */
const patientAfterFailures = 3;
const firstPauseMs = 15_000;
const longestPauseMs = 10 * 60_000;
/** How often a waiting shard asks again while the budget is spent. */
const budgetRetryMs = 5000;

/** One identify bucket as this worker sees it. */
class Bucket {
  readonly #key: number;
  readonly #options: IdentifyLimiterOptions;
  readonly #line: { shardId: number; proceed: () => void }[] = [];
  /** Shards whose IDENTIFY is paid for but was not sent; the next permit costs nothing. */
  readonly #paid = new Set<number>();
  #observation: TokenObservation | undefined;
  /** The token as this worker last wrote it, while it holds it. */
  #held: GateToken | undefined;
  /** No IDENTIFY of this worker may start in the bucket before this time. */
  #freeAtMs = 0;
  #busy = false;
  #idleTimer: Timer | undefined;

  constructor(key: number, options: IdentifyLimiterOptions) {
    this.#key = key;
    this.#options = options;
  }

  approach(shardId: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted || this.#line[0]?.shardId === shardId) return Promise.resolve();
    this.leave(shardId);
    return new Promise((resolve) => {
      const entry = {
        shardId,
        proceed: () => {
          signal.removeEventListener('abort', leave);
          resolve();
        },
      };
      const leave = () => {
        this.leave(shardId);
        resolve();
      };
      signal.addEventListener('abort', leave, { once: true });
      this.#line.push(entry);
      if (this.#line[0] === entry) entry.proceed();
    });
  }

  async win(shardId: number, isRoutine: boolean, signal: AbortSignal): Promise<IdentifyPermit> {
    const leave = () => this.leave(shardId);
    signal.addEventListener('abort', leave, { once: true });
    try {
      // A target of a handoff without a session comes here straight from HELLO, past the line.
      await this.approach(shardId, signal);
      await this.#pay(shardId, isRoutine, signal);
      for (;;) {
        signal.throwIfAborted();
        const startedMs = await this.#tryToken(signal);
        if (startedMs !== undefined) {
          this.#busy = true;
          return this.#permit(shardId, startedMs + permitMs);
        }
      }
    } finally {
      signal.removeEventListener('abort', leave);
    }
  }

  async close(): Promise<void> {
    this.#idleTimer?.cancel();
    if (this.#held !== undefined && !this.#busy && this.#options.clock.monotonicMs() >= this.#freeAtMs)
      await this.#letGo();
  }

  /** One attempt on the token: the time the winning write was started, or `undefined` after a wait. */
  async #tryToken(signal: AbortSignal): Promise<number | undefined> {
    const { clock, store, incarnation, logger } = this.#options;
    const untilFreeMs = this.#freeAtMs - clock.monotonicMs();
    if (this.#busy || untilFreeMs > 0) {
      await clock.sleep(this.#busy ? 50 : untilFreeMs, signal);
      return undefined;
    }
    try {
      if (this.#held === undefined) {
        this.#observation = observeToken(this.#observation, await store.readGate(this.#key), clock.monotonicMs());
        const decision = decideGate(this.#observation, incarnation, clock.monotonicMs());
        if (decision.kind === 'wait') {
          await clock.sleep(decision.forMs, signal);
          return undefined;
        }
      }
      const startedMs = clock.monotonicMs();
      const outcome = await store.swapGate(this.#key, this.#held ?? this.#observation?.token, incarnation);
      if (outcome.kind === 'done') {
        this.#held = outcome.value;
        return startedMs;
      }
      this.#held = undefined;
      this.#observation = observeToken(this.#observation, outcome.value, clock.monotonicMs());
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      // The write may have happened: what is stored is read again, and a token of ours counts as free.
      this.#held = undefined;
      logger.warn({ bucket: this.#key, error: messageOf(error) }, 'identify.gate_unreachable');
      await clock.sleep(250, signal);
    }
    return undefined;
  }

  async #pay(shardId: number, isRoutine: boolean, signal: AbortSignal): Promise<void> {
    const { clock, store, logger } = this.#options;
    let reserve = 0;
    while (!this.#paid.has(shardId)) {
      signal.throwIfAborted();
      try {
        if (isRoutine) reserve = identifyReserve((await store.readBudget())?.total ?? 0);
        const outcome = await store.spendIdentify(reserve);
        if (outcome.kind === 'done') {
          this.#paid.add(shardId);
          return;
        }
        logger.error({ shard: shardId, budget: outcome.value, reserve }, 'identify.budget_spent');
        await clock.sleep(budgetRetryMs, signal);
      } catch (error) {
        if (!(error instanceof StoreUnavailable)) throw error;
        // Spending twice wastes one of a thousand; sending unpaid could reset the bot's token.
        logger.warn({ shard: shardId, error: messageOf(error) }, 'identify.budget_unreachable');
        await clock.sleep(500, signal);
      }
    }
  }

  #permit(shardId: number, sendBeforeMs: number): IdentifyPermit {
    const { clock, logger } = this.#options;
    let settled = false;
    const stopRenewing = this.#keepRenewing();
    return {
      sendBeforeMs,
      settle: (outcome) => {
        if (settled) return;
        settled = true;
        stopRenewing();
        this.#busy = false;
        if (outcome !== 'unused') {
          this.#paid.delete(shardId);
          this.#freeAtMs = clock.monotonicMs() + identifySpacingMs;
        }
        logger.info({ shard: shardId, bucket: this.#key, outcome }, 'identify.settled');
        if (outcome !== 'unused' || !this.#standsInLine(shardId)) this.leave(shardId);
        this.#letGoWhenIdle();
      },
    };
  }

  #standsInLine(shardId: number): boolean {
    return this.#line.some((entry) => entry.shardId === shardId);
  }

  leave(shardId: number): void {
    const place = this.#line.findIndex((entry) => entry.shardId === shardId);
    if (place === -1) return;
    this.#line.splice(place, 1);
    if (place === 0) this.#line[0]?.proceed();
  }

  /** With nobody left in line the token goes back to the others once the spacing is over. */
  #letGoWhenIdle(): void {
    const { clock } = this.#options;
    this.#idleTimer?.cancel();
    this.#idleTimer = clock.schedule(Math.max(0, this.#freeAtMs - clock.monotonicMs()), () => {
      // This may come late, when another IDENTIFY has been sent meanwhile.
      if (this.#line.length > 0 || this.#busy || this.#held === undefined) return;
      // A timer may also ring a part of a millisecond early.
      if (clock.monotonicMs() < this.#freeAtMs) this.#letGoWhenIdle();
      else void this.#letGo();
    });
  }

  async #letGo(): Promise<void> {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    try {
      await this.#options.store.swapGate(this.#key, held, undefined);
    } catch (error) {
      // Others outwait it: nothing is lost but time.
      this.#options.logger.warn({ bucket: this.#key, error: messageOf(error) }, 'identify.token_not_let_go');
    }
  }

  /** Writes the held token again every few seconds until the returned function is called. */
  #keepRenewing(): () => void {
    const { clock } = this.#options;
    let stopped = false;
    const renewLater = (): Timer =>
      clock.schedule(renewEveryMs, () => {
        void this.#renew().then(() => {
          if (!stopped) timer = renewLater();
        });
      });
    let timer = renewLater();
    return () => {
      stopped = true;
      timer.cancel();
    };
  }

  /** One renewal. Never rejects: a token that was lost shows at the next attempt to win it. */
  async #renew(): Promise<void> {
    const { store, incarnation, logger } = this.#options;
    const held = this.#held;
    if (held === undefined) return;
    try {
      const outcome = await store.swapGate(this.#key, held, incarnation);
      if (this.#held === held) this.#held = outcome.kind === 'done' ? outcome.value : undefined;
    } catch (error) {
      logger.warn({ bucket: this.#key, error: messageOf(error) }, 'identify.renew_failed');
    }
  }
}

import { Bell } from '../../shared/bell.ts';
import type { Clock } from '../../shared/clock.ts';
import type { CheckpointEntry, Incarnation } from '../../shared/coordination/model.ts';
import { type CoordinationStore, StoreUnavailable } from '../../shared/coordination/store.ts';
import { maxMessageBytes } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import { type ShardAddress, type ShardKey, shardKey } from '../../shared/sharding.ts';
import type { EventsSender, OutgoingEnvelope } from './events-sender.ts';
import { mayPublishUnfenced, type Now, rangeStep } from './send-rules.ts';
import type { Doubt, SessionStream } from './session-stream.ts';

/** One shard as the flush cycle sees it: one message group, with at most one envelope in doubt. */
export interface PublishingShard {
  readonly shard: ShardAddress;
  readonly epoch: number;
  /** The stream that is being sent: the oldest session with something left to send. */
  readonly stream: SessionStream | undefined;
  /** Set while the shard is being released: nothing is cut and nothing is sent. */
  readonly isFrozen: boolean;
  /** Since when the present socket is up, by the monotonic clock. */
  readonly connectedSinceMs: number | undefined;
  /** What the checkpoint item says of the shard. */
  checkpointEntry(): CheckpointEntry;
}

export interface FlushCycleOptions {
  readonly store: CoordinationStore;
  readonly sender: EventsSender;
  readonly incarnation: Incarnation;
  readonly chunk: number;
  readonly heartbeatMs: number;
  /** For so long a confirmed write proves that this worker is not fenced: see `listedForMs` of the send rules. */
  readonly listedForMs: number;
  readonly lingerMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The item says that this incarnation is fenced. Called once. */
  readonly onFenced: (by: string) => void;
  /** When the control queue last answered. */
  readonly controlQueueAnsweredMs: () => number | undefined;
}

/** Envelopes in one SendMessageBatch. */
const maxBatchEntries = 10;
/**
 * A request carries ten envelopes at most, so its price is spread over the events of ten shards. A shard with fewer events than
 * this waits for more, at most {@link longestWaitLingers}; what is older than {@link ripeAfterLingers} goes along when others must.
 */
const worthSendingFrames = 20;
const longestWaitLingers = 1.9;
const ripeAfterLingers = 1.1;
/** How finely these times are kept. */
const ticksPerLinger = 5;
/** A heartbeat that failed is repeated this soon: three lost in a row would look like death. */
const failedWriteRetryMs = 1000;
/** Pause between two attempts to confirm while the table does not answer. */
const confirmRetryMs = 200;
/** A gap this long between two cycles means that the process itself slept: the count of an outage starts anew. */
const tickGapMs = 5000;

/**
 * Intent, send, acknowledge: writes the checkpoint item of one worker (or one chunk of it) and sends what the confirmed
 * item lists. The version of the item is the worker's liveness counter, so the cycle also is its heartbeat.
 */
export class FlushCycle {
  readonly #options: FlushCycleOptions;
  readonly #shards = new Map<ShardKey, PublishingShard>();
  readonly #bell: Bell;
  /** Shards with an envelope in flight. */
  readonly #inFlight = new Set<PublishingShard>();
  readonly #sends = new Set<Promise<void>>();
  readonly #writeWaiters = new Set<() => void>();
  #version = 0;
  #isWriteUrgent = false;
  #isFlushUrgent = false;
  #writing: Promise<void> | undefined;
  #lastWriteStartedMs = Number.NEGATIVE_INFINITY;
  #lastConfirmedStartMs: number | undefined;
  #failingSinceMs: number | undefined;
  #lastCycleMs = Number.NEGATIVE_INFINITY;
  #lastTickMs: number | undefined;
  #isFenced = false;
  #isUnfencedMode = false;
  #longestSendMs = 0;

  constructor(options: FlushCycleOptions) {
    this.#options = options;
    this.#bell = new Bell(options.clock);
  }

  /** Start of the last checkpoint write that is known to have happened, by the monotonic clock. */
  get lastConfirmedStartMs(): number | undefined {
    return this.#lastConfirmedStartMs;
  }

  get isFenced(): boolean {
    return this.#isFenced;
  }

  /** Longest time that a batch took since the last call. */
  takeLongestSendMs(): number {
    const longestMs = this.#longestSendMs;
    this.#longestSendMs = 0;
    return longestMs;
  }

  get bufferedBytes(): number {
    let bytes = 0;
    for (const shard of this.#shards.values()) bytes += shard.stream?.bufferedBytes ?? 0;
    return bytes;
  }

  add(shard: PublishingShard): void {
    this.#shards.set(shardKey(shard.shard), shard);
    this.writeSoon();
  }

  /** Forgets the shard; the next write no longer lists it. */
  remove(shard: PublishingShard): void {
    const key = shardKey(shard.shard);
    if (this.#shards.get(key) === shard) this.#shards.delete(key);
  }

  /** Asks for a checkpoint write without waiting for the linger to pass. */
  writeSoon(): void {
    this.#isWriteUrgent = true;
    this.#bell.ring();
  }

  /** Sends what is there without waiting for company. */
  flushSoon(): void {
    this.#isFlushUrgent = true;
    this.#bell.ring();
  }

  /** Resolves when no checkpoint write is open: the last one has answered or timed out. */
  async writeSettled(): Promise<void> {
    await this.#writing;
  }

  /**
   * Resolves with `true` as soon as the worker is known not to be fenced: a write confirmed within the last
   * `listedForMs` is proof, since fencing takes longer than that; else the next confirmed one. `false` after `timeoutMs`.
   */
  async confirm(timeoutMs: number, signal: AbortSignal): Promise<boolean> {
    const { clock } = this.#options;
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    while (!signal.aborted && !this.#isFenced) {
      const nowMs = clock.monotonicMs();
      if (this.#lastConfirmedStartMs !== undefined && nowMs - this.#lastConfirmedStartMs <= this.#options.listedForMs)
        return true;
      if (nowMs >= deadlineMs) return false;
      this.writeSoon();
      await this.#nextWrite(deadlineMs - nowMs, signal);
      // A table that refuses connections answers in no time; asking again at once would keep a core busy.
      if (this.#failingSinceMs !== undefined) await clock.sleep(confirmRetryMs, signal);
    }
    return false;
  }

  /** Runs until `signal` aborts or the worker is fenced, then waits for the sends that are under way. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, lingerMs } = this.#options;
    const tickMs = lingerMs / ticksPerLinger;
    while (!signal.aborted && !this.#isFenced) {
      const startedMs = clock.monotonicMs();
      if (this.#lastTickMs !== undefined && startedMs - this.#lastTickMs > tickGapMs) this.#failingSinceMs = undefined;
      this.#lastTickMs = startedMs;
      if (this.#isDue(startedMs, tickMs)) await this.#cycle(startedMs);
      const restMs = Math.max(0, tickMs - (clock.monotonicMs() - startedMs));
      if (!this.#isFenced) await this.#bell.wait(restMs, signal);
    }
    await Promise.all(this.#sends);
  }

  /**
   * Whether it is time for a cycle. One a linger is the rule while shards have much to send or something is in doubt.
   * Otherwise it waits for company until the event that has waited longest must go, but never longer than that.
   */
  #isDue(nowMs: number, tickMs: number): boolean {
    const { lingerMs } = this.#options;
    const sinceLastMs = nowMs - this.#lastCycleMs;
    const isLingerOver = sinceLastMs >= lingerMs;
    const isUrgent = this.#isWriteUrgent || this.#isFlushUrgent;
    if (isUrgent && (isLingerOver || this.#failingSinceMs === undefined)) return true;
    if (isLingerOver && this.#isHeartbeatDue(nowMs)) return true;
    if (sinceLastMs < lingerMs / 2) return false;
    const mustGoMs = lingerMs * longestWaitLingers - tickMs;
    for (const shard of this.#shards.values()) {
      const { stream } = shard;
      if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;
      const { doubt, waitingSinceMs = nowMs } = stream;
      if (isLingerOver && (doubt !== undefined || isWorthSending(stream))) return true;
      if (doubt === undefined && nowMs - waitingSinceMs >= mustGoMs) return true;
    }
    return false;
  }

  #isHeartbeatDue(nowMs: number): boolean {
    const { heartbeatMs, lingerMs } = this.#options;
    const everyMs = this.#failingSinceMs === undefined ? heartbeatMs : Math.min(heartbeatMs, failedWriteRetryMs);
    return nowMs - this.#lastWriteStartedMs >= everyMs - lingerMs;
  }

  async #cycle(startedMs: number): Promise<void> {
    const { clock } = this.#options;
    this.#lastCycleMs = startedMs;
    const hasNews = this.#cutAndMark();
    if (hasNews || this.#isHeartbeatDue(startedMs) || this.#isWriteUrgent) {
      const isUrgent = this.#isWriteUrgent;
      this.#isWriteUrgent = false;
      this.#writing = this.#writeCheckpoint(isUrgent);
      await this.#writing;
      this.#writing = undefined;
      for (const wake of this.#writeWaiters) wake();
    }
    if (this.#isFenced) return;
    this.#sendListed();
    if (this.#failingSinceMs !== undefined) this.#sendUnfenced(clock.monotonicMs());
  }

  /** Cuts one range of each shard whose frames have waited long enough, and marks ranges whose deduplication window is over. */
  #cutAndMark(): boolean {
    const now = this.#now();
    const isUrgent = this.#isFlushUrgent;
    this.#isFlushUrgent = false;
    const ripe: SessionStream[] = [];
    const young: SessionStream[] = [];
    let hasNews = false;
    for (const shard of this.#shards.values()) {
      const { stream } = shard;
      if (shard.isFrozen || stream === undefined || this.#inFlight.has(shard)) continue;
      if (stream.doubt !== undefined) hasNews = this.#markIfOld(stream.doubt, now) || hasNews;
      else if (stream.waitingSinceMs !== undefined) (isUrgent || this.#isRipe(stream, now) ? ripe : young).push(stream);
    }
    for (const stream of [...ripe, ...fillUp(ripe.length, young)]) hasNews = stream.cut(now) !== undefined || hasNews;
    return hasNews;
  }

  #isRipe(stream: SessionStream, now: Now): boolean {
    if (isWorthSending(stream)) return true;
    return now.monotonicMs - (stream.waitingSinceMs ?? now.monotonicMs) >= this.#options.lingerMs * ripeAfterLingers;
  }

  /** Whether the range has news for the checkpoint item. */
  #markIfOld(doubt: Doubt, now: Now): boolean {
    if (rangeStep(doubt, now, this.#options.listedForMs) === 'mark') {
      doubt.unfenced = true;
      doubt.listedAtMs = undefined;
    }
    return doubt.listedAtMs === undefined;
  }

  async #writeCheckpoint(isUrgent: boolean): Promise<void> {
    const { store, incarnation, chunk, clock, logger } = this.#options;
    const version = this.#version + 1;
    this.#version = version;
    const entries = new Map<ShardKey, CheckpointEntry>();
    const listed: Doubt[] = [];
    for (const [key, shard] of this.#shards) {
      entries.set(key, shard.checkpointEntry());
      if (shard.stream?.doubt) listed.push(shard.stream.doubt);
    }
    const startedMs = clock.monotonicMs();
    this.#lastWriteStartedMs = startedMs;
    try {
      const outcome = await store.writeCheckpoint({ incarnation, chunk, version, entries });
      const isOurs = outcome.kind === 'written' || (outcome.item?.version === version && !outcome.item.fencedBy);
      if (!isOurs) {
        this.#onRefused(outcome.item);
        return;
      }
    } catch (error) {
      if (!(error instanceof StoreUnavailable)) throw error;
      // A process that slept during the attempt has not seen it fail for so long.
      const hasSlept = clock.monotonicMs() - startedMs > tickGapMs;
      this.#failingSinceMs = hasSlept ? undefined : (this.#failingSinceMs ?? startedMs);
      this.#isWriteUrgent ||= isUrgent;
      logger.warn({ version, error: messageOf(error) }, 'checkpoint.unreachable');
      return;
    }
    if (this.#isUnfencedMode) logger.info({ version }, 'publishing.fenced_again');
    this.#isUnfencedMode = false;
    this.#failingSinceMs = undefined;
    this.#lastConfirmedStartMs = startedMs;
    for (const doubt of listed) doubt.listedAtMs = startedMs;
  }

  #onRefused(item: { version: number; fencedBy?: string } | undefined): void {
    const { incarnation, logger, onFenced } = this.#options;
    if (item === undefined || item.fencedBy !== undefined) {
      this.#isFenced = true;
      onFenced(item?.fencedBy ?? 'a coordinator that removed the item');
      return;
    }
    // An answer was lost and the write repeated or overtaken: go on above what is stored.
    logger.warn({ incarnation, stored: item.version, mine: this.#version }, 'checkpoint.version_behind');
    this.#version = Math.max(this.#version, item.version);
    this.#isWriteUrgent = true;
  }

  #sendListed(): void {
    const now = this.#now();
    const batch: PublishingShard[] = [];
    let batchBytes = 0;
    for (const shard of this.#shards.values()) {
      const { stream } = shard;
      const doubt = stream?.doubt;
      if (shard.isFrozen || doubt?.packed === undefined || this.#inFlight.has(shard)) continue;
      if (rangeStep(doubt, now, this.#listedForMs(stream)) !== 'send') continue;
      const bytes = doubt.packed.payload.length + messageOverheadBytes;
      if (batch.length === maxBatchEntries || batchBytes + bytes > maxMessageBytes) {
        this.#send(batch.splice(0));
        batchBytes = 0;
      }
      batch.push(shard);
      batchBytes += bytes;
    }
    if (batch.length > 0) this.#send(batch);
  }

  /** The next owner knows nothing of a dead session's ranges: none may be on its way any more when that one begins. */
  #listedForMs(stream: SessionStream | undefined): number {
    const { listedForMs } = this.#options;
    return stream?.ended ? (listedForMs * 2) / 3 : listedForMs;
  }

  /** The table has been out of reach for long: shards that are surely still ours go on without intents, and say so. */
  #sendUnfenced(nowMs: number): void {
    const { controlQueueAnsweredMs, logger } = this.#options;
    const outage = { failingSinceMs: this.#failingSinceMs, controlQueueAnsweredMs: controlQueueAnsweredMs() };
    for (const shard of this.#shards.values()) {
      const doubt = shard.stream?.doubt;
      if (shard.isFrozen || doubt?.packed === undefined || this.#inFlight.has(shard)) continue;
      if (!mayPublishUnfenced({ ...outage, connectedSinceMs: shard.connectedSinceMs }, nowMs)) continue;
      if (!this.#isUnfencedMode)
        logger.error({ failingForMs: nowMs - (this.#failingSinceMs ?? nowMs) }, 'publishing.unfenced');
      this.#isUnfencedMode = true;
      doubt.unfenced = true;
      this.#send([shard]);
    }
  }

  #send(batch: readonly PublishingShard[]): void {
    const sending = this.#sendBatch(batch).finally(() => this.#sends.delete(sending));
    this.#sends.add(sending);
  }

  async #sendBatch(batch: readonly PublishingShard[]): Promise<void> {
    const { sender, clock, logger } = this.#options;
    const attempts = batch.map((shard) => {
      const stream = shard.stream as SessionStream;
      return { shard, stream, doubt: stream.doubt as Doubt };
    });
    for (const shard of batch) this.#inFlight.add(shard);
    const at = clock.wallClockMs();
    const startedMs = clock.monotonicMs();
    const outcomes = await sender.sendBatch(
      attempts.map(({ shard, stream, doubt }) => envelope(shard, stream, doubt, at)),
    );
    this.#longestSendMs = Math.max(this.#longestSendMs, clock.monotonicMs() - startedMs);
    attempts.forEach(({ shard, stream, doubt }, index) => {
      this.#inFlight.delete(shard);
      switch (outcomes[index]) {
        case 'sent':
          stream.acknowledge(doubt);
          break;
        case 'refused':
          logger.error({ shard: shard.shard.shardId, first: doubt.first, last: doubt.last }, 'publishing.refused');
          stream.refuse(doubt);
          break;
        case 'failed':
        case undefined:
          // It stays in doubt; the next cycle tries again under the same id.
          break;
      }
    });
  }

  /** Resolves after the next write attempt has ended, or after `timeoutMs`, or when `signal` aborts. */
  async #nextWrite(timeoutMs: number, signal: AbortSignal): Promise<void> {
    const wake = new AbortController();
    const end = () => wake.abort();
    this.#writeWaiters.add(end);
    signal.addEventListener('abort', end, { once: true });
    await this.#options.clock.sleep(timeoutMs, wake.signal);
    signal.removeEventListener('abort', end);
    this.#writeWaiters.delete(end);
  }

  #now(): Now {
    const { clock } = this.#options;
    return { wallClockMs: clock.wallClockMs(), monotonicMs: clock.monotonicMs() };
  }
}

/** More company would not make it cheaper by much, or none will come. */
function isWorthSending(stream: SessionStream): boolean {
  return stream.pendingFrames >= worthSendingFrames || (stream.ended && stream.pendingFrames > 0);
}

/** Of the young, those that have waited longest, as many as there is room for in the last request of `count` envelopes. */
function fillUp(count: number, young: SessionStream[]): readonly SessionStream[] {
  const room = (maxBatchEntries - (count % maxBatchEntries)) % maxBatchEntries;
  if (room >= young.length) return count > 0 ? young : [];
  young.sort((one, other) => (one.waitingSinceMs ?? 0) - (other.waitingSinceMs ?? 0));
  return young.slice(0, room);
}

/** Generous room for header, attribute names and types when a batch is filled. */
const messageOverheadBytes = 8 * 1024;

function envelope(shard: PublishingShard, stream: SessionStream, doubt: Doubt, at: number): OutgoingEnvelope {
  const packed = doubt.packed as NonNullable<Doubt['packed']>;
  return {
    header: {
      v: 1,
      shard: [shard.shard.shardId, shard.shard.shardCount],
      epoch: shard.epoch,
      session: stream.session,
      after: doubt.after,
      first: doubt.first,
      last: doubt.last,
      count: packed.frames.length,
      types: packed.types,
      encoding: packed.encoding,
      at,
      ...(packed.replayed && { replayed: true }),
      ...(doubt.unfenced && { unfenced: true }),
    },
    payload: packed.payload,
  };
}

import { type Durations, summarize } from './durations.ts';

/** How long shards were silent when they changed hands. Times are the observer's own monotonic clock. */
export interface HandoverReport {
  /** From `kill -9` of its owner to the next event that the shard's next owner delivered. */
  readonly killToDeliveryMs: Durations;
  /** The same where AWS failed some worker meanwhile: a fleet that cannot reach its table moves nothing. */
  readonly killToDeliveryInOutageMs: Durations;
  /** Shards whose owner was killed and that delivered nothing since. */
  readonly silentSinceKill: readonly number[];
  /** Of planned moves: from the last event that the old owner delivered to the first that the new one did. */
  readonly handoffGapMs: Durations;
  readonly handoffGapInOutageMs: Durations;
}

export interface Interval {
  readonly fromMs: number;
  readonly toMs: number;
}

/** Change of hands as seen from the deliveries: the first one with a higher epoch. */
interface Change extends Interval {
  readonly shard: number;
  readonly epoch: number;
}

/** Measures, at the end of the line where handlers run, what kills and handoffs cost. */
export class HandoverTimes {
  readonly #last = new Map<number, { epoch: number; atMs: number }>();
  readonly #killed = new Map<number, { epoch: number; atMs: number }>();
  readonly #recoveries: Interval[] = [];
  readonly #changes: Change[] = [];
  readonly #outages: Interval[] = [];

  /** The owner of these shards was killed. */
  killed(shards: readonly { readonly shard: number; readonly epoch: number }[], atMs: number): void {
    // Killed again before it delivered: it is silent since the first time.
    for (const { shard, epoch } of shards) {
      const before = this.#killed.get(shard);
      this.#killed.set(shard, { epoch, atMs: before?.atMs ?? atMs });
    }
  }

  /** An event of the shard reached its handler, in an envelope of this epoch. */
  delivered(shard: number, epoch: number, atMs: number): void {
    const last = this.#last.get(shard);
    // A late copy from a former owner says nothing about the present one.
    if (last !== undefined && epoch < last.epoch) return;
    if (last !== undefined && epoch > last.epoch) {
      this.#changes.push({ shard, epoch, fromMs: last.atMs, toMs: atMs });
    }
    this.#last.set(shard, { epoch, atMs });
    const killed = this.#killed.get(shard);
    if (killed !== undefined && epoch > killed.epoch) {
      this.#recoveries.push({ fromMs: killed.atMs, toMs: atMs });
      this.#killed.delete(shard);
    }
  }

  /** AWS failed one worker or all during this time. */
  outage(interval: Interval): void {
    this.#outages.push(interval);
  }

  /** `isPlanned` tells of a shard and the epoch that it got by its last move whether that was a handoff. */
  report(isPlanned: (shard: number, epoch: number) => boolean): HandoverReport {
    const [recoveries, recoveriesInOutage] = this.#split(this.#recoveries);
    const planned = this.#changes.filter(({ shard, epoch }) => isPlanned(shard, epoch));
    const [handoffs, handoffsInOutage] = this.#split(planned);
    return {
      killToDeliveryMs: recoveries,
      killToDeliveryInOutageMs: recoveriesInOutage,
      silentSinceKill: [...this.#killed.keys()].sort((one, other) => one - other),
      handoffGapMs: handoffs,
      handoffGapInOutageMs: handoffsInOutage,
    };
  }

  /** Whether AWS failed some worker at some time of it. */
  isStruck({ fromMs, toMs }: Interval): boolean {
    return this.#outages.some((outage) => outage.fromMs <= toMs && outage.toMs >= fromMs);
  }

  #split(intervals: readonly Interval[]): [quiet: Durations, inOutage: Durations] {
    const lengths = (struck: boolean): number[] =>
      intervals.filter((interval) => this.isStruck(interval) === struck).map(({ fromMs, toMs }) => toMs - fromMs);
    return [summarize(lengths(false)), summarize(lengths(true))];
  }
}

import type { EventIdentity } from './event-identity.ts';

/** How much of a session's stream is kept. */
export interface ReplayLimits {
  /** Frames kept at least... */
  readonly maxEvents: number;
  /** ...and frames younger than this are kept whatever their number. */
  readonly minAgeMs: number;
}

interface Entry {
  /** Gone once it was evicted; its identity is remembered for longer, to tell what was lost with it. */
  frame: Buffer | undefined;
  readonly atMs: number;
  readonly identity: EventIdentity | undefined;
}

/** Identities remembered after their frames were evicted. */
const rememberedIdentities = 5_000;

/** The dispatches of one session, by sequence number: bounded, in order, without holes. */
export class ReplayBuffer {
  readonly #limits: ReplayLimits;
  /** Entry of sequence number `#baseSeq + i` at index `i`; those before `#firstFrame` have lost their frame. */
  #entries: Entry[] = [];
  #baseSeq = 1;
  #firstFrame = 0;

  constructor(limits: ReplayLimits) {
    this.#limits = limits;
  }

  /** Sequence number of the newest event, 0 before the first. */
  get lastSeq(): number {
    return this.#baseSeq + this.#entries.length - 1;
  }

  /** Frames that can be replayed. */
  get size(): number {
    return this.#entries.length - this.#firstFrame;
  }

  /** Adds the event after {@link lastSeq} and drops what is over the limits. */
  push(frame: Buffer, atMs: number, identity: EventIdentity | undefined): void {
    this.#entries.push({ frame, atMs, identity });
    while (this.size > this.#limits.maxEvents) {
      const oldest = this.#entries[this.#firstFrame] as Entry;
      if (atMs - oldest.atMs < this.#limits.minAgeMs) break;
      oldest.frame = undefined;
      this.#firstFrame += 1;
    }
    // Cutting the array now and then, not each time, keeps a push cheap.
    if (this.#firstFrame > 2 * rememberedIdentities) {
      const cut = this.#firstFrame - rememberedIdentities;
      this.#entries = this.#entries.slice(cut);
      this.#baseSeq += cut;
      this.#firstFrame -= cut;
    }
  }

  /** Whether everything after `seq` is still here. */
  reachesBackTo(seq: number): boolean {
    return seq + 1 >= this.#baseSeq + this.#firstFrame;
  }

  /** The frames after `seq`, in order. Only what {@link reachesBackTo} says is complete. */
  *framesAfter(seq: number): Generator<{ seq: number; frame: Buffer }> {
    for (let i = Math.max(this.#firstFrame, seq + 1 - this.#baseSeq); i < this.#entries.length; i++) {
      yield { seq: this.#baseSeq + i, frame: (this.#entries[i] as Entry).frame as Buffer };
    }
  }

  /** The identities of the events after `seq` up to `lastSeq`, as far as they are remembered. */
  *identitiesAfter(seq: number, lastSeq = Number.POSITIVE_INFINITY): Generator<EventIdentity> {
    const end = Math.min(this.#entries.length, lastSeq + 1 - this.#baseSeq);
    for (let i = Math.max(0, seq + 1 - this.#baseSeq); i < end; i++) {
      const identity = this.#entries[i]?.identity;
      if (identity) yield identity;
    }
  }
}

import type { Checkpoint, EnvelopeInDoubt } from '../../shared/coordination/model.ts';
import type { EnvelopeEncoding } from '../../shared/envelope.ts';
import { frameMemory } from './frame-memory.ts';
import { type KeptFrame, type PackedFrames, packAll, packFront } from './pack.ts';

/** Frames come on loan: their memory is the connection's, which writes over it. */
function kept({ seq, type, bytes, replayed }: KeptFrame, alone = false): KeptFrame {
  return { seq, type, bytes: alone ? frameMemory.keepAlone(bytes) : frameMemory.keep(bytes), replayed };
}

/** A stream whose oldest frame waits longer than this does not flow, and may not for long. */
const stuckAfterMs = 2000;
/** The clock is asked with every so manieth frame. */
const lookEveryFrames = 16;

const notPublished: ReadonlySet<string> = new Set(['READY', 'RESUMED', 'INTERACTION_CREATE']);

/** The one range of a stream that may or may not be in SQS. */
export interface Doubt {
  readonly first: number;
  readonly last: number;
  /** `last` of the group's previous envelope. */
  readonly after: number;
  /** Unix milliseconds of the first attempt, by whichever owner made it. */
  readonly firstAttemptAtMs: number;
  /** The same by this process's monotonic clock; absent when another owner made the first attempt. */
  readonly firstAttemptMonotonicMs: number | undefined;
  unfenced: boolean;
  /**
   * Another owner tried to send it, in other bytes perhaps: what is refused now may have been taken then. This owner's
   * own attempts all carry the same bytes, and what SQS refuses for them it has always refused.
   */
  readonly isInherited: boolean;
  /** Absent while the range is rebuilt from Discord's replay. */
  packed: PackedFrames | undefined;
  /** Start of the last confirmed checkpoint write that lists this range with its present mark. */
  listedAtMs: number | undefined;
}

export interface SessionStreamOptions {
  readonly session: string;
  /** Where a previous owner left the stream; nothing for a session that begins now. */
  readonly from: Checkpoint | undefined;
  /** Whether some handler asked for events of this type. */
  readonly isWanted: (type: string) => boolean;
  readonly encoding: EnvelopeEncoding;
  /** The monotonic clock, to tell how long frames have waited. */
  readonly monotonicMs: () => number;
  /** A frame too large for SQS even alone: it is held until {@link SessionStream.letPass} is called with its `seq`. */
  readonly onOversized: (frame: KeptFrame) => void;
}

/**
 * The events of one gateway session on their way to SQS: what was read, what waits, and the one range in doubt
 * (protocol, "Flush cycle"). It does no I/O; the flush cycle cuts ranges from it and tells it what became of them.
 */
export class SessionStream {
  readonly session: string;
  readonly #options: SessionStreamOptions;
  #receivedSeq: number;
  #publishedSeq: number;
  #pending: KeptFrame[] = [];
  #pendingBytes = 0;
  /** Frames that were inherited and refused have waited for longer than this owner knows. */
  #waitingSinceMs = Number.NEGATIVE_INFINITY;
  #isStuck = false;
  #doubt: Doubt | undefined;
  /** Kept frames of the inherited range, while it is rebuilt. */
  #rebuilt: KeptFrame[] = [];
  #rebuiltBytes = 0;
  /** Sequence numbers that `a` may not pass yet. */
  readonly #held = new Set<number>();
  /** Frames on their way to another place than SQS: nothing behind them is cut, so that `p` never passes one that is nowhere yet. */
  readonly #parking = new Set<number>();
  /** Frames up to here may be in SQS under other boundaries. */
  #unfencedUpTo = 0;
  /** After SQS refused a range: frames up to here go in smaller ranges, of at most so many frames. */
  #splitUpTo = 0;
  #splitCount = 1;
  #ended = false;

  constructor(options: SessionStreamOptions) {
    this.#options = options;
    this.session = options.session;
    this.#receivedSeq = options.from?.acknowledgedSeq ?? 0;
    this.#publishedSeq = options.from?.publishedSeq ?? 0;
    const inDoubt = options.from?.inDoubt;
    if (inDoubt) this.#doubt = inheritedDoubt(inDoubt, this.#publishedSeq);
  }

  /** Last `s` read, without a hole before it: where this owner RESUMEs. */
  get receivedSeq(): number {
    return this.#receivedSeq;
  }

  get doubt(): Doubt | undefined {
    return this.#doubt;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Nothing waits and nothing is in doubt. What is held back matters to the checkpoint alone. */
  get isDrained(): boolean {
    return this.#pending.length === 0 && this.#doubt === undefined && this.#parking.size === 0;
  }

  /** Frames that wait to be cut. */
  get pendingFrames(): number {
    return this.#pending.length;
  }

  /** Since when the oldest of them waits, by the monotonic clock; `undefined` when none does. */
  get waitingSinceMs(): number | undefined {
    return this.#pending.length > 0 ? this.#waitingSinceMs : undefined;
  }

  get bufferedFrames(): number {
    return this.#pending.length + this.#rebuilt.length + (this.#doubt?.packed?.frames.length ?? 0);
  }

  /** Bytes of the frames that were read and are not known to be in SQS. */
  get bufferedBytes(): number {
    return this.#pendingBytes + this.#rebuiltBytes + (this.#doubt?.packed?.plainBytes ?? 0);
  }

  /**
   * Takes the next dispatch frame of the session, and copies its bytes where it keeps them. READY and RESUMED belong to the session itself, and interactions
   * have a queue of their own: they are not kept.
   */
  accept(frame: KeptFrame): void {
    const { seq, type } = frame;
    this.#receivedSeq = seq;
    const isKept = !notPublished.has(type) && this.#options.isWanted(type);
    const doubt = this.#doubt;
    if (doubt !== undefined && doubt.packed === undefined) {
      const isInside = seq >= doubt.first && seq <= doubt.last;
      if (isKept && isInside) {
        this.#rebuilt.push(kept(frame));
        this.#rebuiltBytes += frame.bytes.length;
      }
      // RESUMED says nothing about the end of the replay: that of an earlier RESUME is replayed as well.
      if (seq >= doubt.last) this.#finishRebuilding(doubt);
      if (seq <= doubt.last) return;
    }
    // Replayed for the sake of something held back; its envelope is in SQS already.
    if (!isKept || seq <= this.#publishedSeq) return;
    if (this.#pending.length % lookEveryFrames === 0) {
      const nowMs = this.#options.monotonicMs();
      if (this.#pending.length === 0) this.#waitingSinceMs = nowMs;
      this.#isStuck = nowMs - this.#waitingSinceMs > stuckAfterMs;
    }
    this.#pending.push(kept(frame, this.#isStuck));
    this.#pendingBytes += frame.bytes.length;
  }

  /** Keeps `a` below `seq` until {@link letPass}: the event has to reach another place first. */
  hold(seq: number): void {
    this.#held.add(seq);
  }

  letPass(seq: number): void {
    this.#held.delete(seq);
    this.#parking.delete(seq);
  }

  /** The session is over. What was read of it still goes out; a range that cannot be rebuilt any more is dropped and returned. */
  end(): EnvelopeInDoubt | undefined {
    this.#ended = true;
    const lost = this.#doubt?.packed === undefined ? this.#doubt : undefined;
    if (lost === undefined) return undefined;
    this.#doubt = undefined;
    this.#rebuilt = [];
    this.#rebuiltBytes = 0;
    return { first: lost.first, last: lost.last, firstAttemptAtMs: lost.firstAttemptAtMs };
  }

  /** Fixes the boundaries of the next envelope, if frames wait and nothing is in doubt. */
  cut(now: { wallClockMs: number; monotonicMs: number }): Doubt | undefined {
    while (this.#doubt === undefined && this.#pending.length > 0 && this.#parking.size === 0) {
      const isSplit = (this.#pending[0] as KeptFrame).seq <= this.#splitUpTo;
      const cut = packFront(this.#pending, this.#options.encoding, isSplit ? this.#splitCount : undefined);
      if ('oversized' in cut) {
        this.#putAside(cut.oversized);
        continue;
      }
      const { frames } = cut.packed;
      this.#dropFront(frames.length);
      const last = (frames.at(-1) as KeptFrame).seq;
      this.#doubt = {
        first: (frames[0] as KeptFrame).seq,
        last,
        after: this.#publishedSeq,
        firstAttemptAtMs: now.wallClockMs,
        firstAttemptMonotonicMs: now.monotonicMs,
        unfenced: (frames[0] as KeptFrame).seq <= this.#unfencedUpTo,
        isInherited: false,
        packed: cut.packed,
        listedAtMs: undefined,
      };
    }
    return this.#doubt;
  }

  /** SQS has the range: `a = p = last`. */
  acknowledge(doubt: Doubt): void {
    if (this.#doubt !== doubt) return;
    this.#publishedSeq = doubt.last;
    this.#doubt = undefined;
    this.#splitCount *= 2;
  }

  /** SQS will never take the range as it is: it goes out in halves, and a frame that is refused alone is put aside. */
  refuse(doubt: Doubt): void {
    const frames = doubt.packed?.frames;
    if (this.#doubt !== doubt || frames === undefined) return;
    this.#doubt = undefined;
    // An earlier attempt may have been taken: what is sent under other boundaries says that it may be double.
    if (doubt.isInherited) this.#unfencedUpTo = Math.max(this.#unfencedUpTo, doubt.last);
    if (frames.length === 1) {
      this.#hand(frames[0] as KeptFrame);
      return;
    }
    this.#splitUpTo = Math.max(this.#splitUpTo, doubt.last);
    this.#splitCount = Math.floor(frames.length / 2);
    this.#pending = [...frames, ...this.#pending];
    for (const frame of frames) this.#pendingBytes += frame.bytes.length;
  }

  /** What the checkpoint item says of this stream. */
  checkpoint(): Checkpoint {
    const doubt = this.#doubt;
    return {
      session: this.session,
      acknowledgedSeq: this.#acknowledgedSeq(),
      publishedSeq: this.#publishedSeq,
      ...(doubt && {
        inDoubt: {
          first: doubt.first,
          last: doubt.last,
          firstAttemptAtMs: doubt.firstAttemptAtMs,
          ...(doubt.unfenced && { unfenced: true }),
        },
      }),
    };
  }

  #acknowledgedSeq(): number {
    let seq = this.#receivedSeq;
    if (this.#doubt) seq = Math.min(seq, this.#doubt.first - 1);
    else if (this.#pending.length > 0) seq = Math.min(seq, (this.#pending[0] as KeptFrame).seq - 1);
    for (const held of this.#held) if (held <= seq) seq = held - 1;
    return seq;
  }

  #finishRebuilding(doubt: Doubt): void {
    doubt.packed = packAll(this.#rebuilt, this.#options.encoding);
    this.#rebuilt = [];
    this.#rebuiltBytes = 0;
  }

  #putAside(frame: KeptFrame): void {
    this.#dropFront(1);
    this.#hand(frame);
  }

  #hand(frame: KeptFrame): void {
    this.hold(frame.seq);
    this.#parking.add(frame.seq);
    this.#options.onOversized(frame);
  }

  #dropFront(count: number): void {
    for (const frame of this.#pending.splice(0, count)) this.#pendingBytes -= frame.bytes.length;
  }
}

function inheritedDoubt({ first, last, firstAttemptAtMs, unfenced }: EnvelopeInDoubt, after: number): Doubt {
  return {
    first,
    last,
    after,
    firstAttemptAtMs,
    firstAttemptMonotonicMs: undefined,
    unfenced: unfenced ?? false,
    isInherited: true,
    packed: undefined,
    listedAtMs: undefined,
  };
}

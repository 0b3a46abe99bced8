import type { Checkpoint, CheckpointEntry, Incarnation } from '../../shared/coordination/model.ts';
import type { EnvelopeHeader } from '../../shared/envelope.ts';
import type { World } from './world.ts';

/**
 * What must become of an event. `wanted`: into the events queue. `interaction`: into the interactions queue.
 * `poison`: SQS refuses it, so it is stored aside. `none`: the fleet drops it on purpose.
 */
export type EventKind = 'none' | 'wanted' | 'interaction' | 'poison';

interface SessionEvent {
  readonly kind: EventKind;
  readonly guild: string | undefined;
  /** The how manieth of its guild. */
  readonly n: number;
  fenced: number;
  unfenced: number;
  /** In the interactions queue, or stored aside. */
  elsewhere: number;
}

/** A RESUME that Discord refused: from then on nobody can have what comes after `seq`. */
interface Refusal {
  readonly incarnation: Incarnation;
  readonly seq: number;
}

export interface SessionRecord {
  readonly id: string;
  readonly shardId: number;
  /** Place among the sessions of its shard. */
  readonly place: number;
  readonly events: SessionEvent[];
  /** Why Discord gave the session up, once it has. */
  ended: string | undefined;
  refusal: Refusal | undefined;
  /** A checkpoint or a lease has named it. */
  isStored: boolean;
  hasUnfenced: boolean;
  /** Everything up to here is where it belongs. */
  settledUpTo: number;
  lastFencedSeq: number;
  lastEnvelopeLast: number;
}

interface Boundaries {
  readonly session: string;
  readonly first: number;
  readonly last: number;
}

/** One envelope by its boundaries. */
interface RangeRecord {
  /** When it was first sent. */
  sentMs: number | undefined;
  /** Its sender heard that SQS has it, and stored that: it must never be in doubt again. */
  isDone: boolean;
  /** Who stored a checkpoint that names it. */
  readonly listers: Set<Incarnation>;
  /** The epoch under which it was first stored. */
  listedEpoch: number | undefined;
  isMarked: boolean;
}

/** A worker goes on without its table only after this time, less what its clock may be off. */
const unfencedAfterMs = 15_000 * 0.98;
/** A range that was first tried this long ago may be forgotten by SQS: 200 s, less what two wall clocks may differ. */
const oldRangeMs = 200_000 - 32_000;

interface ShardRecord {
  readonly sessions: SessionRecord[];
  /** The newest session of which an envelope is in the queue. */
  newestPlace: number;
  readonly lastNumbers: Map<string, number>;
}

/** An envelope that SQS took in. */
export interface AcceptedEnvelope {
  readonly header: EnvelopeHeader;
  readonly frames: readonly string[];
  /** Taken in only after its sender had given up waiting. */
  readonly isLate: boolean;
}

export interface LedgerTotals {
  readonly events: number;
  readonly envelopes: number;
  readonly unfencedEnvelopes: number;
  readonly sessions: number;
  /** Events that Discord itself dropped before anybody could fetch them. */
  readonly droppedByDiscord: number;
}

/** The books of a run: what Discord took into its sessions against what came into the queues. */
export class Ledger {
  readonly #world: World;
  readonly #sessions = new Map<string, SessionRecord>();
  readonly #shards = new Map<number, ShardRecord>();
  readonly #publishers = new Map<string, Incarnation>();
  readonly #ranges = new Map<string, RangeRecord>();
  /** Ranges of two owners that SQS refused: their pieces may be double. */
  readonly #refusedDoubles: { readonly session: string; readonly first: number; readonly last: number }[] = [];
  /** Envelopes that an incarnation knows to be in SQS, before it has stored that. */
  readonly #heard = new Map<Incarnation, { readonly range: RangeRecord; readonly atMs: number }[]>();
  /** When each incarnation last heard that its checkpoint is written. */
  readonly #confirmedMs = new Map<Incarnation, number>();
  #envelopes = 0;
  #unfencedEnvelopes = 0;

  constructor(world: World) {
    this.#world = world;
  }

  openSession(id: string, shardId: number): SessionRecord {
    const shard = this.#shardOf(shardId);
    const session: SessionRecord = {
      id,
      shardId,
      place: shard.sessions.length,
      events: [],
      ended: undefined,
      refusal: undefined,
      isStored: false,
      hasUnfenced: false,
      settledUpTo: 0,
      lastFencedSeq: 0,
      lastEnvelopeLast: 0,
    };
    shard.sessions.push(session);
    this.#sessions.set(id, session);
    return session;
  }

  /** An envelope leaves a worker. */
  sent(header: EnvelopeHeader, by: Incarnation): void {
    const name = `${header.shard[0]} epoch ${header.epoch}`;
    const publisher = this.#publishers.get(name) ?? by;
    this.#publishers.set(name, publisher);
    if (publisher !== by) this.#world.violate('two publishers', `shard ${name}: ${publisher} and ${by}`);
    const nowMs = this.#world.nowMs;
    const rangeName = `${header.session} ${header.first}-${header.last}`;
    const range = this.#rangeOf(rangeName);
    range.sentMs ??= nowMs;
    if (header.unfenced) this.#mark(range, header, by);
  }

  /**
   * A range gets its mark: from somebody who has been without the table, or because SQS may have forgotten it. The next
   * owner inherits the mark and needs no reason of its own.
   */
  #mark(range: RangeRecord, boundaries: Boundaries, by: Incarnation): void {
    if (range.isMarked) return;
    range.isMarked = true;
    const nowMs = this.#world.nowMs;
    const isOut = nowMs - (this.#confirmedMs.get(by) ?? Number.NEGATIVE_INFINITY) >= unfencedAfterMs;
    const isOld = range.sentMs !== undefined && nowMs - range.sentMs >= oldRangeMs;
    if (isOut || this.#isPieceOfDouble(boundaries) || (isOld && !range.isDone)) return;
    const { session, first, last } = boundaries;
    this.#world.violate('unfenced without cause', `session ${session} ${first}-${last} by ${by}`);
  }

  /** A worker hears that its checkpoint of `issuedMs` is written. */
  confirmed(incarnation: Incarnation, issuedMs: number): void {
    this.#confirmedMs.set(incarnation, this.#world.nowMs);
    const heard = this.#heard.get(incarnation) ?? [];
    for (const { range, atMs } of heard) if (atMs < issuedMs) range.isDone = true;
    this.#heard.set(
      incarnation,
      heard.filter(({ range }) => !range.isDone),
    );
  }

  /** A worker hears that SQS will not have an envelope. */
  refused(header: EnvelopeHeader): void {
    const { session, first, last, epoch } = header;
    const range = this.#ranges.get(`${session} ${first}-${last}`);
    // A former owner may have sent it already, be it the same worker before it gave the shard away.
    const isInherited = range !== undefined && (range.listers.size > 1 || (range.listedEpoch ?? epoch) < epoch);
    if (isInherited || this.#isPieceOfDouble(header)) {
      this.#refusedDoubles.push({ session, first, last });
    }
  }

  /** A worker hears that SQS has an envelope. */
  acknowledged({ session, first, last }: EnvelopeHeader, by: Incarnation): void {
    const range = this.#ranges.get(`${session} ${first}-${last}`);
    if (range === undefined || range.isDone) return;
    const heard = this.#heard.get(by) ?? [];
    this.#heard.set(by, heard);
    heard.push({ range, atMs: this.#world.nowMs });
  }

  /** SQS took an envelope in that it did not have before. */
  accepted({ header, frames, isLate }: AcceptedEnvelope): void {
    const { session: id, first, last, after } = header;
    const unfenced = header.unfenced ?? false;
    const name = `shard ${header.shard[0]} session ${id} ${first}-${last} epoch ${header.epoch}`;
    this.#envelopes += 1;
    if (unfenced) this.#unfencedEnvelopes += 1;
    const session = this.#sessions.get(id);
    if (session === undefined) return this.#world.violate('unknown session', name);
    if (frames.length !== header.count) return this.#world.violate('wrong count', name);
    if (!unfenced && !session.hasUnfenced && after !== session.lastEnvelopeLast) {
      this.#world.violate('wrong after', `${name}: after is ${after}, the queue has up to ${session.lastEnvelopeLast}`);
    }
    this.#checkOrderOfSessions(session, name, isLate || unfenced);
    const seqs = frames.map(seqOf);
    this.#checkRange(session, header, seqs, name);
    for (const seq of seqs) this.#take(session, seq, { unfenced, isLate, name });
    session.hasUnfenced ||= unfenced;
    session.lastEnvelopeLast = Math.max(session.lastEnvelopeLast, last);
  }

  interactionAccepted(session: string, seq: number): void {
    this.#takeElsewhere(session, seq, 'interaction');
  }

  parked(session: string, seq: number): void {
    this.#takeElsewhere(session, seq, 'poison');
  }

  /** A worker is about to store a checkpoint: `a` must not be ahead of the queues. */
  storing(checkpoint: Checkpoint | CheckpointEntry, by: Incarnation): void {
    const { session: id, acknowledgedSeq } = checkpoint;
    if (id === undefined) return;
    const session = this.#sessions.get(id);
    if (session === undefined) return this.#world.violate('unknown session', `checkpoint of ${by} names ${id}`);
    const { inDoubt } = checkpoint;
    if (inDoubt) {
      const range = this.#rangeOf(`${id} ${inDoubt.first}-${inDoubt.last}`);
      range.listers.add(by);
      if ('epoch' in checkpoint) range.listedEpoch ??= checkpoint.epoch;
      if (inDoubt.unfenced) this.#mark(range, { session: id, ...inDoubt }, by);
    }
    const settledUpTo = settle(session);
    if (acknowledgedSeq > settledUpTo) {
      this.#world.violate(
        'checkpoint ahead',
        `${by} stores a=${acknowledgedSeq} of session ${id} (shard ${session.shardId}), but ${settledUpTo + 1} is nowhere`,
      );
    }
  }

  /** A checkpoint has been stored. */
  stored(checkpoint: Checkpoint): void {
    const session = checkpoint.session === undefined ? undefined : this.#sessions.get(checkpoint.session);
    if (session) session.isStored = true;
  }

  /** The shard's sessions that Discord still has. */
  living(shardId: number): SessionRecord[] {
    return this.#shardOf(shardId).sessions.filter((session) => session.ended === undefined);
  }

  /**
   * When all is quiet: what is missing of the sessions that Discord still has. Of a session that Discord refused to a
   * worker, that worker must deliver what it had read.
   */
  firstLoss(isHolder: (incarnation: Incarnation, shardId: number) => boolean): string | undefined {
    for (const session of this.#sessions.values()) {
      const settledUpTo = settle(session);
      const { id, shardId, ended, refusal, events, isStored } = session;
      // A crash between READY and its checkpoint leaves a session that nobody knows.
      if (ended === undefined && !isStored && session !== this.#shardOf(shardId).sessions.at(-1)) continue;
      const isRead = refusal !== undefined && isHolder(refusal.incarnation, shardId);
      const required = ended === undefined ? events.length : isRead ? refusal.seq : 0;
      if (ended === undefined && !isStored) return `session ${id} (shard ${shardId}) is in no checkpoint`;
      if (settledUpTo >= required) continue;
      const lost = events.slice(0, required).filter((event) => !isSettled(event)).length;
      return `${lost} events of session ${id} (shard ${shardId}, ${ended ?? 'alive'}), the first is ${settledUpTo + 1} of ${required}`;
    }
    return undefined;
  }

  totals(): LedgerTotals {
    let events = 0;
    let droppedByDiscord = 0;
    for (const session of this.#sessions.values()) {
      events += session.events.length;
      if (session.ended !== undefined) droppedByDiscord += session.events.filter((event) => !isSettled(event)).length;
    }
    return {
      events,
      envelopes: this.#envelopes,
      unfencedEnvelopes: this.#unfencedEnvelopes,
      sessions: this.#sessions.size,
      droppedByDiscord,
    };
  }

  #rangeOf(name: string): RangeRecord {
    let range = this.#ranges.get(name);
    if (range === undefined) {
      range = { sentMs: undefined, isDone: false, isMarked: false, listers: new Set(), listedEpoch: undefined };
      this.#ranges.set(name, range);
    }
    return range;
  }

  #isPieceOfDouble({ session, first, last }: Boundaries): boolean {
    return this.#refusedDoubles.some(
      (range) => range.session === session && range.first <= last && first <= range.last,
    );
  }

  #checkOrderOfSessions(session: SessionRecord, name: string, isExcused: boolean): void {
    const shard = this.#shardOf(session.shardId);
    if (session.place >= shard.newestPlace) shard.newestPlace = session.place;
    else if (!isExcused) this.#world.violate('sessions out of order', `${name} came after its successor's envelopes`);
  }

  /** Frames in order, inside the range, and none of it left out. */
  #checkRange(session: SessionRecord, header: EnvelopeHeader, seqs: readonly number[], name: string): void {
    const { first, last } = header;
    let place = 0;
    for (let seq = first; seq <= last; seq += 1) {
      if (seqs[place] === seq) place += 1;
      else if (session.events[seq - 1]?.kind === 'wanted') {
        this.#world.violate('hole in an envelope', `${name} lacks ${seq}`);
        return;
      }
    }
    if (place !== seqs.length) this.#world.violate('frames out of range', `${name} holds ${seqs.join(' ')}`);
  }

  #take(session: SessionRecord, seq: number, how: { unfenced: boolean; isLate: boolean; name: string }): void {
    const event = session.events[seq - 1];
    if (event === undefined) return this.#world.violate('unknown event', `${how.name}: ${seq}`);
    if (how.unfenced) {
      event.unfenced += 1;
      return;
    }
    event.fenced += 1;
    if (event.fenced > 1) return this.#world.violate('doubled', `${how.name}: ${seq} is in the queue already`);
    if (seq < session.lastFencedSeq)
      this.#world.violate('reordered', `${how.name}: ${seq} after ${session.lastFencedSeq}`);
    session.lastFencedSeq = Math.max(session.lastFencedSeq, seq);
    if (event.guild !== undefined && !how.isLate && event.unfenced === 0) {
      const numbers = this.#shardOf(session.shardId).lastNumbers;
      const before = numbers.get(event.guild) ?? 0;
      if (event.n <= before && !session.hasUnfenced) {
        this.#world.violate('guild reordered', `${how.name}: event ${event.n} of guild ${event.guild} after ${before}`);
      }
      numbers.set(event.guild, Math.max(before, event.n));
    }
  }

  #takeElsewhere(sessionId: string, seq: number, kind: EventKind): void {
    const event = this.#sessions.get(sessionId)?.events[seq - 1];
    if (event?.kind === kind) event.elsewhere += 1;
    else this.#world.violate('misplaced event', `session ${sessionId}: ${seq} is no ${kind}`);
  }

  #shardOf(shardId: number): ShardRecord {
    let shard = this.#shards.get(shardId);
    if (shard === undefined) {
      shard = { sessions: [], newestPlace: 0, lastNumbers: new Map() };
      this.#shards.set(shardId, shard);
    }
    return shard;
  }
}

function isSettled(event: SessionEvent): boolean {
  switch (event.kind) {
    case 'none':
      return true;
    case 'wanted':
      return event.fenced + event.unfenced > 0;
    case 'interaction':
    case 'poison':
      return event.elsewhere > 0;
  }
}

function settle(session: SessionRecord): number {
  const { events } = session;
  let seq = session.settledUpTo;
  while (seq < events.length && isSettled(events[seq] as SessionEvent)) seq += 1;
  session.settledUpTo = seq;
  return seq;
}

/** The `s` of a dispatch; in this world it stands behind the type. */
function seqOf(frame: string): number {
  return Number(/"s":(\d+)/.exec(frame)?.[1]);
}

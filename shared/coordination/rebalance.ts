import { type ShardAddress, type ShardKey, shardKey } from '../sharding.ts';
import { identifyReserve } from './identify-budget.ts';
import type { IdentifyBudget, Incarnation, Lease, ShardReport, WorkerRecord, WorkerReport } from './model.ts';

/** When a shard is moved, and when it is not. */
export interface RebalanceRules {
  /** Of one core: above it a worker has too much. */
  readonly cpuLimitPercent: number;
  /** Median round trip of a worker's heartbeats to Discord: above it the worker has too much. */
  readonly latencyLimitMs: number;
  /** A worker with more than this many times its even part of the fleet's events has too much. */
  readonly skewLimit: number;
  /** Relief ends at this part of a limit. */
  readonly lowMark: number;
  /** Nobody is given so much that it would have more than this part of a limit. */
  readonly targetMark: number;
  /** Loads that differ by less are alike: no move from one to the other. */
  readonly minDifference: number;
  /** Time constant τ of the smoothing: a change counts for 63 % after it. */
  readonly smoothingMs: number;
  /** A worker must have been seen with its present shards for so long before it counts as having too much. */
  readonly settleMs: number;
  /** A shard that was moved stays where it is for so long. */
  readonly cooldownMs: number;
  /** Moves of one round: this part of all shards, and at least `minMovesPerRound`. */
  readonly movesPerRoundShare: number;
  readonly minMovesPerRound: number;
}

export const rebalanceRules: RebalanceRules = {
  cpuLimitPercent: 80,
  latencyLimitMs: 500,
  skewLimit: 1.5,
  lowMark: 0.8,
  targetMark: 0.9,
  minDifference: 0.1,
  smoothingMs: 180_000,
  settleMs: 50_000,
  cooldownMs: 15 * 60_000,
  movesPerRoundShare: 0.02,
  minMovesPerRound: 4,
};

/** What a shard without events costs nevertheless, in events per second: its socket, its heartbeats. */
const idleShardWeight = 1;

/** What the planner knows when it decides. */
export interface RebalanceView {
  /** Unix milliseconds. Only smoothing and cooldowns depend on it, so a clock that is wrong does no harm. */
  readonly nowMs: number;
  readonly shardCount: number;
  readonly leases: readonly Lease[];
  readonly workers: readonly WorkerRecord[];
  /** Workers whose liveness counter was seen to move. */
  readonly alive: ReadonlySet<Incarnation>;
  readonly reports: readonly WorkerReport[];
  readonly budget: IdentifyBudget | undefined;
}

/** Smoothed figures of a worker. `s ← s + (x − s)(1 − e^(−Δt/τ))` with each sample `x`, `Δt` after the one before. */
export interface SmoothedLoad {
  readonly cpuPercent: number;
  readonly latencyMs: number;
  /** Events per second, and {@link idleShardWeight} for each shard. */
  readonly weight: number;
  /** How many shards the figures stand for. With another number they start anew. */
  readonly shardCount: number;
  /** For how long they have stood for these. */
  readonly observedMs: number;
  /** Had too much, and is not yet below the low mark again. */
  readonly isHot: boolean;
  /** Came empty, and has not yet its even part. */
  readonly isFilling: boolean;
}

/** What one round leaves to the next. */
export interface RebalanceState {
  /** Unix milliseconds of the round. */
  readonly atMs: number;
  readonly shardCount: number;
  readonly workers: ReadonlyMap<Incarnation, SmoothedLoad>;
  /** Shard ids still in their cooldown, and when they were moved. */
  readonly movedAtMs: ReadonlyMap<number, number>;
}

/** The state as stored. */
export interface StoredRebalanceState extends RebalanceState {
  /** Grows with every write. */
  readonly version: number;
}

/** Why a shard moves: the worst figure of its worker, an empty worker, or a draining one. */
export type MoveReason = 'cpu' | 'latency' | 'event-rate' | 'empty-worker' | 'draining';

export interface Move {
  readonly shard: ShardAddress;
  /** Of the lease that the move was decided on. */
  readonly epoch: number;
  readonly from: Incarnation;
  readonly to: Incarnation;
  readonly reason: MoveReason;
  /** By how much the higher load of the two workers falls, in percent of the limit. */
  readonly gain: number;
}

/** Why a worker that should be relieved, emptied or filled was not, or not further. */
export type SkipReason =
  /** Another worker has a newer release, and room. */
  | 'older-release'
  /** No worker has room for another shard. */
  | 'no-room'
  /** Whoever has room has no less to do. */
  | 'everybody-busy'
  /** Its shards were moved lately, are being moved, or are not ready. */
  | 'no-movable-shard'
  /** No shard lowers the higher load of the two workers by so much that moving all of them would do. */
  | 'no-shard-helps'
  /** The round's moves are spent. */
  | 'moves-spent';

export interface SkippedWorker {
  readonly worker: Incarnation;
  readonly reason: MoveReason;
  readonly why: SkipReason;
}

export interface RebalancePlan {
  readonly moves: readonly Move[];
  readonly skipped: readonly SkippedWorker[];
  /** Why there are no moves at all. */
  readonly held: 'identify-budget-low' | 'identify-budget-unknown' | undefined;
  /** What is to be stored if the plan is carried out. */
  readonly state: RebalanceState;
}

/**
 * The fewest moves that help. A worker's load is its worst figure in parts of that figure's limit; moves take load off
 * workers above 1 until they are below the low mark, give empty workers their part, and empty draining ones.
 *
 * Every move but those off draining workers lowers the higher load of the two workers it concerns, so a plan lowers the
 * highest load among them; nobody is brought above the target mark. Targets are alive, not draining, have room, and are of
 * the newest release that has room. A shard moves once within its cooldown, and only when it is ready: it has a session
 * to resume.
 */
export function planRebalance(
  view: RebalanceView,
  before: RebalanceState | undefined,
  rules: RebalanceRules = rebalanceRules,
): RebalancePlan {
  const round = new Round(view, before, rules);
  const held = whyHeld(view.budget);
  if (held === undefined) {
    round.emptyDraining();
    round.relieveHot();
    round.fillEmpty();
  }
  return { moves: round.moves, skipped: round.skipped, held, state: round.state() };
}

function whyHeld(budget: IdentifyBudget | undefined): RebalancePlan['held'] {
  if (budget === undefined) return 'identify-budget-unknown';
  return budget.remaining <= identifyReserve(budget.total) ? 'identify-budget-low' : undefined;
}

interface MovableShard {
  readonly lease: Lease;
  readonly weight: number;
}

/** A worker during the planning of a round; moves change it. */
class Seat {
  readonly worker: WorkerRecord;
  /** Alive, not draining. */
  isPresent = false;
  /** Present, and its load is known: may give and be given shards. */
  isEligible = false;
  /** Shards it owns or shall own. */
  occupied = 0;
  /** Shards it will have when what is under way is done. */
  shardCount = 0;
  movable: MovableShard[] = [];
  /** Of the shards it owns, by their latest figures. */
  shardWeights = 0;
  cpuPercent = 0;
  latencyMs = 0;
  weight = 0;
  observedMs = 0;
  isHot = false;
  isFilling = false;

  constructor(worker: WorkerRecord) {
    this.worker = worker;
  }

  get hasRoom(): boolean {
    return this.occupied < (this.worker.maxShards ?? Number.POSITIVE_INFINITY);
  }
}

type Search = { readonly shard: MovableShard; readonly gain: number } | SkipReason;

class Round {
  readonly moves: Move[] = [];
  readonly skipped: SkippedWorker[] = [];
  readonly #view: RebalanceView;
  readonly #rules: RebalanceRules;
  readonly #maxMoves: number;
  readonly #seats = new Map<Incarnation, Seat>();
  readonly #eligible: Seat[];
  readonly #movedAtMs: Map<number, number>;
  readonly #allHeld: boolean;
  /** The weight of a worker that has its even part. */
  readonly #evenWeight: number;
  /** A latency that the whole fleet has is Discord's or the network's: moving shards would not help. */
  readonly #latencyCounts: boolean;

  constructor(view: RebalanceView, before: RebalanceState | undefined, rules: RebalanceRules) {
    this.#view = view;
    this.#rules = rules;
    const { budget, shardCount, nowMs } = view;
    this.#maxMoves = Math.min(
      Math.max(rules.minMovesPerRound, Math.floor(shardCount * rules.movesPerRoundShare)),
      // Each move may cost an IDENTIFY, should Discord refuse the session.
      budget === undefined ? 0 : budget.remaining - identifyReserve(budget.total),
    );
    this.#movedAtMs = new Map(
      [...(before?.shardCount === shardCount ? before.movedAtMs : [])].filter(
        ([, movedAtMs]) => nowMs - movedAtMs < rules.cooldownMs,
      ),
    );
    this.#allHeld = view.leases.every((lease) => lease.owner !== undefined);
    for (const worker of view.workers) if (worker.assignable) this.#seats.set(worker.incarnation, new Seat(worker));
    this.#seatShards();
    this.#takeSamples(before);
    const seats = [...this.#seats.values()];
    this.#eligible = seats.filter((seat) => seat.isEligible);
    this.#evenWeight = Math.max(
      idleShardWeight,
      seats.reduce((sum, seat) => sum + seat.weight, 0) / Math.max(1, this.#eligible.length),
    );
    this.#latencyCounts =
      median(this.#eligible.map((seat) => seat.latencyMs).filter((ms) => ms > 0)) <=
      rules.latencyLimitMs * rules.lowMark;
    for (const seat of this.#eligible) this.#decideMarks(seat, before?.workers.get(seat.worker.incarnation));
  }

  /** Draining workers must be empty soon; whoever has room takes their shards. */
  emptyDraining(): void {
    for (const seat of this.#seats.values()) {
      if (!seat.worker.draining || !this.#view.alive.has(seat.worker.incarnation) || seat.shardCount === 0) continue;
      for (const shard of seat.movable) {
        if (this.#isSpent(seat, 'draining')) break;
        const to = this.#leastLoadedTarget(seat);
        if (typeof to === 'string') {
          this.#skip(seat, 'draining', to);
          break;
        }
        this.#move(shard, seat, to, 'draining', 0);
      }
    }
  }

  /** Takes shards off the worker with the highest load, again and again, until nobody is hot or nothing helps. */
  relieveHot(): void {
    const waiting = new Set(this.#eligible.filter((seat) => seat.isHot));
    while (waiting.size > 0) {
      const from = highest(waiting, (seat) => this.#load(seat)) as Seat;
      const reason = this.#reason(from);
      if (this.#load(from) <= this.#rules.lowMark || this.#isSpent(from, reason)) {
        waiting.delete(from);
        continue;
      }
      const to = this.#leastLoadedTarget(from);
      const found = typeof to === 'string' ? to : this.#bestShard(from, to, this.#load(from) - this.#rules.lowMark);
      if (typeof found === 'string') {
        this.#skip(from, reason, found);
        waiting.delete(from);
        // As low as it gets: it may rest there, above the low mark, until it has too much again.
        if (this.#load(from) <= 1) from.isHot = false;
      } else {
        this.#move(found.shard, from, to as Seat, reason, found.gain);
      }
    }
  }

  /** Gives workers that came empty their part, from whoever has the highest load. */
  fillEmpty(): void {
    for (const to of this.#eligible) {
      if (!to.isFilling) continue;
      const exhausted = new Set<Seat>([to]);
      for (;;) {
        const missingWeight = this.#evenWeight * this.#rules.lowMark - to.weight;
        if (missingWeight <= 0 || this.#isSpent(to, 'empty-worker')) break;
        const why = this.#whyNoTarget(to);
        if (why !== undefined) {
          this.#skip(to, 'empty-worker', why);
          break;
        }
        const from = highest(
          this.#eligible.filter((seat) => !exhausted.has(seat)),
          (seat) => this.#load(seat),
        );
        if (from === undefined) {
          this.#skip(to, 'empty-worker', 'no-shard-helps');
          break;
        }
        const found = this.#bestShard(from, to, missingWeight / (this.#rules.skewLimit * this.#evenWeight));
        if (typeof found === 'string') exhausted.add(from);
        else this.#move(found.shard, from, to, 'empty-worker', found.gain);
      }
    }
  }

  state(): RebalanceState {
    const { nowMs, shardCount } = this.#view;
    const workers = new Map<Incarnation, SmoothedLoad>();
    for (const [incarnation, seat] of this.#seats) {
      const { cpuPercent, latencyMs, weight, observedMs } = seat;
      workers.set(incarnation, {
        cpuPercent,
        latencyMs,
        weight,
        observedMs,
        shardCount: seat.shardCount,
        isHot: seat.isHot && this.#load(seat) > this.#rules.lowMark,
        isFilling: seat.isFilling && weight < this.#evenWeight * this.#rules.lowMark,
      });
    }
    return { atMs: nowMs, shardCount, workers, movedAtMs: this.#movedAtMs };
  }

  /** Who has which shards, and which of them may move. */
  #seatShards(): void {
    const rows = new Map<ShardKey, ShardReport>();
    for (const report of this.#view.reports) {
      for (const row of report.shards) {
        const other = rows.get(row.shard);
        if (other === undefined || row.epoch > other.epoch) rows.set(row.shard, row);
      }
    }
    for (const lease of this.#view.leases) {
      const { owner, want } = lease;
      if (owner === undefined) continue;
      const seat = this.#seats.get(owner);
      const target = want === undefined || want === owner ? undefined : this.#seats.get(want);
      if (target !== undefined) {
        target.occupied += 1;
        target.shardCount += 1;
      }
      if (seat === undefined) continue;
      seat.occupied += 1;
      if (target === undefined) seat.shardCount += 1;
      const row = rows.get(shardKey(lease.shard));
      const isCurrent = row !== undefined && row.epoch === lease.epoch;
      const weight = idleShardWeight + (isCurrent ? row.eventsPerSecond : 0);
      seat.shardWeights += weight;
      if (want === undefined && isCurrent && row.ready && !this.#movedAtMs.has(lease.shard.shardId)) {
        seat.movable.push({ lease, weight });
      }
    }
  }

  #takeSamples(before: RebalanceState | undefined): void {
    const { reports, alive, nowMs } = this.#view;
    const elapsedMs = before === undefined ? 0 : Math.max(0, nowMs - before.atMs);
    const part = 1 - Math.exp(-elapsedMs / this.#rules.smoothingMs);
    const byIncarnation = new Map(reports.map((report) => [report.incarnation, report]));
    for (const [incarnation, seat] of this.#seats) {
      const report = byIncarnation.get(incarnation);
      const known = before?.workers.get(incarnation);
      const continues = known !== undefined && known.shardCount === seat.shardCount;
      const smooth = (figure: 'cpuPercent' | 'latencyMs' | 'weight', sample: number): number =>
        continues ? known[figure] + (sample - known[figure]) * part : sample;
      seat.weight = smooth('weight', seat.shardWeights);
      seat.cpuPercent = smooth('cpuPercent', report?.cpuPercent ?? known?.cpuPercent ?? 0);
      seat.latencyMs = smooth('latencyMs', report === undefined ? (known?.latencyMs ?? 0) : workerLatencyMs(report));
      seat.observedMs = continues ? known.observedMs + elapsedMs : 0;
      // Of a worker that has shards and tells nothing, nobody knows whether it can take or should give any.
      const isKnown = report !== undefined || seat.occupied === 0;
      seat.isPresent = alive.has(incarnation) && !seat.worker.draining;
      seat.isEligible = seat.isPresent && isKnown;
    }
  }

  #decideMarks(seat: Seat, before: SmoothedLoad | undefined): void {
    const { settleMs, lowMark } = this.#rules;
    const load = this.#load(seat);
    seat.isHot = seat.observedMs >= settleMs && (load > 1 || (before?.isHot === true && load > lowMark));
    // Shards without an owner are the coordinator's to give out, and an empty worker comes first there.
    seat.isFilling = this.#allHeld && (seat.occupied === 0 || before?.isFilling === true);
  }

  #load(seat: Seat, cpuPercent = seat.cpuPercent, latencyMs = seat.latencyMs, weight = seat.weight): number {
    const { cpuLimitPercent, latencyLimitMs, skewLimit } = this.#rules;
    return Math.max(
      cpuPercent / cpuLimitPercent,
      this.#latencyCounts ? latencyMs / latencyLimitMs : 0,
      weight / (skewLimit * this.#evenWeight),
    );
  }

  #reason({ cpuPercent, latencyMs, weight }: Seat): MoveReason {
    const { cpuLimitPercent, latencyLimitMs, skewLimit } = this.#rules;
    const cpu = cpuPercent / cpuLimitPercent;
    const latency = this.#latencyCounts ? latencyMs / latencyLimitMs : 0;
    const rate = weight / (skewLimit * this.#evenWeight);
    if (cpu >= latency && cpu >= rate) return 'cpu';
    return latency >= rate ? 'latency' : 'event-rate';
  }

  /** The least loaded worker of the newest release that has room, or why there is none. */
  #leastLoadedTarget(from: Seat): Seat | SkipReason {
    const newest = this.#newestWithRoom();
    if (newest === undefined) return 'no-room';
    const targets = this.#eligible.filter((seat) => seat !== from && seat.hasRoom && seat.worker.release === newest);
    return highest(targets, (seat) => -this.#load(seat)) ?? 'everybody-busy';
  }

  #whyNoTarget(to: Seat): SkipReason | undefined {
    if (!to.hasRoom) return 'no-room';
    return to.worker.release === this.#newestWithRoom() ? undefined : 'older-release';
  }

  #newestWithRoom(): string | undefined {
    let newest: string | undefined;
    for (const { isPresent, hasRoom, worker } of this.#seats.values()) {
      if (isPresent && hasRoom && (newest === undefined || worker.release > newest)) newest = worker.release;
    }
    return newest;
  }

  /**
   * The shard whose move leaves the lowest load on the two workers. `missing` is what is to be gained in all: a shard
   * is not worth a move when all the movable ones, gaining as much each, would not get there.
   */
  #bestShard(from: Seat, to: Seat, missing: number): Search {
    if (from.movable.length === 0) return 'no-movable-shard';
    const load = this.#load(from);
    const { targetMark, minDifference } = this.#rules;
    if (this.#load(to) >= targetMark || load - this.#load(to) < minDifference) return 'everybody-busy';
    const worthwhile = missing / from.movable.length;
    let best: { shard: MovableShard; gain: number } | undefined;
    for (const shard of from.movable) {
      const part = shard.weight / from.shardWeights;
      const cpuPercent = from.cpuPercent * part;
      const weight = from.weight * part;
      const left = this.#load(from, from.cpuPercent - cpuPercent, from.latencyMs * (1 - part), from.weight - weight);
      const taken = this.#load(to, to.cpuPercent + cpuPercent, to.latencyMs, to.weight + weight);
      const gain = load - Math.max(left, taken);
      if (taken > targetMark || gain < worthwhile) continue;
      if (best === undefined || gain > best.gain) best = { shard, gain };
    }
    return best ?? 'no-shard-helps';
  }

  #move({ lease, weight }: MovableShard, from: Seat, to: Seat, reason: MoveReason, gain: number): void {
    const part = weight / from.shardWeights;
    const cpuPercent = from.cpuPercent * part;
    const movedWeight = from.weight * part;
    from.cpuPercent -= cpuPercent;
    from.latencyMs *= 1 - part;
    from.weight -= movedWeight;
    from.shardWeights -= weight;
    from.shardCount -= 1;
    from.movable = from.movable.filter((shard) => shard.lease !== lease);
    to.cpuPercent += cpuPercent;
    to.weight += movedWeight;
    to.shardWeights += weight;
    to.shardCount += 1;
    to.occupied += 1;
    this.#movedAtMs.set(lease.shard.shardId, this.#view.nowMs);
    this.moves.push({
      shard: lease.shard,
      epoch: lease.epoch,
      from: from.worker.incarnation,
      to: to.worker.incarnation,
      reason,
      gain: Math.round(gain * 1000) / 10,
    });
  }

  #isSpent(seat: Seat, reason: MoveReason): boolean {
    if (this.moves.length < this.#maxMoves) return false;
    this.#skip(seat, reason, 'moves-spent');
    return true;
  }

  #skip(seat: Seat, reason: MoveReason, why: SkipReason): void {
    this.skipped.push({ worker: seat.worker.incarnation, reason, why });
  }
}

/**
 * The lower median of a worker's shards: what most of them have is the worker's doing, what one has may be Discord's.
 * 0 when fewer than two shards tell.
 */
function workerLatencyMs(report: WorkerReport): number {
  const told = report.shards.filter((row) => row.ready && row.latencyMs > 0).map((row) => row.latencyMs);
  return told.length < 2 ? 0 : median(told);
}

/** The lower one of the two in the middle; 0 of nothing. */
function median(values: number[]): number {
  return values.sort((one, other) => one - other)[Math.floor((values.length - 1) / 2)] ?? 0;
}

/** The first of those with the highest figure. */
function highest<T>(items: Iterable<T>, figureOf: (item: T) => number): T | undefined {
  let best: T | undefined;
  let bestFigure = Number.NEGATIVE_INFINITY;
  for (const item of items) {
    const figure = figureOf(item);
    if (figure <= bestFigure) continue;
    best = item;
    bestFigure = figure;
  }
  return best;
}

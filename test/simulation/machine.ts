import type { Clock, Timer } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Chance } from './chance.ts';
import type { World } from './world.ts';

/** What a machine talks to; each way can be cut by itself. */
export type Peer = 'table' | 'events' | 'discord' | 'control';
export const peers: readonly Peer[] = ['table', 'events', 'discord', 'control'];

/** `both`: nothing gets through. `answers`: requests arrive, what comes back does not. */
export type Cut = 'both' | 'answers';

/** A crash or a pause that waits for the process to make a certain request. */
export interface BreakPoint {
  /** Start of the request's name, such as `table.release`. */
  readonly request: string;
  /** How many such requests are let through before. */
  countdown: number;
  /** What happens at it. `crash` comes before the request leaves, `sentAndCrash` after. */
  readonly does: 'crash' | 'sentAndCrash' | 'pause';
}

/** A computer: its clocks run as they please, and its connections can be cut. It outlives the processes on it. */
export class Machine {
  readonly name: string;
  readonly world: World;
  readonly chance: Chance;
  /** Seconds of this machine per second of the world. */
  readonly rate: number;
  /** How far the wall clock is ahead. */
  wallSkewMs: number;
  readonly cuts = new Map<Peer, Cut>();
  readonly #bootMs: number;
  #onHealed: (() => void)[] = [];

  constructor(name: string, world: World, chance: Chance, clock: { rate: number; wallSkewMs: number }) {
    this.name = name;
    this.world = world;
    this.chance = chance;
    this.rate = clock.rate;
    this.wallSkewMs = clock.wallSkewMs;
    this.#bootMs = chance.between(1e6, 1e9);
  }

  monotonicMs(): number {
    return this.#bootMs + this.world.nowMs * this.rate;
  }

  wallClockMs(): number {
    return Math.floor(worldStartMs + this.world.nowMs + this.wallSkewMs);
  }

  cut(peer: Peer, how: Cut): void {
    this.world.note(this.name, () => `cut off from ${peer} (${how})`);
    this.cuts.set(peer, how);
  }

  heal(peer: Peer): void {
    if (!this.cuts.delete(peer)) return;
    this.world.note(this.name, () => `reaches ${peer} again`);
    if (peer !== 'discord') return;
    const waiting = this.#onHealed;
    this.#onHealed = [];
    for (const run of waiting) run();
  }

  /** Calls `run` when Discord is reachable again. */
  onceDiscordIsBack(run: () => void): void {
    this.#onHealed.push(run);
  }
}

/** Unix time at the start of the world. */
const worldStartMs = 1_800_000_000_000;

interface Deferred {
  readonly isTimer: boolean;
  readonly run: () => void;
}

const inertTimer: Timer = { cancel() {} };

/**
 * One process on a machine. Everything that reaches its code comes through {@link deliver}: a process that stands still
 * (SIGSTOP, a long garbage collection) finds it all when it wakes, and one that was killed never hears of anything again.
 */
export class SimProcess implements Clock {
  readonly machine: Machine;
  readonly name: string;
  /** Identity of the worker's present life in this process. */
  incarnation = '';
  /** When it last set out to connect to Discord. */
  lastDialMs = 0;
  /** Told when the process stands still at its break point. */
  onPause: () => void = () => {};
  breakPoint: BreakPoint | undefined;
  readonly #world: World;
  readonly #chance: Chance;
  #isAlive = true;
  #isPaused = false;
  #pausedMs = 0;
  #deferred: Deferred[] = [];
  #onDeath: (() => void)[] = [];

  constructor(machine: Machine, name: string) {
    this.machine = machine;
    this.name = name;
    this.#world = machine.world;
    this.#chance = machine.chance;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** When the process last woke from a pause. */
  get pausedUntilMs(): number {
    return this.#pausedMs;
  }

  monotonicMs(): number {
    return this.machine.monotonicMs();
  }

  wallClockMs(): number {
    return this.machine.wallClockMs();
  }

  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      if (signal?.aborted) {
        resolve();
        return;
      }
      const end = () => {
        timer.cancel();
        signal?.removeEventListener('abort', end);
        resolve();
      };
      const timer = this.schedule(durationMs, end);
      signal?.addEventListener('abort', end, { once: true });
    });
  }

  schedule(durationMs: number, run: () => void): Timer {
    if (!this.#isAlive) return inertTimer;
    let isCancelled = false;
    // Node's timers strike up to a millisecond early, and late when there is something else to do.
    const delayMs = Math.max(0.1, durationMs / this.machine.rate + this.#chance.between(-0.9, 2));
    const timer = this.#world.time.after(delayMs, () => {
      const strike = () => {
        if (!isCancelled) run();
      };
      this.#receive(strike, true);
    });
    return {
      cancel() {
        isCancelled = true;
        timer.cancel();
      },
    };
  }

  /** Runs `run` in the process: now, when it wakes, or never. */
  deliver(run: () => void): void {
    this.#receive(run, false);
  }

  /** Asked with every request; `false` when the process died before the request left. */
  sends(request: string): boolean {
    if (!this.#isAlive) return false;
    const point = this.breakPoint;
    if (point === undefined || !request.startsWith(point.request) || point.countdown-- > 0) return true;
    this.breakPoint = undefined;
    this.#world.note(this.name, () => `${point.does} at ${request}`);
    if (point.does === 'pause') {
      this.pause();
      this.onPause();
      return true;
    }
    this.kill();
    return point.does === 'sentAndCrash';
  }

  onDeath(run: () => void): void {
    if (this.#isAlive) this.#onDeath.push(run);
  }

  /** No line of its code is run any more. */
  kill(): void {
    if (!this.#isAlive) return;
    this.#world.note(this.name, () => 'is dead');
    this.#isAlive = false;
    this.#deferred = [];
    for (const run of this.#onDeath) run();
    this.#onDeath = [];
  }

  pause(): void {
    if (!this.#isAlive || this.#isPaused) return;
    this.#world.note(this.name, () => 'stands still');
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isAlive || !this.#isPaused) return;
    this.#world.note(this.name, () => `goes on, ${this.#deferred.length} things waiting`);
    this.#pausedMs = this.#world.nowMs;
    // Node's event loop comes back to its timers first, unless it was stopped just before it looked at its sockets.
    if (this.#chance.happens(0.6)) {
      this.#deferred = [
        ...this.#deferred.filter(({ isTimer }) => isTimer),
        ...this.#deferred.filter(({ isTimer }) => !isTimer),
      ];
    }
    this.#catchUp();
  }

  /** Runs what waits one by one; what arrives meanwhile stands behind it. */
  #catchUp(): void {
    const next = this.#deferred.shift();
    if (next === undefined) {
      this.#isPaused = false;
      return;
    }
    this.#run(next.run);
    if (this.#isAlive) this.#world.time.after(0, () => this.#catchUp());
  }

  #receive(run: () => void, isTimer: boolean): void {
    if (!this.#isAlive) return;
    if (this.#isPaused) this.#deferred.push({ isTimer, run });
    else this.#run(run);
  }

  #run(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#world.violate(
        'uncaught exception',
        `${this.name}: ${error instanceof Error ? error.stack : messageOf(error)}`,
      );
    }
  }
}

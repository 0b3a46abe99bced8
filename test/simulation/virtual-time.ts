import type { Timer } from '../../shared/clock.ts';

interface Entry {
  readonly atMs: number;
  readonly order: number;
  /** Absent once cancelled. */
  run: (() => void) | undefined;
}

/** After this many events the real event loop gets a turn, so that the garbage collector can finish its work. */
const eventsPerTurn = 20_000;

/**
 * The time of a simulated world: nothing passes but what is scheduled. One event runs at a time, and everything that
 * it sets off without waiting (promises that are ready) is over before the next one.
 */
export class VirtualTime {
  #nowMs = 0;
  #order = 0;
  #events = 0;
  readonly #heap: Entry[] = [];

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Events run so far. */
  get events(): number {
    return this.#events;
  }

  after(durationMs: number, run: () => void): Timer {
    return this.at(this.#nowMs + durationMs, run);
  }

  at(atMs: number, run: () => void): Timer {
    const entry: Entry = { atMs: Math.max(this.#nowMs, atMs), order: this.#order++, run };
    this.#push(entry);
    return {
      cancel() {
        entry.run = undefined;
      },
    };
  }

  /** Runs events until `untilMs`, or until nothing is scheduled, or until `isOver`. */
  async run(untilMs: number, isOver: () => boolean): Promise<void> {
    // From here on this function runs as a promise job, which `drained` relies on.
    await turn();
    for (let next = this.#heap[0]; next !== undefined && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      const { run } = next;
      if (run === undefined) continue;
      this.#nowMs = next.atMs;
      this.#events += 1;
      run();
      await drained();
      if (isOver()) return;
      if (this.#events % eventsPerTurn === 0) await turn();
    }
    this.#nowMs = Math.max(this.#nowMs, untilMs);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let place = heap.length;
    heap.push(entry);
    while (place > 0) {
      const above = (place - 1) >> 1;
      const parent = heap[above] as Entry;
      if (!isBefore(entry, parent)) break;
      heap[place] = parent;
      place = above;
    }
    heap[place] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Entry;
    const { length } = heap;
    if (length === 0) return;
    let place = 0;
    for (;;) {
      let below = 2 * place + 1;
      if (below >= length) break;
      if (below + 1 < length && isBefore(heap[below + 1] as Entry, heap[below] as Entry)) below += 1;
      const child = heap[below] as Entry;
      if (!isBefore(child, last)) break;
      heap[place] = child;
      place = below;
    }
    heap[place] = last;
  }
}

function isBefore(one: Entry, other: Entry): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}

/** Resolves when no promise job is left. Node runs its ticks only then, if asked for from within a promise job. */
function drained(): Promise<void> {
  return new Promise((resolve) => process.nextTick(resolve));
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

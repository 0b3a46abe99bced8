import { VirtualTime } from './virtual-time.ts';

/** A broken invariant. */
export interface Violation {
  readonly atMs: number;
  readonly kind: string;
  readonly detail: string;
}

/** One line of a trace: virtual time, who, and what. */
export type Tracer = (atMs: number, who: string, what: string) => void;

/** What all parts of one simulated run share. A run is over with the first broken invariant. */
export class World {
  readonly time = new VirtualTime();
  readonly seed: number;
  readonly #tracer: Tracer | undefined;
  #violation: Violation | undefined;

  constructor(seed: number, tracer: Tracer | undefined) {
    this.seed = seed;
    this.#tracer = tracer;
  }

  get nowMs(): number {
    return this.time.nowMs;
  }

  get violation(): Violation | undefined {
    return this.#violation;
  }

  get isTraced(): boolean {
    return this.#tracer !== undefined;
  }

  /** Adds a line to the trace; `what` is only called when there is one. */
  note(who: string, what: () => string): void {
    if (this.#tracer !== undefined) this.#tracer(this.nowMs, who, what());
  }

  violate(kind: string, detail: string): void {
    this.note('VIOLATION', () => `${kind}: ${detail}`);
    this.#violation ??= { atMs: this.nowMs, kind, detail };
  }
}

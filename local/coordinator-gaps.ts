import type { WorkerLogLine } from './worker-fleet.ts';

/** What keeps a coordinator from its work. */
export type CoordinatorLoss = 'killed' | 'paused' | 'cut off';

/** The fleet was without a coordinator for this long. */
export interface CoordinatorGap {
  readonly cause: CoordinatorLoss;
  readonly from: string;
  readonly to: string;
  readonly ms: number;
  /** When it began, by the clock that measured it. */
  readonly fromMs: number;
}

/** Follows the coordinator's role in the workers' log lines and measures how long nobody filled it. */
export class CoordinatorGaps {
  readonly #nameOf = new Map<string, string>();
  readonly #gaps: CoordinatorGap[] = [];
  #coordinator: string | undefined;
  #lost: { readonly cause: CoordinatorLoss; readonly from: string; readonly atMs: number } | undefined;

  /** Name of the worker that has the role. */
  get coordinator(): string | undefined {
    return this.#coordinator;
  }

  get gaps(): readonly CoordinatorGap[] {
    return this.#gaps;
  }

  /** Takes a log line in, `atMs` by the clock that measures the gaps. */
  take(workerId: string, line: WorkerLogLine, atMs: number): void {
    if (typeof line['incarnation'] === 'string') this.#nameOf.set(line['incarnation'], workerId);
    if (line.msg === 'coordinator.role_given') this.#coordinator = this.#nameOf.get(String(line['holder']));
    if (line.msg !== 'coordinator.role_taken') return;
    this.#coordinator = workerId;
    if (this.#lost === undefined) return;
    const { cause, from, atMs: lostAtMs } = this.#lost;
    // The same worker under a new incarnation counts: it had to win the role anew.
    this.#gaps.push({ cause, from, to: workerId, ms: Math.round(atMs - lostAtMs), fromMs: lostAtMs });
    this.#lost = undefined;
  }

  /** Something happened to a worker; it matters when that is the coordinator. */
  lost(workerId: string, cause: CoordinatorLoss, atMs: number): void {
    if (workerId === this.#coordinator) this.#lost ??= { cause, from: workerId, atMs };
  }

  /** The worker can do its work again. When nobody has taken the role from it meanwhile, there was no gap to speak of. */
  back(workerId: string): void {
    if (this.#lost?.from === workerId && this.#lost.cause !== 'killed') this.#lost = undefined;
  }
}

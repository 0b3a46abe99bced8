import type { FleetSnapshot } from './fleet-snapshot.ts';
import type { ViewOutput } from './redrawn-lines.ts';

const everyMs = 10_000;

/** Tells of a long run in one line every ten seconds, for logs and for people who look in now and then. */
export class ProgressLines {
  readonly #output: ViewOutput;
  #writtenAtMs = Number.NEGATIVE_INFINITY;
  #phase: string | undefined;

  constructor(output: ViewOutput) {
    this.#output = output;
  }

  update(snapshot: FleetSnapshot): void {
    if (snapshot.phase === this.#phase && snapshot.elapsedMs - this.#writtenAtMs < everyMs) return;
    this.#phase = snapshot.phase;
    this.#writtenAtMs = snapshot.elapsedMs;
    this.note(renderProgress(snapshot));
  }

  note(text: string): void {
    this.#output.write(`${text}\n`);
  }
}

/** A run so far in one line: first what must be nought, then how the fleet is. */
export function renderProgress(snapshot: FleetSnapshot): string {
  const { totals, workers, shards, remainingMs, identifies, resumes, handoffs, takeovers, latencyMs } = snapshot;
  const running = workers.filter(({ state }) => state === 'running').length;
  const ready = shards.filter((shard) => shard.ready).length;
  return [
    `${(snapshot.elapsedMs / 1000).toFixed(0).padStart(4)} s ${snapshot.phase}`,
    ...(totals === undefined
      ? []
      : [
          `${totals.emitted} emitted, ${totals.delivered} delivered, ${totals.pending} under way`,
          `lost ${totals.lost}, duplicated ${totals.duplicated}, reordered ${totals.reordered}`,
        ]),
    `${running}/${workers.length} workers, ${ready}/${shards.length} shards`,
    `${identifies} identifies, ${resumes} resumes, ${handoffs} handoffs, ${takeovers} takeovers`,
    `p99 ${latencyMs.p99} ms`,
    ...(remainingMs === undefined ? [] : [`${(remainingMs / 1000).toFixed(0)} s left`]),
  ].join('; ');
}

import type { FleetSnapshot, ShardSnapshot, WorkerSnapshot } from './fleet-snapshot.ts';
import { RedrawnLines, type ViewOutput } from './redrawn-lines.ts';
import { renderTable } from './text-table.ts';

/** A plain line this often where nothing can be redrawn. */
const plainLineEveryMs = 5000;
const shardsPerRow = 32;
const alphabet = 'abcdefghijklmnopqrstuvwxyz';

/** Shows a running fleet: redrawn in place on a terminal, as plain lines otherwise. */
export class LiveView {
  readonly #output: ViewOutput;
  readonly #lines: RedrawnLines;
  #lastPlainLineAtMs = Number.NEGATIVE_INFINITY;
  #lastPhase: string | undefined;

  constructor(output: ViewOutput) {
    this.#output = output;
    this.#lines = new RedrawnLines(output);
  }

  update(snapshot: FleetSnapshot): void {
    if (this.#output.isTTY === true) this.#lines.draw((columns) => renderView(snapshot, columns));
    else this.#writePlainLine(snapshot);
  }

  /** Writes a line that stays, above the view. */
  note(text: string): void {
    this.#lines.note(text);
  }

  #writePlainLine(snapshot: FleetSnapshot): void {
    const due = snapshot.elapsedMs - this.#lastPlainLineAtMs >= plainLineEveryMs;
    if (!due && snapshot.phase === this.#lastPhase) return;
    this.#lastPlainLineAtMs = snapshot.elapsedMs;
    this.#lastPhase = snapshot.phase;
    this.#output.write(`${renderPlainLine(snapshot)}\n`);
  }
}

/** The fleet in one line. */
export function renderPlainLine(snapshot: FleetSnapshot): string {
  const running = snapshot.workers.filter((worker) => worker.state === 'running').length;
  return [
    `${seconds(snapshot.elapsedMs)} ${snapshot.phase}:`,
    `${running} of ${snapshot.workers.length} workers,`,
    `${readyCount(snapshot)} of ${snapshot.shards.length} shards ready,`,
    `${snapshot.guildCount} guilds,`,
    ...(snapshot.totals === undefined ? [] : [`${Math.round(snapshot.emittedPerSecond)} events/s in,`]),
    `${Math.round(snapshot.deliveredPerSecond)} events/s out,`,
    `p50 ${snapshot.latencyMs.p50} ms, p99 ${snapshot.latencyMs.p99} ms,`,
    `${snapshot.handoffs} handoffs, ${snapshot.takeovers} takeovers`,
  ].join(' ');
}

/** The fleet as lines of at most `columns` characters (colours not counted). */
export function renderView(snapshot: FleetSnapshot, columns: number): string[] {
  const { totals } = snapshot;
  const remaining = snapshot.remainingMs === undefined ? '' : `, ${seconds(snapshot.remainingMs)} left`;
  const lines = [
    `Baton  ${snapshot.phase}, ${seconds(snapshot.elapsedMs)}${remaining}  (${
      snapshot.discord === 'simulator' ? 'simulated Discord' : 'Discord'
    })`,
    '',
    ...renderTable([
      ['worker', 'state', 'shards', 'CPU', 'RSS', 'events/s', 'warnings'],
      ...snapshot.workers.map(workerCells),
    ]),
    '',
    ...shardMap(snapshot.shards),
    '',
    `${snapshot.guildCount} guilds   ${readyCount(snapshot)} of ${snapshot.shards.length} shards ready   ` +
      `${snapshot.identifies} identifies   ${snapshot.resumes} resumes   ${snapshot.handoffs} handoffs   ${snapshot.takeovers} takeovers`,
    `events/s ${totals === undefined ? '' : `in ${Math.round(snapshot.emittedPerSecond)}, `}out ${Math.round(
      snapshot.deliveredPerSecond,
    )}   latency p50 ${snapshot.latencyMs.p50} ms, p99 ${snapshot.latencyMs.p99} ms`,
    ...(totals === undefined
      ? []
      : [
          `emitted ${totals.emitted}   delivered ${totals.delivered}   under way ${totals.pending}   ` +
            `lost ${totals.lost}   duplicated ${totals.duplicated}   reordered ${totals.reordered}`,
        ]),
    '',
    ...snapshot.happenings.map(({ atMs, text }) => `${seconds(atMs).padStart(7)}  ${text}`),
  ];
  return lines.map((line) => cut(line, columns));
}

function workerCells(worker: WorkerSnapshot): string[] {
  return [
    `${worker.workerId}${worker.coordinator ? ' *' : ''}`,
    worker.state,
    `${worker.readyShardCount}/${worker.shardCount}`,
    `${Math.round(worker.cpuPercent)} %`,
    `${Math.round(worker.rssMb)} MB`,
    String(Math.round(worker.eventsPerSecond)),
    worker.errors > 0 ? `${worker.warnings}, ${worker.errors} errors` : String(worker.warnings),
  ];
}

/** A mark per shard; workers are told apart by letter, so that a move is seen. */
function shardMap(shards: readonly ShardSnapshot[]): string[] {
  const letters = new Map<string, string>();
  for (const workerId of [...new Set(shards.flatMap((shard) => shard.workerId ?? []))].sort()) {
    letters.set(workerId, alphabet[letters.size % alphabet.length] as string);
  }
  const lines: string[] = [];
  for (let from = 0; from < shards.length; from += shardsPerRow) {
    const marks = shards.slice(from, from + shardsPerRow).map((shard) => markOf(shard, letters));
    lines.push(`${String(from).padStart(5)}  ${marks.join(' ')}`);
  }
  const legend = [...letters].map(([workerId, letter]) => `${letter} ${workerId}`).join('  ');
  return [...lines, `       ${legend}  (A ready, a not yet, . unheld)`];
}

function markOf(shard: ShardSnapshot, letters: ReadonlyMap<string, string>): string {
  const letter = shard.workerId === undefined ? undefined : letters.get(shard.workerId);
  if (letter === undefined) return '.';
  return shard.ready ? letter.toUpperCase() : letter;
}

function readyCount(snapshot: FleetSnapshot): number {
  return snapshot.shards.filter((shard) => shard.ready).length;
}

function seconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}

function cut(line: string, columns: number): string {
  return line.length <= columns ? line : `${line.slice(0, Math.max(0, columns - 1))}…`;
}

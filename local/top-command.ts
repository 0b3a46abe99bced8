import { systemClock } from '../shared/clock.ts';
import type { WorkerAnswer } from '../shared/control/answers.ts';
import type { WorkerReport } from '../shared/coordination/model.ts';
import type { CoordinationStore } from '../shared/coordination/store.ts';
import type { ShardReport } from '../shared/coordination/model.ts';
import { type FleetClient, withFleet } from './fleet-client.ts';
import { type FleetStatus, readFleetStatus } from './fleet-status.ts';
import { RedrawnLines } from './redrawn-lines.ts';
import { StopSignals } from './stop-signals.ts';
import { renderTable } from './text-table.ts';

export interface TopOptions {
  readonly json: boolean;
  /** Milliseconds between two looks. */
  readonly every: number;
  /** Milliseconds; without it until Ctrl-C, with `json` one look. */
  readonly duration?: number;
}

/** The table's picture of the fleet, and what the workers say of themselves at this moment. */
export interface FleetTop {
  readonly status: FleetStatus;
  readonly workers: WorkerAnswer<WorkerReport>;
}

const answerWithinMs = 1500;

/**
 * `baton top`: workers and shards as they are now, drawn over and over on a terminal; elsewhere a table each time, with
 * `--json` one object.
 * @throws {BatonError} `STORE_UNREACHABLE`, `CONFIG_INVALID`.
 */
export async function top(options: TopOptions): Promise<void> {
  const signals = new StopSignals(() => systemClock.monotonicMs());
  signals.listen();
  const over = new AbortController();
  const { json, every, duration } = options;
  const timer = duration === undefined ? undefined : systemClock.schedule(duration, () => over.abort());
  const signal = AbortSignal.any([signals.orderly, over.signal]);
  const screen = new RedrawnLines(process.stdout);
  try {
    await withFleet(process.env, async (client) => {
      do {
        const seen = await look(client);
        if (json) {
          console.log(JSON.stringify(seen));
          return;
        }
        if (process.stdout.isTTY) screen.draw((columns) => topLines(client.config.fleet, seen, columns));
        else console.log(`${topLines(client.config.fleet, seen, Number.POSITIVE_INFINITY).join('\n')}\n`);
        await systemClock.sleep(every, signal);
      } while (!signal.aborted);
    });
  } finally {
    timer?.cancel();
    signals.stopListening();
  }
}

async function look({ store, fleet }: Pick<FleetClient, 'fleet'> & { store: CoordinationStore }): Promise<FleetTop> {
  const [status, workers] = await Promise.all([
    readFleetStatus(store),
    fleet.askWorkers('all', { kind: 'figures' }, { withinMs: answerWithinMs }),
  ]);
  return { status, workers };
}

/** The fleet as lines of at most `columns` characters: workers first, then shards, the busiest on top. */
export function topLines(fleet: string, { status, workers }: FleetTop, columns: number): string[] {
  const reports = workers.results.map(({ value }) => value);
  const shards = reports.flatMap((report) => report.shards.map((shard) => ({ shard, workerId: report.workerId })));
  const ready = shards.filter(({ shard }) => shard.ready).length;
  const eventsPerSecond = sum(reports, (report) => report.eventsPerSecond);
  const guilds = sum(shards, ({ shard }) => shard.guildCount);
  const budget =
    status.identifiesRemaining === undefined
      ? ''
      : `, ${status.identifiesRemaining} of ${status.identifiesTotal} identifies left`;
  const lines = [
    `${fleet}: ${ready} of ${status.shardCount ?? 0} shards ready, ${Math.round(eventsPerSecond)} events/s, ${guilds} guilds${budget}`,
    '',
    ...renderTable([
      ['WORKER', 'SHARDS', 'CPU', 'RSS', 'EVENTS/S', 'FLUSH', 'QUEUE AGE', 'RESUMES', 'IDENTIFIES', 'UPTIME'],
      ...workers.results.map(({ value }) => workerCells(value)),
      ...workers.missing.map(({ worker, reason }) => [worker, reason]),
    ]),
    '',
    ...renderTable([
      ['SHARD', 'WORKER', 'STATE', 'EVENTS/S', 'LATENCY', 'GUILDS', 'MEMBERS', 'BUFFERED', 'SEQ', 'EPOCH'],
      ...shards
        .sort((one, other) => other.shard.eventsPerSecond - one.shard.eventsPerSecond)
        .map(({ shard, workerId }) => shardCells(shard, workerId)),
    ]),
  ];
  return lines.map((line) => line.slice(0, columns));
}

function workerCells({ workerId, coordinator, shards, cpuPercent, memoryMb, eventsPerSecond, figures }: WorkerReport) {
  return [
    `${workerId}${coordinator ? ' *' : ''}`,
    `${shards.filter(({ ready }) => ready).length}/${shards.length}`,
    `${Math.round(cpuPercent)} %`,
    `${Math.round(memoryMb)} MB`,
    String(Math.round(eventsPerSecond)),
    `${figures?.flushMs ?? 0} ms`,
    `${figures?.queueAgeMs ?? 0} ms`,
    String(figures?.resumes ?? 0),
    String(figures?.identifies ?? 0),
    `${Math.round((figures?.uptimeMs ?? 0) / 1000)} s`,
  ];
}

function shardCells(shard: ShardReport, workerId: string): string[] {
  return [
    shard.shard.split('.')[1] as string,
    workerId,
    shard.state,
    String(Math.round(shard.eventsPerSecond)),
    `${shard.latencyMs} ms`,
    String(shard.guildCount),
    String(shard.figures?.memberCount ?? '-'),
    String(shard.bufferedEvents),
    String(shard.seq),
    String(shard.epoch),
  ];
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  return values.reduce((total, value) => total + of(value), 0);
}

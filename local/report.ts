import type { ChaosDone, ChaosMix } from './chaos.ts';
import type { CoordinatorGap } from './coordinator-gaps.ts';
import { describeDurations } from './durations.ts';
import type { HandoverReport } from './handover-times.ts';
import type { LedgerTotals } from './ledger.ts';

/** What one worker name did over a run, all its processes together. */
export interface WorkerTally {
  readonly workerId: string;
  /** How often a process of that name was started. */
  readonly starts: number;
  readonly cpuSeconds: number;
  readonly peakRssMb: number;
  readonly warnings: number;
  readonly errors: number;
  /** Exit codes and signals, in order. */
  readonly ends: readonly string[];
}

/** The end of a run (contract, section 1). Without the simulator the ledger's figures are absent. */
export interface RunReport {
  readonly ok: boolean;
  readonly emitted?: number;
  readonly delivered: number;
  readonly lost?: number;
  readonly duplicated?: number;
  readonly reordered?: number;
  /** Second deliveries in envelopes marked `unfenced`, where exactly-once is not claimed. */
  readonly duplicatedUnfenced?: number;
  /** Envelopes marked `unfenced`. */
  readonly unfencedEnvelopes: number;
  /** Events that nobody owes: Discord had ended their session, or they are interactions that came too late to answer. */
  readonly undeliverable?: number;
  /** Deliveries of something that was never emitted. */
  readonly unknown?: number;
  /** The first few events that were lost. */
  readonly lostEvents?: readonly { readonly guildId: string; readonly n: number }[];
  readonly identifies: number;
  readonly resumes: number;
  /** From the first IDENTIFY to the last. */
  readonly identifyingMs?: number;
  /** Breaches of the identify buckets, as Discord counts them. */
  readonly identifyViolations?: number;
  readonly handoffs: number;
  readonly takeovers: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number };
  /** Delivered, over the time that traffic flowed. */
  readonly eventsPerSecond: number;
  readonly durationMs: number;
  /** From the first worker's start until every shard was ready. */
  readonly readyAfterMs: number;
  readonly shards: number;
  readonly guilds: number;
  readonly interactions?: {
    readonly sent: number;
    /** Answered in Discord's three seconds. */
    readonly answered: number;
    /** Reached their handler after them. */
    readonly expired: number;
    /** First answers that Discord refused as late, and as the second ones. */
    readonly late: number;
    readonly answeredTwice: number;
    /** Of them, those that were sent to the interactions endpoint; the others went over the gateway. */
    readonly overHttp: {
      readonly sent: number;
      readonly answered: number;
      readonly failures: Readonly<Record<string, number>>;
    };
  };
  /** Where interactions are taken over HTTP. */
  readonly interactionsEndpoint?: string;
  /** Events whose handler failed for good. */
  readonly deadLetters: number;
  /** Workers that ended by themselves and were started again. */
  readonly crashes: number;
  readonly perWorker: readonly WorkerTally[];
  readonly chaos?: {
    readonly seed: number;
    readonly mix: ChaosMix;
    readonly actions: readonly ChaosDone[];
    /** Requests to AWS that each kind of fault struck, by service. */
    readonly struckRequests?: Readonly<Record<string, number>>;
    /** How late this process's own timers were: Discord and AWS stood still with it. Hundreds of ms mean a busy machine. */
    readonly stalledMs: { readonly p99: number; readonly max: number };
  };
  readonly handovers?: HandoverReport;
  /** `inOutage`: AWS failed some worker meanwhile. */
  readonly coordinatorGaps?: readonly (Omit<CoordinatorGap, 'fromMs'> & { readonly inOutage: boolean })[];
}

/** A run is good when no event was lost, doubled (outside the marked stretches) or out of order. */
export function isGood(totals: Pick<LedgerTotals, 'lost' | 'duplicated' | 'reordered' | 'unknown'>): boolean {
  return totals.lost === 0 && totals.duplicated === 0 && totals.reordered === 0 && totals.unknown === 0;
}

/** The report for people. */
export function renderReport(report: RunReport): string[] {
  const lines: [string, string][] = [];
  const add = (name: string, value: string | number | undefined): void => {
    if (value !== undefined) lines.push([name, String(value)]);
  };
  add('emitted', report.emitted);
  add('delivered', report.delivered);
  add('lost', report.lost);
  add('duplicated', report.duplicated);
  add('reordered', report.reordered);
  if (report.unfencedEnvelopes > 0) add('unfenced', `${report.unfencedEnvelopes} envelopes`);
  if ((report.duplicatedUnfenced ?? 0) > 0) add('duplicated, unfenced', report.duplicatedUnfenced);
  if ((report.undeliverable ?? 0) > 0) add('not owed', report.undeliverable);
  if ((report.unknown ?? 0) > 0) add('never emitted', report.unknown);
  if (report.crashes > 0) add('crashes', report.crashes);
  if (report.deadLetters > 0) add('dead letters', report.deadLetters);
  add('identifies', `${report.identifies} for ${report.shards} shards`);
  if ((report.identifyViolations ?? 0) > 0) add('identify violations', report.identifyViolations);
  add('resumes', report.resumes);
  add('handoffs', report.handoffs);
  add('takeovers', report.takeovers);
  if (report.interactions)
    add(
      'interactions',
      `${report.interactions.answered} of ${report.interactions.sent} answered, over HTTP ${report.interactions.overHttp.answered} of ${report.interactions.overHttp.sent}`,
    );
  add('latency', `p50 ${report.latencyMs.p50} ms, p99 ${report.latencyMs.p99} ms`);
  add('events/s', Math.round(report.eventsPerSecond));
  add('ready after', `${(report.readyAfterMs / 1000).toFixed(1)} s`);
  for (const worker of report.perWorker) {
    add(
      worker.workerId,
      `${worker.cpuSeconds.toFixed(1)} s CPU, ${Math.round(worker.peakRssMb)} MB, ${worker.warnings} warnings, ${worker.errors} errors, ended ${worker.ends.join(', ') || 'not at all'}`,
    );
  }
  if (report.handovers) {
    const { killToDeliveryMs, killToDeliveryInOutageMs, silentSinceKill, handoffGapMs, handoffGapInOutageMs } =
      report.handovers;
    add('kill -9 to delivery', describeDurations(killToDeliveryMs));
    if (killToDeliveryInOutageMs.count > 0) add('  with AWS failing', describeDurations(killToDeliveryInOutageMs));
    if (silentSinceKill.length > 0) add('  silent since', `shards ${silentSinceKill.join(', ')}`);
    add('handoff gap', describeDurations(handoffGapMs));
    if (handoffGapInOutageMs.count > 0) add('  with AWS failing', describeDurations(handoffGapInOutageMs));
  }
  for (const { cause, from, to, ms, inOutage } of report.coordinatorGaps ?? [])
    add('coordinator gap', `${ms} ms: ${from} ${cause}, ${to} took over${inOutage ? ', with AWS failing' : ''}`);
  if (report.chaos) {
    const { seed, mix, stalledMs } = report.chaos;
    add('machine stalls', `p99 ${stalledMs.p99} ms, max ${stalledMs.max} ms`);
    add('chaos seed', `${seed} (${mix})`);
    for (const [fault, count] of Object.entries(report.chaos.struckRequests ?? {})) add(`  ${fault}`, count);
    for (const done of report.chaos.actions) add(`  ${(done.atMs / 1000).toFixed(1)} s`, `${done.kind}: ${done.what}`);
  }
  const width = Math.max(...lines.map(([name]) => name.length));
  return [
    report.ok ? 'Nothing was lost, doubled or reordered.' : 'The run did not keep the promise.',
    ...lines.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`),
  ];
}

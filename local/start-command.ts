import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { API } from '@discordjs/core';
import { destination, pino } from 'pino';
import { privilegedIntentUsers } from '../functions/kit/handler-manifest.ts';
import { systemClock } from '../shared/clock.ts';
import { createDiscordRest } from '../shared/discord-rest.ts';
import type { Logger } from '../shared/logger.ts';
import { randomBelow, seededRandom, systemRandom } from '../shared/random.ts';
import { type ChaosDone, type ChaosMix, planChaos, runChaos } from './chaos.ts';
import { ConsoleServer } from './console-server.ts';
import { DevMode } from './dev-mode.ts';
import { writeEnvironmentFile } from './environment-file.ts';
import { type LocalFleet, startFleet } from './fleet.ts';
import { chaosTargets } from './fleet-chaos.ts';
import type { FleetPhase, FleetSnapshot } from './fleet-snapshot.ts';
import { LiveView } from './live-view.ts';
import { ProgressLines } from './progress-lines.ts';
import { isGood, type RunReport, renderReport } from './report.ts';
import { StopSignals } from './stop-signals.ts';

/** Options of `baton start` as the command line gives them. */
export interface StartOptions {
  readonly json: boolean;
  readonly shards?: number;
  readonly workers: number;
  /** Events a second over all shards. */
  readonly rate: number;
  /** Milliseconds of traffic; without it the run ends with Ctrl-C. */
  readonly duration?: number;
  readonly chaos: boolean;
  readonly chaosSeed?: number;
  /** @default 'mild' */
  readonly chaosMix?: ChaosMix;
  /** Which DynamoDB. @default 'embedded' */
  readonly dynamodb?: 'embedded' | 'local';
  /** A line every ten seconds instead of the live view. @default false */
  readonly progress?: boolean;
  readonly port?: number;
  /** Of the interactions endpoint. @default any */
  readonly interactionsPort?: number;
  readonly data?: string;
  /** Folder of the bot's handlers. @default functions/handlers */
  readonly handlers?: string;
  /** Reload handlers on save. @default false */
  readonly dev?: boolean;
  /** Guilds whose commands follow the handlers; implies {@link dev}. */
  readonly devGuild?: readonly string[];
}

/** Chaos of a run without an end is planned in stretches of this length. */
const chaosStretchMs = 10 * 60_000;
/** IDENTIFYs of one bucket are five seconds apart, and there are sixteen buckets; the rest is for starting processes. */
const readyWithinMs = (shards: number): number => 45_000 + Math.ceil(shards / 16) * 5000;
/** Without a delivery for this long, nothing is coming any more: longer than a takeover takes. */
const silentForMs = 20_000;
const settleWithinMs = 60_000;
/** A drain takes its stop timeout at most. */
const drainWithinMs = 15_000;
const redrawEveryMs = 500;
const lostEventsShown = 20;
/** Folders of logs left from earlier runs. */
const runsKept = 9;

/**
 * Runs a fleet until `--duration` is over or somebody presses Ctrl-C; then it settles, drains and reports.
 * Resolves to the exit code: 0 when nothing was lost, doubled or reordered.
 * @throws {BatonError} when a part does not start.
 */
export async function start(options: StartOptions): Promise<number> {
  const stopSignals = new StopSignals(() => systemClock.monotonicMs());
  stopSignals.listen();
  // With --json the report alone goes to stdout.
  const output = options.json ? process.stderr : process.stdout;
  const view = options.progress === true ? new ProgressLines(output) : new LiveView(output);
  let run: StartRun | undefined;
  let phase: FleetPhase = 'starting';
  const server = await ConsoleServer.start({
    port: options.port,
    state: () => run?.snapshot() ?? emptySnapshot(phase),
  });
  try {
    view.note(`Console: ${server.url}`);
    // Whoever sits before a terminal opens it next.
    if (output.isTTY) void server.prepare();
    const logDirectory = makeLogDirectory(join(process.cwd(), '.baton', 'logs'));
    view.note(`Logs: ${relative(process.cwd(), logDirectory)}`);
    const fleet = await startFleet({
      environment: environmentFor(options),
      shards: options.shards,
      workers: options.workers,
      dataDirectory: options.data,
      endpointPort: options.interactionsPort,
      dynamodb: options.dynamodb ?? 'embedded',
      faultProxies: options.chaosMix === 'harsh',
      handlersDirectory: options.handlers === undefined ? undefined : resolve(options.handlers),
      logDirectory,
      clock: systemClock,
      random: systemRandom,
      logger: fileLogger(logDirectory),
    });
    const environmentFile = join(logDirectory, 'fleet.env');
    writeEnvironmentFile(environmentFile, fleet.environment);
    view.note(`Commands: . ${relative(process.cwd(), environmentFile)} && npx baton top`);
    if (fleet.endpointUrl !== undefined) view.note(`Interactions endpoint: ${fleet.endpointUrl}`);
    const following = new AbortController();
    const followed = fleet.console.run(following.signal);
    server.attach(fleet.console);
    for (const [intent, handlers] of privilegedIntentUsers(fleet.registry)) {
      view.note(
        `Privileged intent ${intent}, to be switched on in Discord's developer portal, for ${handlers.join(', ')}`,
      );
    }
    const development = developmentOf(options, fleet, view);
    try {
      await development?.start();
      run = new StartRun(options, fleet, view, stopSignals);
      const report = await Promise.race([run.toTheEnd(), fleet.failed]);
      if (options.json) process.stdout.write(`${JSON.stringify(report)}\n`);
      else for (const line of renderReport(report)) process.stdout.write(`${line}\n`);
      return report.ok ? 0 : 1;
    } finally {
      phase = 'ended';
      run?.stopDrawing();
      await development?.stop();
      following.abort();
      await followed;
      await fleet.close();
    }
  } finally {
    stopSignals.stopListening();
    await server.stop();
  }
}

type View = Pick<LiveView, 'update' | 'note'>;

function developmentOf({ dev = false, devGuild = [], handlers }: StartOptions, fleet: LocalFleet, view: View) {
  if (!dev && devGuild.length === 0) return undefined;
  return new DevMode({
    registry: fleet.registry,
    api: new API(createDiscordRest(fleet.discordConfig)),
    guildIds: devGuild,
    workersForwardAll: fleet.discord !== undefined,
    note: (line) => view.note(line),
    clock: systemClock,
    ...(handlers !== undefined && { directory: resolve(handlers) }),
  });
}

/** Harsh chaos is for the simulator alone: a bot's real sessions are no place for it. */
function environmentFor({ chaosMix }: StartOptions): NodeJS.ProcessEnv {
  const { DISCORD_TOKEN: _, ...withoutToken } = process.env;
  return chaosMix === 'harsh' ? withoutToken : process.env;
}

/** One run from the first worker to the report. */
class StartRun {
  readonly #options: StartOptions;
  readonly #fleet: LocalFleet;
  readonly #view: View;
  readonly #signals: StopSignals;
  readonly #chaosSeed: number;
  readonly #chaosDone: ChaosDone[] = [];
  readonly #watching = new AbortController();
  readonly #eventLoopDelay = monitorEventLoopDelay({ resolution: 20 });
  #phase: FleetPhase = 'starting';
  #trafficStartedAtMs: number | undefined;

  constructor(options: StartOptions, fleet: LocalFleet, view: View, signals: StopSignals) {
    this.#options = options;
    this.#fleet = fleet;
    this.#view = view;
    this.#signals = signals;
    this.#chaosSeed = options.chaosSeed ?? randomBelow(systemRandom, 2 ** 32);
  }

  snapshot(): FleetSnapshot {
    const { duration } = this.#options;
    const sinceMs = this.#trafficStartedAtMs;
    const remainingMs =
      duration === undefined || sinceMs === undefined
        ? undefined
        : Math.max(0, duration - (systemClock.monotonicMs() - sinceMs));
    return this.#fleet.monitor.snapshot(this.#phase, remainingMs);
  }

  stopDrawing(): void {
    this.#watching.abort();
  }

  async toTheEnd(): Promise<RunReport> {
    const { discord, monitor } = this.#fleet;
    const startedAtMs = systemClock.monotonicMs();
    const watching = Promise.all([this.#fleet.watch(this.#watching.signal), this.#draw(this.#watching.signal)]);
    await this.#fleet.untilReady(
      readyWithinMs(discord?.shardCount ?? this.#options.shards ?? 16),
      this.#signals.orderly,
    );
    const readyAfterMs = systemClock.monotonicMs() - startedAtMs;
    await this.#fleet.untilAnnounced(this.#signals.orderly);

    this.#enter('running');
    this.#eventLoopDelay.enable();
    const trafficStartedAtMs = systemClock.monotonicMs();
    this.#trafficStartedAtMs = trafficStartedAtMs;
    if (!this.#signals.orderly.aborted) discord?.startTraffic(this.#options.rate);
    await this.#whileTrafficFlows();
    discord?.stopTraffic();
    const trafficMs = systemClock.monotonicMs() - trafficStartedAtMs;

    this.#eventLoopDelay.disable();
    this.#enter('settling');
    await this.#settle();
    const shown = this.snapshot();
    this.#enter('draining');
    await Promise.race([this.#fleet.drain(drainWithinMs), untilAborted(this.#signals.atOnce)]);
    this.#enter('ended');
    this.stopDrawing();
    await watching;
    await monitor.look();
    return this.#report({ readyAfterMs, trafficMs, guilds: shown.guildCount });
  }

  async #draw(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.#view.update(this.snapshot());
      await systemClock.sleep(redrawEveryMs, signal);
    }
  }

  #enter(phase: FleetPhase): void {
    this.#phase = phase;
    this.#view.update(this.snapshot());
  }

  async #whileTrafficFlows(): Promise<void> {
    const { duration, chaos } = this.#options;
    const over = new AbortController();
    const signal = AbortSignal.any([this.#signals.orderly, over.signal]);
    const running = chaos ? this.#chaos(signal) : Promise.resolve();
    if (duration === undefined) await untilAborted(signal);
    else await systemClock.sleep(duration, signal);
    over.abort();
    await running;
  }

  /** A run without an end has stretch after stretch of chaos, each drawn from the next seed. */
  async #chaos(signal: AbortSignal): Promise<void> {
    const { duration, rate, chaosMix = 'mild' } = this.#options;
    this.#view.note(`Chaos seed: ${this.#chaosSeed}`);
    const targets = chaosTargets(this.#fleet, { clock: systemClock, signal });
    const replayMs = this.#fleet.discord?.replayMs(rate) ?? 0;
    for (let stretch = 0; !signal.aborted; stretch += 1) {
      const lengthMs = duration ?? chaosStretchMs;
      const startedAtMs = systemClock.monotonicMs();
      await runChaos(
        planChaos(lengthMs, seededRandom(this.#chaosSeed + stretch), { mix: chaosMix, replayMs }),
        targets,
        {
          clock: systemClock,
          signal,
          onDone: (done) => {
            this.#chaosDone.push({ ...done, atMs: done.atMs + stretch * chaosStretchMs });
            this.#fleet.monitor.note(`chaos: ${done.kind}: ${done.what}`);
          },
        },
      );
      await systemClock.sleep(Math.max(0, startedAtMs + lengthMs - systemClock.monotonicMs()), signal);
    }
  }

  /** Waits for what is under way: until all of it has arrived, or nothing has for long enough. */
  async #settle(): Promise<void> {
    const { ledger } = this.#fleet;
    const startedAtMs = systemClock.monotonicMs();
    let lastMovedAtMs = startedAtMs;
    let pending = ledger.totals.pending;
    while (pending > 0 && !this.#signals.atOnce.aborted) {
      const nowMs = systemClock.monotonicMs();
      if (nowMs - lastMovedAtMs > silentForMs || nowMs - startedAtMs > settleWithinMs) return;
      await systemClock.sleep(100, this.#signals.atOnce);
      const before = pending;
      ({ pending } = ledger.totals);
      if (pending !== before) lastMovedAtMs = systemClock.monotonicMs();
    }
  }

  #report({ readyAfterMs, trafficMs, guilds }: { readyAfterMs: number; trafficMs: number; guilds: number }): RunReport {
    const { discord, ledger, monitor, moves, workers, awsFaults, handovers, coordinatorGaps } = this.#fleet;
    const { chaos, chaosMix = 'mild' } = this.#options;
    const isHarsh = chaosMix === 'harsh';
    const everyRecoveryWasResume =
      discord?.identifies === discord?.shardCount && (discord?.identifyViolations ?? 0) === 0;
    ledger.close();
    const totals = ledger.totals;
    const status = monitor.status;
    const { interactions } = discord ?? {};
    return {
      ok: discord === undefined || (isGood(totals) && (!isHarsh || everyRecoveryWasResume)),
      ...(discord && {
        emitted: totals.emitted,
        lost: totals.lost,
        duplicated: totals.duplicated,
        reordered: totals.reordered,
        duplicatedUnfenced: totals.duplicatedUnfenced,
        undeliverable: totals.undeliverable,
        unknown: totals.unknown,
        ...(totals.lost > 0 && { lostEvents: ledger.lostEvents(lostEventsShown) }),
        identifyingMs: Math.round(discord.identifyingMs),
        identifyViolations: discord.identifyViolations,
      }),
      delivered: discord === undefined ? monitor.delivered : totals.delivered,
      ...(interactions && {
        interactions: {
          sent: interactions.emitted,
          answered: interactions.answered,
          expired: this.#fleet.expiredInteractions,
          late: interactions.late,
          answeredTwice: interactions.acknowledgedTwice,
          overHttp: {
            sent: interactions.endpoint.sent,
            answered: interactions.endpoint.answered,
            failures: interactions.endpoint.failures,
          },
        },
      }),
      ...(this.#fleet.endpointUrl !== undefined && { interactionsEndpoint: this.#fleet.endpointUrl }),
      unfencedEnvelopes: this.#fleet.unfencedEnvelopes,
      identifies: monitor.identifies,
      resumes: monitor.resumes,
      handoffs: moves.handoffs,
      takeovers: moves.takeovers,
      latencyMs: ledger.latencyMs,
      eventsPerSecond: trafficMs === 0 ? 0 : Math.round(monitor.delivered / (trafficMs / 1000)),
      durationMs: Math.round(trafficMs),
      readyAfterMs: Math.round(readyAfterMs),
      shards: status.shardCount ?? 0,
      guilds,
      deadLetters: this.#fleet.deadLetters,
      crashes: this.#fleet.crashes,
      perWorker: workers.workers.map((worker) => worker.tally),
      ...(chaos && {
        chaos: {
          seed: this.#chaosSeed,
          mix: chaosMix,
          actions: this.#chaosDone,
          ...(awsFaults && { struckRequests: awsFaults.struck }),
          stalledMs: {
            p99: Math.round(this.#eventLoopDelay.percentile(99) / 1e6),
            max: Math.round(this.#eventLoopDelay.max / 1e6),
          },
        },
        handovers: handovers.report((shard, epoch) => moves.isHandoff(shard, epoch)),
        coordinatorGaps: coordinatorGaps.gaps.map(({ cause, from, to, ms, fromMs }) => ({
          cause,
          from,
          to,
          ms,
          inOutage: handovers.isStruck({ fromMs, toMs: fromMs + ms }),
        })),
      }),
    };
  }
}

function emptySnapshot(phase: FleetPhase): FleetSnapshot {
  return {
    phase,
    elapsedMs: 0,
    remainingMs: undefined,
    discord: 'simulator',
    workers: [],
    shards: [],
    guildCount: 0,
    emittedPerSecond: 0,
    deliveredPerSecond: 0,
    latencyMs: { p50: 0, p99: 0 },
    totals: undefined,
    identifies: 0,
    resumes: 0,
    handoffs: 0,
    takeovers: 0,
    happenings: [],
  };
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

/** A folder of this run's own, because several may run at a time; of earlier ones the last few are kept. */
function makeLogDirectory(parent: string): string {
  mkdirSync(parent, { recursive: true });
  const earlier = readdirSync(parent).sort();
  for (const run of earlier.slice(0, -runsKept)) {
    // Commands find a fleet that still runs by a file there.
    if (!isAlive(Number(run.split('-').at(-1)))) rmSync(join(parent, run), { recursive: true, force: true });
  }
  const startedAt = new Date(systemClock.wallClockMs()).toISOString().replaceAll(':', '-');
  const directory = join(parent, `${startedAt}-${process.pid}`);
  mkdirSync(directory);
  return directory;
}

function isAlive(pid: number): boolean {
  try {
    return Number.isInteger(pid) && process.kill(pid, 0);
  } catch (error) {
    // Somebody else's process is alive, too.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What this process itself has to say: functions, emulators, monitor. */
function fileLogger(directory: string): Logger {
  return pino(
    { base: null, timestamp: pino.stdTimeFunctions.isoTime, formatters: { level: (level) => ({ level }) } },
    destination({ dest: join(directory, 'fleet.log'), append: false, sync: true }),
  );
}

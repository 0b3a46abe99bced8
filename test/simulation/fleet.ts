import type { REST } from '@discordjs/rest';
import { agreeOnFleet } from '../../gateway-workers/fleet-setup.ts';
import { askGatewayBot } from '../../gateway-workers/gateway-bot.ts';
import { WorkerLife, type WorkerOptions, type WorkerPorts } from '../../gateway-workers/worker.ts';
import type { ShardMode } from '../../shared/config.ts';
import type { FleetState, Incarnation, ShardReport } from '../../shared/coordination/model.ts';
import type { CoordinationStore } from '../../shared/coordination/store.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import type { Chance } from './chance.ts';
import type { SimControlQueues } from './control-queues.ts';
import { type SimDiscord, unwantedType } from './discord.ts';
import type { Ledger } from './ledger.ts';
import { Machine, SimProcess } from './machine.ts';
import type { SimQueues } from './queues.ts';
import type { SimTable } from './table.ts';
import type { World } from './world.ts';

/** Everything outside the workers. */
export interface Surroundings {
  readonly world: World;
  readonly ledger: Ledger;
  readonly table: SimTable;
  readonly queues: SimQueues;
  readonly control: SimControlQueues;
  readonly discord: SimDiscord;
  /** A worker ends because another of its id lives. */
  onGaveWay(worker: SimWorker): void;
}

export interface WorkerPlan {
  readonly name: string;
  /** What the worker calls itself: its name, unless it is somebody's twin. */
  readonly workerId: string;
  readonly originalCoordinator: boolean;
  readonly maxShards: number | undefined;
  /** Runs these shards and no others; `undefined`: what the fleet assigns. */
  readonly ownShardIds: readonly number[] | undefined;
  /** Believes that it holds the coordinator's role whatever the table says. */
  readonly isRogue: boolean;
  readonly stopTimeoutMs: number;
  readonly clock: { readonly rate: number; readonly wallSkewMs: number };
}

/** Pauses of gateway-workers/main.ts and of whoever starts a process again. */
const rejoinAfterMs = 1000;
const restartAfterMs = 2000;

/** One place in the service: a machine on which a worker's process is started again whenever it ends. */
export class SimWorker {
  readonly plan: WorkerPlan;
  readonly machine: Machine;
  readonly #surroundings: Surroundings;
  readonly #chance: Chance;
  #process: SimProcess | undefined;
  #life: WorkerLife | undefined;
  #drain = new AbortController();
  /** One for each process there ever was. */
  readonly #stops: AbortController[] = [];
  #starts = 0;
  #isWanted = false;
  #sentTermMs: number | undefined;

  constructor(plan: WorkerPlan, surroundings: Surroundings, chance: Chance) {
    this.plan = plan;
    this.#surroundings = surroundings;
    this.#chance = chance;
    this.machine = new Machine(plan.name, surroundings.world, chance, plan.clock);
  }

  get process(): SimProcess | undefined {
    return this.#process?.isAlive ? this.#process : undefined;
  }

  /** The present life, once it runs. */
  get life(): WorkerLife | undefined {
    return this.process === undefined ? undefined : this.#life;
  }

  /** The shards that the present life holds. */
  heldShards(): readonly ShardReport[] {
    return this.life?.report().shards ?? [];
  }

  get isDraining(): boolean {
    return this.#drain.signal.aborted;
  }

  /** Starts a process; from now on it is started again when it fails. */
  start(release: string): void {
    this.#isWanted = true;
    if (this.process !== undefined) return;
    const { world } = this.#surroundings;
    this.#starts += 1;
    const process = new SimProcess(this.machine, `${this.plan.name}.${this.#starts}`);
    this.#process = process;
    this.#life = undefined;
    this.#drain = new AbortController();
    this.#sentTermMs = undefined;
    world.note(process.name, () => 'starts');
    void this.#main(process, release, this.#drain.signal).then(
      () => this.#exited(process, release, 'drained'),
      (error: unknown) => {
        // What the process ends with by design is an error of Baton's own; anything else is a fault in its code.
        if (!(error instanceof BatonError)) {
          world.violate('unexpected error', `${process.name}: ${error instanceof Error ? error.stack : String(error)}`);
        } else if (error.code === 'WORKER_ID_TAKEN') this.#surroundings.onGaveWay(this);
        this.#exited(process, release, messageOf(error));
      },
    );
  }

  /** Starts a process that is not started again when it ends. */
  startOnce(release: string): void {
    this.start(release);
    this.#isWanted = false;
  }

  /** SIGKILL, or the machine fails. With `restartMs` another process takes its place. */
  crash(restartMs: number | undefined, release: string): void {
    this.#process?.kill();
    this.#isWanted = restartMs !== undefined;
    if (restartMs !== undefined) this.#startLater(restartMs, release);
  }

  /**
   * Lets go of whatever its dead processes still listen to. Node keeps combined signals that are listened to for ever,
   * and with them a whole world.
   */
  discard(): void {
    for (const stop of this.#stops) stop.abort();
  }

  /** SIGTERM; SIGKILL follows after the stop timeout. With `restartMs` a new process starts that long after the old one has gone. */
  terminate(): void {
    const process = this.process;
    this.#isWanted = false;
    if (process === undefined || this.#drain.signal.aborted) return;
    const { world } = this.#surroundings;
    world.note(process.name, () => 'gets SIGTERM');
    this.#sentTermMs = world.nowMs;
    const drain = this.#drain;
    process.deliver(() => drain.abort());
    world.time.after(this.plan.stopTimeoutMs, () => process.kill());
  }

  /** Milliseconds since SIGTERM of a process that has not ended yet. */
  get stoppingForMs(): number | undefined {
    if (this.process === undefined || this.#sentTermMs === undefined) return undefined;
    return this.#surroundings.world.nowMs - this.#sentTermMs;
  }

  async #main(process: SimProcess, release: string, drain: AbortSignal): Promise<void> {
    const { world } = this.#surroundings;
    const ports = this.#ports(process);
    const fleet: FleetState = await agreeOnFleet(
      {
        askGatewayBot: (signal) => askGatewayBot(this.#rest(process), process, signal),
        store: ports.store,
        sharding: this.#sharding,
        clock: process,
        random: ports.random,
        logger: ports.logger,
      },
      drain,
    );
    const stop = new AbortController();
    this.#stops.push(stop);
    while (!drain.aborted) {
      const life = new WorkerLife(this.#options(release), ports, fleet);
      process.incarnation = life.incarnation;
      this.#life = life;
      world.note(process.name, () => `incarnation ${life.incarnation.slice(0, 8)}`);
      const end = await life.run(drain, stop.signal);
      world.note(process.name, () => `life ended: ${end.kind}`);
      if (end.kind === 'fenced') await this.#checkFenced(life.incarnation, process.name);
      if (end.kind === 'drained') break;
      await process.sleep(rejoinAfterMs, drain);
    }
  }

  async #checkFenced(incarnation: Incarnation, name: string): Promise<void> {
    const { table, world } = this.#surroundings;
    const [item] = await table.memory.readCheckpoints([{ incarnation, chunk: 0 }]);
    if (item !== undefined && item.fencedBy === undefined) {
      world.violate('took itself for fenced', `${name}, incarnation ${incarnation}`);
    }
  }

  #exited(process: SimProcess, release: string, how: string): void {
    if (!process.isAlive) return;
    this.#surroundings.world.note(process.name, () => `exits: ${how}`);
    process.kill();
    if (this.#isWanted) this.#startLater(restartAfterMs, release);
  }

  #startLater(durationMs: number, release: string): void {
    this.#surroundings.world.time.after(durationMs, () => {
      if (this.#isWanted) this.start(release);
    });
  }

  get #sharding(): ShardMode {
    const { ownShardIds: shardIds } = this.plan;
    const totalShards = this.#surroundings.discord.options.shardCount;
    return shardIds === undefined
      ? { mode: 'fleet', totalShards: 'auto' }
      : { mode: 'explicit', shardIds, totalShards };
  }

  #options(release: string): WorkerOptions {
    const { workerId, originalCoordinator, maxShards, stopTimeoutMs } = this.plan;
    return {
      workerId,
      release,
      maxShards,
      sharding: this.#sharding,
      originalCoordinator,
      heartbeatMs: 3000,
      missedHeartbeats: 3,
      lingerMs: 250,
      stopTimeoutMs,
      token: 'token',
      intents: 1,
      compress: 'none',
      encoding: 'none',
      isWanted: (type) => type !== unwantedType,
    };
  }

  #ports(process: SimProcess): WorkerPorts {
    const { world, table, queues, control, discord } = this.#surroundings;
    const store = table.clientFor(process);
    return {
      store: this.plan.isRogue ? withRoleForEver(store, () => process.incarnation) : store,
      control: control.clientFor(process),
      events: queues.eventsSender(process, () => process.incarnation),
      interactions: queues.interactionsSender(process),
      parking: queues.parkingLot(process),
      clock: process,
      random: this.#chance.random,
      logger: world.isTraced ? tracingLogger(world, process, {}) : silentLogger,
      usage: () => ({ cpuPercent: 1, memoryMb: 1 }),
      dial: discord.dialFrom(process),
      askGatewayBot: (signal) => askGatewayBot(this.#rest(process), process, signal),
    };
  }

  /** `GET /gateway/bot`, the one route that a worker asks. */
  #rest(process: SimProcess): REST {
    const { world, discord } = this.#surroundings;
    const get = () =>
      new Promise((resolve) => {
        world.time.after(this.#chance.between(20, 200), () => {
          const answer = discord.gatewayBot();
          world.time.after(this.#chance.between(20, 200), () => process.deliver(() => resolve(answer)));
        });
      });
    return { get } as unknown as REST;
  }
}

/** A coordinator that never learns that it lost the role: two of them act at once. */
function withRoleForEver(store: CoordinationStore, me: () => Incarnation): CoordinationStore {
  return new Proxy(store, {
    get: (target, name, receiver) => {
      switch (name) {
        case 'readRole':
          return () => Promise.resolve({ holder: me(), term: 1, counter: 0 });
        case 'swapRole':
          return (_expected: unknown, next: unknown) => Promise.resolve({ kind: 'done', value: next });
        default:
          return Reflect.get(target, name, receiver) as unknown;
      }
    },
  });
}

function tracingLogger(world: World, process: SimProcess, bound: object): Logger {
  const write = (level: string) => (fields: object, message: string) => {
    if (!process.isAlive) return;
    world.note(process.name, () => `${level}${message} ${JSON.stringify({ ...bound, ...fields })}`);
  };
  return {
    debug: write('… '),
    info: write(''),
    warn: write('! '),
    error: write('!! '),
    child: (fields) => tracingLogger(world, process, { ...bound, ...shorten(fields) }),
  };
}

/** Identities that the line begins with anyway are left out. */
function shorten(fields: object): object {
  return Object.fromEntries(Object.entries(fields).filter(([name]) => name !== 'incarnation'));
}

import type { Incarnation, Lease } from '../../shared/coordination/model.ts';
import { parseShardKey, shardKey } from '../../shared/sharding.ts';
import { Chance } from './chance.ts';
import { quietControl, SimControlQueues } from './control-queues.ts';
import { SimDiscord, unwantedType } from './discord.ts';
import { SimWorker, type Surroundings } from './fleet.ts';
import { Ledger, type LedgerTotals } from './ledger.ts';
import { type BreakPoint, peers, type SimProcess } from './machine.ts';
import { poisonType, quietQueues, SimQueues } from './queues.ts';
import { drawScenario, type Fault, type Focus, type Scenario } from './scenario.ts';
import { quietTable, SimTable } from './table.ts';
import { type Tracer, type Violation, World } from './world.ts';

export interface RunOutcome {
  readonly seed: number;
  readonly violation: Violation | undefined;
  readonly virtualMs: number;
  /** From the last fault until every shard was ready. */
  readonly recoveryMs: number;
  readonly totals: LedgerTotals & { readonly identifies: number; readonly resumes: number; readonly steps: number };
}

/** After the last fault every shard must be held and ready within this time, IDENTIFYs through one bucket aside. */
const recoveryBoundMs = 90_000;
/** A fleet hears of a budget that is full again within this time; with so many IDENTIFYs left it need not. */
const budgetRefreshMs = 70_000;
const amplyIdentifies = 100;
/** Who lost a connection dials again within this time. */
const dialAgainBoundMs = 6000;
/** The longest way of a message between a worker and Discord. */
const travelMs = 100;
/** A process that waits to be fenced waits no longer than this. */
const latestWakingMs = 45_000;
/** From READY until a checkpoint names the session. */
const storedBoundMs = 3000;
/** The second worker of an id is gone within this time: it watches for two heartbeats, then hands over what it has. */
const givesWayBoundMs = 25_000;
/** From then on nothing may be left to send within this time. */
const quietBoundMs = 20_000;
/** A fence within this time after its worker was in trouble needs no other reason. */
const troubleEchoMs = 14_000;
/** The longest that anything stays on its way. */
const travelBoundMs = 65_000;

/** Runs one fleet from its first start to its end, as `seed` (and `focus`) decides. Same seed, same run. */
export async function simulate(seed: number, tracer?: Tracer, focus?: Focus): Promise<RunOutcome> {
  const simulation = new Simulation(seed, tracer, focus);
  const onRejection = (reason: unknown) => simulation.world.violate('unhandled rejection', String(reason));
  process.on('unhandledRejection', onRejection);
  try {
    const outcome = await simulation.run();
    simulation.discard();
    return outcome;
  } finally {
    process.off('unhandledRejection', onRejection);
  }
}

class Simulation implements Surroundings {
  readonly world: World;
  readonly ledger: Ledger;
  readonly table: SimTable;
  readonly queues: SimQueues;
  readonly control: SimControlQueues;
  readonly discord: SimDiscord;
  readonly #scenario: Scenario;
  readonly #chance: Chance;
  readonly #workers: SimWorker[];
  #twin: SimWorker | undefined;
  /** When each worker was last in trouble of its own. */
  readonly #troubledMs: number[];
  /** When outages of the table ended. */
  readonly #tableOutagesMs: number[] = [];
  /** Processes that stand still until they are about to be fenced, and how long after that they go on. */
  readonly #wakings = new Map<SimProcess, number>();
  readonly #fenced = new Set<Incarnation>();
  readonly #resumesOfFenced = new Map<string, number>();
  /** Shards that are moved for a moment only. */
  readonly #movesBack = new Map<number, { steps: number; readonly crashes: boolean }>();
  #releases = 1;
  #hasTraffic = true;

  constructor(seed: number, tracer: Tracer | undefined, focus: Focus | undefined) {
    const scenario = drawScenario(new Chance(seed, 'scenario'), focus);
    this.world = new World(seed, tracer);
    this.ledger = new Ledger(this.world);
    this.table = new SimTable(this.world, new Chance(seed, 'table'), this.ledger);
    this.queues = new SimQueues(this.world, new Chance(seed, 'queues'), this.ledger);
    this.control = new SimControlQueues(this.world, new Chance(seed, 'control'));
    this.discord = new SimDiscord(this.world, new Chance(seed, 'discord'), this.ledger, scenario.discord);
    this.#scenario = scenario;
    this.#chance = new Chance(seed, 'run');
    this.#workers = scenario.workers.map((plan) => new SimWorker(plan, this, new Chance(seed, plan.name)));
    this.#troubledMs = this.#workers.map(() => Number.NEGATIVE_INFINITY);
    this.discord.onStarted = (started) => this.#watchStarted(started);
    this.discord.onResume = (sessionId, by) => this.#countResume(sessionId, by);
    this.discord.onLeft = (left) => this.#watchLeft(left);
    this.table.onFenceSent = (incarnation) => this.#wakeTheFenced(incarnation);
    this.table.onReleased = (lease, from) => this.#moveBack(lease, from);
    this.table.onFenced = (incarnation, by) => this.#checkFence(incarnation, by);
  }

  async run(): Promise<RunOutcome> {
    const { world } = this;
    const { healedMs, ending } = this.#scenario;
    world.note('scenario', () => JSON.stringify({ ...this.#scenario, faults: this.#scenario.faults.length }));
    this.#prepare();
    await this.#runUntil(healedMs);
    this.#heal();
    await this.#runUntil(healedMs + 100);
    const recoveryMs = await this.#untilReady();
    await this.#untilQuiet();
    if (ending === 'rollingRestart') await this.#rollingRestart();
    if (ending === 'everybodyDrains') await this.#everybodyDrains();
    // Nobody is left to do anything; what is still on its way arrives.
    for (const worker of this.#everybody) worker.crash(undefined, '');
    await this.#runFor(travelBoundMs);
    const { identifies, resumes } = this.discord;
    return {
      seed: world.seed,
      violation: world.violation,
      virtualMs: world.nowMs,
      recoveryMs,
      totals: { ...this.ledger.totals(), identifies, resumes, steps: world.time.events },
    };
  }

  /** Call when the run is over. */
  discard(): void {
    for (const worker of this.#everybody) worker.discard();
  }

  get #everybody(): SimWorker[] {
    return this.#twin === undefined ? this.#workers : [...this.#workers, this.#twin];
  }

  get #release(): string {
    return String(this.#releases).padStart(4, '0');
  }

  #prepare(): void {
    const { world, discord } = this;
    const { table, queues, control, faults, twin, refusesIdentify, slowestReadyMs } = this.#scenario;
    this.table.noise = table;
    this.queues.noise = queues;
    this.control.noise = control;
    discord.refusesIdentify = refusesIdentify;
    discord.slowestReadyMs = slowestReadyMs;
    for (const worker of this.#workers) {
      world.time.after(this.#chance.between(0, 3000), () => worker.start(this.#release));
    }
    for (let shardId = 0; shardId < discord.options.shardCount; shardId += 1) this.#keepTraffic(shardId);
    if (twin) world.time.at(twin.atMs, () => this.#startTwin(twin.of));
    for (const { atMs, fault } of faults) {
      world.time.at(atMs, () => {
        world.note('fault', () => JSON.stringify(fault));
        this.#strike(fault);
      });
    }
  }

  #keepTraffic(shardId: number): void {
    const meanGapMs = 1000 / this.#scenario.eventsPerSecond;
    const gapMs = -Math.log(1 - this.#chance.random.next()) * meanGapMs;
    this.world.time.after(gapMs, () => {
      if (!this.#hasTraffic) return;
      const { silence } = this.#scenario;
      const isSilent = silence !== undefined && this.world.nowMs >= silence.fromMs && this.world.nowMs < silence.toMs;
      if (!isSilent) this.#emit(shardId);
      this.#keepTraffic(shardId);
    });
  }

  #emit(shardId: number): void {
    const chance = this.#chance;
    const draw = chance.random.next();
    let type = 'MESSAGE_CREATE';
    if (draw < 0.12) type = unwantedType;
    else if (draw < 0.15) type = 'INTERACTION_CREATE';
    else if (draw < 0.18) type = 'GUILD_CREATE';
    else if (draw < 0.19 && this.#scenario.poison) type = poisonType;
    this.discord.emit(shardId, type, chance.pick(this.discord.guildsOf(shardId)));
  }

  #strike(fault: Fault): void {
    const { world, table, queues, discord } = this;
    switch (fault.kind) {
      case 'crash': {
        this.#trouble(fault.worker);
        this.#worker(fault.worker).crash(fault.restartMs, this.#release);
        break;
      }
      case 'crashAll':
        this.#workers.forEach((worker, index) => {
          this.#trouble(index);
          worker.crash(fault.restartMs * this.#chance.between(0.5, 1.5), this.#release);
        });
        break;
      case 'crashAtRequest': {
        const { request, countdown, leaves, restartMs } = fault;
        this.#crashAtRequest(fault.worker, { request, countdown, does: leaves ? 'sentAndCrash' : 'crash' }, restartMs);
        break;
      }
      case 'pause': {
        const { process } = this.#worker(fault.worker);
        if (process === undefined || process.isPaused) break;
        process.pause();
        world.time.after(fault.forMs, () => {
          this.#trouble(fault.worker);
          process.resume();
        });
        break;
      }
      case 'pauseAtRequest': {
        const { process } = this.#worker(fault.worker);
        if (process === undefined || process.isPaused) break;
        const { request, countdown, forMs } = fault;
        process.breakPoint = { request, countdown, does: 'pause' };
        process.onPause = () => {
          this.#trouble(fault.worker);
          world.time.after(forMs, () => {
            this.#trouble(fault.worker);
            process.resume();
          });
        };
        break;
      }
      case 'pauseUntilFenced': {
        const { process } = this.#worker(fault.worker);
        if (process === undefined || process.isPaused) break;
        process.pause();
        this.#wakings.set(process, fault.afterMs);
        world.time.after(latestWakingMs, () => {
          if (this.#wakings.delete(process)) {
            this.#trouble(fault.worker);
            process.resume();
          }
        });
        break;
      }
      case 'cut': {
        const { machine } = this.#worker(fault.worker);
        if (machine.cuts.has(fault.peer)) break;
        machine.cut(fault.peer, fault.how);
        world.time.after(fault.forMs, () => {
          this.#trouble(fault.worker);
          machine.heal(fault.peer);
        });
        break;
      }
      case 'clockStep':
        this.#worker(fault.worker).machine.wallSkewMs = fault.toMs;
        break;
      case 'terminate':
        this.#terminate(fault.worker, fault.replaceAfterMs);
        break;
      case 'terminateAll':
        this.#workers.forEach((_, index) => this.#terminate(index, fault.replaceAfterMs));
        break;
      case 'tableOutage':
        if (table.outage !== undefined) break;
        table.outage = fault.how;
        world.time.after(fault.forMs, () => {
          if (fault.how === 'throttles') this.#workers.forEach((_, index) => this.#trouble(index));
          table.outage = undefined;
          this.#tableOutagesMs.push(world.nowMs);
          world.note('table', () => 'works again');
        });
        break;
      case 'queueOutage':
        if (queues.outage !== undefined) break;
        queues.outage = fault.how;
        world.time.after(fault.forMs, () => {
          queues.outage = undefined;
          world.note('sqs', () => 'works again');
        });
        break;
      case 'move':
        void this.#move(fault.shard, fault.worker);
        break;
      case 'moveAndBack':
        this.#movesBack.set(fault.shard, { steps: 2, crashes: fault.crashes });
        void this.#move(fault.shard, fault.worker);
        break;
      case 'reconnectRequest':
        discord.askToReconnect(fault.shard);
        break;
      case 'invalidSession':
        discord.invalidate(fault.shard, fault.resumable);
        break;
      case 'close':
        discord.close(fault.shard, fault.code);
        break;
      case 'stall':
        discord.stall(fault.shard);
        break;
      case 'hostFault':
        discord.setHostFault(fault.host, fault.how);
        world.time.after(fault.forMs, () => discord.setHostFault(fault.host, undefined));
        break;
      case 'burst':
        for (let event = 0; event < fault.events; event += 1) this.#emit(fault.shard);
        break;
    }
  }

  #worker(index: number): SimWorker {
    return this.#workers[index] as SimWorker;
  }

  #trouble(index: number): void {
    this.#troubledMs[index] = this.world.nowMs;
  }

  /** A second worker under the id of one that lives: it must go, and the first must stay. */
  #startTwin(index: number): void {
    const { world } = this;
    const original = this.#worker(index);
    const { process } = original;
    if (process === undefined || !original.life?.isRegistered || original.isDraining) return;
    const startedMs = world.nowMs;
    const { plan } = original;
    const twin = new SimWorker({ ...plan, name: `${plan.name}-twin` }, this, new Chance(world.seed, 'twin'));
    this.#twin = twin;
    twin.startOnce(this.#release);
    world.time.after(givesWayBoundMs, () => {
      const isUntroubled =
        original.process === process &&
        !process.isPaused &&
        !original.isDraining &&
        (this.#troubledMs[index] as number) < startedMs;
      if (isUntroubled && this.#isTableReliable && twin.process !== undefined) {
        world.violate(
          'two of an id',
          `${plan.workerId} lives twice, ${givesWayBoundMs / 1000} s after the second began`,
        );
      }
    });
  }

  /** Only who is not alone with its id has reason to go. */
  onGaveWay({ plan }: SimWorker): void {
    if (this.#twin !== undefined || !this.#isTableReliable) return;
    this.world.violate(
      'gave way to nobody',
      `${plan.name}: no other worker ${plan.workerId} has ever lived at its time`,
    );
  }

  get #isTableReliable(): boolean {
    const { table, faults } = this.#scenario;
    return table === quietTable && !faults.some(({ fault }) => fault.kind === 'tableOutage' || fault.kind === 'cut');
  }

  /** SIGTERM, and a process of the next release in its place. */
  #terminate(index: number, replaceAfterMs: number): void {
    const worker = this.#worker(index);
    this.#trouble(index);
    this.#releases += 1;
    const release = this.#release;
    const { process } = worker;
    const replace = () => this.world.time.after(replaceAfterMs, () => worker.start(release));
    if (process === undefined || worker.isDraining) return;
    process.onDeath(replace);
    worker.terminate();
  }

  /** Asks for a shard to be moved, as the rebalancing function does. */
  async #move(shardId: number, index: number): Promise<void> {
    const { memory } = this.table;
    const to = this.#worker(index).life?.incarnation;
    const [lease] = await memory.readLeases([{ shardId, shardCount: this.discord.options.shardCount }]);
    if (to === undefined || lease?.owner === undefined || lease.owner === to) return;
    await memory.setWant(lease.shard, { owner: lease.owner, epoch: lease.epoch, want: to });
  }

  /** A shard that was moved for a moment goes back to where it came from. */
  #moveBack({ shard, owner, epoch }: Lease, from: Incarnation): void {
    const move = this.#movesBack.get(shard.shardId);
    if (move === undefined || owner === undefined) return;
    move.steps -= 1;
    if (move.steps > 0) {
      void this.table.memory.setWant(shard, { owner, epoch, want: from });
      return;
    }
    this.#movesBack.delete(shard.shardId);
    const index = this.#workers.findIndex((worker) => worker.life?.incarnation === owner);
    if (move.crashes && index !== -1) {
      this.#crashAtRequest(index, { request: 'table.writeCheckpoint', countdown: 0, does: 'crash' }, 3000);
    }
  }

  #crashAtRequest(index: number, point: BreakPoint, restartMs: number): void {
    const worker = this.#worker(index);
    const { process } = worker;
    if (process === undefined) return;
    process.breakPoint = point;
    process.onDeath(() => {
      this.#trouble(index);
      if (point.countdown < 0) this.world.time.after(restartMs, () => worker.start(this.#release));
    });
  }

  /** Who is to be fenced goes on just before it, or just after. */
  #wakeTheFenced(incarnation: Incarnation): void {
    for (const [process, afterMs] of this.#wakings) {
      if (process.incarnation !== incarnation) continue;
      this.#wakings.delete(process);
      this.#troubleOf(process);
      this.world.time.after(Math.max(0, afterMs), () => process.resume());
    }
  }

  #troubleOf(process: SimProcess): void {
    this.#workers.forEach((worker, index) => {
      if (worker.process === process) this.#trouble(index);
    });
  }

  /** A fenced worker may RESUME on what it knew before a pause, and once without knowing anything, but not again and again. */
  #countResume(sessionId: string, by: Incarnation): void {
    if (!this.#fenced.has(by)) return;
    const name = `${sessionId} by ${by}`;
    const resumes = (this.#resumesOfFenced.get(name) ?? 0) + 1;
    this.#resumesOfFenced.set(name, resumes);
    if (resumes > 2) this.world.violate('taken in turn', `${name}, fenced, has RESUMEd it ${resumes} times`);
  }

  /** A session must be in a checkpoint soon after its READY, whatever still waits of the one before it. */
  #watchStarted({ process, record, isStillRead }: Parameters<SimDiscord['onStarted']>[0]): void {
    const { world, discord } = this;
    const startedMs = world.nowMs;
    world.time.after(discord.slowestReadyMs + storedBoundMs, () => {
      const isHindered = !process.isAlive || process.isPaused || process.pausedUntilMs > startedMs;
      if (isHindered || !isStillRead() || !this.#isTableReliable || record.isStored) return;
      world.violate('session not stored', `session ${record.id} of shard ${record.shardId} by ${process.name}`);
    });
  }

  /** Who closes the connection of a shard that is still its own must dial again soon. */
  #watchLeft({ process, incarnation, shardId, isStillLeft }: Parameters<SimDiscord['onLeft']>[0]): void {
    const { world, table } = this;
    const leftMs = world.nowMs;
    const isHindered = () =>
      !process.isAlive ||
      process.isPaused ||
      process.machine.cuts.has('discord') ||
      process.incarnation !== incarnation;
    const check = async () => {
      if (isHindered() || process.pausedUntilMs > leftMs || process.lastDialMs >= leftMs - travelMs || !isStillLeft())
        return;
      const [lease] = await table.memory.readLeases([{ shardId, shardCount: this.discord.options.shardCount }]);
      const [item] = await table.memory.readCheckpoints([{ incarnation, chunk: 0 }]);
      if (lease?.owner !== incarnation || item?.fencedBy !== undefined) return;
      world.violate(
        'left alone',
        `shard ${shardId} was closed by ${process.name}, whose it is, and is not dialled again`,
      );
    };
    world.time.after(dialAgainBoundMs, () => void check());
  }

  /** A worker that could reach the table and was never in trouble must not be fenced. */
  #checkFence(incarnation: Incarnation, by: Incarnation): void {
    this.#fenced.add(incarnation);
    if (incarnation === by) return;
    const index = this.#workers.findIndex((worker) => worker.life?.incarnation === incarnation);
    if (index === -1) return;
    const worker = this.#worker(index);
    const process = worker.process;
    if (process === undefined || process.isPaused || worker.machine.cuts.size > 0 || worker.isDraining) return;
    // Its record may be there for long before it hears of that; and a stormy table may swallow all that it writes for nine seconds.
    if (!worker.life?.isRegistered || this.#scenario.isStormy) return;
    if (this.world.nowMs - (this.#troubledMs[index] as number) < troubleEchoMs) return;
    if (this.table.outage === 'throttles') return;
    // Each of them alone is too short to make anybody look dead; together they may not be.
    if (this.#tableOutagesMs.filter((ms) => this.world.nowMs - ms < troubleEchoMs).length > 1) return;
    this.world.violate('healthy worker fenced', `${worker.plan.name} (${incarnation}) by ${by}`);
  }

  #heal(): void {
    const { world, discord } = this;
    world.note('world', () => 'everything works from now on');
    this.table.noise = quietTable;
    this.table.outage = undefined;
    this.queues.noise = quietQueues;
    this.queues.outage = undefined;
    this.control.noise = quietControl;
    discord.refusesIdentify = 0;
    discord.slowestReadyMs = 300;
    discord.resetBudget();
    discord.endStalls();
    this.#twin?.crash(undefined, '');
    for (const host of ['gateway.sim', 'resume-0.sim', 'resume-1.sim', 'resume-2.sim']) {
      discord.setHostFault(host, undefined);
    }
    this.#workers.forEach((worker, index) => {
      this.#trouble(index);
      const { process, machine } = worker;
      if (process) process.breakPoint = undefined;
      for (const peer of peers) machine.heal(peer);
      process?.resume();
      if (process === undefined) worker.start(this.#release);
    });
  }

  async #runUntil(untilMs: number): Promise<void> {
    await this.world.time.run(untilMs, () => this.world.violation !== undefined);
  }

  async #runFor(durationMs: number): Promise<void> {
    if (this.world.violation === undefined) await this.#runUntil(this.world.nowMs + durationMs);
  }

  /** Runs until every shard is held by one worker and ready there; tells how long it took. */
  async #untilReady(): Promise<number> {
    const startedMs = this.world.nowMs;
    const { shardCount, maxConcurrency, identifies } = this.discord.options;
    const boundMs =
      recoveryBoundMs +
      Math.ceil(shardCount / maxConcurrency) * 6000 +
      (identifies < amplyIdentifies ? budgetRefreshMs : 0);
    while (this.world.violation === undefined) {
      const complaint = await this.#notReady();
      const tookMs = this.world.nowMs - startedMs;
      if (complaint === undefined) return tookMs;
      if (tookMs >= boundMs) {
        this.world.violate('not held again', `${Math.round(tookMs / 1000)} s after the last fault: ${complaint}`);
      }
      await this.#runFor(250);
    }
    return 0;
  }

  /** What is wrong with the first shard that is not as it should be. */
  async #notReady(): Promise<string | undefined> {
    const leases = await this.table.memory.listLeases(this.discord.options.shardCount);
    for (let shardId = 0; shardId < this.discord.options.shardCount; shardId += 1) {
      const owner = leases[shardId]?.owner;
      const key = shardKey({ shardId, shardCount: this.discord.options.shardCount });
      const holders = this.#workers.flatMap((worker) => {
        const shard = worker.heldShards().find((held) => held.shard === key);
        return shard === undefined ? [] : [{ name: worker.plan.name, incarnation: worker.life?.incarnation, shard }];
      });
      const [holder] = holders;
      if (holder === undefined || holders.length > 1 || holder.incarnation !== owner) {
        return `shard ${shardId} is held by ${holders.map(({ name }) => name).join(', ') || 'nobody'}, its lease says ${owner ?? 'nobody'}`;
      }
      if (!holder.shard.ready) return `shard ${shardId} on ${holder.name} is ${holder.shard.state}, not ready`;
      if (leases[shardId]?.want !== undefined) return `shard ${shardId} on ${holder.name} is still to move`;
    }
    return undefined;
  }

  /** Some more events, then none; everything must be in the queues soon. */
  async #untilQuiet(): Promise<void> {
    if (this.world.violation !== undefined) return;
    this.#hasTraffic = true;
    for (let shardId = 0; shardId < this.discord.options.shardCount; shardId += 1) this.#emit(shardId);
    await this.#runFor(2000);
    this.#hasTraffic = false;
    const untilMs = this.world.nowMs + quietBoundMs;
    const isHolder = (incarnation: Incarnation, shardId: number) =>
      this.#workers.some(
        (worker) =>
          worker.life?.incarnation === incarnation &&
          worker.heldShards().some((held) => parseShardKey(held.shard).shardId === shardId),
      );
    while (this.world.violation === undefined && this.world.nowMs < untilMs) {
      if (this.ledger.firstLoss(isHolder) === undefined) return;
      await this.#runFor(500);
    }
    const loss = this.ledger.firstLoss(isHolder);
    if (loss !== undefined) this.world.violate('lost', loss);
  }

  /** Everyone is replaced, one after the other: no IDENTIFY may be spent. */
  async #rollingRestart(): Promise<void> {
    const { identifies } = this.discord;
    for (let index = 0; index < this.#workers.length && this.world.violation === undefined; index += 1) {
      this.#terminate(index, 500);
      await this.#untilStopped([index]);
      await this.#untilReady();
    }
    this.#checkNoIdentifies(identifies);
    await this.#untilQuiet();
  }

  /** Everyone stops at the same time and others start later: no IDENTIFY may be spent. */
  async #everybodyDrains(): Promise<void> {
    const { identifies } = this.discord;
    if (this.world.violation !== undefined) return;
    this.#workers.forEach((_, index) => this.#terminate(index, 40_000));
    await this.#untilStopped(this.#workers.map((_, index) => index));
    await this.#runFor(45_000);
    await this.#untilReady();
    this.#checkNoIdentifies(identifies);
    await this.#untilQuiet();
  }

  #checkNoIdentifies(before: number): void {
    const spent = this.discord.identifies - before;
    const { resumeWindowMs, replayFrames } = this.discord.options;
    // Discord may be so forgetful that even a planned move comes too late for it.
    if (resumeWindowMs < 100_000 || replayFrames < 1000) return;
    if (this.world.violation === undefined && spent > 0) {
      this.world.violate('identify wasted', `${spent} IDENTIFYs in a planned restart`);
    }
  }

  /** A worker must end by itself within its stop timeout. */
  async #untilStopped(indexes: readonly number[]): Promise<void> {
    const isStopping = () => indexes.filter((index) => this.#worker(index).stoppingForMs !== undefined);
    while (this.world.violation === undefined && isStopping().length > 0) {
      const stuck = isStopping().find((index) => {
        const { stoppingForMs = 0, plan } = this.#worker(index);
        return stoppingForMs > plan.stopTimeoutMs - 1000;
      });
      if (stuck !== undefined) {
        const worker = this.#worker(stuck);
        const held =
          worker
            .heldShards()
            .map(({ shard }) => shard)
            .join(', ') || 'nothing';
        this.world.violate('drain stuck', `${worker.plan.name} has not ended within its stop timeout, holding ${held}`);
      }
      await this.#runFor(250);
    }
  }
}

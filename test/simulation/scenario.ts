import type { Chance } from './chance.ts';
import { type ControlNoise, quietControl } from './control-queues.ts';
import type { DiscordOptions, HostFault } from './discord.ts';
import type { WorkerPlan } from './fleet.ts';
import { type Cut, type Peer, peers } from './machine.ts';
import { type QueueNoise, type QueueOutage, quietQueues } from './queues.ts';
import { quietTable, type TableNoise, type TableOutage } from './table.ts';

/** One thing that goes wrong, or is asked for at a bad moment. Workers and shards are named by index. */
export type Fault =
  | { readonly kind: 'crash'; readonly worker: number; readonly restartMs: number | undefined }
  | { readonly kind: 'crashAll'; readonly restartMs: number }
  /** Stands still until somebody sets out to fence it, and goes on in that very moment. */
  | { readonly kind: 'pauseUntilFenced'; readonly worker: number; readonly afterMs: number }
  /** Dies at one of its next requests. */
  | {
      readonly kind: 'crashAtRequest';
      readonly worker: number;
      readonly request: string;
      readonly countdown: number;
      readonly leaves: boolean;
      readonly restartMs: number;
    }
  /** Stands still from one of its next requests on. */
  | {
      readonly kind: 'pauseAtRequest';
      readonly worker: number;
      readonly request: string;
      readonly countdown: number;
      readonly forMs: number;
    }
  | { readonly kind: 'pause'; readonly worker: number; readonly forMs: number }
  | { readonly kind: 'cut'; readonly worker: number; readonly peer: Peer; readonly how: Cut; readonly forMs: number }
  | { readonly kind: 'clockStep'; readonly worker: number; readonly toMs: number }
  | { readonly kind: 'terminate'; readonly worker: number; readonly replaceAfterMs: number }
  | { readonly kind: 'terminateAll'; readonly replaceAfterMs: number }
  | { readonly kind: 'tableOutage'; readonly how: TableOutage; readonly forMs: number }
  | { readonly kind: 'queueOutage'; readonly how: QueueOutage; readonly forMs: number }
  /** Somebody wants a shard elsewhere, whatever was wanted before. */
  | { readonly kind: 'move'; readonly shard: number; readonly worker: number }
  /** A shard is moved, and back as soon as it has arrived; then its owner may die before it has written anything. */
  | { readonly kind: 'moveAndBack'; readonly shard: number; readonly worker: number; readonly crashes: boolean }
  | { readonly kind: 'reconnectRequest'; readonly shard: number }
  | { readonly kind: 'invalidSession'; readonly shard: number; readonly resumable: boolean }
  | { readonly kind: 'close'; readonly shard: number; readonly code: number }
  | { readonly kind: 'stall'; readonly shard: number }
  | { readonly kind: 'hostFault'; readonly host: string; readonly how: HostFault; readonly forMs: number }
  | { readonly kind: 'burst'; readonly shard: number; readonly events: number };

export interface TimedFault {
  readonly atMs: number;
  readonly fault: Fault;
}

export interface Scenario {
  readonly workers: readonly WorkerPlan[];
  readonly discord: DiscordOptions;
  /** Of each shard, on average. */
  readonly eventsPerSecond: number;
  readonly table: TableNoise;
  /** The table's noise is so strong that several requests in a row fail. */
  readonly isStormy: boolean;
  readonly queues: QueueNoise;
  readonly control: ControlNoise;
  readonly refusesIdentify: number;
  readonly slowestReadyMs: number;
  readonly poison: boolean;
  readonly faults: readonly TimedFault[];
  /** Somebody starts a second worker under the id of one that lives. */
  readonly twin: { readonly of: number; readonly atMs: number } | undefined;
  /** No events come in this time. */
  readonly silence: { readonly fromMs: number; readonly toMs: number } | undefined;
  /** From then on everything works. */
  readonly healedMs: number;
  /** What the fleet is asked to do at the end, with everything working. */
  readonly ending: 'serve' | 'rollingRestart' | 'everybodyDrains';
}

/** Groups of faults; a run has some of them, so that each also occurs without the others. */
const groups = ['crashes', 'pauses', 'cuts', 'clocks', 'deploys', 'outages', 'moves', 'discord', 'noise'] as const;
export type Group = (typeof groups)[number];

/** What a run is to be about. */
export interface Focus {
  readonly groups: readonly Group[];
  readonly shape?: Shape;
  /** What Discord is like in every such run. @default as drawn */
  readonly discord?: Partial<DiscordOptions>;
}

/** What kind of run it is: the last two are long, because SQS forgets what it has seen only after five minutes. */
export type Shape = 'usual' | 'silence' | 'longQueueOutage';

/** Everything about a run, decided by its seed. */
export function drawScenario(chance: Chance, focus?: Focus): Scenario {
  const drawnShape = chance.weighted<Shape>({ usual: 0.87, silence: 0.06, longQueueOutage: 0.07 });
  const shape = focus ? (focus.shape ?? 'usual') : drawnShape;
  const active = new Set<Group>(
    groups.filter((group) => chance.happens(focus ? 0.1 : 0.4) || focus?.groups.includes(group)),
  );
  const shardCount = chance.whole(2, 6);
  const workerCount = chance.whole(2, 4);
  const healedMs = shape === 'usual' ? chance.between(30_000, 100_000) : chance.between(300_000, 420_000);
  const hasLongOutage = active.has('outages') && chance.happens(0.4);
  const ownShards = chance.happens(0.06);
  if (ownShards) active.delete('moves');
  const faults = drawFaults(chance, { active, shape, hasLongOutage, shardCount, workerCount, healedMs });
  const isNoisy = active.has('noise');
  const isStormy = isNoisy && chance.happens(0.25);
  const workers: WorkerPlan[] = Array.from({ length: workerCount }, (_, index) => ({
    ...drawWorker(chance, index, active),
    ownShardIds: ownShards
      ? Array.from({ length: shardCount }, (__, shardId) => shardId).filter((id) => id % workerCount === index)
      : undefined,
  }));
  if (!ownShards && chance.happens(0.12)) {
    workers.push({ ...drawWorker(chance, workerCount, active), isRogue: true, maxShards: 0 });
  }
  const scenario = {
    workers,
    discord: { ...drawDiscord(chance, shardCount, active), ...focus?.discord },
    eventsPerSecond: shape === 'longQueueOutage' ? 0.1 : chance.pick([0.3, 1, 3]),
    silence: shape === 'silence' ? { fromMs: chance.between(15_000, 40_000), toMs: healedMs } : undefined,
    isStormy,
    table: isStormy
      ? { throttled: 0.05, answerLost: 0.08, late: 0.08, repeated: 0.05, doubled: 0.03, slow: 0.05 }
      : isNoisy
        ? { throttled: 0.02, answerLost: 0.01, late: 0.01, repeated: 0.02, doubled: 0.01, slow: 0.03 }
        : quietTable,
    queues: isNoisy ? { entryFailed: 0.03, throttled: 0.02, answerLost: 0.02, late: 0.02 } : quietQueues,
    control: isNoisy ? { lost: 0.1, repeated: 0.1, late: 0.1 } : quietControl,
    refusesIdentify: active.has('discord') ? 0.05 : 0,
    slowestReadyMs: active.has('discord') ? 6000 : 300,
    poison: chance.happens(0.1),
    faults,
    healedMs,
    ending: chance.weighted<Scenario['ending']>({ serve: 0.5, rollingRestart: 0.25, everybodyDrains: 0.25 }),
  };
  const hasTwin = chance.happens(0.15);
  return {
    ...scenario,
    twin: hasTwin ? { of: chance.whole(0, workerCount - 1), atMs: chance.between(0, healedMs) } : undefined,
  };
}

function drawWorker(chance: Chance, index: number, active: ReadonlySet<Group>): WorkerPlan {
  const isSkewed = active.has('clocks');
  return {
    name: `w${index}`,
    workerId: `w${index}`,
    originalCoordinator: index === 0 && chance.happens(0.5),
    maxShards: undefined,
    ownShardIds: undefined,
    isRogue: false,
    stopTimeoutMs: 30_000,
    clock: {
      rate: isSkewed ? chance.between(0.99, 1.01) : 1,
      wallSkewMs: isSkewed ? chance.between(-15_000, 15_000) : chance.between(-50, 50),
    },
  };
}

function drawDiscord(chance: Chance, shardCount: number, active: ReadonlySet<Group>): DiscordOptions {
  const isHarsh = active.has('discord');
  return {
    shardCount,
    guildsPerShard: chance.whole(1, 2),
    maxConcurrency: chance.pick([1, 2, 4]),
    heartbeatIntervalMs: chance.pick([5000, 15_000, 41_250]),
    resumeWindowMs: isHarsh && chance.happens(0.3) ? 30_000 : 120_000,
    replayFrames: isHarsh && chance.happens(0.3) ? chance.whole(5, 60) : 5000,
    doubleResumeCode: chance.pick([4006, 4006, 4000, 1000]),
    silentForMs: chance.happens(0.3) ? 30_000 : Number.POSITIVE_INFINITY,
    identifies: chance.happens(0.1) ? shardCount + chance.whole(0, 4) : 1000,
  };
}

interface FaultTerms {
  readonly active: ReadonlySet<Group>;
  readonly shape: Shape;
  readonly hasLongOutage: boolean;
  readonly shardCount: number;
  readonly workerCount: number;
  readonly healedMs: number;
}

function drawFaults(chance: Chance, terms: FaultTerms): TimedFault[] {
  const { active, healedMs, shape, hasLongOutage } = terms;
  const faults: TimedFault[] = [];
  const kinds = [...active].filter((group) => group !== 'noise' && group !== 'clocks');
  const meanGapMs = shape === 'usual' ? chance.pick([3000, 8000, 20_000]) : 80_000;
  const firstMs = chance.happens(0.3) ? 0 : 12_000;
  for (let atMs = firstMs; kinds.length > 0; ) {
    atMs += -Math.log(1 - chance.random.next()) * meanGapMs;
    if (atMs >= healedMs) break;
    const fault = drawFault(chance, chance.pick(kinds), terms);
    if (fault) faults.push({ atMs, fault });
  }
  if (active.has('clocks')) {
    for (let step = 0; step < 3; step += 1) {
      const worker = chance.whole(0, terms.workerCount - 1);
      faults.push({
        atMs: chance.between(0, healedMs),
        fault: { kind: 'clockStep', worker, toMs: chance.between(-15_000, 15_000) },
      });
    }
  }
  if (hasLongOutage) {
    const forMs = chance.between(16_000, 40_000);
    const fault: Fault = chance.happens(0.7)
      ? { kind: 'tableOutage', how: chance.pick(['refuses', 'refusesWrites', 'hangs', 'losesAnswers']), forMs }
      : { kind: 'queueOutage', how: chance.pick(['refuses', 'hangs', 'losesAnswers']), forMs };
    faults.push({ atMs: chance.between(firstMs, Math.max(firstMs, healedMs - forMs)), fault });
  }
  const worker = chance.whole(0, terms.workerCount - 1);
  if (shape === 'silence') {
    faults.push({ atMs: healedMs - chance.between(0, 20_000), fault: { kind: 'crash', worker, restartMs: 1000 } });
  }
  if (shape === 'longQueueOutage') {
    const forMs = chance.between(205_000, healedMs - 30_000);
    const how = chance.pick<QueueOutage>(['losesAnswers', 'losesAnswers', 'refuses', 'hangs']);
    faults.push({ atMs: chance.between(20_000, healedMs - forMs), fault: { kind: 'queueOutage', how, forMs } });
  }
  return faults.sort((one, other) => one.atMs - other.atMs);
}

/** Requests at which a process may die or stand still. */
const requests = [
  'table.writeCheckpoint',
  'table.release',
  'table.takeOver',
  'table.grant',
  'table.setWant',
  'table.fence',
  'table.swapRole',
  'table.swapGate',
  'table.spendIdentify',
  'table.setResumeUrl',
  'table.removeWorker',
  'table.join',
  'table.markDraining',
  'events.sendBatch',
  'control.send',
  'discord.dial',
  'discord.send',
];

const closeCodes = [1000, 1001, 1006, 4000, 4006, 4007, 4008, 4009];

function drawFault(
  chance: Chance,
  group: Group,
  { shardCount, workerCount, hasLongOutage }: FaultTerms,
): Fault | undefined {
  const worker = chance.whole(0, workerCount - 1);
  const shard = chance.whole(0, shardCount - 1);
  switch (group) {
    case 'crashes':
      if (chance.happens(0.08)) return { kind: 'crashAll', restartMs: chance.between(200, 15_000) };
      return chance.happens(0.4)
        ? { kind: 'crash', worker, restartMs: chance.happens(0.8) ? chance.between(200, 15_000) : undefined }
        : {
            kind: 'crashAtRequest',
            worker,
            request: chance.pick(requests),
            countdown: chance.whole(0, 4),
            leaves: chance.happens(0.5),
            restartMs: chance.between(200, 10_000),
          };
    case 'pauses':
      if (chance.happens(0.4)) return { kind: 'pauseUntilFenced', worker, afterMs: chance.between(-3, 25) };
      if (chance.happens(0.4)) {
        return {
          kind: 'pauseAtRequest',
          worker,
          request: chance.pick(requests),
          countdown: chance.whole(0, 3),
          forMs: chance.pick([3000, 11_000, 25_000]) * chance.between(0.8, 1.2),
        };
      }
      return {
        kind: 'pause',
        worker,
        forMs: chance.happens(0.5) ? chance.between(500, 7000) : chance.between(7000, 40_000),
      };
    case 'cuts':
      return {
        kind: 'cut',
        worker,
        peer: chance.pick(peers),
        how: chance.happens(0.7) ? 'both' : 'answers',
        // Fifteen seconds without the table and a worker may go on unfenced.
        forMs: hasLongOutage ? chance.between(500, 40_000) : chance.between(500, 11_000),
      };
    case 'deploys':
      return chance.happens(0.15)
        ? { kind: 'terminateAll', replaceAfterMs: chance.between(0, 10_000) }
        : { kind: 'terminate', worker, replaceAfterMs: chance.between(0, 5000) };
    case 'outages':
      return chance.happens(0.6)
        ? {
            kind: 'tableOutage',
            how: chance.pick(['refuses', 'refusesWrites', 'hangs', 'losesAnswers', 'throttles']),
            forMs: chance.between(500, 11_000),
          }
        : {
            kind: 'queueOutage',
            how: chance.pick(['refuses', 'hangs', 'losesAnswers']),
            forMs: chance.between(500, 20_000),
          };
    case 'moves':
      return chance.happens(0.4)
        ? { kind: 'moveAndBack', shard, worker, crashes: chance.happens(0.6) }
        : { kind: 'move', shard, worker };
    case 'discord':
      return drawDiscordFault(chance, shard);
    case 'clocks':
    case 'noise':
      return undefined;
  }
}

function drawDiscordFault(chance: Chance, shard: number): Fault {
  switch (chance.weighted({ reconnect: 4, invalid: 2, close: 3, stall: 2, host: 2, burst: 3 })) {
    case 'reconnect':
      return { kind: 'reconnectRequest', shard };
    case 'invalid':
      return { kind: 'invalidSession', shard, resumable: chance.happens(0.6) };
    case 'close':
      return { kind: 'close', shard, code: chance.pick(closeCodes) };
    case 'stall':
      return { kind: 'stall', shard };
    case 'host':
      return {
        kind: 'hostFault',
        host: chance.pick(['resume-0.sim', 'resume-1.sim', 'resume-2.sim', 'gateway.sim']),
        how: chance.pick(['refuses', 'swallows']),
        forMs: chance.between(2000, 30_000),
      };
    case 'burst':
      return { kind: 'burst', shard, events: chance.whole(10, 80) };
  }
}

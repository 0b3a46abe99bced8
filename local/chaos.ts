import type { Clock } from '../shared/clock.ts';
import { messageOf } from '../shared/errors.ts';
import { type Random, randomBelow } from '../shared/random.ts';
import type { AwsOutage } from './aws-faults.ts';
import type { AwsService } from './cloud/fault-proxy.ts';

/** `mild`: processes and connections. `harsh`: also AWS endpoints that fail, throttle, hang, or lose their answers. */
export type ChaosMix = 'mild' | 'harsh';

/**
 * One thing that chaos does, `atMs` after the traffic began. `worker` and `shard` are drawn numbers: whoever carries the
 * action out takes them modulo what there is.
 */
export type ChaosAction = { readonly atMs: number } & (
  | { readonly kind: 'killWorker'; readonly worker: number; readonly restartAfterMs: number }
  | { readonly kind: 'drainWorker'; readonly worker: number }
  | { readonly kind: 'pauseWorker'; readonly worker: number; readonly forMs: number }
  /** Planned handoffs of so many shards, from the worker with most to the one with least. */
  | { readonly kind: 'moveShards'; readonly count: number }
  | { readonly kind: 'requestReconnect'; readonly shard: number }
  | { readonly kind: 'cutSocket'; readonly shard: number }
  | { readonly kind: 'invalidateResumable'; readonly shard: number }
  /** Discord neither sends nor hears; afterwards it sends what it owes. */
  | { readonly kind: 'silenceSocket'; readonly shard: number; readonly forMs: number }
  /** Nobody listens there, or somebody who does not answer. */
  | { readonly kind: 'deadResumeUrl'; readonly state: 'refused' | 'hanging'; readonly forMs: number }
  | {
      readonly kind: 'awsOutage';
      /** Between which worker and AWS; `all`: between all of them and AWS. */
      readonly worker: number | 'all';
      readonly services: readonly AwsService[];
      readonly outage: AwsOutage;
      readonly forMs: number;
    }
);

export type ChaosKind = ChaosAction['kind'];

/** Discord keeps about 20 s of a busy shard; noticing a dead worker takes 9 s: two such in that time would lose by right. */
const betweenWorkersMs = 18_000;
/** From SIGTERM to the last handoff, with room. */
const drainMs = 6000;

/** The longest outage of AWS: what the fleet is built for. */
const longestOutageMs = 20_000;
const shortestOutageMs = 2000;
/** From the end of an outage of AWS to the next, at least: who died before or in it is taken over meanwhile. */
const betweenOutagesMs = 18_000;

export interface ChaosPlanOptions {
  /** @default 'mild' */
  readonly mix?: ChaosMix;
  /** How far back Discord can replay a session. @default 20000, what it keeps at least */
  readonly replayMs?: number;
}

/**
 * Draws what a run of `durationMs` has to live through. The same seed gives the same plan.
 * A run of 8 s or more has a kill and a drain; nothing happens in the last quarter (15 s at most), so that what was begun
 * finishes while events still flow. Disturbances of workers never overlap; those of single connections and of AWS fall
 * anywhere. Outages of AWS are so short that, with a kill in their midst, Discord still has what was missed.
 */
export function planChaos(
  durationMs: number,
  random: Random,
  { mix = 'mild', replayMs = 20_000 }: ChaosPlanOptions = {},
): ChaosAction[] {
  const endMs = durationMs - Math.min(15_000, durationMs / 4);
  const actions = [...planWorkers(durationMs, endMs, mix, random), ...planConnections(durationMs, endMs, mix, random)];
  if (mix === 'harsh') {
    // Noticing a death, all but done when the outage begins, begins anew after it; and a busy machine sends in bursts.
    const affordableMs = (2 * replayMs) / 3 - 20_000;
    const longestMs = Math.max(shortestOutageMs, Math.min(longestOutageMs, affordableMs));
    actions.push(...planOutages(endMs, longestMs, random), ...planMoves(endMs, random));
  }
  return actions.sort((one, other) => one.atMs - other.atMs);
}

function planWorkers(durationMs: number, endMs: number, mix: ChaosMix, random: Random): ChaosAction[] {
  const actions: ChaosAction[] = [];
  const worker = (): number => randomBelow(random, 1000);
  const kill = (atMs: number): ChaosAction => ({
    kind: 'killWorker',
    atMs,
    worker: worker(),
    restartAfterMs: 500 + randomBelow(random, 4000),
  });
  const drain = (atMs: number): ChaosAction => ({ kind: 'drainWorker', atMs, worker: worker() });
  const pause = (atMs: number): ChaosAction => ({
    kind: 'pauseWorker',
    atMs,
    worker: worker(),
    // Liveness is lost after 9 s: most pauses are shorter, some make a worker come back to find itself fenced.
    forMs: random.next() < 0.7 ? 1000 + randomBelow(random, 5000) : 10_000 + randomBelow(random, 3000),
  });
  let atMs = Math.min(2000, durationMs / 10) * (0.5 + random.next() / 2);
  if (endMs < atMs + drainMs + betweenWorkersMs + 3000) {
    // Too short for one after the other: the drain finishes quickly, so it goes first.
    if (durationMs >= 8000) {
      actions.push(drain(atMs), kill(Math.max(atMs + 2000, Math.min(atMs + drainMs, endMs - 9000))));
    }
    return actions;
  }
  const first = random.next() < 0.5 ? [kill, drain] : [drain, kill];
  while (atMs < endMs) {
    const draw = first.shift() ?? [kill, drain, pause][randomBelow(random, 3)] ?? pause;
    const action = draw(atMs);
    actions.push(action);
    // Now and then a second worker dies while the fleet has not got over the first.
    if (mix === 'harsh' && action.kind === 'killWorker' && random.next() < 0.3) {
      actions.push(kill(Math.min(endMs, atMs + randomBelow(random, 5000))));
    }
    atMs += (action.kind === 'drainWorker' ? drainMs : betweenWorkersMs) + randomBelow(random, 3000);
  }
  return actions;
}

function planConnections(durationMs: number, endMs: number, mix: ChaosMix, random: Random): ChaosAction[] {
  const actions: ChaosAction[] = [];
  const shard = (): number => randomBelow(random, 100_000);
  for (let atMs = durationMs / 20 + random.next() * 2000; atMs < endMs; atMs += 1000 + random.next() * 3500) {
    const drawn = random.next();
    if (drawn < 0.35) actions.push({ kind: 'requestReconnect', atMs, shard: shard() });
    else if (drawn < 0.75) actions.push({ kind: 'cutSocket', atMs, shard: shard() });
    else if (drawn < 0.92) actions.push({ kind: 'invalidateResumable', atMs, shard: shard() });
    else {
      const state = mix === 'harsh' && random.next() < 0.5 ? 'hanging' : 'refused';
      actions.push({ kind: 'deadResumeUrl', atMs, state, forMs: 1000 + randomBelow(random, 3000) });
    }
    if (mix === 'harsh' && random.next() < 0.25) {
      actions.push({ kind: 'silenceSocket', atMs, shard: shard(), forMs: 500 + randomBelow(random, 4000) });
    }
  }
  return actions;
}

/** Somebody always rebalances: also while all the rest is going on. */
function planMoves(endMs: number, random: Random): ChaosAction[] {
  const actions: ChaosAction[] = [];
  for (let atMs = 1000 + random.next() * 3000; atMs < endMs; atMs += 1500 + random.next() * 5000) {
    actions.push({ kind: 'moveShards', atMs, count: 1 + randomBelow(random, 4) });
  }
  return actions;
}

function planOutages(endMs: number, longestMs: number, random: Random): ChaosAction[] {
  const actions: ChaosAction[] = [];
  const between = (fromMs: number, toMs: number): number => fromMs + randomBelow(random, Math.max(1, toMs - fromMs));
  for (let atMs = between(3000, 8000); ; ) {
    const forMs = between(shortestOutageMs, longestMs + 1);
    if (atMs + forMs > endMs) return actions;
    const outage = drawOutage(random);
    // What is asked of SQS alone, of DynamoDB alone, or of both.
    const services = serviceSets[randomBelow(random, serviceSets.length)] as readonly AwsService[];
    const worker = random.next() < 0.6 ? randomBelow(random, 1000) : 'all';
    actions.push({ kind: 'awsOutage', atMs, worker, services, outage, forMs });
    atMs += forMs + between(betweenOutagesMs, 30_000);
  }
}

const serviceSets: readonly (readonly AwsService[])[] = [
  ['dynamodb'],
  ['dynamodb'],
  ['sqs'],
  ['sqs'],
  ['dynamodb', 'sqs'],
];

function drawOutage(random: Random): AwsOutage {
  const below = (limit: number): number => randomBelow(random, limit);
  // All requests, or a share of them: what fails half-way is harder to get right than what fails altogether.
  const share = (): number => (random.next() < 0.5 ? 1 : 0.1 + below(60) / 100);
  const draws: readonly (() => AwsOutage)[] = [
    () => ({ kind: 'error', probability: share() }),
    () => ({ kind: 'throttle', probability: share() }),
    () => ({ kind: 'hang', probability: share() }),
    () => ({ kind: 'refuse' }),
    () => ({ kind: 'loseAnswer', how: random.next() < 0.5 ? 'reset' : 'silence', probability: share() }),
    () => ({ kind: 'delay', byMs: 200 + below(8000), probability: share() }),
    () => ({ kind: 'duplicate', afterMs: 200 + below(12_000), probability: share() }),
  ];
  return (draws[below(draws.length)] as () => AwsOutage)();
}

/** What chaos can do to a fleet. Each answers with what it did, for the report; `undefined` when there was nothing to do it to. */
export type ChaosTargets = {
  readonly [Kind in ChaosKind]: (action: Extract<ChaosAction, { kind: Kind }>) => Promise<string | undefined>;
};

/** A line of the report: what was done, to whom, and when. */
export interface ChaosDone {
  readonly atMs: number;
  readonly kind: ChaosKind;
  readonly what: string;
}

/**
 * Carries out a plan, each action at its time; an action that takes long does not hold up the next.
 * Resolves when all have finished or, after `signal` aborts, when those under way have.
 */
export async function runChaos(
  plan: readonly ChaosAction[],
  targets: ChaosTargets,
  { clock, signal, onDone }: { clock: Clock; signal: AbortSignal; onDone: (done: ChaosDone) => void },
): Promise<void> {
  const startedAtMs = clock.monotonicMs();
  const underWay: Promise<void>[] = [];
  for (const action of plan) {
    await clock.sleep(Math.max(0, startedAtMs + action.atMs - clock.monotonicMs()), signal);
    if (signal.aborted) break;
    underWay.push(carryOut(action, targets, onDone));
  }
  await Promise.all(underWay);
}

async function carryOut(action: ChaosAction, targets: ChaosTargets, onDone: (done: ChaosDone) => void): Promise<void> {
  const atMs = Math.round(action.atMs);
  try {
    const what = await (targets[action.kind] as (action: ChaosAction) => Promise<string | undefined>)(action);
    onDone({ atMs, kind: action.kind, what: what ?? 'nothing to do it to' });
  } catch (error) {
    onDone({ atMs, kind: action.kind, what: `failed: ${messageOf(error)}` });
  }
}

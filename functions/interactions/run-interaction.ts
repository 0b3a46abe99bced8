import { type APIInteraction, InteractionType } from 'discord-api-types/v10';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { snowflakeTimeMs } from '../../shared/sharding.ts';
import type { HandlerServices } from '../kit/handler-context.ts';
import type { Registry } from '../kit/registry.ts';
import { routeInteraction, type RoutedInteraction } from '../kit/route-interaction.ts';
import type { ShardContext } from '../kit/shard-context.ts';
import type { FirstAnswerWay } from './first-answer.ts';
import { InteractionAnswer } from './interaction-answer.ts';
import type { InteractionClaims } from './interaction-claims.ts';
import type { InvocationDeadlines } from './invocation-deadlines.ts';

/** Discord takes the first answer within three seconds of the user's action. */
const answerWithinMs = 3000;
/** A handler that has not answered by then is deferred; the rest is for the way to Discord, which may be a request. */
const deferAfterMs = 2000;

/** A first answer that is older leaves too little of Discord's three seconds. */
const lateAfterMs = 2500;

/** What became of an interaction. */
export type InteractionOutcome =
  | 'answered'
  /** The handler ended without an answer. */
  | 'unanswered'
  /** The handler threw, or did not end in time; the user got an apology. */
  | 'failed'
  /** Nobody handles it; the user was told. */
  | 'unknown'
  /** Older than three seconds, and the handler does not want such. */
  | 'expired'
  /** Somebody else has run it. */
  | 'duplicate';

/** The way an interaction came. */
export type InteractionWay = 'gateway' | 'http';

/** For ledgers and live views. `ageMs` runs from the user's action to the end of the handler. */
export interface ObservedInteraction {
  readonly interaction: APIInteraction;
  readonly way: InteractionWay;
  /** The command with its subcommand, or the custom-id pattern; `undefined` when nobody handles it. */
  readonly label: string | undefined;
  readonly outcome: InteractionOutcome;
  readonly deferred: boolean;
  readonly ageMs: number;
}

export interface InteractionsDeps {
  readonly registry: Registry;
  readonly claims: Pick<InteractionClaims, 'claim'>;
  readonly services: HandlerServices;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called for every interaction that was dealt with. */
  readonly observe?: (interaction: ObservedInteraction) => void;
}

/** An interaction as it came. */
export interface Arrival {
  readonly interaction: APIInteraction;
  readonly way: InteractionWay;
  readonly shard: () => Promise<ShardContext> | ShardContext;
  readonly firstAnswer: FirstAnswerWay;
  readonly deadlines: InvocationDeadlines;
}

/**
 * Deals with an interaction, once: whoever claims it first runs its handler, whatever comes of that. A handler that
 * takes its time is deferred and goes on. Rejects only when the claim could not be made.
 */
export async function runInteraction(deps: InteractionsDeps, arrival: Arrival): Promise<InteractionOutcome> {
  const { interaction, way, deadlines } = arrival;
  const { clock } = deps;
  const startedMs = clock.monotonicMs();
  // Clocks differ a little: nothing comes before it was sent.
  const ageAtStartMs = Math.max(0, clock.wallClockMs() - snowflakeTimeMs(interaction.id));
  const ageMs = () => ageAtStartMs + (clock.monotonicMs() - startedMs);
  const routed = routeInteraction(deps.registry, interaction);
  const log = deps.logger.child({
    interaction: interaction.id,
    command: routed?.label,
    guild: interaction.guild_id,
    way,
  });
  const observed = (outcome: InteractionOutcome, deferred = false): InteractionOutcome => {
    deps.observe?.({ interaction, way, label: routed?.label, outcome, deferred, ageMs: ageMs() });
    return outcome;
  };

  if (ageAtStartMs > answerWithinMs && routed?.settings.runsWhenExpired !== true) {
    log.warn({ ageMs: ageAtStartMs }, 'interactions.expired');
    return observed('expired');
  }
  const [isOurs, shard] = await Promise.all([
    deps.claims.claim(interaction.id, deadlines.everything),
    routed && arrival.shard(),
  ]);
  if (!isOurs) {
    log.info({}, 'interactions.duplicate');
    return observed('duplicate');
  }
  const { api } = deps.services;
  const firstAnswer: FirstAnswerWay = {
    takesFiles: arrival.firstAnswer.takesFiles,
    async send(body, files) {
      await arrival.firstAnswer.send(body, files);
      const fields = { ageMs: Math.round(ageMs()), arrivedAfterMs: Math.round(ageAtStartMs) };
      if (fields.ageMs < lateAfterMs) log.info(fields, 'interactions.answered');
      else log.warn(fields, 'interactions.answered_late');
    },
  };
  const answer = new InteractionAnswer({ api, interaction, firstAnswer, signal: deadlines.everything, clock });
  if (!routed || !shard) {
    log.error({ type: interaction.type, name: nameOf(interaction) }, 'interactions.unknown');
    await apologize(answer, unknownText(interaction), log);
    return observed('unknown');
  }
  const outcome = await runHandler(deps, { routed, shard, answer, deadlines, log, ageMs });
  return observed(outcome, answer.wasDeferred);
}

interface HandlerRun {
  readonly routed: RoutedInteraction;
  readonly shard: ShardContext;
  readonly answer: InteractionAnswer;
  readonly deadlines: InvocationDeadlines;
  readonly log: Logger;
  readonly ageMs: () => number;
}

async function runHandler(deps: InteractionsDeps, run: HandlerRun): Promise<InteractionOutcome> {
  const { routed, shard, answer, deadlines, ageMs } = run;
  const log = run.log.child({ shard: shard.id });
  const { autoDefer = true } = routed.settings;
  let deferring: Promise<void> | undefined;
  const isTakenStill = ageMs() <= answerWithinMs;
  const timer =
    autoDefer === false || !isTakenStill
      ? undefined
      : deps.clock.schedule(Math.max(0, deferAfterMs - ageMs()), () => {
          deferring = answer.deferForHandler({ ephemeral: autoDefer === 'ephemeral' }).catch((error: unknown) => {
            log.warn({ error: messageOf(error) }, 'interactions.not_deferred');
          });
        });
  try {
    const { handlers: signal } = deadlines;
    const handled = routed.run({
      shard,
      services: deps.services,
      answers: answer,
      ageMs: ageMs(),
      log,
      signal,
      remainingMs: () => deadlines.remainingMs(),
    });
    await beforeAbort(handled, signal);
  } catch (error) {
    const reference = deps.random.uuid().slice(0, 8);
    const stack = error instanceof Error ? error.stack : undefined;
    log.error({ reference, handler: routed.handler, error: messageOf(error), stack }, 'interactions.handler_failed');
    await deferring;
    await apologize(
      answer,
      `Sorry, that did not work. If it happens again, report it with the number ${reference}.`,
      log,
    );
    return 'failed';
  } finally {
    timer?.cancel();
    await deferring;
  }
  if (!answer.isOpen) return 'answered';
  log.warn({ handler: routed.handler }, 'interactions.left_unanswered');
  return 'unanswered';
}

/** Waits for a handler, but not beyond the end of its time; one that goes on then is left to itself. */
async function beforeAbort(handled: Promise<void>, signal: AbortSignal): Promise<void> {
  const { promise, reject } = Promise.withResolvers<never>();
  const giveUp = () => reject(new Error('the handler did not end in the time of the invocation'));
  if (signal.aborted) giveUp();
  signal.addEventListener('abort', giveUp, { once: true });
  try {
    await Promise.race([handled, promise]);
  } finally {
    signal.removeEventListener('abort', giveUp);
  }
}

function nameOf({ data }: APIInteraction): string | undefined {
  if (data === undefined) return undefined;
  return 'name' in data ? data.name : data.custom_id;
}

function unknownText(interaction: APIInteraction): string {
  return interaction.type === InteractionType.ApplicationCommand
    ? `This bot has no command "${interaction.data.name}" any more.`
    : 'This bot does not know what to do with that any more.';
}

/** The user may be out of reach, e.g. because the three seconds are over; then the log has to do. */
async function apologize(answer: InteractionAnswer, text: string, log: Logger): Promise<void> {
  try {
    await answer.apologize(text);
  } catch (error) {
    log.warn({ error: messageOf(error) }, 'interactions.apology_not_delivered');
  }
}

import { BatchProcessor, EventType, processPartialResponse } from '@aws-lambda-powertools/batch';
import type { PartialItemFailureResponse } from '@aws-lambda-powertools/batch/types';
import type { API } from '@discordjs/core';
import type { Context, SQSEvent, SQSRecord } from 'aws-lambda';
import {
  type APIChatInputApplicationCommandInteraction,
  type APIInteraction,
  ApplicationCommandType,
  InteractionType,
} from 'discord-api-types/v10';
import type { Clock } from '../../shared/clock.ts';
import { decodeInteraction, type InteractionEnvelope } from '../../shared/envelope.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';
import { snowflakeTimeMs } from '../../shared/sharding.ts';
import type { HandlerTable } from '../kit/handler-table.ts';
import type { RegisteredCommand, Registry } from '../kit/registry.ts';
import { shardContext } from '../kit/shard-context.ts';
import { InteractionAnswer } from './interaction-answer.ts';
import type { InteractionClaims } from './interaction-claims.ts';
import { commandContext } from './running-command.ts';

/** Discord takes the first answer within three seconds of the user's action. */
const answerWithinMs = 3000;
/** Kept at the end of the invocation for apologies and the answer. */
const stopMarginMs = 1000;

/** What became of an interaction. */
export type InteractionOutcome =
  | 'answered'
  /** The handler threw; the user got an apology. */
  | 'failed'
  /** No such command; the user was told. */
  | 'unknown'
  /** Older than three seconds, and the command does not want such. */
  | 'expired'
  /** Somebody else has run it. */
  | 'duplicate';

/** For ledgers and live views. `ageMs` runs from the user's action to the end of the handler. */
export interface ObservedInteraction {
  readonly id: string;
  readonly command: string | undefined;
  readonly outcome: InteractionOutcome;
  readonly ageMs: number;
  readonly envelope: InteractionEnvelope;
}

export interface InteractionsDeps {
  readonly registry: Registry;
  readonly claims: Pick<InteractionClaims, 'claim'>;
  readonly api: API;
  readonly table: HandlerTable;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** Called for every interaction that was dealt with. */
  readonly observe?: (interaction: ObservedInteraction) => void;
}

/** The Lambda of the interactions queue. `context` tells how much time the invocation has. */
export type InteractionsHandler = (
  event: SQSEvent,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<PartialItemFailureResponse>;

/**
 * Answers the interactions of a batch, side by side. Only messages that could not be read or claimed are handed back;
 * whatever a command does, its interaction is dealt with once. Invocations may overlap.
 */
export function createInteractionsHandler(deps: InteractionsDeps): InteractionsHandler {
  return async (event, context) => {
    const stop = new AbortController();
    const remainingMs = Math.max(0, context.getRemainingTimeInMillis() - stopMarginMs);
    const timer = deps.clock.schedule(remainingMs, () => stop.abort());
    try {
      return await processPartialResponse(
        event,
        (record: SQSRecord) => takeRecord(deps, record, stop.signal),
        new BatchProcessor(EventType.SQS),
        { throwOnFullBatchFailure: false },
      );
    } finally {
      timer.cancel();
    }
  };
}

async function takeRecord(deps: InteractionsDeps, record: SQSRecord, signal: AbortSignal): Promise<void> {
  try {
    const envelope = decodeInteraction(record.body);
    const command = commandOf(deps.registry, envelope);
    const outcome = await takeInteraction(deps, envelope, command, signal);
    const { id } = envelope.interaction;
    deps.observe?.({
      id,
      command: command?.definition.name,
      outcome,
      ageMs: deps.clock.wallClockMs() - snowflakeTimeMs(id),
      envelope,
    });
  } catch (error) {
    // Back to the queue, and to its dead letters after some deliveries.
    deps.logger.error({ messageId: record.messageId, error: messageOf(error) }, 'interactions.message_failed');
    throw error;
  }
}

/** Slash commands are what there is so far; everything else counts as unknown. */
function commandOf(registry: Registry, envelope: InteractionEnvelope): RegisteredCommand | undefined {
  const interaction = envelope.interaction as unknown as APIInteraction;
  if (interaction.type !== InteractionType.ApplicationCommand) return undefined;
  const { data } = interaction;
  return data?.type === ApplicationCommandType.ChatInput ? registry.commands.get(data.name) : undefined;
}

async function takeInteraction(
  deps: InteractionsDeps,
  envelope: InteractionEnvelope,
  command: RegisteredCommand | undefined,
  signal: AbortSignal,
): Promise<InteractionOutcome> {
  const interaction = envelope.interaction as unknown as APIChatInputApplicationCommandInteraction;
  const ageMs = deps.clock.wallClockMs() - snowflakeTimeMs(interaction.id);
  const log = deps.logger.child({
    interaction: interaction.id,
    command: command?.definition.name,
    guild: interaction.guild_id,
    shard: envelope.shard[0],
  });
  if (ageMs > answerWithinMs && !command?.definition.runsWhenExpired) {
    log.warn({ ageMs }, 'interactions.expired');
    return 'expired';
  }
  if (!(await deps.claims.claim(interaction.id))) {
    log.info({}, 'interactions.duplicate');
    return 'duplicate';
  }
  const answer = new InteractionAnswer(deps.api, interaction, signal);
  if (!command) {
    log.error({ type: interaction.type, name: interaction.data?.name }, 'interactions.unknown');
    await apologize(answer, unknownText(interaction), log);
    return 'unknown';
  }
  const shard = shardContext(envelope.shard, envelope.epoch);
  const services = { api: deps.api, table: deps.table, log, signal };
  try {
    await command.definition.run(commandContext(interaction, answer, shard, Math.max(0, ageMs), services));
  } catch (error) {
    const reference = deps.random.uuid().slice(0, 8);
    const stack = error instanceof Error ? error.stack : undefined;
    log.error({ reference, handler: command.name, error: messageOf(error), stack }, 'interactions.handler_failed');
    await apologize(
      answer,
      `Sorry, that did not work. If it happens again, report it with the number ${reference}.`,
      log,
    );
    return 'failed';
  }
  if (answer.isOpen) log.warn({ handler: command.name }, 'interactions.left_unanswered');
  return 'answered';
}

function unknownText({ type, data }: { type: InteractionType; data?: { name?: string } }): string {
  return type === InteractionType.ApplicationCommand && data?.name !== undefined
    ? `This bot has no command "${data.name}" any more.`
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

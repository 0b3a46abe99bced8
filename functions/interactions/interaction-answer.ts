import type { API } from '@discordjs/core';
import { DiscordAPIError, type RawFile } from '@discordjs/rest';
import {
  type APIApplicationCommandOptionChoice,
  type APIInteraction,
  type APIInteractionResponse,
  type APIMessage,
  type APIModalInteractionResponseCallbackData,
  InteractionResponseType,
  InteractionType,
  MessageFlags,
  RESTJSONErrorCodes,
} from 'discord-api-types/v10';
import type { Clock } from '../../shared/clock.ts';
import { BatonError } from '../../shared/errors.ts';
import type { Edit, FollowUp, MessageUpdate, Reply } from '../kit/interaction-context.ts';
import type { InteractionAnswers } from '../kit/route-interaction.ts';
import {
  type AnswerRequest,
  type AnswerState,
  type AnswerStep,
  answerStep,
  type Deferral,
  original,
} from './answer-steps.ts';
import type { FirstAnswerWay } from './first-answer.ts';
import { ephemeralWish, type HandlerMessage, messageParts } from './message-parts.ts';

export interface InteractionAnswerDeps {
  readonly api: API;
  readonly interaction: APIInteraction;
  readonly firstAnswer: FirstAnswerWay;
  /** Ends requests that follow the first answer. */
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

/** Discord takes in a first answer that it got in an HTTP response a moment after the response is out of our hands. */
const takenInWithinMs = 2000;
const askAgainEveryMs = 150;

/**
 * Talks to the user of one interaction: the first answer by the way the interaction came, further ones by REST. Answers
 * go out one after the other, in the order in which they were asked for.
 */
export class InteractionAnswer implements InteractionAnswers {
  readonly #deps: InteractionAnswerDeps;
  #state: AnswerState = { kind: 'open' };
  #underWay = 0;
  #last: Promise<unknown> = Promise.resolve();
  #firstAtMs = 0;
  #wasDeferred = false;

  constructor(deps: InteractionAnswerDeps) {
    this.#deps = deps;
  }

  /** Whether Discord still waits for the first answer. */
  get isOpen(): boolean {
    return this.#state.kind === 'open';
  }

  /** Whether the clock deferred for the handler. */
  get wasDeferred(): boolean {
    return this.#wasDeferred;
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was a first answer. */
  reply(message: Reply): Promise<void> {
    const { body, files } = messageParts(message);
    return this.#inTurn(async () => {
      const step = this.#step({ kind: 'reply', ephemeral: ephemeralWish(message) });
      if (step.how !== 'first') return void (await this.#carryOut(step, message));
      const ephemeral = ephemeralWish(message) === true;
      if (this.#mustComeLater(files)) return this.#deferredMessage({ as: 'message', ephemeral }, message);
      await this.#first({ type: InteractionResponseType.ChannelMessageWithSource, data: body }, files);
      this.#state = { kind: 'answered', replyId: original };
    });
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was a first answer by the handler. */
  defer({ ephemeral = false }: { readonly ephemeral?: boolean } = {}): Promise<void> {
    return this.#inTurn(() => this.#defer({ as: 'message', ephemeral }));
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` as {@link defer}, and where there is no message to update. */
  deferUpdate(): Promise<void> {
    return this.#inTurn(() => {
      this.#requireMessage('deferUpdate');
      return this.#defer({ as: 'update' });
    });
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was a first answer, or there is no message to update. */
  update(message: MessageUpdate): Promise<void> {
    const { body, files } = messageParts(message);
    return this.#inTurn(async () => {
      this.#requireMessage('update');
      const step = this.#step({ kind: 'update' });
      if (step.how !== 'first') return void (await this.#carryOut(step, message));
      if (this.#mustComeLater(files)) return this.#deferredMessage({ as: 'update' }, message);
      await this.#first({ type: InteractionResponseType.UpdateMessage, data: body }, files);
      this.#state = { kind: 'answered', replyId: original };
    });
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was a first answer, be it that it was deferred. */
  showModal(modal: APIModalInteractionResponseCallbackData): Promise<void> {
    return this.#inTurn(async () => {
      this.#step({ kind: 'showModal' });
      await this.#first({ type: InteractionResponseType.Modal, data: modal });
      this.#state = { kind: 'answered', replyId: original };
    });
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was no first answer. */
  editReply(message: Edit): Promise<APIMessage> {
    return this.#inTurn(async () => (await this.#carryOut(this.#step({ kind: 'editReply' }), message)) as APIMessage);
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was no first answer. */
  deleteReply(): Promise<void> {
    return this.#inTurn(async () => {
      const step = this.#step({ kind: 'deleteReply' });
      if (step.how === 'message') await this.#delete(step.id);
    });
  }

  /** @throws {BatonError} `ANSWER_OUT_OF_TURN` when there was no first answer. */
  followUp(message: FollowUp): Promise<APIMessage> {
    return this.#inTurn(
      async () =>
        (await this.#carryOut(
          this.#step({ kind: 'followUp', ephemeral: ephemeralWish(message) }),
          message,
        )) as APIMessage,
    );
  }

  /** The suggestions of an autocompletion; too late ones are dropped, as Discord would. */
  suggest(choices: readonly APIApplicationCommandOptionChoice[]): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.isOpen) return;
      await this.#first({
        type: InteractionResponseType.ApplicationCommandAutocompleteResult,
        data: { choices: [...choices] },
      });
      this.#state = { kind: 'answered', replyId: original };
    });
  }

  /**
   * Defers for a handler that takes its time, unless an answer is there or on its way. What the handler then answers
   * finds its way all the same.
   */
  async deferForHandler({ ephemeral }: { readonly ephemeral: boolean }): Promise<void> {
    if (!this.isOpen || this.#underWay > 0) return;
    const { interaction } = this.#deps;
    if (interaction.type === InteractionType.ApplicationCommandAutocomplete) return this.suggest([]);
    const given: Deferral = this.#hasMessage ? { as: 'update' } : { as: 'message', ephemeral };
    await this.#inTurn(async () => {
      await this.#first(deferralResponse(given));
      this.#wasDeferred = true;
      this.#state = { kind: 'deferred', given, wanted: undefined };
    });
  }

  /** Tells the user that it went wrong, by the way that is still open. */
  async apologize(content: string): Promise<void> {
    const { interaction } = this.#deps;
    if (interaction.type === InteractionType.ApplicationCommandAutocomplete) return this.suggest([]);
    switch (this.#state.kind) {
      case 'open':
        return this.reply({ content, ephemeral: true });
      case 'deferred': {
        const { given } = this.#state;
        // In the place of "thinking…"; where everybody sees that, it goes, and the user alone is told.
        if (given.as === 'message') return this.reply({ content, ephemeral: true });
        break;
      }
      case 'answered':
        break;
    }
    await this.followUp({ content, ephemeral: true });
  }

  get #hasMessage(): boolean {
    const { type, message } = this.#deps.interaction;
    return type === InteractionType.MessageComponent || (type === InteractionType.ModalSubmit && message !== undefined);
  }

  #requireMessage(what: string): void {
    if (this.#hasMessage) return;
    throw new BatonError('ANSWER_OUT_OF_TURN', `${what}: this interaction came from no message that could be changed`);
  }

  async #defer(deferral: Deferral): Promise<void> {
    const step = this.#step({ kind: 'defer', deferral });
    if (step.how === 'nothing') {
      this.#state = step.next;
      return;
    }
    await this.#first(deferralResponse(deferral));
    this.#state = { kind: 'deferred', given: deferral, wanted: deferral };
  }

  #step(request: AnswerRequest): Exclude<AnswerStep, { how: 'refuse' }> {
    const step = answerStep(this.#state, request);
    if (step.how === 'refuse') throw new BatonError('ANSWER_OUT_OF_TURN', step.reason);
    return step;
  }

  /** Edits or sends a message, as `step` says. */
  async #carryOut(
    step: Exclude<AnswerStep, { how: 'refuse' }>,
    message: HandlerMessage,
  ): Promise<APIMessage | undefined> {
    switch (step.how) {
      case 'message': {
        const edited = await this.#edit(step.id, message);
        this.#state = { kind: 'answered', replyId: step.id };
        return edited;
      }
      case 'followUp': {
        if (step.replacing) await this.#delete(original);
        const sent = await this.#followUp(message, step.ephemeral);
        if (step.isReply || step.replacing) this.#state = { kind: 'answered', replyId: sent.id };
        return sent;
      }
      case 'first':
      case 'nothing':
        return undefined;
    }
  }

  #mustComeLater(files: RawFile[] | undefined): boolean {
    return files !== undefined && files.length > 0 && !this.#deps.firstAnswer.takesFiles;
  }

  /** Defers, and puts the message in place. */
  async #deferredMessage(deferral: Deferral, message: HandlerMessage): Promise<void> {
    await this.#defer(deferral);
    await this.#edit(original, message);
    this.#state = { kind: 'answered', replyId: original };
  }

  async #first(body: APIInteractionResponse, files?: RawFile[]): Promise<void> {
    await this.#deps.firstAnswer.send(body, files);
    this.#firstAtMs = this.#deps.clock.monotonicMs();
  }

  #edit(messageId: string, message: HandlerMessage): Promise<APIMessage> {
    const { api, interaction, signal } = this.#deps;
    // Whether it is for one user alone was settled when the message was made.
    const { body, files } = messageParts(message, false);
    const changes = { ...body, ...(files && { files }) };
    return this.#onceTakenIn(() =>
      api.interactions.editReply(interaction.application_id, interaction.token, changes, messageId, { signal }),
    );
  }

  async #delete(messageId: string): Promise<void> {
    const { api, interaction, signal } = this.#deps;
    await this.#onceTakenIn(() =>
      api.interactions.deleteReply(interaction.application_id, interaction.token, messageId, { signal }),
    );
  }

  #followUp(message: HandlerMessage, ephemeral: boolean): Promise<APIMessage> {
    const { api, interaction, signal } = this.#deps;
    const { body, files } = messageParts(message, ephemeral);
    const whole = { ...body, ...(files && { files }) };
    return this.#onceTakenIn(() =>
      api.interactions.followUp(interaction.application_id, interaction.token, whole, { signal }),
    );
  }

  /** Right after a first answer in an HTTP response Discord may not know of it yet, and says that there is none. */
  async #onceTakenIn<T>(send: () => Promise<T>): Promise<T> {
    const { clock, signal } = this.#deps;
    for (;;) {
      try {
        return await send();
      } catch (error) {
        const isEarly = clock.monotonicMs() - this.#firstAtMs < takenInWithinMs;
        if (!isEarly || !isUnknown(error) || signal.aborted) throw error;
        await clock.sleep(askAgainEveryMs, signal);
      }
    }
  }

  async #inTurn<T>(act: () => Promise<T>): Promise<T> {
    this.#underWay += 1;
    const turn = this.#last.then(act);
    // The next one's turn comes whatever became of this one.
    this.#last = turn.then(
      () => {},
      () => {},
    );
    try {
      return await turn;
    } finally {
      this.#underWay -= 1;
    }
  }
}

const unknownCodes: ReadonlySet<number | string> = new Set([
  RESTJSONErrorCodes.UnknownWebhook,
  RESTJSONErrorCodes.UnknownMessage,
]);

function isUnknown(error: unknown): boolean {
  return error instanceof DiscordAPIError && unknownCodes.has(error.code);
}

function deferralResponse(deferral: Deferral): APIInteractionResponse {
  if (deferral.as === 'update') return { type: InteractionResponseType.DeferredMessageUpdate };
  return {
    type: InteractionResponseType.DeferredChannelMessageWithSource,
    ...(deferral.ephemeral && { data: { flags: MessageFlags.Ephemeral } }),
  };
}

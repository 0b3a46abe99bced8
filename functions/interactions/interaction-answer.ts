import type { API, CreateInteractionResponseOptions, EditInteractionResponseOptions } from '@discordjs/core';
import { type APIMessage, MessageFlags } from 'discord-api-types/v10';
import type { Reply } from '../kit/command-context.ts';

/** Where an interaction stands: what may be said next depends on it. */
type AnswerState = 'open' | 'deferred' | 'answered';

/** Talks to the user of one interaction over Discord's callback and follow-up routes. */
export class InteractionAnswer {
  readonly #api: API;
  readonly #interaction: { readonly id: string; readonly token: string; readonly application_id: string };
  readonly #signal: AbortSignal;
  #state: AnswerState = 'open';

  constructor(
    api: API,
    interaction: { readonly id: string; readonly token: string; readonly application_id: string },
    signal: AbortSignal,
  ) {
    this.#api = api;
    this.#interaction = interaction;
    this.#signal = signal;
  }

  get isOpen(): boolean {
    return this.#state === 'open';
  }

  async reply(message: Reply): Promise<void> {
    const { id, token } = this.#interaction;
    await this.#api.interactions.reply(id, token, inDiscordsForm(message), { signal: this.#signal });
    this.#state = 'answered';
  }

  async defer({ ephemeral = false }: { readonly ephemeral?: boolean } = {}): Promise<void> {
    const { id, token } = this.#interaction;
    const flags = ephemeral ? { flags: MessageFlags.Ephemeral } : {};
    await this.#api.interactions.defer(id, token, flags, { signal: this.#signal });
    this.#state = 'deferred';
  }

  async editReply(message: string | EditInteractionResponseOptions): Promise<APIMessage> {
    const { application_id, token } = this.#interaction;
    const body = typeof message === 'string' ? { content: message } : message;
    const edited = await this.#api.interactions.editReply(application_id, token, body, '@original', {
      signal: this.#signal,
    });
    this.#state = 'answered';
    return edited;
  }

  followUp(message: Reply): Promise<APIMessage> {
    const { application_id, token } = this.#interaction;
    return this.#api.interactions.followUp(application_id, token, inDiscordsForm(message), { signal: this.#signal });
  }

  /** Tells the user that it went wrong, by the way that is still open. */
  async apologize(content: string): Promise<void> {
    switch (this.#state) {
      case 'open':
        await this.reply({ content, ephemeral: true });
        break;
      case 'deferred':
        await this.editReply(content);
        break;
      case 'answered':
        await this.followUp({ content, ephemeral: true });
        break;
    }
  }
}

function inDiscordsForm(message: Reply): CreateInteractionResponseOptions {
  if (typeof message === 'string') return { content: message };
  const { ephemeral, ...body } = message;
  if (!ephemeral) return body;
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- flags are bits; a union of two is of the enum.
  const flags: MessageFlags = (body.flags ?? 0) | MessageFlags.Ephemeral;
  return { ...body, flags };
}

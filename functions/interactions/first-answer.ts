import type { API } from '@discordjs/core';
import type { RawFile } from '@discordjs/rest';
import { type APIInteractionResponse, Routes } from 'discord-api-types/v10';

/** How Discord gets the first answer to an interaction. */
export interface FirstAnswerWay {
  /** Whether files can go along; otherwise the answer is deferred, and they come with the message. */
  readonly takesFiles: boolean;
  /** Rejects when Discord refused it, as far as that can be known. */
  send(body: APIInteractionResponse, files?: RawFile[]): Promise<void>;
}

/** By REST, for interactions that came over the gateway. */
export function byCallbackRoute(
  api: API,
  { id, token }: { readonly id: string; readonly token: string },
  signal: AbortSignal,
): FirstAnswerWay {
  return {
    takesFiles: true,
    async send(body, files) {
      // The interaction's token is the authority.
      await api.rest.post(Routes.interactionCallback(id, token), {
        body,
        ...(files && { files }),
        auth: false,
        signal,
      });
    },
  };
}

import type { API } from '@discordjs/core';
import type { RawFile } from '@discordjs/rest';
import { type APIInteractionResponse, Routes } from 'discord-api-types/v10';

/** The first answer to an interaction. */
export interface FirstAnswer {
  readonly body: APIInteractionResponse;
  readonly files: RawFile[] | undefined;
}

/** Gets the first answer to Discord. Rejects when Discord refused it, as far as that can be known. */
export type SendFirstAnswer = (answer: FirstAnswer) => Promise<void>;

/** By REST, for interactions that came over the gateway. */
export function byCallbackRoute(
  api: API,
  { id, token }: { readonly id: string; readonly token: string },
  signal: AbortSignal,
): SendFirstAnswer {
  return async ({ body, files }) => {
    // The interaction's token is the authority.
    await api.rest.post(Routes.interactionCallback(id, token), { body, ...(files && { files }), auth: false, signal });
  };
}

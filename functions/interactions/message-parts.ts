import type { RawFile } from '@discordjs/rest';
import { type APIInteractionResponseCallbackData, MessageFlags } from 'discord-api-types/v10';
import type { Edit, FollowUp, MessageUpdate, Reply } from '../kit/interaction-context.ts';

/** A message as handlers write it. */
export type HandlerMessage = Reply | FollowUp | Edit | MessageUpdate;

/** A message in Discord's form, its files apart: they travel beside the JSON. */
export interface MessageParts {
  readonly body: APIInteractionResponseCallbackData;
  readonly files: RawFile[] | undefined;
}

/** `ephemeral`: whether only the user sees it, whatever the message says. @default what the message says */
export function messageParts(message: HandlerMessage, ephemeral = ephemeralWish(message) === true): MessageParts {
  if (typeof message === 'string') {
    return {
      body: ephemeral ? { content: message, flags: MessageFlags.Ephemeral } : { content: message },
      files: undefined,
    };
  }
  const { ephemeral: _, files, flags = 0, ...body } = message as Exclude<Reply, string>;
  // oxlint-disable-next-line typescript/no-unsafe-enum-assignment -- flags are bits; a union of some is of the enum.
  const bits: MessageFlags = ephemeral ? flags | MessageFlags.Ephemeral : flags & ~MessageFlags.Ephemeral;
  return { body: !bits ? body : { ...body, flags: bits }, files };
}

/** Whether the message is to be seen by its user alone; `undefined` when it does not say. */
export function ephemeralWish(message: HandlerMessage): boolean | undefined {
  if (typeof message === 'string') return undefined;
  const { ephemeral, flags } = message as Exclude<Reply, string>;
  return ephemeral ?? (((flags ?? 0) & MessageFlags.Ephemeral) !== 0 ? true : undefined);
}

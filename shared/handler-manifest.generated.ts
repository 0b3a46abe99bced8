// Written by scripts/generate-handler-lists.ts from functions/handlers. Do not edit.

/** What workers need to know of the handlers: event types to forward, and the intents that carry them. */
export const handlerManifest = {
  eventTypes: ['GUILD_MEMBER_ADD', 'MESSAGE_CREATE'],
  intents: 515,
  privilegedIntents: ['GUILD_MEMBERS'],
} as const;

/** Bits of `intents` in IDENTIFY (Discord, "Gateway", List of Intents). */
export const intentBits = {
  GUILDS: 1 << 0,
  GUILD_MEMBERS: 1 << 1,
  GUILD_MODERATION: 1 << 2,
  GUILD_EXPRESSIONS: 1 << 3,
  GUILD_INTEGRATIONS: 1 << 4,
  GUILD_WEBHOOKS: 1 << 5,
  GUILD_INVITES: 1 << 6,
  GUILD_VOICE_STATES: 1 << 7,
  GUILD_PRESENCES: 1 << 8,
  GUILD_MESSAGES: 1 << 9,
  GUILD_MESSAGE_REACTIONS: 1 << 10,
  GUILD_MESSAGE_TYPING: 1 << 11,
  DIRECT_MESSAGES: 1 << 12,
  DIRECT_MESSAGE_REACTIONS: 1 << 13,
  DIRECT_MESSAGE_TYPING: 1 << 14,
  MESSAGE_CONTENT: 1 << 15,
  GUILD_SCHEDULED_EVENTS: 1 << 16,
  AUTO_MODERATION_CONFIGURATION: 1 << 20,
  AUTO_MODERATION_EXECUTION: 1 << 21,
  GUILD_MESSAGE_POLLS: 1 << 24,
  DIRECT_MESSAGE_POLLS: 1 << 25,
} as const;

/** Every documented bit. */
export const allIntents = Object.values(intentBits).reduce((all, bit) => all | bit, 0);

/** Bits that must be enabled for the application. */
export const privilegedIntents = intentBits.GUILD_MEMBERS | intentBits.GUILD_PRESENCES | intentBits.MESSAGE_CONTENT;

/** Any one of `guild` (or of `direct`, in a DM) lets the event through. */
interface RequiredIntents {
  readonly guild: number;
  readonly direct: number;
}

function required(types: string, guild: number, direct = 0): [string, RequiredIntents][] {
  return types.split(' ').map((type) => [type, { guild, direct }]);
}

const requiredByType: ReadonlyMap<string, RequiredIntents> = new Map([
  ...required(
    'GUILD_CREATE GUILD_UPDATE GUILD_DELETE GUILD_ROLE_CREATE GUILD_ROLE_UPDATE GUILD_ROLE_DELETE ' +
      'CHANNEL_CREATE CHANNEL_UPDATE CHANNEL_DELETE THREAD_CREATE THREAD_UPDATE THREAD_DELETE THREAD_LIST_SYNC ' +
      'THREAD_MEMBER_UPDATE STAGE_INSTANCE_CREATE STAGE_INSTANCE_UPDATE STAGE_INSTANCE_DELETE ' +
      'VOICE_CHANNEL_STATUS_UPDATE VOICE_CHANNEL_START_TIME_UPDATE',
    intentBits.GUILDS,
  ),
  ...required('CHANNEL_PINS_UPDATE', intentBits.GUILDS, intentBits.DIRECT_MESSAGES),
  ...required('THREAD_MEMBERS_UPDATE', intentBits.GUILDS | intentBits.GUILD_MEMBERS),
  ...required('GUILD_MEMBER_ADD GUILD_MEMBER_UPDATE GUILD_MEMBER_REMOVE', intentBits.GUILD_MEMBERS),
  ...required('GUILD_AUDIT_LOG_ENTRY_CREATE GUILD_BAN_ADD GUILD_BAN_REMOVE', intentBits.GUILD_MODERATION),
  ...required(
    'GUILD_EMOJIS_UPDATE GUILD_STICKERS_UPDATE GUILD_SOUNDBOARD_SOUND_CREATE GUILD_SOUNDBOARD_SOUND_UPDATE ' +
      'GUILD_SOUNDBOARD_SOUND_DELETE GUILD_SOUNDBOARD_SOUNDS_UPDATE',
    intentBits.GUILD_EXPRESSIONS,
  ),
  ...required(
    'GUILD_INTEGRATIONS_UPDATE INTEGRATION_CREATE INTEGRATION_UPDATE INTEGRATION_DELETE',
    intentBits.GUILD_INTEGRATIONS,
  ),
  ...required('WEBHOOKS_UPDATE', intentBits.GUILD_WEBHOOKS),
  ...required('INVITE_CREATE INVITE_DELETE', intentBits.GUILD_INVITES),
  ...required('VOICE_STATE_UPDATE VOICE_CHANNEL_EFFECT_SEND', intentBits.GUILD_VOICE_STATES),
  ...required('PRESENCE_UPDATE', intentBits.GUILD_PRESENCES),
  ...required(
    'MESSAGE_CREATE MESSAGE_UPDATE MESSAGE_DELETE MESSAGE_DELETE_BULK',
    intentBits.GUILD_MESSAGES,
    intentBits.DIRECT_MESSAGES,
  ),
  ...required(
    'MESSAGE_REACTION_ADD MESSAGE_REACTION_REMOVE MESSAGE_REACTION_REMOVE_ALL MESSAGE_REACTION_REMOVE_EMOJI',
    intentBits.GUILD_MESSAGE_REACTIONS,
    intentBits.DIRECT_MESSAGE_REACTIONS,
  ),
  ...required('TYPING_START', intentBits.GUILD_MESSAGE_TYPING, intentBits.DIRECT_MESSAGE_TYPING),
  ...required(
    'MESSAGE_POLL_VOTE_ADD MESSAGE_POLL_VOTE_REMOVE',
    intentBits.GUILD_MESSAGE_POLLS,
    intentBits.DIRECT_MESSAGE_POLLS,
  ),
  ...required(
    'GUILD_SCHEDULED_EVENT_CREATE GUILD_SCHEDULED_EVENT_UPDATE GUILD_SCHEDULED_EVENT_DELETE ' +
      'GUILD_SCHEDULED_EVENT_USER_ADD GUILD_SCHEDULED_EVENT_USER_REMOVE',
    intentBits.GUILD_SCHEDULED_EVENTS,
  ),
  ...required(
    'AUTO_MODERATION_RULE_CREATE AUTO_MODERATION_RULE_UPDATE AUTO_MODERATION_RULE_DELETE',
    intentBits.AUTO_MODERATION_CONFIGURATION,
  ),
  ...required('AUTO_MODERATION_ACTION_EXECUTION', intentBits.AUTO_MODERATION_EXECUTION),
]);

/** The intents of which one is needed to receive `type`; 0 when it is always sent. */
export function intentsFor(type: string, place: 'guild' | 'direct'): number {
  return requiredByType.get(type)?.[place] ?? 0;
}

/** Whether a session with `intents` receives an event that needs one of `required`. */
export function receives(intents: number, required: number): boolean {
  return required === 0 || (intents & required) !== 0;
}

/**
 * What to do when Discord closes a gateway socket.
 * `resume`: the session is kept. `newSession`: Discord has dropped it. `takenAway`: dropped, or another connection has
 * resumed it, which a RESUME will show. `fatal`: connecting again cannot help.
 */
export type CloseAction = 'resume' | 'newSession' | 'takenAway' | 'fatal';

export interface CloseRule {
  readonly action: CloseAction;
  /** Discord's words for the code. */
  readonly meaning: string;
  /** The next socket is opened only after a back-off, even if this one worked. */
  readonly backOff?: true;
  /** What a person has to do; only where the action is `fatal`. */
  readonly remedy?: string;
}

/**
 * Discord, "Opcodes and Status Codes", Gateway Close Event Codes.
 *
 * A session is dropped only where Discord has refused it. For 4005 and 4009 the page says to start anew, but a RESUME
 * costs nothing there (Discord answers op 9 when it will not) and an IDENTIFY comes out of the daily budget.
 */
export const closeRules: Readonly<Record<number, CloseRule>> = {
  1000: { action: 'resume', meaning: 'normal closure' },
  1001: { action: 'resume', meaning: 'going away' },
  1005: { action: 'resume', meaning: 'no close code' },
  1006: { action: 'resume', meaning: 'connection dropped' },
  4000: { action: 'resume', meaning: 'unknown error' },
  4001: { action: 'resume', meaning: 'unknown opcode' },
  4002: { action: 'resume', meaning: 'decode error' },
  4003: { action: 'newSession', meaning: 'not authenticated' },
  4004: {
    action: 'fatal',
    meaning: 'authentication failed',
    remedy: 'set DISCORD_TOKEN to the token shown in the developer portal',
  },
  4005: { action: 'resume', meaning: 'already authenticated' },
  // Not documented; seen when a session is gone or another connection has resumed it.
  4006: { action: 'takenAway', meaning: 'session no longer valid' },
  4007: { action: 'newSession', meaning: 'invalid seq' },
  4008: { action: 'resume', meaning: 'rate limited', backOff: true },
  4009: { action: 'resume', meaning: 'session timed out' },
  4010: {
    action: 'fatal',
    meaning: 'invalid shard',
    remedy:
      'compare BATON_TOTAL_SHARDS with what GET /gateway/bot recommends (for very large bots it must be a multiple)',
  },
  4011: {
    action: 'fatal',
    meaning: 'sharding required',
    remedy: 'raise BATON_TOTAL_SHARDS: a shard may hold at most 2,500 guilds',
  },
  4012: { action: 'fatal', meaning: 'invalid API version', remedy: 'update Baton: Discord has retired this version' },
  4013: { action: 'fatal', meaning: 'invalid intents', remedy: 'correct DISCORD_INTENTS: it has bits without meaning' },
  4014: {
    action: 'fatal',
    meaning: 'disallowed intents',
    remedy: 'enable the privileged intents in the developer portal, or take them out of DISCORD_INTENTS',
  },
};

const unlistedCode: CloseRule = { action: 'resume', meaning: 'code not documented' };

/** The rule for a close code; a code that Discord does not document keeps the session. */
export function closeRule(code: number): CloseRule {
  return closeRules[code] ?? unlistedCode;
}

/**
 * The code for every close of ours: 1000 and 1001 would end the session (Discord, "Gateway", Initiating a Disconnect),
 * any other keeps it resumable.
 */
export const keepSessionCode = 4000;

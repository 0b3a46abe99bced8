import { intentBits } from './config.ts';

/** Intents that have to be switched on for the application, and reviewed from 10,000 users on. */
export const privilegedIntentNames = ['GUILD_MEMBERS', 'GUILD_PRESENCES', 'MESSAGE_CONTENT'] as const;

/** Which of the intents are privileged. Discord closes with 4014 when one is not switched on. */
export function privilegedIntentsIn(intents: number): readonly string[] {
  return privilegedIntentNames.filter((name) => (intents & (intentBits.get(name) as number)) !== 0);
}

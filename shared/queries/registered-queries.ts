import type { AnyQuery } from '../control/define-query.ts';
import { largestGuilds } from './largest-guilds.ts';

/** The queries that the workers of this bot answer. Write yours beside this file and add them here. */
export const registeredQueries: readonly AnyQuery[] = [largestGuilds];

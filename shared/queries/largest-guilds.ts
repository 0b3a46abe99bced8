import * as z from 'zod';
import { defineQuery } from '../control/define-query.ts';

/** The guilds with the most members on each shard, the largest first. */
export const largestGuilds = defineQuery(
  'largestGuilds',
  z.object({ count: z.int().min(1).max(100).default(10), atLeast: z.int().min(0).default(0) }),
  (shard, { count, atLeast }) =>
    [...shard.guilds]
      .filter(([, memberCount]) => memberCount >= atLeast)
      .sort(([, one], [, other]) => other - one)
      .slice(0, count)
      .map(([id, memberCount]) => ({ id, memberCount })),
);

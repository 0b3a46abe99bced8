import * as z from 'zod';
import { defineQuery } from '../../../shared/control/define-query.ts';

export const guildsAbove = defineQuery(
  'guildsAbove',
  z.object({ members: z.int().min(0) }),
  (shard, { members }) => [...shard.guilds].filter(([, memberCount]) => memberCount > members).length,
);

import { defineCommand } from '../kit/define-command.ts';

export const shard = defineCommand({
  name: 'shard',
  description: 'Says which shard this server is on',
  run: ({ shard, guildId, reply }) =>
    reply(`${guildId === undefined ? 'This chat' : 'This server'} is on shard ${shard.id ?? 0} of ${shard.total}.`),
});

import { defineCommand } from 'baton/handlers';

export const shard = defineCommand({
  name: 'shard',
  description: 'Says which shard this server is on, and how it is doing',
  async run({ shard, guildId, reply }) {
    const { status, worker, guildCount, latencyMs } = await shard.figures();
    const where = guildId === undefined ? 'This chat' : 'This server';
    const name = shard.id === null ? 'a bot without shards' : `shard ${shard.id} of ${shard.total}`;
    await reply(
      `${where} is on ${name}: ${status} on ${worker ?? 'no worker'}, ${guildCount} servers, ${latencyMs} ms.`,
    );
  },
});

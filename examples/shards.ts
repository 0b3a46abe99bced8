import { defineCommand } from 'baton/handlers';

export const shards = defineCommand({
  name: 'shards',
  description: 'Says how this part of the bot is doing',
  async run({ shard, reply }) {
    const { status, worker, guildCount, latencyMs, eventsPerSecond } = await shard.figures();
    const name = shard.id === null ? 'The bot' : `Shard ${shard.id} of ${shard.total}`;
    await reply(
      `${name} is ${status} on ${worker ?? 'no worker'}: ${guildCount} servers, ${latencyMs} ms, ${eventsPerSecond} events/s.`,
    );
  },
});

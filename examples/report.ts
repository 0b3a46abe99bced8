import { defineCommand } from 'baton/handlers';

export const report = defineCommand({
  name: 'report',
  description: 'Counts who is on which role',
  contexts: ['GUILD'],
  async run(ctx) {
    if (ctx.guildId === undefined) return;
    await ctx.defer({ ephemeral: true });
    const roles = await ctx.directory.roles(ctx.guildId);
    const { channels } = await ctx.directory.guildCounts(ctx.guildId);
    await ctx.editReply(`${roles.length} roles, ${channels} channels.`);
  },
});

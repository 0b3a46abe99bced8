import { defineEvent } from 'baton/handlers';

export const welcome = defineEvent('GUILD_MEMBER_ADD', async (member, ctx) => {
  const guild = await ctx.directory.guild(member.guild_id);
  if (!guild?.system_channel_id) return;
  await ctx.api.channels.createMessage(
    guild.system_channel_id,
    { content: `Welcome to ${guild.name}, <@${member.user.id}>!` },
    { signal: ctx.signal },
  );
});

export const censor = defineEvent(
  ['MESSAGE_CREATE', 'MESSAGE_UPDATE'],
  async (message, ctx) => {
    if (!message.content?.includes('spoiler')) return;
    ctx.log.info({ message: message.id }, 'spoiler');
    await ctx.api.channels.deleteMessage(message.channel_id, message.id);
  },
  { intents: ['GUILD_MESSAGES', 'MESSAGE_CONTENT'] },
);

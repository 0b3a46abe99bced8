import { GetCommand, PutCommand } from '@aws-sdk/lib-dynamodb';
import { defineCommand, defineEvent, type HandlerTable } from 'baton/handlers';
import { ChannelType } from 'discord-api-types/v10';

/** How long an environment trusts what it read; a change of channel shows within this time. */
const rememberMs = 5 * 60_000;
const rememberedGuilds = 10_000;

/** Channels read lately, also "none": a guild without a greeting costs one read every five minutes. */
const channels = new Map<string, { channelId: string | undefined; readAtMs: number }>();

const keyOf = (guildId: string) => ({ pk: `APP#GREETING#${guildId}`, sk: 'CHANNEL' });

/** Greets new members in the channel that `/greeting` has set for their server; elsewhere it does nothing. */
export const memberGreeter = defineEvent('GUILD_MEMBER_ADD', async (member, ctx) => {
  if (member.user.bot) return;
  const channelId = await greetingChannel(ctx.table, member.guild_id);
  if (channelId === undefined) return;
  await ctx.api.channels.createMessage(
    channelId,
    { content: `Welcome, <@${member.user.id}>!`, allowed_mentions: { users: [member.user.id] } },
    { signal: ctx.signal },
  );
});

export const greeting = defineCommand({
  name: 'greeting',
  description: 'Greets new members in a channel',
  contexts: ['GUILD'],
  defaultMemberPermissions: ['ManageGuild'],
  options: {
    channel: {
      type: 'channel',
      description: 'Where to greet them',
      required: true,
      channelTypes: [ChannelType.GuildText, ChannelType.GuildAnnouncement],
    },
  },
  async run({ guildId, options, table, reply }) {
    if (guildId === undefined) return;
    const channelId = options.channel.id;
    await table.documents.send(new PutCommand({ TableName: table.name, Item: { ...keyOf(guildId), channelId } }));
    channels.delete(guildId);
    await reply({ content: `New members are greeted in <#${channelId}>.`, ephemeral: true });
  },
});

async function greetingChannel(table: HandlerTable, guildId: string): Promise<string | undefined> {
  const known = channels.get(guildId);
  const nowMs = performance.now();
  if (known && nowMs - known.readAtMs < rememberMs) return known.channelId;
  const { Item } = await table.documents.send(new GetCommand({ TableName: table.name, Key: keyOf(guildId) }));
  const channelId = typeof Item?.['channelId'] === 'string' ? Item['channelId'] : undefined;
  if (channels.size >= rememberedGuilds) channels.clear();
  channels.set(guildId, { channelId, readAtMs: nowMs });
  return channelId;
}

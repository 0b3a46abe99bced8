import { defineCommand } from 'baton/handlers';
import { PresenceUpdateStatus } from 'discord-api-types/v10';

export const busy = defineCommand({
  name: 'busy',
  description: 'Shows the bot as busy on every shard',
  defaultMemberPermissions: [],
  async run({ fleet, defer, reply }) {
    await defer({ ephemeral: true });
    const presence = { status: PresenceUpdateStatus.DoNotDisturb, activities: [], since: null, afk: false };
    const { missing } = await fleet.updatePresence(presence);
    await reply(missing.length === 0 ? 'Done.' : `Done, but for ${missing.length} shards.`);
  },
});

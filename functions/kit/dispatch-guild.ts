/** The guild that a dispatch is about. Events about a guild itself name it by `id`, all others by `guild_id`. */
export function guildOfDispatch(type: string, data: unknown): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { guild_id, id } = data as { guild_id?: unknown; id?: unknown };
  if (typeof guild_id === 'string') return guild_id;
  const isGuild = type === 'GUILD_CREATE' || type === 'GUILD_UPDATE' || type === 'GUILD_DELETE';
  return isGuild && typeof id === 'string' ? id : undefined;
}

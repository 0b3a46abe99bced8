import { API } from '@discordjs/core';
import type { DiscordConfig } from '../../shared/config.ts';
import { createDiscordRest } from '../../shared/discord-rest.ts';

/**
 * The typed routes of Discord's REST API, as the bot.
 * @throws {BatonError} `CONFIG_INVALID` when the base URL does not end in an API version.
 */
export function createDiscordApi(config: DiscordConfig): API {
  return new API(createDiscordRest(config));
}

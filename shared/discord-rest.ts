import { REST } from '@discordjs/rest';
import type { DiscordConfig } from './config.ts';
import { BatonError } from './errors.ts';

/** One request may take this long; what hangs on Discord must leave time for its retry. */
const requestTimeoutMs = 5000;

/**
 * Discord's REST API as the bot. It waits out rate limits and tries again on server errors.
 * @throws {BatonError} `CONFIG_INVALID` when the base URL does not end in an API version.
 */
export function createDiscordRest({ token, discordApiUrl }: DiscordConfig): REST {
  const base = /^(.+)\/v(\d+)$/.exec(discordApiUrl);
  if (!base) {
    throw new BatonError(
      'CONFIG_INVALID',
      `DISCORD_API_URL=${JSON.stringify(discordApiUrl)} must end in an API version such as /v10`,
    );
  }
  const rest = new REST({ api: base[1] as string, version: base[2] as string, timeout: requestTimeoutMs, retries: 2 });
  return rest.setToken(token);
}

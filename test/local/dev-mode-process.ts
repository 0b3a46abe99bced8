import { createInterface } from 'node:readline';
import { API } from '@discordjs/core';
import { loadHandlers } from '../../functions/kit/load-handlers.ts';
import { createRegistry } from '../../functions/kit/registry.ts';
import { DevMode } from '../../local/dev-mode.ts';
import { LiveRegistry } from '../../local/live-registry.ts';
import { systemClock } from '../../shared/clock.ts';
import { createDiscordRest } from '../../shared/discord-rest.ts';

/** Development mode on a folder of its own, in a process of its own: tests have another module system. Ends with its input. */
const [directory = '', discordApiUrl = '', guildId = ''] = process.argv.slice(2);
const registry = new LiveRegistry(createRegistry(await loadHandlers(directory)));
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const development = new DevMode({
  registry,
  api: new API(createDiscordRest({ token: process.env['DISCORD_TOKEN'] ?? '', discordApiUrl })),
  guildIds: guildId === '' ? [] : [guildId],
  workersForwardAll: false,
  note: (note) => say({ note }),
  clock: systemClock,
  directory,
});
await development.start();
for await (const _ of createInterface({ input: process.stdin })) {
  const commands = registry.commandDefinitions.map((command) => [
    command.name,
    'description' in command ? command.description : '',
  ]);
  say({ commands, events: [...registry.events.keys()] });
}
await development.stop();

import { resolve } from 'node:path';
import { API } from '@discordjs/core';
import { loadHandlers } from '../functions/kit/load-handlers.ts';
import { type CommandChanges, registerCommands } from '../functions/kit/register-commands.ts';
import { createRegistry } from '../functions/kit/registry.ts';
import { readDiscordConfig } from '../shared/config.ts';
import { createDiscordRest } from '../shared/discord-rest.ts';

export interface RegisterCommandsOptions {
  /** Folder of the bot's handlers. @default functions/handlers */
  readonly handlers?: string;
  readonly guild?: readonly string[];
  readonly dryRun: boolean;
  readonly json: boolean;
}

/**
 * Registers the commands of the handlers and prints what changed.
 * @throws {BatonError} `CONFIG_INVALID`, `HANDLERS_INVALID`, and those of `registerCommands`.
 */
export async function printRegisterCommands({ handlers, guild, dryRun, json }: RegisterCommandsOptions): Promise<void> {
  const api = new API(createDiscordRest(readDiscordConfig(process.env)));
  const registry = createRegistry(await loadHandlers(handlers === undefined ? undefined : resolve(handlers)));
  const changes = await registerCommands({ api, registry, dryRun, ...(guild && { guildIds: guild }) });
  if (json) console.log(JSON.stringify({ dryRun, scopes: changes }));
  else for (const line of changes.flatMap((each) => renderChanges(each, dryRun))) console.log(line);
}

/** What changed in one scope, for people. */
export function renderChanges(changes: CommandChanges, dryRun: boolean): string[] {
  const { guildId, added, changed, removed, unchanged } = changes;
  const scope = guildId === undefined ? 'Global commands' : `Commands of guild ${guildId}`;
  const count = added.length + changed.length + removed.length;
  if (count === 0) return [`${scope}: ${unchanged.length} as they should be.`];
  const verb = dryRun ? 'would be' : 'were';
  return [
    `${scope}: ${count} ${verb} changed, ${unchanged.length} as they should be.`,
    ...added.map((command) => `  + ${command}`),
    ...changed.map(({ command, fields }) => `  ~ ${command}: ${fields.join(', ')}`),
    ...removed.map((command) => `  - ${command}`),
  ];
}

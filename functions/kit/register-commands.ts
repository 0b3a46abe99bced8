import { isDeepStrictEqual } from 'node:util';
import type { API } from '@discordjs/core';
import { DiscordAPIError, HTTPError } from '@discordjs/rest';
import {
  type APIApplicationCommand,
  ApplicationCommandType,
  type RESTPutAPIApplicationCommandsJSONBody,
  type RESTPutAPIApplicationGuildCommandsJSONBody,
} from 'discord-api-types/v10';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { commandJson } from './command-json.ts';
import type { Registry } from './registry.ts';

/** What a registration changes in one scope. Slash commands are named `/ping`, others `Quote (message)`. */
export interface CommandChanges {
  /** `undefined`: global commands. */
  readonly guildId: string | undefined;
  readonly added: readonly string[];
  /** With the fields that differ. */
  readonly changed: readonly { readonly command: string; readonly fields: readonly string[] }[];
  readonly removed: readonly string[];
  readonly unchanged: readonly string[];
  /** Whether Discord was told. It is not when nothing changes, or in a dry run. */
  readonly written: boolean;
}

export interface RegisterOptions {
  readonly api: API;
  readonly registry: Pick<Registry, 'commandDefinitions'>;
  /** Guilds whose commands are replaced. @default the global commands */
  readonly guildIds?: readonly string[];
  /** Only compare. @default false */
  readonly dryRun?: boolean;
  readonly signal?: AbortSignal;
}

/**
 * Makes Discord's commands those of the registry: all of them, so commands that nobody defines any more are removed.
 * What is as it should be already is left alone; Discord counts new commands, 200 a day.
 * @throws {BatonError} `DISCORD_UNAUTHORIZED`, `COMMANDS_REFUSED` with what Discord said, or `DISCORD_UNREACHABLE`.
 */
export async function registerCommands(options: RegisterOptions): Promise<CommandChanges[]> {
  const { api, guildIds, signal } = options;
  const request = signal ? { signal } : {};
  const { id } = await asked('the application', () => api.applications.getCurrent(request));
  const changes: CommandChanges[] = [];
  for (const guildId of guildIds ?? [undefined]) changes.push(await registerIn(id, guildId, options));
  return changes;
}

async function registerIn(
  applicationId: string,
  guildId: string | undefined,
  { api, registry, dryRun = false, signal }: RegisterOptions,
): Promise<CommandChanges> {
  const { applicationCommands } = api;
  const request = signal ? { signal } : {};
  const scope = guildId === undefined ? 'the global commands' : `the commands of guild ${guildId}`;
  const query = { with_localizations: true };
  const found = await asked(scope, () =>
    guildId === undefined
      ? applicationCommands.getGlobalCommands(applicationId, query, request)
      : applicationCommands.getGuildCommands(applicationId, guildId, query, request),
  );
  const wanted = registry.commandDefinitions.map((definition) => commandJson(definition));
  const changes = compareCommands(found, wanted, guildId);
  const isUpToDate = changes.added.length + changes.changed.length + changes.removed.length === 0;
  if (isUpToDate || dryRun) return { ...changes, written: false };
  const body = [
    ...wanted,
    ...found.filter(isEntryPoint).map(withoutServerFields),
  ] as RESTPutAPIApplicationCommandsJSONBody;
  await asked(scope, () =>
    guildId === undefined
      ? applicationCommands.bulkOverwriteGlobalCommands(applicationId, body, request)
      : applicationCommands.bulkOverwriteGuildCommands(
          applicationId,
          guildId,
          body as RESTPutAPIApplicationGuildCommandsJSONBody,
          request,
        ),
  );
  return { ...changes, written: true };
}

/** What is different between the commands that Discord has and those that it should have. */
export function compareCommands(
  found: readonly APIApplicationCommand[],
  wanted: RESTPutAPIApplicationCommandsJSONBody,
  guildId: string | undefined,
): Omit<CommandChanges, 'written'> {
  const before = new Map(found.filter((command) => !isEntryPoint(command)).map((each) => [labelOf(each), each]));
  const added: string[] = [];
  const changed: { command: string; fields: string[] }[] = [];
  const unchanged: string[] = [];
  for (const command of wanted) {
    const label = labelOf(command);
    const existing = before.get(label);
    before.delete(label);
    if (!existing) {
      added.push(label);
      continue;
    }
    const one = comparable(existing, guildId);
    const other = comparable(command, guildId);
    const fields = [...new Set([...Object.keys(one), ...Object.keys(other)])].filter(
      (field) => !isDeepStrictEqual(one[field], other[field]),
    );
    if (fields.length > 0) changed.push({ command: label, fields });
    else unchanged.push(label);
  }
  return { guildId, added, changed, removed: [...before.keys()], unchanged };
}

/** The command that opens an activity is Discord's own, and a bulk overwrite without it is refused. */
function isEntryPoint({ type }: APIApplicationCommand): boolean {
  return type === ApplicationCommandType.PrimaryEntryPoint;
}

/** What only Discord sets. */
const serverFields: ReadonlySet<string> = new Set(['id', 'application_id', 'version', 'guild_id', 'dm_permission']);

function withoutServerFields(command: APIApplicationCommand): object {
  return Object.fromEntries(Object.entries(command).filter(([field]) => !serverFields.has(field)));
}

function labelOf({ name, type = ApplicationCommandType.ChatInput }: { name: string; type?: ApplicationCommandType }) {
  switch (type) {
    case ApplicationCommandType.User:
      return `${name} (user)`;
    case ApplicationCommandType.Message:
      return `${name} (message)`;
    case ApplicationCommandType.ChatInput:
    case ApplicationCommandType.PrimaryEntryPoint:
    default:
      return `/${name}`;
  }
}

/** Fields that mean nothing in a guild: there a command is where it is. */
const globalFields: ReadonlySet<string> = new Set(['contexts', 'integration_types']);
/** Fields as they are when a command does not set them. */
const defaultContexts = [0, 1, 2];
const defaultIntegrationTypes = [0];

/** A command with everything left out that Discord fills in or leaves out itself. */
function comparable(command: object, guildId: string | undefined): Readonly<Record<string, unknown>> {
  const fields = Object.entries(command)
    .filter(([field]) => !serverFields.has(field) && !(guildId !== undefined && globalFields.has(field)))
    .map(([field, value]): [string, unknown] => [field, globalFields.has(field) ? sorted(value) : stripped(value)])
    .filter(
      ([field, value]) =>
        !isAbsent(value) &&
        !(field === 'contexts' && isDeepStrictEqual(value, defaultContexts)) &&
        !(field === 'integration_types' && isDeepStrictEqual(value, defaultIntegrationTypes)),
    );
  return Object.fromEntries(fields);
}

function sorted(value: unknown): unknown {
  return Array.isArray(value) ? (value as number[]).toSorted((one, other) => one - other) : value;
}

function stripped(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(stripped);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .map(([field, inner]): [string, unknown] => [field, stripped(inner)])
      .filter(([, inner]) => !isAbsent(inner)),
  );
}

/** `false` and everything empty are what leaving a field out means. */
function isAbsent(value: unknown): boolean {
  if (value === undefined || value === null || value === false || value === '') return true;
  if (typeof value !== 'object') return false;
  return Object.keys(value).length === 0;
}

async function asked<T>(what: string, request: () => Promise<T>): Promise<T> {
  try {
    return await request();
  } catch (error) {
    const status = error instanceof DiscordAPIError || error instanceof HTTPError ? error.status : undefined;
    if (status === 401) {
      const advice = 'copy the bot token from the developer portal again, it may have been reset';
      throw new BatonError('DISCORD_UNAUTHORIZED', `Discord refused DISCORD_TOKEN (401): ${advice}`, { cause: error });
    }
    if (status !== undefined && status < 500) {
      const advice =
        status === 403 || status === 404
          ? ' (is the bot in that guild, invited with the scope applications.commands?)'
          : '';
      throw new BatonError('COMMANDS_REFUSED', `${what}: Discord said ${messageOf(error)}${advice}`, { cause: error });
    }
    throw new BatonError('DISCORD_UNREACHABLE', `${what}: ${messageOf(error)}`, { cause: error });
  }
}

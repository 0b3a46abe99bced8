import { GatewayDispatchEvents } from 'discord-api-types/v10';
import { BatonError } from '../../shared/errors.ts';
import type { CommandDefinition } from './define-command.ts';
import type { EventDefinition } from './define-event.ts';
import { intentsOfEvent } from './event-intents.ts';

/** A module of the handlers folder: its path for people, and what it exports. */
export interface HandlerFile {
  readonly file: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

/** `name` is `<file>#<export>`, unique in the bot: for logs and dead letters. */
export interface RegisteredEvent {
  readonly name: string;
  readonly file: string;
  readonly definition: EventDefinition;
}

export interface RegisteredCommand {
  readonly name: string;
  readonly file: string;
  readonly definition: CommandDefinition;
}

/** Everything the bot author has defined. */
export interface Registry {
  /** Handlers by dispatch type, in the order of their files and exports. */
  readonly events: ReadonlyMap<string, readonly RegisteredEvent[]>;
  /** By the command's name. */
  readonly commands: ReadonlyMap<string, RegisteredCommand>;
}

const eventTypes: ReadonlySet<string> = new Set(Object.values(GatewayDispatchEvents));

/** Discord's rule for names of slash commands and options: letters of any script, in lower case where there is one. */
const slashName = /^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$/u;

/**
 * Collects the definitions that the files export.
 * @throws {BatonError} `HANDLERS_INVALID`, naming file, field and rule of everything that is wrong.
 */
export function createRegistry(files: readonly HandlerFile[]): Registry {
  const problems: string[] = [];
  const events = new Map<string, RegisteredEvent[]>();
  const commands = new Map<string, RegisteredCommand>();
  const seen = new Map<unknown, string>();

  for (const { file, exports } of files) {
    const found = Object.entries(exports).filter((entry): entry is [string, EventDefinition | CommandDefinition] =>
      isDefinition(entry[1]),
    );
    if (found.length === 0) {
      problems.push(`${file}: exports no definition; export what defineEvent or defineCommand returns`);
    }
    for (const [exportName, definition] of found) {
      const name = `${file}#${exportName}`;
      const earlier = seen.get(definition);
      if (earlier !== undefined) {
        problems.push(`${name}: is the same definition as ${earlier}; export it once`);
        continue;
      }
      seen.set(definition, name);
      if (definition.kind === 'event') {
        problems.push(...eventProblems(definition).map((problem) => `${name}: ${problem}`));
        const registered = events.get(definition.type) ?? [];
        registered.push({ name, file, definition });
        events.set(definition.type, registered);
      } else {
        problems.push(...commandProblems(definition).map((problem) => `${name}: ${problem}`));
        const taken = commands.get(definition.name);
        if (taken) problems.push(`${name}: name: "${definition.name}" is taken by ${taken.name}; names are unique`);
        else commands.set(definition.name, { name, file, definition });
      }
    }
  }
  if (problems.length > 0) throw new BatonError('HANDLERS_INVALID', problems.join('; '));
  return { events, commands };
}

function isDefinition(value: unknown): value is EventDefinition | CommandDefinition {
  if (typeof value !== 'object' || value === null) return false;
  const { kind, run } = value as Partial<EventDefinition | CommandDefinition>;
  return (kind === 'event' || kind === 'command') && typeof run === 'function';
}

function eventProblems({ type, intents }: EventDefinition): string[] {
  if (!eventTypes.has(type) || (type as string) === 'INTERACTION_CREATE') {
    return [`type: "${type}" is no dispatch type that handlers can ask for`];
  }
  const carriers = intentsOfEvent[type];
  if (intents && carriers.length > 0 && !intents.some((intent) => carriers.includes(intent))) {
    return [`intents: none of them carries ${type}; it needs ${carriers.join(' or ')}`];
  }
  return [];
}

function commandProblems({ name, description, options }: CommandDefinition): string[] {
  const problems: string[] = [];
  const checkName = (field: string, value: string) => {
    if (!slashName.test(value) || value !== value.toLowerCase()) {
      problems.push(`${field}: "${value}" must be 1 to 32 lower-case letters, digits, - or _`);
    }
  };
  const checkDescription = (field: string, value: string) => {
    if (!/^.{1,100}$/su.test(value)) problems.push(`${field}: must have 1 to 100 characters`);
  };
  checkName('name', name);
  checkDescription('description', description);
  const declared = Object.entries(options);
  if (declared.length > 25) problems.push(`options: there are ${declared.length}, Discord takes 25`);
  let optional: string | undefined;
  for (const [optionName, option] of declared) {
    checkName(`options.${optionName}`, optionName);
    checkDescription(`options.${optionName}.description`, option.description);
    if (!option.required) optional ??= optionName;
    else if (optional !== undefined) {
      problems.push(`options.${optionName}: is required and comes after "${optional}"; required options come first`);
    }
  }
  return problems;
}

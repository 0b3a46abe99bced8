import { type ShardMessageData, shardMessageType } from '../../shared/control/shard-messages.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { CommandContext } from './command-context.ts';
import type { CommandOptions } from './command-options.ts';
import { commandProblems, menuCommandProblems, setOfCommandsProblems } from './command-rules.ts';
import { type CustomIdPattern, patternsOverlap, readCustomIdPattern } from './custom-id-pattern.ts';
import type {
  CommandDefinition,
  MessageCommandDefinition,
  SubcommandDefinition,
  UserCommandDefinition,
} from './define-command.ts';
import type { ComponentDefinition } from './define-component.ts';
import type { EventDefinition } from './define-event.ts';
import type { MessageContext, MessageDefinition } from './define-message.ts';
import type { ModalDefinition } from './define-modal.ts';
import { componentProblems, eventProblems, messageProblems, modalProblems } from './handler-rules.ts';
import type { InteractionSettings } from './interaction-settings.ts';
import { checkPayload } from './message-payload.ts';

/** A module of the handlers folder: its path for people, and what it exports. */
export interface HandlerFile {
  readonly file: string;
  readonly exports: Readonly<Record<string, unknown>>;
}

type Definition =
  | CommandDefinition
  | UserCommandDefinition
  | MessageCommandDefinition
  | ComponentDefinition
  | ModalDefinition
  | EventDefinition
  | MessageDefinition;

/** `name` is `<file>#<export>`, unique in the bot: for logs and dead letters. */
export interface Registered<D> {
  readonly name: string;
  readonly file: string;
  readonly definition: D;
}

export type RegisteredEvent = Registered<EventDefinition>;
/** A message handler, also in the form in which the events function runs it. */
export interface RegisteredMessage extends Registered<MessageDefinition> {
  readonly asEvent: RegisteredEvent;
}

/** A slash command, or one of the subcommands of one: what runs. */
export interface RegisteredCommand {
  readonly name: string;
  readonly file: string;
  readonly options: CommandOptions;
  readonly settings: InteractionSettings;
  run(ctx: CommandContext): Promise<void> | void;
}

/** A component or form, with its custom-id pattern read. */
export interface RegisteredByCustomId<D> extends Registered<D> {
  readonly pattern: CustomIdPattern;
}

/** Everything the bot author has defined. */
export interface Registry {
  /** Handlers by dispatch type, in the order of their files and exports. */
  readonly events: ReadonlyMap<string, readonly RegisteredEvent[]>;
  /** By name, with subcommands spelled out: `ping`, `ticket close`, `ticket labels add`. */
  readonly commands: ReadonlyMap<string, RegisteredCommand>;
  readonly userCommands: ReadonlyMap<string, Registered<UserCommandDefinition>>;
  readonly messageCommands: ReadonlyMap<string, Registered<MessageCommandDefinition>>;
  readonly components: readonly RegisteredByCustomId<ComponentDefinition>[];
  readonly modals: readonly RegisteredByCustomId<ModalDefinition>[];
  /** By the message's name. */
  readonly messages: ReadonlyMap<string, RegisteredMessage>;
  /** Commands of every kind as they were defined, in the order of files and exports: what is registered with Discord. */
  readonly commandDefinitions: readonly (CommandDefinition | UserCommandDefinition | MessageCommandDefinition)[];
}

/**
 * Collects the definitions that the files export.
 * @throws {BatonError} `HANDLERS_INVALID`, naming file, field and rule of everything that is wrong.
 */
export function createRegistry(files: readonly HandlerFile[]): Registry {
  const collector = new Collector();
  for (const { file, exports } of files) {
    const found = Object.entries(exports).filter((entry): entry is [string, Definition | SubcommandDefinition] =>
      isDefinition(entry[1]),
    );
    if (found.length === 0) {
      collector.problems.push(
        `${file}: exports no definition; export what a define… function returns, or begin its name with _ if it only helps others`,
      );
    }
    for (const [exportName, definition] of found) {
      // It counts where a command names it.
      if (definition.kind !== 'subcommand') collector.add(file, exportName, definition);
    }
  }
  return collector.finish();
}

const kinds: ReadonlySet<unknown> = new Set([
  'command',
  'user-command',
  'message-command',
  'subcommand',
  'component',
  'modal',
  'event',
  'message',
] satisfies (Definition | SubcommandDefinition)['kind'][]);

function isDefinition(value: unknown): value is Definition | SubcommandDefinition {
  if (typeof value !== 'object' || value === null) return false;
  return kinds.has((value as { kind?: unknown }).kind);
}

/** What a compiler would have said. */
function runProblems(definition: Definition): string[] {
  if (definition.kind === 'command' && definition.subcommands !== undefined) return [];
  return typeof definition.run === 'function' ? [] : ['run: must be a function'];
}

function messageAsEvent(name: string, file: string, definition: MessageDefinition): RegisteredEvent {
  const run = async (message: unknown, ctx: MessageContext) => {
    const payload = await checkPayload(definition, (message as ShardMessageData).data);
    await definition.run(payload, ctx);
  };
  return { name, file, definition: { kind: 'event', types: [], run } };
}

class Collector {
  readonly problems: string[] = [];
  readonly #seen = new Map<unknown, string>();
  readonly #events = new Map<string, RegisteredEvent[]>();
  /** By kind and name: for names that are taken. */
  readonly #names = new Map<string, string>();
  readonly #commands = new Map<string, RegisteredCommand>();
  readonly #userCommands = new Map<string, Registered<UserCommandDefinition>>();
  readonly #messageCommands = new Map<string, Registered<MessageCommandDefinition>>();
  readonly #components: RegisteredByCustomId<ComponentDefinition>[] = [];
  readonly #modals: RegisteredByCustomId<ModalDefinition>[] = [];
  readonly #messages = new Map<string, RegisteredMessage>();
  readonly #commandDefinitions: Registry['commandDefinitions'][number][] = [];

  add(file: string, exportName: string, definition: Definition): void {
    const name = `${file}#${exportName}`;
    const earlier = this.#seen.get(definition);
    if (earlier !== undefined) {
      this.problems.push(`${name}: is the same definition as ${earlier}; export it once`);
      return;
    }
    this.#seen.set(definition, name);
    try {
      this.#addChecked(name, file, definition);
    } catch (error) {
      // Something of another form than any rule expects, in a file that was not compiled with types.
      this.problems.push(`${name}: is not of the form that its define… function takes: ${messageOf(error)}`);
    }
  }

  #addChecked(name: string, file: string, definition: Definition): void {
    const complain = (problems: readonly string[]) =>
      this.problems.push(...problems.map((problem) => `${name}: ${problem}`));
    complain(runProblems(definition));

    switch (definition.kind) {
      case 'event':
        complain(eventProblems(definition));
        for (const type of new Set(definition.types)) {
          const registered = this.#events.get(type) ?? [];
          registered.push({ name, file, definition });
          this.#events.set(type, registered);
        }
        break;
      case 'message':
        complain(messageProblems(definition));
        if (this.#isFree(name, 'message', definition.name)) {
          this.#messages.set(definition.name, {
            name,
            file,
            definition,
            asEvent: messageAsEvent(name, file, definition),
          });
        }
        break;
      case 'command':
        complain(commandProblems(definition));
        this.#commandDefinitions.push(definition);
        if (this.#isFree(name, 'command', definition.name)) this.#addCommand(name, file, definition);
        break;
      case 'user-command':
        complain(menuCommandProblems(definition));
        this.#commandDefinitions.push(definition);
        if (this.#isFree(name, 'user-command', definition.name)) {
          this.#userCommands.set(definition.name, { name, file, definition });
        }
        break;
      case 'message-command':
        complain(menuCommandProblems(definition));
        this.#commandDefinitions.push(definition);
        if (this.#isFree(name, 'message-command', definition.name)) {
          this.#messageCommands.set(definition.name, { name, file, definition });
        }
        break;
      case 'component':
        complain(componentProblems(definition));
        this.#addByCustomId(this.#components, { name, file, definition });
        break;
      case 'modal':
        complain(modalProblems(definition));
        this.#addByCustomId(this.#modals, { name, file, definition });
        break;
    }
  }

  finish(): Registry {
    this.problems.push(...setOfCommandsProblems(this.#commandDefinitions));
    if (this.problems.length > 0) throw new BatonError('HANDLERS_INVALID', this.problems.join('; '));
    return {
      events: this.#events,
      commands: this.#commands,
      userCommands: this.#userCommands,
      messageCommands: this.#messageCommands,
      components: this.#components,
      modals: this.#modals,
      messages: this.#messages,
      commandDefinitions: this.#commandDefinitions,
    };
  }

  #isFree(registeredName: string, kind: Definition['kind'], name: string): boolean {
    const key = `${kind} ${name}`;
    const taken = this.#names.get(key);
    if (taken === undefined) this.#names.set(key, registeredName);
    else this.problems.push(`${registeredName}: name: "${name}" is taken by ${taken}; names are unique`);
    return taken === undefined;
  }

  #addCommand(name: string, file: string, definition: CommandDefinition): void {
    if (definition.subcommands === undefined) {
      const { options } = definition;
      this.#commands.set(definition.name, {
        name,
        file,
        options,
        settings: definition,
        run: (ctx) => definition.run(ctx),
      });
      return;
    }
    const { autoDefer, runsWhenExpired } = definition;
    const inherited: InteractionSettings = {
      ...(autoDefer !== undefined && { autoDefer }),
      ...(runsWhenExpired !== undefined && { runsWhenExpired }),
    };
    const addAll = (path: string, subcommands: object) => {
      for (const [inner, each] of Object.entries(subcommands) as [
        string,
        SubcommandDefinition | { subcommands: object },
      ][]) {
        if ('subcommands' in each) addAll(`${path} ${inner}`, each.subcommands);
        else {
          const settings = { ...inherited, ...each };
          this.#commands.set(`${path} ${inner}`, {
            name,
            file,
            options: each.options,
            settings,
            run: (ctx) => each.run(ctx),
          });
        }
      }
    };
    addAll(definition.name, definition.subcommands);
  }

  #addByCustomId<D extends { readonly pattern: string }>(
    registered: RegisteredByCustomId<D>[],
    { name, file, definition }: Registered<D>,
  ): void {
    let pattern: CustomIdPattern;
    try {
      pattern = readCustomIdPattern(definition.pattern);
    } catch (error) {
      if (!(error instanceof BatonError)) throw error;
      this.problems.push(`${name}: customId: ${error.message}`);
      return;
    }
    for (const other of registered) {
      if (!patternsOverlap(pattern, other.pattern)) continue;
      this.problems.push(
        `${name}: customId: "${definition.pattern}" can be the same id as "${other.definition.pattern}" of ${other.name}; patterns must not overlap`,
      );
    }
    registered.push({ name, file, definition, pattern });
  }
}

/** The handlers of a dispatch; a message between shards, which travels as one of a type of its own, has its own. */
export function handlersOfDispatch(registry: Registry, type: string, data: unknown): readonly RegisteredEvent[] {
  if (type !== shardMessageType) return registry.events.get(type) ?? [];
  const message = registry.messages.get((data as Partial<ShardMessageData>).name ?? '');
  return message ? [message.asEvent] : [];
}

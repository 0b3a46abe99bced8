import { z } from 'zod';
import { invalidForm, type RestAnswer, restError, unknownCommand, unknownGuild } from './rest-answers.ts';
import type { World } from './world.ts';

const commandSchema = z.looseObject({
  name: z.string().min(1).max(32),
  type: z.int().min(1).max(4).default(1),
  description: z.string().max(100).default(''),
  options: z
    .array(z.looseObject({ name: z.string(), type: z.int() }))
    .max(25)
    .optional(),
});
type CommandData = z.infer<typeof commandSchema>;
type Command = CommandData & { id: string; application_id: string; version: string; guild_id?: string };

/** Commands of each type in one scope (Discord, "Application Commands", Registering a Command). */
const maxByType: Readonly<Record<number, number>> = { 1: 100, 2: 15, 3: 15, 4: 1 };
/** New commands per day and scope; counted over the life of the simulator, which is shorter. */
const createsPerDay = 200;
const chatInputName = /^[-_'\p{L}\p{N}\p{sc=Deva}\p{sc=Thai}]{1,32}$/u;

interface Scope {
  commands: Command[];
  creates: number;
}

/** The commands that an application has registered, globally and per guild. */
export class ApplicationCommands {
  readonly #world: World;
  readonly #scopes = new Map<string, Scope>();

  constructor(world: World) {
    this.#world = world;
  }

  /** The global commands, or those of a guild. */
  list(guildId?: string): readonly Command[] {
    return this.#scope(guildId).commands;
  }

  /** Answers `GET`, `PUT` and `POST` on the list of a scope. */
  answerList(method: string, guildId: string | undefined, body: unknown): RestAnswer {
    if (guildId !== undefined && !this.#world.guild(guildId)) return unknownGuild;
    const scope = this.#scope(guildId);
    if (method === 'GET') return { status: 200, body: scope.commands };
    if (method === 'POST') {
      const existed = scope.commands.length;
      const refusal = this.#write(scope, guildId, [body], scope.commands);
      const name = (body as { name?: unknown } | null)?.name;
      return (
        refusal ?? {
          status: scope.commands.length > existed ? 201 : 200,
          body: scope.commands.find((command) => command.name === name),
        }
      );
    }
    if (!Array.isArray(body)) return invalidForm('commands', 'Only iterables may be used in a ListType.');
    return this.#write(scope, guildId, body, []) ?? { status: 200, body: scope.commands };
  }

  /** Answers `GET`, `PATCH` and `DELETE` on one command. */
  answerOne(method: string, guildId: string | undefined, commandId: string, body: unknown): RestAnswer {
    const scope = this.#scope(guildId);
    const command = scope.commands.find(({ id }) => id === commandId);
    if (!command) return unknownCommand;
    if (method === 'GET') return { status: 200, body: command };
    const others = scope.commands.filter(({ id }) => id !== commandId);
    if (method === 'DELETE') {
      scope.commands = others;
      return { status: 204 };
    }
    const parsed = commandSchema.safeParse({ ...command, ...(body as object) });
    if (!parsed.success) return invalidForm('command', parsed.error.issues[0]?.message ?? 'invalid');
    const changed = { ...command, ...parsed.data, version: this.#world.snowflakes.next() };
    scope.commands = scope.commands.map((each) => (each.id === commandId ? changed : each));
    return { status: 200, body: changed };
  }

  /** Adds `bodies` to `kept`, replacing same names, and stores the result unless something is wrong. */
  #write(
    scope: Scope,
    guildId: string | undefined,
    bodies: readonly unknown[],
    kept: readonly Command[],
  ): RestAnswer | undefined {
    const commands = [...kept];
    let creates = 0;
    for (const [index, body] of bodies.entries()) {
      const parsed = commandSchema.safeParse(body);
      if (!parsed.success) {
        const [issue] = parsed.error.issues;
        return invalidForm([index, ...(issue?.path ?? [])].join('.'), issue?.message ?? 'invalid');
      }
      const { data } = parsed;
      if (data.type === 1 && (!chatInputName.test(data.name) || data.name !== data.name.toLowerCase())) {
        return invalidForm(`${index}.name`, 'Command name is invalid');
      }
      if (data.type === 1 && data.description === '') {
        return invalidForm(`${index}.description`, 'This field is required');
      }
      const before = scope.commands.find((each) => each.name === data.name && each.type === data.type);
      if (!before) creates += 1;
      const command: Command = {
        contexts: [0, 1, 2],
        integration_types: [0],
        ...data,
        id: before?.id ?? this.#world.snowflakes.next(),
        application_id: this.#world.applicationId,
        version: this.#world.snowflakes.next(),
        ...(guildId !== undefined && { guild_id: guildId }),
      };
      const at = commands.findIndex((each) => each.name === data.name && each.type === data.type);
      if (at >= 0) commands[at] = command;
      else commands.push(command);
    }
    for (const [type, max] of Object.entries(maxByType)) {
      if (commands.filter((each) => each.type === Number(type)).length > max) {
        return restError(400, 30032, `Maximum number of application commands reached (${max}).`);
      }
    }
    if (scope.creates + creates > createsPerDay) {
      return restError(400, 30034, 'Maximum number of daily application command creates has been reached (200)');
    }
    scope.creates += creates;
    scope.commands = commands;
    return undefined;
  }

  #scope(guildId = ''): Scope {
    let scope = this.#scopes.get(guildId);
    if (!scope) {
      scope = { commands: [], creates: 0 };
      this.#scopes.set(guildId, scope);
    }
    return scope;
  }
}

import { API } from '@discordjs/core';
import { REST, type ResponseLike } from '@discordjs/rest';
import type { DynamoDBDocumentClient } from '@aws-sdk/lib-dynamodb';
import {
  type APIApplicationCommandOptionChoice,
  type APIInteraction,
  type APIMessage,
  type APIModalInteractionResponseCallbackData,
  ApplicationCommandOptionType,
  ApplicationCommandType,
  ComponentType,
  InteractionType,
} from 'discord-api-types/v10';
import { BatonError } from '../../shared/errors.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import { optionTypes } from './command-json.ts';
import { componentTypes } from './component-types.ts';
import { matchCustomId } from './custom-id-pattern.ts';
import type { FleetMessage } from './define-message.ts';
import type { DirectoryAccess } from './directory-access.ts';
import { guildOfDispatch } from './dispatch-guild.ts';
import type { EventData, EventType } from './event-types.ts';
import type { FleetAccess } from './fleet-access.ts';
import type { HandlerContext, HandlerServices } from './handler-context.ts';
import type { Edit, FollowUp, MessageUpdate, Reply } from './interaction-context.ts';
import { checkPayload } from './message-payload.ts';
import { createRegistry, type Registry } from './registry.ts';
import { type InteractionAnswers, routeInteraction } from './route-interaction.ts';
import type { ShardContext, ShardFigures } from './shard-context.ts';

/** What surrounds the handlers of a test. Whatever is left out answers nothing, and says so when it is asked. */
export interface TestBotOptions {
  readonly guildId?: string;
  readonly user?: TestEntity;
  /** Where the handlers think they are. @default shard 0 of 1 */
  readonly shard?: Partial<Omit<ShardContext, 'figures' | 'guildIds'>> & {
    readonly figures?: Partial<ShardFigures>;
    readonly guildIds?: readonly string[];
  };
  readonly directory?: Partial<DirectoryAccess>;
  readonly documents?: Pick<DynamoDBDocumentClient, 'send'>;
  readonly log?: Logger;
  readonly signal?: AbortSignal;
  /** Discord's answer to a REST request of a handler. @default `{ id: '1' }` */
  readonly rest?: (request: TestRequest) => unknown;
}

/** Anything of Discord's with an id, as far as the handler reads it. */
export interface TestEntity {
  readonly id: string;
  readonly [field: string]: unknown;
}

/** A request that a handler made with `ctx.api`. */
export interface TestRequest {
  readonly method: string;
  /** Below the API's version, e.g. `/channels/600/messages`. */
  readonly path: string;
  readonly body: unknown;
}

/** A request to the workers that a handler made with `ctx.fleet`. */
export interface TestFleetCall {
  readonly method: keyof FleetAccess;
  readonly args: readonly unknown[];
}

/** A message that the user of an interaction saw. */
export type TestMessage = Exclude<Reply, string> & {
  readonly how: 'reply' | 'followUp' | 'edit' | 'update';
};

/** What an interaction's handler answered. */
export class TestAnswers implements InteractionAnswers {
  readonly messages: TestMessage[] = [];
  deferred: 'reply' | 'ephemeral' | 'update' | undefined;
  deleted = false;
  modal: APIModalInteractionResponseCallbackData | undefined;
  suggestions: readonly APIApplicationCommandOptionChoice[] | undefined;

  /** Text of the last message. */
  get content(): string | null | undefined {
    return this.messages.at(-1)?.content;
  }

  async reply(message: Reply): Promise<void> {
    this.#add('reply', message);
  }

  async defer({ ephemeral = false }: { readonly ephemeral?: boolean } = {}): Promise<void> {
    this.deferred = ephemeral ? 'ephemeral' : 'reply';
  }

  async editReply(message: Edit): Promise<APIMessage> {
    return this.#add('edit', message);
  }

  async deleteReply(): Promise<void> {
    this.deleted = true;
  }

  async followUp(message: FollowUp): Promise<APIMessage> {
    return this.#add('followUp', message);
  }

  async showModal(modal: APIModalInteractionResponseCallbackData): Promise<void> {
    this.modal = modal;
  }

  async update(message: MessageUpdate): Promise<void> {
    this.#add('update', message);
  }

  async deferUpdate(): Promise<void> {
    this.deferred = 'update';
  }

  async suggest(choices: readonly APIApplicationCommandOptionChoice[]): Promise<void> {
    this.suggestions = choices;
  }

  #add(how: TestMessage['how'], message: Reply | FollowUp | MessageUpdate): APIMessage {
    const body = typeof message === 'string' ? { content: message } : message;
    this.messages.push({ ...(body as Exclude<Reply, string>), how });
    return { id: String(this.messages.length), ...body } as APIMessage;
  }
}

/**
 * A bot of some handlers, for tests: no Discord, no fleet, no AWS. Interactions take the way they take in a Lambda
 * function, so ids are matched and options typed as there. What a handler throws, the method throws.
 */
export class TestBot {
  /** What handlers asked of Discord. */
  readonly requests: TestRequest[] = [];
  /** What handlers asked of the workers. */
  readonly fleetCalls: TestFleetCall[] = [];
  readonly #registry: Registry;
  readonly #options: TestBotOptions;
  readonly #services: HandlerServices;
  #interactions = 0;

  /** @throws {BatonError} `HANDLERS_INVALID`, as at the start of a bot. */
  constructor(definitions: Readonly<Record<string, unknown>>, options: TestBotOptions = {}) {
    this.#registry = createRegistry([{ file: 'test', exports: definitions }]);
    this.#options = options;
    this.#services = {
      api: new API(new REST({ makeRequest: (url, request) => this.#answer(url, request) }).setToken('test')),
      table: {
        name: 'test-directory',
        documents: (options.documents ?? silent('documents')) as DynamoDBDocumentClient,
      },
      directory: silent('directory', options.directory) as DirectoryAccess,
      fleet: new Proxy({} as FleetAccess, {
        get:
          (_target, method: keyof FleetAccess) =>
          async (...args: unknown[]) => {
            this.fleetCalls.push({ method, args });
            return fleetAnswers[method];
          },
      }),
    };
  }

  /** Uses a slash command, with its subcommand if it has any: `ticket close`. Entities are given with their id. */
  async command(
    path: string,
    values: Readonly<Record<string, string | number | boolean | TestEntity>> = {},
  ): Promise<TestAnswers> {
    const resolved: Record<string, Record<string, unknown>> = {};
    const options = Object.entries(values).map(([name, value]) => {
      const { type } = this.#option(path, name);
      return {
        name,
        type: optionTypes[type],
        value: typeof value === 'object' ? resolve(resolved, type, value) : value,
      };
    });
    return this.#command(InteractionType.ApplicationCommand, path, options, resolved);
  }

  /** Types into an option of a command. */
  async autocomplete(
    path: string,
    option: string,
    typed: string,
  ): Promise<readonly APIApplicationCommandOptionChoice[]> {
    const type = optionTypes[this.#option(path, option).type];
    const options = [{ name: option, type, value: typed, focused: true }];
    const answers = await this.#command(InteractionType.ApplicationCommandAutocomplete, path, options, {});
    return answers.suggestions ?? [];
  }

  userCommand(name: string, target: TestEntity): Promise<TestAnswers> {
    const data = {
      id: '1',
      type: ApplicationCommandType.User,
      name,
      target_id: target.id,
      resolved: { users: { [target.id]: target } },
    };
    return this.#interact({ type: InteractionType.ApplicationCommand, data });
  }

  messageCommand(name: string, target: TestEntity): Promise<TestAnswers> {
    const data = {
      id: '1',
      type: ApplicationCommandType.Message,
      name,
      target_id: target.id,
      resolved: { messages: { [target.id]: target } },
    };
    return this.#interact({ type: InteractionType.ApplicationCommand, data });
  }

  /** Presses a button. */
  click(customId: string, message: TestEntity = { id: '700' }): Promise<TestAnswers> {
    const data = { custom_id: customId, component_type: ComponentType.Button };
    return this.#interact({ type: InteractionType.MessageComponent, data, message });
  }

  /** Selects in a menu; users, roles, channels and mentionables are given with their id. */
  select(
    customId: string,
    values: readonly (string | TestEntity)[],
    message: TestEntity = { id: '700' },
  ): Promise<TestAnswers> {
    const found = this.#registry.components.find(({ pattern }) => matchCustomId(pattern, customId));
    const type = found?.definition.type ?? 'string-select';
    const component_type = componentTypes[type];
    const resolved: Record<string, Record<string, unknown>> = {};
    const ids = values.map((value) => (typeof value === 'string' ? value : resolve(resolved, type, value)));
    return this.#interact({
      type: InteractionType.MessageComponent,
      data: { custom_id: customId, component_type, values: ids, resolved },
      message,
    });
  }

  /** Submits a form that a handler has shown. Fields that are not given are left empty. */
  async submit(
    modal: APIModalInteractionResponseCallbackData | undefined,
    values: Readonly<Record<string, string | boolean | readonly string[]>>,
    message?: TestEntity,
  ): Promise<TestAnswers> {
    if (!modal) throw new BatonError('HANDLERS_INVALID', 'no form was shown that could be submitted');
    const components = modal.components.map((label, id) => {
      const component = (label as { component: { type: ComponentType; custom_id: string } }).component;
      const { type, custom_id } = component;
      const value = values[custom_id];
      return {
        type: ComponentType.Label,
        id,
        component: { type, id, custom_id, ...(Array.isArray(value) ? { values: value } : { value }) },
      };
    });
    return this.#interact({
      type: InteractionType.ModalSubmit,
      data: { custom_id: modal.custom_id, components },
      message,
    });
  }

  /** Lets an event happen: runs its handlers one after the other. */
  async event<T extends EventType>(type: T, data: Partial<EventData<T>> & object): Promise<void> {
    const guildId = guildOfDispatch(type, data);
    for (const { definition } of this.#registry.events.get(type) ?? []) {
      await definition.run(data as never, { ...this.#context(), type, guildId, seq: 1, session: 'test', attempt: 1 });
    }
    for (const { definition } of this.#registry.events.get(type) ?? []) {
      const { table, log, signal } = this.#context();
      await definition.afterBatch?.({ table, log, signal });
    }
  }

  /** Delivers a message of another shard. */
  async message({ name, data }: FleetMessage): Promise<void> {
    const found = this.#registry.messages.get(name);
    if (!found) throw new BatonError('HANDLERS_INVALID', `no handler of messages "${name}"`);
    const payload = await checkPayload(found.definition, data);
    await found.definition.run(payload, { ...this.#context(), guildId: undefined, attempt: 1 });
  }

  #option(path: string, name: string) {
    const command = this.#registry.commands.get(path);
    const option = command?.options[name];
    if (!option)
      throw new BatonError('HANDLERS_INVALID', command ? `"${path}" has no option "${name}"` : `no command "${path}"`);
    return option;
  }

  #command(type: InteractionType, path: string, options: readonly object[], resolved: object): Promise<TestAnswers> {
    const [name = '', ...inner] = path.split(' ');
    const nested = inner.reduceRight<readonly object[]>(
      (inside, subcommand, depth) => [
        {
          name: subcommand,
          type:
            depth === inner.length - 1
              ? ApplicationCommandOptionType.Subcommand
              : ApplicationCommandOptionType.SubcommandGroup,
          options: inside,
        },
      ],
      options,
    );
    return this.#interact({
      type,
      data: { id: '1', type: ApplicationCommandType.ChatInput, name, options: nested, resolved },
    });
  }

  async #interact(part: {
    readonly type: InteractionType;
    readonly data: object;
    readonly message?: unknown;
  }): Promise<TestAnswers> {
    const { guildId = '100', user = { id: '5', username: 'somebody' } } = this.#options;
    this.#interactions += 1;
    const interaction = {
      ...part,
      id: String(1_000_000 + this.#interactions),
      application_id: '900',
      token: 'test',
      version: 1,
      locale: 'en-US',
      guild_id: guildId,
      channel: { id: '600', type: 0 },
      channel_id: '600',
      member: { user, roles: [], permissions: '0' },
      entitlements: [],
    } as unknown as APIInteraction;
    const routed = routeInteraction(this.#registry, interaction);
    if (!routed) throw new BatonError('HANDLERS_INVALID', `no handler for ${JSON.stringify(part.data)}`);
    const answers = new TestAnswers();
    const { shard, log, signal, remainingMs } = this.#context();
    await routed.run({ shard, services: this.#services, answers, ageMs: 50, log, signal, remainingMs });
    return answers;
  }

  #context(): HandlerContext {
    const { shard = {}, log = silentLogger, signal = new AbortController().signal } = this.#options;
    const figures: ShardFigures = {
      status: 'ready',
      ready: true,
      guildCount: shard.guildIds?.length ?? 0,
      latencyMs: 40,
      eventsPerSecond: 0,
      commandsPerSecond: 0,
      worker: 'test',
      ...shard.figures,
    };
    return {
      ...this.#services,
      shard: {
        id: shard.id ?? null,
        total: shard.total ?? 1,
        epoch: shard.epoch ?? 1,
        figures: async () => figures,
        guildIds: async () => shard.guildIds ?? [],
      },
      log,
      signal,
      remainingMs: () => 30_000,
    };
  }

  async #answer(
    url: string,
    { method = 'GET', body }: RequestInit | { method?: string; body?: unknown },
  ): Promise<ResponseLike> {
    const request = {
      method,
      path: new URL(url).pathname.replace(/^\/api\/v\d+/, ''),
      body: typeof body === 'string' ? (JSON.parse(body) as unknown) : undefined,
    };
    this.requests.push(request);
    const answer = this.#options.rest?.(request) ?? { id: '1' };
    return Response.json(answer);
  }
}

/** What the fleet says to a test: that all went well. */
const fleetAnswers: { readonly [method in keyof FleetAccess]: Awaited<ReturnType<FleetAccess[method]>> } = {
  updatePresence: { results: [], missing: [] },
  updateVoiceState: { state: 'sent' },
  requestMembers: { state: 'sent' },
  query: { results: [], missing: [] },
  send: { id: 'test' },
  sendToGuild: { id: 'test' },
  broadcast: { id: 'test', sent: [], missing: [] },
};

/** Where Discord puts what belongs to an option or select of a type; mentionables are users unless they say `role: true`. */
const resolvedKinds: Readonly<Record<string, string>> = {
  channel: 'channels',
  role: 'roles',
  attachment: 'attachments',
  'channel-select': 'channels',
  'role-select': 'roles',
};

/** Puts an entity where Discord would, and gives its id. */
function resolve(resolved: Record<string, Record<string, unknown>>, type: string, entity: TestEntity): string {
  const kind = resolvedKinds[type] ?? (entity['role'] === true ? 'roles' : 'users');
  (resolved[kind] ??= {})[entity.id] = entity;
  return entity.id;
}

/** Rejects whatever it is asked for that the test does not give. */
function silent(what: string, given: object = {}): object {
  return new Proxy(given, {
    get: (target, name) =>
      Reflect.get(target, name) ??
      (async () => {
        throw new BatonError('COMMAND_REFUSED', `this test gives no ${what}, and ${String(name)} was called`);
      }),
  });
}

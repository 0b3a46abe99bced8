import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Clock } from '../../shared/clock.ts';
import type { ApplicationCommands } from './application-commands.ts';
import { faultAnswer, type Faults } from './faults.ts';
import { type RequestBody, readBody, sendJson } from './http-json.ts';
import type { InteractionsEndpoint } from './interactions-endpoint.ts';
import type { Interactions } from './interactions.ts';
import {
  invalidForm,
  methodNotAllowed,
  notFound,
  type RestAnswer,
  rateLimited,
  restError,
  unauthorized,
  unknownChannel,
  unknownGuild,
} from './rest-answers.ts';
import type { RestRateLimits } from './rest-rate-limits.ts';
import type { SimulatorStats } from './simulator-stats.ts';
import type { World } from './world.ts';

/** What a route sees of its request. */
interface RouteRequest {
  readonly method: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

interface Route {
  readonly methods: readonly string[];
  /** E.g. `/channels/{channel}/messages`. */
  readonly path: string;
  readonly pattern: RegExp;
  /** `bot`: needs the bot's token and counts against the global limit. `none`: the token, if any, is in the path. */
  readonly auth: 'bot' | 'none';
  /** Whether the bucket's limit applies. */
  readonly limited: boolean;
  readonly answer: (request: RouteRequest) => RestAnswer | Promise<RestAnswer>;
}

export interface RestDeps {
  readonly world: World;
  readonly interactions: Interactions;
  readonly endpoint: InteractionsEndpoint;
  readonly commands: ApplicationCommands;
  readonly limits: RestRateLimits;
  readonly faults: Faults;
  readonly stats: SimulatorStats;
  readonly clock: Clock;
  readonly acceptsToken: (authorization: string | undefined) => boolean;
  readonly gatewayUrl: () => string;
  readonly gatewayBot: () => unknown;
  /** The bot has posted a message: everybody hears of it over the gateway. */
  readonly onMessage: (channelId: string, message: Record<string, unknown>) => void;
}

/** Discord's REST API, as far as a bot without caches needs it: every other route is a 404. */
export class RestApi {
  readonly #deps: RestDeps;
  readonly #routes: readonly Route[];
  readonly #stopped = new AbortController();

  constructor(deps: RestDeps) {
    this.#deps = deps;
    this.#routes = routesOf(deps);
  }

  /** Answers requests below `/api`. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://discord');
    const method = request.method ?? 'GET';
    const path = url.pathname.replace(/^\/api(\/v\d+)?/, '');
    const body = await readBody(request);
    const fault = this.#deps.faults.takeRestFault(method, path);
    let answer: RestAnswer | undefined;
    switch (fault?.kind) {
      case 'reset':
        request.socket.destroy();
        return;
      case 'hang':
        return;
      case 'delay':
        await this.#deps.clock.sleep(fault.delayMs, this.#stopped.signal);
        break;
      case 'status':
        answer = faultAnswer(fault.status);
        break;
      case 'rateLimit':
        answer = rateLimited(fault.retryAfterMs, fault.scope);
        break;
      case undefined:
        break;
    }
    const route = this.#routes.find(({ pattern, methods }) => pattern.test(path) && methods.includes(method));
    answer ??= await this.#answer(route, request, { method, path, query: url.searchParams, body });
    const call = `${method} ${route?.path ?? path} ${answer.status}`;
    const { stats } = this.#deps;
    stats.restCalls[call] = (stats.restCalls[call] ?? 0) + 1;
    if (answer.status === 401 || answer.status === 403 || answer.status === 429) stats.invalidRequests += 1;
    sendJson(response, answer.status, answer.body, answer.headers);
  }

  /** Ends delays that run. */
  stop(): void {
    this.#stopped.abort();
  }

  async #answer(
    route: Route | undefined,
    request: IncomingMessage,
    { method, path, query, body }: { method: string; path: string; query: URLSearchParams; body: RequestBody },
  ): Promise<RestAnswer> {
    const { acceptsToken, limits } = this.#deps;
    if (!route) return this.#routes.some(({ pattern }) => pattern.test(path)) ? methodNotAllowed : notFound;
    if (route.auth === 'bot') {
      if (!acceptsToken(request.headers.authorization)) return unauthorized;
      const refusal = limits.takeGlobal();
      if (refusal) return refusal;
    }
    const params = route.pattern.exec(path)?.groups ?? {};
    const major = [params.channel, params.guild, params.application, params.token].filter(Boolean).join(' ');
    const limit = route.limited ? limits.take(`${method} ${route.path}`, major) : undefined;
    const answer =
      limit?.refusal ??
      (body.kind === 'json'
        ? await route.answer({ method, params, query, body: body.value })
        : body.kind === 'invalid'
          ? restError(400, 50109, 'The request body contains invalid JSON.')
          : restError(413, 40005, 'Request entity too large'));
    return { ...answer, headers: { ...limit?.headers, ...answer.headers } };
  }
}

function route(
  methods: string,
  path: string,
  answer: Route['answer'],
  { auth = 'bot', limited = true }: Partial<Pick<Route, 'auth' | 'limited'>> = {},
): Route {
  const pattern = new RegExp(`^${path.replace(/\{(\w+)\}/g, '(?<$1>[^/]+)')}$`);
  return { methods: methods.split(' '), path, pattern, auth, limited, answer };
}

function routesOf({
  world,
  interactions,
  endpoint,
  commands,
  gatewayUrl,
  gatewayBot,
  onMessage,
}: RestDeps): readonly Route[] {
  const application = () => ({
    status: 200,
    body: {
      id: world.applicationId,
      name: world.botUser.username,
      icon: null,
      description: '',
      summary: '',
      bot_public: true,
      bot_require_code_grant: false,
      verify_key: world.publicKey,
      interactions_endpoint_url: endpoint.url ?? null,
      owner: world.dmUser,
      team: null,
      flags: 565248,
      bot: world.botUser,
      approximate_guild_count: world.guilds.length,
    },
  });
  const param = (request: RouteRequest, name: string): string => decodeURIComponent(request.params[name] ?? '');
  const withToken = { auth: 'none', limited: true } as const;

  return [
    route('GET', '/gateway', () => ({ status: 200, body: { url: gatewayUrl() } }), { auth: 'none', limited: false }),
    route('GET', '/gateway/bot', () => ({ status: 200, body: gatewayBot() })),
    route('GET', '/users/@me', () => ({ status: 200, body: world.botUser })),
    route('GET', '/applications/@me', application),
    route('PATCH', '/applications/@me', async (request) => {
      const { interactions_endpoint_url: url } = (request.body ?? {}) as { interactions_endpoint_url?: unknown };
      const answer = url === undefined ? application() : await endpoint.set(url);
      return answer.status === 200 ? application() : answer;
    }),
    route('GET', '/oauth2/applications/@me', application),
    // The interaction token is the authority, and interactions are outside the limits of other routes.
    route(
      'POST',
      '/interactions/{interaction}/{token}/callback',
      (request) =>
        interactions.callback(
          param(request, 'interaction'),
          param(request, 'token'),
          request.body,
          /^(true|1)$/i.test(request.query.get('with_response') ?? ''),
        ),
      { auth: 'none', limited: false },
    ),
    route(
      'POST',
      '/webhooks/{application}/{token}',
      (request) => interactions.followUp(param(request, 'application'), param(request, 'token'), request.body),
      withToken,
    ),
    route(
      'GET PATCH DELETE',
      '/webhooks/{application}/{token}/messages/{message}',
      (request) =>
        interactions.message(
          request.method,
          param(request, 'application'),
          param(request, 'token'),
          param(request, 'message'),
          request.body,
        ),
      withToken,
    ),
    route('GET PUT POST', '/applications/{application}/commands', (request) =>
      commands.answerList(request.method, undefined, request.body),
    ),
    route('GET PATCH DELETE', '/applications/{application}/commands/{command}', (request) =>
      commands.answerOne(request.method, undefined, param(request, 'command'), request.body),
    ),
    route('GET PUT POST', '/applications/{application}/guilds/{guild}/commands', (request) =>
      commands.answerList(request.method, param(request, 'guild'), request.body),
    ),
    route('GET PATCH DELETE', '/applications/{application}/guilds/{guild}/commands/{command}', (request) =>
      commands.answerOne(request.method, param(request, 'guild'), param(request, 'command'), request.body),
    ),
    route('GET', '/guilds/{guild}', (request) => {
      const guild = world.guild(param(request, 'guild'));
      return guild ? { status: 200, body: { ...guild.properties, id: guild.id, roles: guild.roles } } : unknownGuild;
    }),
    route('GET', '/guilds/{guild}/channels', (request) => {
      const guild = world.guild(param(request, 'guild'));
      return guild ? { status: 200, body: guild.channels } : unknownGuild;
    }),
    route('GET', '/channels/{channel}', (request) => {
      const id = param(request, 'channel');
      if (id === world.dmChannelId) return { status: 200, body: { id, type: 1, recipients: [world.dmUser] } };
      const channel = world.guildOfChannel(id)?.channels.find((each) => each.id === id);
      return channel ? { status: 200, body: channel } : unknownChannel;
    }),
    route('POST', '/channels/{channel}/messages', (request) => {
      const channelId = param(request, 'channel');
      if (channelId !== world.dmChannelId && !world.guildOfChannel(channelId)) return unknownChannel;
      const { body } = request;
      if (typeof body !== 'object' || body === null) return invalidForm('content', 'Cannot send an empty message');
      const { content = '', embeds = [], components = [] } = body as Record<string, unknown>;
      if (typeof content !== 'string' || content.length > 2000) {
        return invalidForm('content', 'Must be 2000 or fewer in length.');
      }
      const empty = content === '' && !(embeds as unknown[]).length && !(components as unknown[]).length;
      if (empty) return restError(400, 50006, 'Cannot send an empty message');
      const message = world.message(channelId, { content, embeds, components });
      onMessage(channelId, message);
      return { status: 200, body: message };
    }),
    route('POST', '/users/@me/channels', () => ({
      status: 200,
      body: { id: world.dmChannelId, type: 1, recipients: [world.dmUser], last_message_id: null },
    })),
  ];
}

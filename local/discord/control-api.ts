import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import { mixProfiles } from './corpus.ts';
import { type Faults, malformedFrames } from './faults.ts';
import { readBody, sendJson } from './http-json.ts';
import type { IdentifyLimits } from './identify-limits.ts';
import type { Traffic } from './traffic.ts';

const target = {
  shards: z.union([z.literal('all'), z.array(z.int().nonnegative()).min(1)]).default('all'),
  shardCount: z.int().positive().optional(),
};
const durationMs = z.number().nonnegative();

const restAction = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('delay'), delayMs: durationMs }),
  z.strictObject({ kind: z.literal('status'), status: z.int().min(400).max(599) }),
  z.strictObject({
    kind: z.literal('rateLimit'),
    retryAfterMs: durationMs,
    scope: z.enum(['user', 'global', 'shared']).default('user'),
  }),
  z.strictObject({ kind: z.literal('reset') }),
  z.strictObject({ kind: z.literal('hang') }),
]);

/** What a command of the control API works on. */
export interface ControlDeps {
  readonly faults: Faults;
  readonly traffic: Traffic;
  readonly limits: IdentifyLimits;
  readonly state: () => unknown;
  readonly issueToken: () => string;
  readonly setRecommendedShards: (shards: number) => void;
}

interface Command {
  readonly schema: z.ZodType;
  run(body: never): unknown;
}

function command<Schema extends z.ZodType>(schema: Schema, run: (body: z.output<Schema>) => unknown): Command {
  return { schema, run };
}

/** `/_control/...`: faults and state over HTTP, for programs that do not run in the simulator's process. */
export class ControlApi {
  readonly #state: () => unknown;
  readonly #commands: Readonly<Record<string, Command>>;

  constructor(deps: ControlDeps) {
    this.#state = deps.state;
    this.#commands = commandsOf(deps);
  }

  /** Answers `GET /_control/state` and `POST /_control/<command>`. */
  async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const name = new URL(request.url ?? '/', 'http://simulator').pathname.replace(/^\/_control\/?/, '');
    if (name === 'state') {
      if (request.method === 'GET') sendJson(response, 200, this.#state());
      else sendJson(response, 405, { error: `${name} is read with GET` });
      return;
    }
    const found = Object.hasOwn(this.#commands, name) ? this.#commands[name] : undefined;
    if (!found) {
      sendJson(response, 404, {
        error: `there is no /_control/${name}`,
        get: ['state'],
        post: Object.keys(this.#commands),
      });
      return;
    }
    if (request.method !== 'POST') {
      sendJson(response, 405, { error: `${name} is called with POST` });
      return;
    }
    const body = await readBody(request);
    if (body.kind !== 'json') {
      sendJson(response, 400, { error: 'the body is not JSON' });
      return;
    }
    const parsed = found.schema.safeParse(body.value ?? {});
    if (!parsed.success) {
      const problems = parsed.error.issues.map((issue) => `${issue.path.join('.') || 'body'}: ${issue.message}`);
      sendJson(response, 400, { error: problems.join('; ') });
      return;
    }
    try {
      sendJson(response, 200, { result: (await found.run(parsed.data as never)) ?? null });
    } catch (error) {
      // The one mistake that a schema cannot see: names of event types that the corpus does not have.
      if (!(error instanceof RangeError)) throw error;
      sendJson(response, 400, { error: error.message });
    }
  }
}

function commandsOf({
  faults,
  traffic,
  limits,
  issueToken,
  setRecommendedShards,
}: ControlDeps): Readonly<Record<string, Command>> {
  return {
    reconnect: command(z.strictObject(target), (to) => faults.reconnect(given(to))),
    'invalidate-sessions': command(z.strictObject({ ...target, resumable: z.boolean() }), ({ resumable, ...to }) =>
      faults.invalidateSessions(given(to), resumable),
    ),
    cut: command(z.strictObject(target), (to) => faults.cut(given(to))),
    silence: command(z.strictObject({ ...target, on: z.boolean().default(true) }), ({ on, ...to }) =>
      faults.silence(given(to), on),
    ),
    'ignore-heartbeats': command(z.strictObject({ ...target, on: z.boolean().default(true) }), ({ on, ...to }) =>
      faults.ignoreHeartbeats(given(to), on),
    ),
    'request-heartbeat': command(z.strictObject(target), (to) => faults.requestHeartbeat(given(to))),
    close: command(
      z.strictObject({
        ...target,
        code: z.union([z.int().min(1000).max(1003), z.int().min(3000).max(4999)]),
        reason: z.string().max(120).default(''),
        endSession: z.boolean().optional(),
      }),
      ({ code, reason, endSession, ...to }) =>
        faults.close(given(to), { code, reason, ...(endSession !== undefined && { endSession }) }),
    ),
    'send-malformed': command(
      z.strictObject({
        ...target,
        frame: z.enum(malformedFrames),
        bytes: z
          .int()
          .positive()
          .max(256 * 1024 * 1024)
          .optional(),
      }),
      ({ frame, bytes, ...to }) => faults.sendMalformed(given(to), frame, bytes),
    ),
    'new-connections': command(
      z.strictObject({
        helloDelayMs: durationMs.optional(),
        silent: z.boolean().optional(),
        ignoreHeartbeats: z.boolean().optional(),
      }),
      (change) => faults.newConnections(definedOnly(change)),
    ),
    'resume-url': command(z.strictObject({ state: z.enum(['alive', 'refused', 'hanging']) }), ({ state }) =>
      faults.resumeUrl(state),
    ),
    rest: command(
      z.strictObject({
        path: z.string().startsWith('/').optional(),
        method: z.enum(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']).optional(),
        action: restAction,
        times: z.int().positive().optional(),
      }),
      (fault) => faults.rest(fault),
    ),
    clear: command(z.strictObject({}), () => faults.clear()),
    traffic: command(
      z.strictObject({
        running: z.boolean().default(true),
        eventsPerSecond: z.number().nonnegative().max(100_000).optional(),
        interactionsPerSecond: z.number().nonnegative().max(10_000).optional(),
        alternatesInteractions: z.boolean().optional(),
        mix: z.union([z.enum(mixProfiles), z.record(z.string(), z.number().nonnegative())]).optional(),
        directMessageShare: z.number().min(0).max(1).optional(),
      }),
      ({ running, ...rates }) => {
        if (running) traffic.start(definedOnly(rates));
        else traffic.stop();
      },
    ),
    'session-start-limit': command(
      z.strictObject({
        remaining: z.int().nonnegative().optional(),
        maxConcurrency: z.int().positive().optional(),
        shards: z.int().positive().optional(),
      }),
      ({ remaining, maxConcurrency, shards }) => {
        if (remaining !== undefined) limits.remaining = remaining;
        if (maxConcurrency !== undefined) limits.maxConcurrency = maxConcurrency;
        if (shards !== undefined) setRecommendedShards(shards);
      },
    ),
    'issue-token': command(z.strictObject({}), issueToken),
  };
}

/** Zod writes `undefined` for what was left out; options tell "left out" apart. */
function definedOnly<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)) as never;
}

function given(to: { shards: 'all' | number[]; shardCount?: number | undefined }) {
  return to.shardCount === undefined ? { shards: to.shards } : { shards: to.shards, shardCount: to.shardCount };
}

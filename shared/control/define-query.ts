import * as z from 'zod';
import { BatonError, messageOf } from '../errors.ts';
import { clientDataOf } from './client-properties.ts';
import type { ShardView } from './request-runner.ts';

/** What a query sees of the shard it runs on: a picture of now. */
export interface QueryShard {
  readonly id: number;
  readonly count: number;
  /** Name of the worker that holds it. */
  readonly worker: string;
  readonly isReady: boolean;
  /** Of the gateway; -1 before the first heartbeat has been acknowledged. */
  readonly pingMs: number;
  /** Age of the session; `null` while the shard is not ready. */
  readonly uptimeMs: number | null;
  /** Guild id to member count (0 while unknown). */
  readonly guilds: ReadonlyMap<string, number>;
  /** Members of all guilds; somebody in two of them counts twice. */
  readonly userCount: number;
  /** `null` before the first READY. */
  readonly userId: string | null;
  readonly applicationId: string | null;
}

export interface QueryContext {
  /** Aborts when the caller waits no longer. */
  readonly signal: AbortSignal;
}

/** A query as {@link defineQuery} returns it. `In` is what callers pass, `Result` what each shard answers. */
export interface QueryDefinition<In = unknown, Result = unknown> {
  readonly kind: 'query';
  readonly name: string;
  readonly schema: z.ZodType;
  /** Never there: it carries the type of the arguments. */
  readonly argumentsType?: In;
  // A method, so that queries of different arguments fit into one list.
  run(shard: QueryShard, args: unknown, context: QueryContext): Promise<Result> | Result;
}

const queryName = /^[A-Za-z][\w-]{0,63}$/;

/**
 * Defines a question to shards: operators and handlers ask it by name, with arguments of the schema, and each shard
 * answers with JSON. It runs on the worker that holds the shard, so it should be quick: while it computes, the
 * worker's sockets wait.
 * @throws {BatonError} `REQUEST_INVALID` for a name that is none.
 */
export function defineQuery<Schema extends z.ZodType, Result>(
  name: string,
  schema: Schema,
  run: (shard: QueryShard, args: z.output<Schema>, context: QueryContext) => Promise<Result> | Result,
): QueryDefinition<z.input<Schema>, Result> {
  if (!queryName.test(name)) {
    throw new BatonError(
      'REQUEST_INVALID',
      `query ${JSON.stringify(name)}: its name must be a letter, then up to 63 letters, digits, _ or -`,
    );
  }
  return {
    kind: 'query',
    name,
    schema,
    run: (shard, args, context) => run(shard, args as z.output<Schema>, context),
  };
}

/** Any query, whatever it takes. */
export type AnyQuery = QueryDefinition;

/** Checks arguments against a query's schema. @throws {BatonError} `REQUEST_INVALID`, naming what is wrong. */
export function parseQueryArguments(query: AnyQuery, args: unknown): unknown {
  const parsed = query.schema.safeParse(args);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${['arguments', ...path].join('.')}: ${message}`);
  throw new BatonError('REQUEST_INVALID', `query ${query.name}: ${problems.join('; ')}`);
}

/** The queries that a worker answers, by name. */
export class QueryRegistry {
  readonly #queries = new Map<string, AnyQuery>();

  /** @throws {BatonError} `REQUEST_INVALID` when two have the same name. */
  constructor(queries: readonly AnyQuery[]) {
    for (const query of queries) {
      if (this.#queries.has(query.name)) {
        throw new BatonError('REQUEST_INVALID', `query ${query.name} is defined twice; names are unique`);
      }
      this.#queries.set(query.name, query);
    }
  }

  /**
   * Runs a query on what `view` shows. The result is plain JSON data, `null` for none.
   * @throws {BatonError} `REQUEST_INVALID` for an unknown name or wrong arguments, `QUERY_FAILED` when it throws or its
   *   result is no JSON.
   */
  async run(name: string, args: unknown, view: ShardView, context: QueryContext): Promise<unknown> {
    const query = this.#queries.get(name);
    if (query === undefined) {
      const known = this.#queries.size === 0 ? 'it knows none' : `it knows ${[...this.#queries.keys()].join(', ')}`;
      throw new BatonError('REQUEST_INVALID', `there is no query ${JSON.stringify(name)} on this worker: ${known}`);
    }
    const parsed = parseQueryArguments(query, args);
    try {
      const json: string | undefined = JSON.stringify(await query.run(queryShardOf(view), parsed, context));
      return json === undefined ? null : JSON.parse(json);
    } catch (error) {
      throw new BatonError('QUERY_FAILED', `query ${name}: ${messageOf(error)}`, { cause: error });
    }
  }
}

/** The queries among what a module exports. @throws {BatonError} `REQUEST_INVALID` when there is none. */
export function queriesOf(module: Readonly<Record<string, unknown>>, file: string): AnyQuery[] {
  const exported = Object.values(module)
    .flatMap((value) => (Array.isArray(value) ? value : [value]))
    .filter(isQuery);
  const queries = [...new Set(exported)];
  if (queries.length === 0) {
    throw new BatonError('REQUEST_INVALID', `${file}: exports no query; export what defineQuery returns`);
  }
  return queries;
}

function isQuery(value: unknown): value is AnyQuery {
  return typeof value === 'object' && value !== null && (value as Partial<AnyQuery>).kind === 'query';
}

function queryShardOf(view: ShardView): QueryShard {
  const { shardId, shardCount, workerId, userCount, pingMs, uptimeMs, isReady, userId, applicationId } =
    clientDataOf(view);
  return {
    id: shardId,
    count: shardCount,
    worker: workerId,
    isReady,
    pingMs,
    uptimeMs,
    guilds: view.guilds,
    userCount,
    userId,
    applicationId,
  };
}

/** For queries without arguments. */
export const noArguments = z
  .undefined()
  .or(z.null())
  .transform(() => undefined);

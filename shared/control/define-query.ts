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

/** What checks and completes the arguments: a validator in the form of the Standard Schema specification, e.g. zod's. */
export interface QuerySchema<In = unknown, Out = unknown> {
  readonly '~standard': {
    validate(value: unknown): SchemaResult<Out> | Promise<SchemaResult<Out>>;
    readonly types?: { readonly input: In; readonly output: Out } | undefined;
  };
}
type SchemaResult<Out> =
  | { readonly value: Out; readonly issues?: undefined }
  | { readonly issues: readonly SchemaIssue[] };
interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A query as {@link defineQuery} returns it. `In` is what callers pass, `Result` what each shard answers. */
export interface QueryDefinition<In = unknown, Result = unknown> {
  readonly kind: 'query';
  readonly name: string;
  readonly schema: QuerySchema;
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
export function defineQuery<In, Out, Result>(
  name: string,
  schema: QuerySchema<In, Out>,
  run: (shard: QueryShard, args: Out, context: QueryContext) => Promise<Result> | Result,
): QueryDefinition<In, Result> {
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
    run: (shard, args, context) => run(shard, args as Out, context),
  };
}

/** Any query, whatever it takes. */
export type AnyQuery = QueryDefinition;

/** Checks arguments against a query's schema. @throws {BatonError} `REQUEST_INVALID`, naming what is wrong. */
export async function parseQueryArguments(query: AnyQuery, args: unknown): Promise<unknown> {
  const parsed = await query.schema['~standard'].validate(args);
  if (parsed.issues === undefined) return parsed.value;
  const problems = parsed.issues.map(({ path = [], message }) => {
    const keys = path.map((part) => (typeof part === 'object' ? part.key : part));
    return `${['arguments', ...keys].map(String).join('.')}: ${message}`;
  });
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
    const parsed = await parseQueryArguments(query, args);
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

/** The schema of queries without arguments. */
export const noArguments: QuerySchema<null | undefined, undefined> = {
  '~standard': {
    validate: (value) =>
      value === undefined || value === null ? { value: undefined } : { issues: [{ message: 'there must be none' }] },
  },
};

import { type MissingShard, missingLine, type ShardAnswer } from '../shared/control/answers.ts';
import { parsePropertyPath } from '../shared/control/client-properties.ts';
import type { ShardRequest } from '../shared/control/requests.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import { withFleet } from './fleet-client.ts';
import { renderTable } from './text-table.ts';

export interface AskCommandOptions {
  readonly json: boolean;
  /** Shard ids. @default all */
  readonly shard?: readonly number[];
  /** Milliseconds. */
  readonly within?: number;
}

/**
 * `baton eval`: runs code in the sandbox of every shard.
 * @throws {BatonError} `EVAL_OFF` when no worker allows it, `REQUEST_FAILED` when shards gave no result (printed first),
 * and as `Fleet.askShards`.
 */
export async function evaluate(code: string, options: AskCommandOptions): Promise<void> {
  await ask({ kind: 'eval', code }, options);
}

/** `baton fetch`: a property of every shard's client, such as `guilds.cache.size`. Throws as {@link evaluate}. */
export async function fetchProperty(path: string, options: AskCommandOptions): Promise<void> {
  await ask({ kind: 'fetch', path: parsePropertyPath(path) }, options);
}

/**
 * `baton query`: a named query with arguments in JSON.
 * @throws {BatonError} `REQUEST_INVALID` for arguments that are no JSON; else as {@link evaluate}.
 */
export async function askQuery(name: string, args: string | undefined, options: AskCommandOptions): Promise<void> {
  await ask({ kind: 'query', name, args: args === undefined ? null : parseArguments(args) }, options);
}

function parseArguments(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new BatonError('REQUEST_INVALID', `arguments ${text}: ${messageOf(error)}; they must be JSON`, {
      cause: error,
    });
  }
}

async function ask(request: ShardRequest, { json, shard, within }: AskCommandOptions): Promise<void> {
  const answer = await withFleet(process.env, ({ fleet }) =>
    fleet.askShards(shard ?? 'all', request, within === undefined ? {} : { withinMs: within }),
  );
  const { results, missing } = answer;
  refuseIfOff(missing, results.length);
  if (json) console.log(JSON.stringify(answer));
  else for (const line of answerLines(answer)) console.log(line);
  if (missing.length > 0) throw new BatonError('REQUEST_FAILED', missingLine(missing));
}

/** Nothing ran anywhere because nothing may: one word is enough. */
function refuseIfOff(missing: readonly MissingShard[], results: number): void {
  const [first] = missing;
  if (results > 0 || first === undefined || missing.some(({ code }) => code !== 'off')) return;
  throw new BatonError('EVAL_OFF', first.reason);
}

/** Results of shards as people read them. */
export function answerLines({ results }: ShardAnswer<unknown>): string[] {
  if (results.length === 0) return ['No shard gave a result.'];
  return renderTable([
    ['SHARD', 'WORKER', 'RESULT'],
    ...results.map(({ shard, worker, value }) => [String(shard), worker, JSON.stringify(value)]),
  ]);
}

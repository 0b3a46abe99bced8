import type { Context } from 'aws-lambda';
import { type APIInteraction, InteractionResponseType, InteractionType } from 'discord-api-types/v10';
import { messageOf } from '../../../shared/errors.ts';
import { InvocationDeadlines } from '../invocation-deadlines.ts';
import { type InteractionOutcome, type InteractionsDeps, runInteraction } from '../run-interaction.ts';
import type { GuildShards } from './guild-shards.ts';
import { bodyOf, type FunctionUrlEvent, headerOf, type HttpResponse, jsonResponse } from './function-url-request.ts';
import type { RequestSignature } from './request-signature.ts';

export interface EndpointDeps extends InteractionsDeps {
  readonly signature: RequestSignature;
  readonly shards: Pick<GuildShards, 'of'>;
}

/**
 * Lambda behind the interactions endpoint URL. `respond` is called once, as soon as there is something to answer; the
 * promise resolves when all is done, which may be long after that: what runs it must let it go on.
 */
export type InteractionsEndpointHandler = (
  event: FunctionUrlEvent,
  respond: (response: HttpResponse) => void,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
) => Promise<void>;

/** The largest interactions, forms with every field full, have some 100 kB; SQS takes as much in a message. */
const maxBodyBytes = 1024 * 1024;

/**
 * A request signed longer ago is a replay: Discord waits for three seconds. Clocks may differ by this much before the
 * endpoint is cut off; claims of interactions are kept three times as long.
 */
const maxTimestampAgeMs = 5 * 60_000;

/**
 * Answers Discord's requests to the interactions endpoint (Discord, "Receiving and Responding"). Nothing is parsed
 * before the signature of its bytes was found right. Rejects only when an interaction could not be claimed; then there
 * is no answer.
 */
export function createInteractionsEndpoint(deps: EndpointDeps): InteractionsEndpointHandler {
  return async (event, respond, context) => {
    const request = readRequest(deps, event);
    switch (request.kind) {
      case 'refused':
        deps.logger.info({ statusCode: request.response.statusCode, reason: request.reason }, 'endpoint.refused');
        respond(request.response);
        return;
      case 'ping':
        respond(jsonResponse(200, { type: InteractionResponseType.Pong }));
        return;
      case 'interaction':
        await answer(deps, request.interaction, respond, context);
    }
  };
}

type ReadRequest =
  | { readonly kind: 'refused'; readonly reason: string; readonly response: HttpResponse }
  | { readonly kind: 'ping' }
  | { readonly kind: 'interaction'; readonly interaction: APIInteraction };

function readRequest({ signature, clock }: EndpointDeps, event: FunctionUrlEvent): ReadRequest {
  const { method } = event.requestContext.http;
  if (method !== 'POST') return refused(405, `method ${method}`, { allow: 'POST' });
  const body = bodyOf(event);
  if (body.length > maxBodyBytes) return refused(400, `body of ${body.length} bytes`);
  const timestamp = headerOf(event, 'x-signature-timestamp');
  if (!signature.isValid({ signature: headerOf(event, 'x-signature-ed25519'), timestamp, body })) {
    return refused(401, 'invalid request signature');
  }
  if (!isRecent(timestamp, clock.wallClockMs())) return refused(401, 'timestamp is not of the last minutes');
  let json: unknown;
  try {
    json = JSON.parse(body.toString());
  } catch (error) {
    return refused(400, `body is not JSON: ${messageOf(error)}`);
  }
  if (isOfType(json, InteractionType.Ping)) return { kind: 'ping' };
  if (!isInteraction(json)) return refused(400, 'body is no interaction');
  return { kind: 'interaction', interaction: json };
}

function refused(statusCode: number, reason: string, headers?: Record<string, string>): ReadRequest {
  return { kind: 'refused', reason, response: jsonResponse(statusCode, { error: reason }, headers) };
}

/** `timestamp` is Unix seconds. */
function isRecent(timestamp: string | undefined, nowMs: number): boolean {
  if (timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return false;
  return Math.abs(nowMs - Number(timestamp) * 1000) <= maxTimestampAgeMs;
}

function isOfType(json: unknown, type: InteractionType): boolean {
  return typeof json === 'object' && json !== null && (json as { type?: unknown }).type === type;
}

/** As far as nothing can go wrong before a handler is found; the rest of Discord's form is taken on trust. */
function isInteraction(json: unknown): json is APIInteraction {
  if (typeof json !== 'object' || json === null) return false;
  const { id, application_id, type, token, data } = json as Record<string, unknown>;
  return (
    isId(id) &&
    isId(application_id) &&
    typeof type === 'number' &&
    typeof token === 'string' &&
    typeof data === 'object' &&
    data !== null
  );
}

function isId(value: unknown): boolean {
  return typeof value === 'string' && /^\d{1,20}$/.test(value);
}

async function answer(
  deps: EndpointDeps,
  interaction: APIInteraction,
  respond: (response: HttpResponse) => void,
  context: Pick<Context, 'getRemainingTimeInMillis'>,
): Promise<void> {
  const deadlines = new InvocationDeadlines(context, deps.clock);
  let isAnswered = false;
  const respondOnce = (response: HttpResponse): void => {
    if (isAnswered) return;
    isAnswered = true;
    respond(response);
  };
  try {
    const outcome = await runInteraction(deps, {
      interaction,
      way: 'http',
      shard: () => deps.shards.of(interaction.guild_id),
      // Files do not fit into JSON.
      firstAnswer: { takesFiles: false, send: async (body) => respondOnce(jsonResponse(200, body)) },
      deadlines,
    });
    respondOnce(withoutAnswer(outcome));
  } finally {
    deadlines.cancel();
  }
}

/** What is left to say when there is no answer for the user. Discord shows them that the application did not respond. */
function withoutAnswer(outcome: InteractionOutcome): HttpResponse {
  switch (outcome) {
    case 'duplicate':
      return jsonResponse(409, { error: 'this interaction has been dealt with' });
    case 'expired':
      return jsonResponse(410, { error: 'this interaction is older than three seconds' });
    case 'unanswered':
    case 'answered':
    case 'failed':
    case 'unknown':
      return jsonResponse(500, { error: 'the handler gave no answer' });
  }
}

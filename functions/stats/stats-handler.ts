import { gzipSync } from 'node:zlib';
import type { APIGatewayProxyStructuredResultV2, LambdaFunctionURLEvent } from 'aws-lambda';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { ConsoleApi } from './console-api.ts';
import { runStatsRound, type StatsResult, type StatsRoundDeps } from './stats-round.ts';

/** The Lambda of the schedule and of the console's function URL. */
export type StatsHandler = (event: unknown) => Promise<StatsResult | APIGatewayProxyStructuredResultV2>;

/** Below this a compressed answer gains nothing. */
const shortestCompressed = 1024;

const commonHeaders = {
  'content-type': 'application/json',
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff',
};

/**
 * Every minute, and whenever it is invoked without an HTTP request, it keeps the fleet's figures and returns them; the
 * handler then rejects when the table cannot be reached. HTTP requests are the console's: `GET /api/…`, answered with
 * JSON. Who may send them is IAM's to decide before they come here.
 */
export function createStatsHandler(deps: StatsRoundDeps & { readonly api: ConsoleApi }): StatsHandler {
  return async (event) => (isRequest(event) ? answer(deps, event) : runStatsRound(deps));
}

function isRequest(event: unknown): event is LambdaFunctionURLEvent {
  return (event as Partial<LambdaFunctionURLEvent> | null)?.requestContext?.http !== undefined;
}

async function answer(
  { api, logger }: StatsRoundDeps & { readonly api: ConsoleApi },
  { requestContext, rawPath, rawQueryString, headers }: LambdaFunctionURLEvent,
): Promise<APIGatewayProxyStructuredResultV2> {
  if (requestContext.http.method !== 'GET') {
    return { statusCode: 405, headers: { ...commonHeaders, allow: 'GET' }, body: '{}' };
  }
  try {
    const found = await api.get(rawPath, new URLSearchParams(rawQueryString));
    if (found === undefined) return { statusCode: 404, headers: commonHeaders, body: '{}' };
    const body = JSON.stringify(found);
    const takesGzip = /\bgzip\b/.test(headers['accept-encoding'] ?? '');
    if (!takesGzip || body.length < shortestCompressed) return { statusCode: 200, headers: commonHeaders, body };
    return {
      statusCode: 200,
      headers: { ...commonHeaders, 'content-encoding': 'gzip' },
      body: gzipSync(body).toString('base64'),
      isBase64Encoded: true,
    };
  } catch (error) {
    logger.error({ path: rawPath, error: messageOf(error) }, 'stats.request_failed');
    const code = error instanceof BatonError ? error.code : 'STORE_UNREACHABLE';
    return {
      statusCode: 503,
      headers: commonHeaders,
      body: JSON.stringify({ error: { code, message: messageOf(error) } }),
    };
  }
}

import type { APIGatewayProxyStructuredResultV2, LambdaFunctionURLEvent } from 'aws-lambda';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { type ActionLine, type FleetAction, type FleetActions, readAction } from './fleet-actions.ts';

/** The Lambda of the operators' function URL. */
export type OperateHandler = (event: LambdaFunctionURLEvent) => Promise<APIGatewayProxyStructuredResultV2>;

/**
 * Answers `POST /api/actions` with a line of JSON for every step of the action, once it has ended. Who may ask is
 * IAM's to decide before the request comes here; a request without a caller's identity is refused all the same.
 */
export function createOperateHandler(actions: Pick<FleetActions, 'run'>): OperateHandler {
  return async ({ requestContext, rawPath, body, isBase64Encoded }) => {
    const caller = callerOf(requestContext);
    if (caller === undefined) return refusal(401, 'REQUEST_INVALID', 'actions need a signed request');
    if (rawPath !== '/api/actions') return refusal(404, 'REQUEST_INVALID', `there is no ${rawPath}`);
    if (requestContext.http.method !== 'POST') return refusal(405, 'REQUEST_INVALID', 'actions are posted');
    let action: FleetAction;
    try {
      action = readAction(isBase64Encoded ? Buffer.from(body ?? '', 'base64').toString('utf8') : (body ?? ''));
    } catch (error) {
      if (!(error instanceof BatonError)) throw error;
      return refusal(400, error.code, messageOf(error));
    }
    const lines: ActionLine[] = [];
    await actions.run(action, { by: caller, tell: (line) => lines.push(line) });
    return {
      statusCode: 200,
      headers: { 'content-type': 'application/x-ndjson', 'cache-control': 'no-store' },
      body: lines.map((line) => `${JSON.stringify(line)}\n`).join(''),
    };
  };
}

/** What of the caller's ARN tells people apart: `role/name/session` or `user/name`. */
function callerOf(context: LambdaFunctionURLEvent['requestContext']): string | undefined {
  const { authorizer } = context as { authorizer?: { iam?: { userArn?: string } } };
  return authorizer?.iam?.userArn?.split(':').at(-1);
}

function refusal(statusCode: number, code: string, message: string): APIGatewayProxyStructuredResultV2 {
  return {
    statusCode,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-store' },
    body: JSON.stringify({ error: { code, message } }),
  };
}

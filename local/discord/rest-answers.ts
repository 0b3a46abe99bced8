/** What a REST request is answered with. Without `body` the answer is empty. */
export interface RestAnswer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Discord's error body: a code of its list, and a message. */
export function restError(status: number, code: number, message: string): RestAnswer {
  return { status, body: { message, code } };
}

export const unauthorized = restError(401, 0, '401: Unauthorized');
export const notFound = restError(404, 0, '404: Not Found');
export const methodNotAllowed = restError(405, 0, '405: Method Not Allowed');
export const unknownInteraction = restError(404, 10062, 'Unknown interaction');
export const alreadyAcknowledged = restError(400, 40060, 'Interaction has already been acknowledged.');
export const invalidWebhookToken = restError(401, 50027, 'Invalid Webhook Token');
export const unknownWebhook = restError(404, 10015, 'Unknown Webhook');
export const unknownMessage = restError(404, 10008, 'Unknown Message');
export const unknownChannel = restError(404, 10003, 'Unknown Channel');
export const unknownGuild = restError(404, 10004, 'Unknown Guild');
export const unknownCommand = restError(404, 10063, 'Unknown application command');

/** 50035 with the place of the mistake, e.g. `invalidForm('data.content', 'Must be 2000 or fewer in length.')`. */
export function invalidForm(path: string, message: string): RestAnswer {
  const errors = path
    .split('.')
    .reduceRight<unknown>((inner, key) => ({ [key]: inner }), { _errors: [{ code: 'BASE_TYPE_BAD', message }] });
  return { status: 400, body: { code: 50035, message: 'Invalid Form Body', errors } };
}

/** 429 as Discord words it; `retryAfterMs` is told in seconds. */
export function rateLimited(retryAfterMs: number, scope: 'user' | 'global' | 'shared'): RestAnswer {
  const seconds = retryAfterMs / 1000;
  return {
    status: 429,
    body: { message: 'You are being rate limited.', retry_after: seconds, global: scope === 'global' },
    headers: {
      'Retry-After': String(Math.ceil(seconds)),
      'X-RateLimit-Scope': scope,
      ...(scope === 'global' && { 'X-RateLimit-Global': 'true' }),
    },
  };
}

import type { LambdaFunctionURLEvent } from 'aws-lambda';

/** What is read of a function URL's event, format 2.0 (Lambda, "Invoking Lambda function URLs"). */
export type FunctionUrlEvent = Pick<LambdaFunctionURLEvent, 'headers' | 'body' | 'isBase64Encoded'> & {
  readonly requestContext: { readonly http: { readonly method: string } };
};

/** What is answered. */
export interface HttpResponse {
  readonly statusCode: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Not empty: an empty stream leaves the connection of a function URL open. */
  readonly body: string;
}

/** A header by its name in lower case, however the sender spelt it. */
export function headerOf({ headers }: Pick<FunctionUrlEvent, 'headers'>, name: string): string | undefined {
  const exact = headers[name];
  if (exact !== undefined) return exact;
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

/** The body's bytes as they were sent. Lambda encodes bodies that are not text. */
export function bodyOf({ body = '', isBase64Encoded }: FunctionUrlEvent): Buffer {
  return Buffer.from(body, isBase64Encoded ? 'base64' : 'utf8');
}

/** An answer in JSON. */
export function jsonResponse(statusCode: number, body: unknown, headers: Record<string, string> = {}): HttpResponse {
  return { statusCode, headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}

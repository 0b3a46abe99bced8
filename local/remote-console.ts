import type { ActionLine, FleetAction } from '../functions/operate/fleet-actions.ts';
import type { Clock } from '../shared/clock.ts';
import { BatonError, messageOf } from '../shared/errors.ts';
import type { ConsoleSource } from './console-server.ts';
import { type AwsCredentials, signedHeaders } from './signed-request.ts';

export interface RemoteConsoleOptions {
  /** Function URL of the stats function. */
  readonly url: URL;
  /** Function URL of the operate function; without it the console only shows the fleet. */
  readonly operatorUrl: URL | undefined;
  readonly region: string;
  /** Asked for before each request: they may be of a role, and expire. */
  readonly credentials: () => Promise<AwsCredentials>;
  readonly clock: Clock;
}

const readWithinMs = 30_000;
/** The time of the operate function, and some. */
const actWithinMs = 190_000;

/** A deployed fleet, by way of its function URLs: every request is signed with the credentials of whoever runs this. */
export class RemoteConsole implements ConsoleSource {
  readonly updates = 'polling';
  readonly hasTail = false;
  readonly #options: RemoteConsoleOptions;

  constructor(options: RemoteConsoleOptions) {
    this.#options = options;
  }

  get mayAct(): boolean {
    return this.#options.operatorUrl !== undefined;
  }

  /** @throws {BatonError} what the function answered, or `REQUEST_FAILED` when it gives no answer or IAM refuses. */
  async get(path: string, query: URLSearchParams): Promise<unknown> {
    const url = new URL(path, this.#options.url);
    url.search = query.toString();
    const response = await this.#send({ method: 'GET', url }, AbortSignal.timeout(readWithinMs));
    if (response.status === 404) return undefined;
    if (!response.ok) throw await failureOf(response);
    return response.json();
  }

  watch(): Promise<void> {
    return Promise.reject(new BatonError('REQUEST_INVALID', 'a deployed fleet is asked again and again'));
  }

  tail(): Promise<void> {
    return Promise.reject(new BatonError('REQUEST_INVALID', 'live events of a deployed fleet: baton tail'));
  }

  async act(action: FleetAction, tell: (line: ActionLine) => void, signal: AbortSignal): Promise<void> {
    const { operatorUrl } = this.#options;
    try {
      if (operatorUrl === undefined) throw new BatonError('REQUEST_INVALID', 'this console only shows the fleet');
      const response = await this.#send(
        { method: 'POST', url: new URL('/api/actions', operatorUrl), body: JSON.stringify(action) },
        AbortSignal.any([signal, AbortSignal.timeout(actWithinMs)]),
      );
      if (!response.ok) throw await failureOf(response);
      const lines = (await response.text()).split('\n').filter((line) => line !== '');
      for (const line of lines) tell(JSON.parse(line) as ActionLine);
    } catch (error) {
      const code = error instanceof BatonError ? error.code : 'REQUEST_FAILED';
      tell({ error: { code, message: messageOf(error) } });
    }
  }

  async #send(request: { method: string; url: URL; body?: string }, signal: AbortSignal): Promise<Response> {
    const { region, credentials, clock } = this.#options;
    const headers = signedHeaders(request, {
      credentials: await credentials(),
      region,
      service: 'lambda',
      nowMs: clock.wallClockMs(),
    });
    try {
      const { method, url, body } = request;
      return await fetch(url, { method, headers, signal, redirect: 'error', ...(body !== undefined && { body }) });
    } catch (error) {
      throw new BatonError('REQUEST_FAILED', `${request.url.host} gives no answer: ${messageOf(error)}`, {
        cause: error,
      });
    }
  }
}

/** The function's own words, or IAM's when it did not come that far. */
async function failureOf(response: Response): Promise<BatonError> {
  const { host } = new URL(response.url);
  if (response.status === 403) {
    return new BatonError(
      'REQUEST_FAILED',
      `${host} refuses these credentials (403): they need the policy <fleet>-console-reader-<Region>, or -operator-<Region> to act`,
    );
  }
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  return new BatonError('REQUEST_FAILED', body.error?.message ?? `${host} answers with ${response.status}`);
}

import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { verifyKey } from 'discord-interactions';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { endpointInteractionStream, interactionStream, readIdentity } from '../../../local/discord/event-identity.ts';
import { type DiscordSimulator, startSimulator } from '../../../local/discord/simulator.ts';
import type { SimulatorOptions } from '../../../local/discord/simulator-options.ts';
import type { Guild } from '../../../local/discord/world.ts';

type Answer = { readonly status: number; readonly body?: unknown; readonly contentType?: string };

interface Received {
  readonly isValid: boolean;
  readonly type: number;
  readonly body: { readonly id: string; readonly token: string; readonly type: number };
}

let simulator: DiscordSimulator;
let emitted: { stream: string; n: number }[];
let server: Server;
let url: string;
let received: Received[];
/** To requests with a right signature; others get 401 while this bot behaves. */
let answer: (request: Received) => Answer | Promise<Answer>;
let refusesForged: boolean;

const hello = { status: 200, body: { type: 4, data: { content: 'hello' } } };

async function start(options: Partial<SimulatorOptions> = {}): Promise<void> {
  simulator = await startSimulator({
    shards: 1,
    guildsPerShard: 2,
    onEmit: (stream, n) => emitted.push({ stream, n }),
    ...options,
  });
}

beforeEach(async () => {
  emitted = [];
  received = [];
  refusesForged = true;
  answer = () => hello;
  server = createServer((request, response) => void handle(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/interactions`;
});
afterEach(async () => {
  await simulator.stop();
  server.close();
  server.closeAllConnections();
});

async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const text = Buffer.concat(await request.toArray());
  const header = (name: string) => String(request.headers[name]);
  const body = JSON.parse(text.toString()) as Received['body'];
  const isValid = await verifyKey(
    text,
    header('x-signature-ed25519'),
    header('x-signature-timestamp'),
    simulator.publicKey,
  );
  received.push({ isValid, type: body.type, body });
  const said: Answer =
    !isValid && refusesForged
      ? { status: 401 }
      : body.type === 1
        ? { status: 200, body: { type: 1 } }
        : await answer({ isValid, type: body.type, body });
  response.writeHead(said.status, { 'content-type': said.contentType ?? 'application/json' });
  response.end(said.body === undefined ? '' : JSON.stringify(said.body));
}

function setByRest(value: unknown): Promise<Response> {
  return fetch(`${simulator.apiUrl}/applications/@me`, {
    method: 'PATCH',
    headers: { 'content-type': 'application/json', authorization: `Bot ${simulator.token}` },
    body: JSON.stringify({ interactions_endpoint_url: value }),
  });
}

const guild = (): Guild => simulator.world.guilds[0] as Guild;

describe('setting the URL', () => {
  test('sends a PING with a right signature and one with a wrong one', async () => {
    await start();
    const response = await setByRest(url);
    expect(await response.json()).toMatchObject({ interactions_endpoint_url: url });
    expect(received).toMatchObject([
      { isValid: true, type: 1 },
      { isValid: false, type: 1 },
    ]);
  });

  test.each([
    { what: 'takes what it should refuse', set: () => void (refusesForged = false), problem: 'not 401' },
    { what: 'is none', set: () => void (url = 'http://127.0.0.1:9/'), problem: 'could not be verified' },
    { what: 'is no URL', set: () => void (url = 'nowhere'), problem: 'Not a URL' },
  ])('of an endpoint that $what is refused', async ({ set, problem }) => {
    await start();
    set();
    const response = await setByRest(url);
    expect(response.status).toBe(400);
    const body = await response.json();
    expect(body).toMatchObject({ code: 50_035 });
    expect(JSON.stringify(body)).toContain(problem);
    expect(simulator.endpoint.url).toBeUndefined();
  });
});

describe('with an endpoint', () => {
  test('interactions go there, signed and numbered, and the response is the answer', async () => {
    await start();
    await setByRest(url);
    const record = simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.totals.answered).toBe(1), { timeout: 10_000 });
    const { body, isValid } = received.at(-1) as Received;
    expect({ id: body.id, isValid }).toEqual({ id: record?.id, isValid: true });
    expect(readIdentity(body)).toEqual({ stream: endpointInteractionStream, n: 1 });
    expect(emitted).toEqual([{ stream: endpointInteractionStream, n: 1 }]);
    expect(record?.answers).toMatchObject([{ kind: 'endpointAnswer', type: 4, status: 204, content: 'hello' }]);
    expect(simulator.interactions.totals).toMatchObject({ emitted: 1, answered: 1, acknowledgedTwice: 0 });
  });

  test('a deferred one is edited by REST; what was deleted is not edited any more', async () => {
    await start();
    await setByRest(url);
    answer = () => ({ status: 200, body: { type: 5 } });
    const record = simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.totals.answered).toBe(1), { timeout: 10_000 });
    const { applicationId } = simulator.world;
    const token = record?.token ?? '';
    const message = (id: string, content: string) =>
      simulator.interactions.message('PATCH', applicationId, token, id, { content });
    expect(message('@original', 'late')).toMatchObject({ status: 200, body: { content: 'late' } });
    expect(simulator.interactions.message('DELETE', applicationId, token, '@original', undefined).status).toBe(204);
    expect(message('@original', 'again').status).toBe(404);
    expect(simulator.interactions.followUp(applicationId, token, { content: 'anew' })).toMatchObject({
      status: 200,
      body: { content: 'anew' },
    });
  });

  test.each([
    { what: 'an error', said: { status: 500 }, failure: 'answered with 500' },
    { what: 'a wrong content type', said: { ...hello, contentType: 'text/plain' }, failure: 'content-type text/plain' },
    { what: 'a PONG to a command', said: { status: 200, body: { type: 1 } }, failure: 'answer refused' },
  ])('$what is a failure, and told of', async ({ said, failure }) => {
    await start();
    await setByRest(url);
    answer = () => said;
    simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.totals.failed).toBe(1), { timeout: 10_000 });
    expect(Object.keys(simulator.endpoint.totals.failures)[0]).toContain(failure);
    expect(simulator.interactions.totals.answered).toBe(0);
  });

  test('202 leaves the answer to the callback route', async () => {
    await start();
    await setByRest(url);
    answer = ({ body: { id, token } }) => {
      expect(simulator.interactions.callback(id, token, hello.body, false).status).toBe(204);
      return { status: 202 };
    };
    simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.totals.answered).toBe(1), { timeout: 10_000 });
    expect(simulator.interactions.totals).toMatchObject({ answered: 1, acknowledgedTwice: 0 });
  });

  test('nobody waits longer than the deadline', async () => {
    await start({ interactionDeadlineMs: 200 });
    await setByRest(url);
    const never = Promise.withResolvers<Answer>();
    answer = () => never.promise;
    simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.totals.failures).toEqual({ 'no answer in time': 1 }), {
      timeout: 10_000,
    });
    never.resolve(hello);
  });

  test('one that takes a wrong signature later loses its URL', async () => {
    await start({ probeEvery: 2 });
    await setByRest(url);
    refusesForged = false;
    for (let n = 0; n < 2; n += 1) simulator.traffic.sendCommand('ping', guild());
    await vi.waitFor(() => expect(simulator.endpoint.url).toBeUndefined(), { timeout: 10_000 });
    expect(simulator.endpoint.totals.probes).toBe(1);
  });

  test('in turn, every other one would go over the gateway, where nobody is', async () => {
    await start();
    await setByRest(url);
    simulator.traffic.start({ alternatesInteractions: true });
    simulator.traffic.stop();
    const sent = [1, 2, 3, 4].map(() => simulator.traffic.sendCommand('ping', guild()) !== undefined);
    expect(sent).toEqual([false, true, false, true]);
    expect(emitted.filter(({ stream }) => stream === interactionStream)).toEqual([]);
    await vi.waitFor(() => expect(simulator.endpoint.totals.answered).toBe(2), { timeout: 10_000 });
  });
});

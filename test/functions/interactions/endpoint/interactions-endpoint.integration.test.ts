import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import type { HttpResponse } from '../../../../functions/interactions/endpoint/function-url-request.ts';
import { createInteractionsEndpoint } from '../../../../functions/interactions/endpoint/interactions-endpoint.ts';
import { RequestSignature } from '../../../../functions/interactions/endpoint/request-signature.ts';
import { defineCommand, defineUserCommand } from '../../../../functions/kit/define-command.ts';
import { defineComponent } from '../../../../functions/kit/define-component.ts';
import { defineModal } from '../../../../functions/kit/define-modal.ts';
import { shardContext } from '../../../../functions/kit/shard-context.ts';
import { randomBelow, seededRandom } from '../../../../shared/random.ts';
import { ManualClock } from '../../../manual-clock.ts';
import { type FakeDiscordRest, startFakeDiscordRest } from '../../fake-discord-rest.ts';
import { commandInteraction, interactionsDeps, noShards, snowflakeAt } from '../interactions-fixture.ts';
import { functionUrlEvent, SigningKey, signedRequest, type TestRequest } from './signed-requests.ts';

const key = new SigningKey();
let discord: FakeDiscordRest;
beforeAll(async () => {
  discord = await startFakeDiscordRest();
});
beforeEach(() => {
  discord.requests.length = 0;
  discord.refusals.length = 0;
});
afterAll(() => discord[Symbol.asyncDispose]());

/** Handlers that wait for the test. */
let runs: string[] = [];
let goOn = Promise.withResolvers<void>();
beforeEach(() => {
  runs = [];
  goOn = Promise.withResolvers<void>();
});

const form = defineModal({
  customId: 'feedback:{topic}',
  title: 'Feedback',
  fields: { text: { type: 'paragraph', label: 'What?' } },
  run: (ctx) => ctx.reply(`${ctx.params.topic}: ${ctx.fields.text}`),
});

const handlers = {
  form,
  ping: defineCommand({
    name: 'ping',
    description: 'Answers at once',
    run: (ctx) => ctx.reply({ content: `${ctx.shard.id}/${ctx.shard.total} ${ctx.userId}`, ephemeral: true }),
  }),
  slow: defineCommand({
    name: 'slow',
    description: 'Takes its time',
    async run(ctx) {
      runs.push(ctx.interaction.id);
      await goOn.promise;
      await ctx.reply('at last');
    },
  }),
  secret: defineCommand({
    name: 'secret',
    description: 'Takes its time and answers for one',
    async run(ctx) {
      await goOn.promise;
      await ctx.reply({ content: 'for you', ephemeral: true });
    },
  }),
  hush: defineCommand({
    name: 'hush',
    description: 'Is deferred for one',
    autoDefer: 'ephemeral',
    async run(ctx) {
      await goOn.promise;
      await ctx.reply('quietly');
    },
  }),
  stubborn: defineCommand({
    name: 'stubborn',
    description: 'Is never deferred',
    autoDefer: false,
    async run(ctx) {
      await goOn.promise;
      await ctx.showModal(form.open({ topic: 'bugs' }));
    },
  }),
  lateForm: defineCommand({
    name: 'late-form',
    description: 'Shows a form too late',
    async run(ctx) {
      await goOn.promise;
      await ctx.showModal(form.open({ topic: 'bugs' }));
    },
  }),
  busy: defineCommand({
    name: 'busy',
    description: 'Answers, then works on',
    async run(ctx) {
      await ctx.reply('on it');
      await goOn.promise;
      await ctx.followUp('done');
    },
  }),
  file: defineCommand({
    name: 'file',
    description: 'Answers with a file',
    run: (ctx) => ctx.reply({ content: 'here', files: [{ name: 'a.txt', data: 'text' }] }),
  }),
  broken: defineCommand({
    name: 'broken',
    description: 'Throws',
    run() {
      throw new Error('secret details');
    },
  }),
  silent: defineCommand({ name: 'silent', description: 'Says nothing', run() {} }),
  endless: defineCommand({
    name: 'endless',
    description: 'Never ends',
    async run(ctx) {
      await ctx.defer();
      await new Promise(() => {});
    },
  }),
  pick: defineCommand({
    name: 'pick',
    description: 'Suggests',
    options: {
      fruit: {
        type: 'string',
        description: 'Which',
        required: true,
        async autocomplete(ctx) {
          if (ctx.value === 'slow') await goOn.promise;
          return [`${ctx.value}!`];
        },
      },
    },
    run: (ctx) => ctx.reply(ctx.options.fruit),
  }),
  wave: defineUserCommand({ name: 'Wave', run: (ctx) => ctx.reply(`waves at ${ctx.target.id}`) }),
  button: defineComponent({
    type: 'button',
    customId: 'vote:{choice}',
    async run(ctx) {
      if (ctx.params.choice === 'slow') {
        await goOn.promise;
        await ctx.update(`voted ${ctx.params.choice}`);
      } else await ctx.update(`voted ${ctx.params.choice}`);
    },
  }),
};

function bench(options: { readonly clock?: ManualClock } = {}) {
  const { clock = new ManualClock() } = options;
  const { deps, ...seen } = interactionsDeps({ discordApiUrl: discord.url, handlers, clock });
  const endpoint = createInteractionsEndpoint({
    ...deps,
    signature: new RequestSignature(key.publicKey),
    shards: { of: async () => shardContext([3, 64], 0, noShards) },
  });
  /** Runs to the end of the handler; `response` is there as soon as it is out. */
  const start = (request: TestRequest, timeoutMs = 60_000) => {
    const responses: HttpResponse[] = [];
    const deadlineMs = clock.monotonicMs() + timeoutMs;
    const ended = endpoint(functionUrlEvent(request), (response) => responses.push(response), {
      getRemainingTimeInMillis: () => deadlineMs - clock.monotonicMs(),
    });
    return { responses, ended };
  };
  const send = async (request: TestRequest): Promise<HttpResponse> => {
    const { responses, ended } = start(request);
    await ended;
    expect(responses).toHaveLength(1);
    return responses[0] as HttpResponse;
  };
  const signed = (body: object) => signedRequest(key, JSON.stringify(body), clock.wallClockMs());
  const command = (name: string, overrides: object = {}) => commandInteraction(name, clock.wallClockMs(), overrides);
  return { ...seen, clock, start, send, signed, command };
}

const json = ({ body }: HttpResponse) => JSON.parse(body) as unknown;

describe('a request', () => {
  test('that is a PING gets its PONG, as JSON', async () => {
    const { send, signed } = bench();
    const response = await send(signed({ type: 1, id: '1', application_id: '900', token: 't', version: 1 }));
    expect(response).toEqual({ statusCode: 200, headers: { 'content-type': 'application/json' }, body: '{"type":1}' });
  });

  test('that is not a POST is told so', async () => {
    const { send, signed } = bench();
    const response = await send({ ...signed({ type: 1 }), method: 'GET' });
    expect(response).toMatchObject({ statusCode: 405, headers: { allow: 'POST' } });
  });

  test('in base64 is checked as the bytes it was', async () => {
    const { send, signed, command } = bench();
    const request = signed(
      command('ping', { data: { id: '1', name: 'ping', type: 1, options: [] }, locale: 'größer' }),
    );
    const response = await send({
      ...request,
      body: Buffer.from(request.body).toString('base64'),
      isBase64Encoded: true,
    });
    expect(json(response)).toMatchObject({ type: 4 });
  });

  test('may spell its headers as it likes', async () => {
    const { send, signed } = bench();
    const { headers, body } = signed({ type: 1 });
    const shouted = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toUpperCase(), value]));
    expect(await send({ headers: shouted, body })).toMatchObject({ statusCode: 200 });
  });

  test.each(['x-signature-ed25519', 'x-signature-timestamp'])('without %s is not let in', async (missing) => {
    const { send, signed } = bench();
    const { headers, body } = signed({ type: 1 });
    const { [missing]: _, ...rest } = headers;
    expect(await send({ headers: rest, body })).toMatchObject({ statusCode: 401 });
  });

  test.each([
    { ageMs: 299_000, statusCode: 200 },
    { ageMs: -299_000, statusCode: 200 },
    { ageMs: 302_000, statusCode: 401 },
    { ageMs: -302_000, statusCode: 401 },
  ])('signed $ageMs ms ago is answered with $statusCode', async ({ ageMs, statusCode }) => {
    const { send, clock } = bench();
    expect(await send(signedRequest(key, '{"type":1}', clock.wallClockMs() - ageMs))).toMatchObject({ statusCode });
  });

  test.each([
    { what: 'no JSON', body: '{"type":' },
    { what: 'no object', body: '[]' },
    { what: 'no id', body: '{"type":2,"token":"t","application_id":"1","data":{}}' },
    { what: 'an id that is a number', body: '{"id":1,"type":2,"token":"t","application_id":"1","data":{}}' },
    { what: 'no data', body: '{"id":"1","type":2,"token":"t","application_id":"1"}' },
    { what: 'a body of more than 1 MiB', body: `{"type":1,"x":"${'x'.repeat(1024 * 1024)}"}` },
    { what: 'nothing', body: '' },
  ])('with $what and a right signature is a bad one', async ({ body }) => {
    const { send, clock, lines } = bench();
    expect(await send(signedRequest(key, body, clock.wallClockMs()))).toMatchObject({ statusCode: 400 });
    expect(lines).toMatchObject([{ event: 'endpoint.refused', fields: { statusCode: 400 } }]);
  });

  test('is not even parsed before its signature was found right', async () => {
    const { send, signed } = bench();
    const { headers } = signed({ type: 1 });
    expect(await send({ headers, body: '{"type":' })).toMatchObject({ statusCode: 401 });
  });
});

test('10,000 of 10,000 tampered requests are refused with 401, and no handler runs', async () => {
  const random = seededRandom(7);
  const { send, clock, observed } = bench();
  const otherKey = new SigningKey();
  const refused = { 401: 0, other: 0 };
  for (let n = 0; n < 10_000; n += 1) {
    const body = JSON.stringify({ ...commandInteraction('slow', clock.wallClockMs()), n });
    const request = signedRequest(n % 9 === 0 ? otherKey : key, body, clock.wallClockMs());
    const { 'x-signature-ed25519': signature = '', 'x-signature-timestamp': timestamp = '' } = request.headers;
    const at = randomBelow(random, body.length);
    const changes = [
      {
        body: `${body.slice(0, at)}${String.fromCodePoint((body.codePointAt(at) as number) ^ 1)}${body.slice(at + 1)}`,
      },
      { body: body.slice(0, at) },
      { timestamp: String(Number(timestamp) + 1 + randomBelow(random, 200)) },
      // The same bytes, cut elsewhere.
      { timestamp: timestamp.slice(0, -1), body: `${timestamp.slice(-1)}${body}` },
      { timestamp: `${timestamp}${body.slice(0, 1)}`, body: body.slice(1) },
      { signature: signature.replace(/[0-9a-f]/g, (digit) => ((Number.parseInt(digit, 16) + 1) % 16).toString(16)) },
      { signature: signature.slice(2) },
      { signature: '' },
    ];
    const change: { body?: string; timestamp?: string; signature?: string } =
      n % 9 === 0 ? {} : (changes[randomBelow(random, changes.length)] as object);
    const response = await send({
      headers: {
        'x-signature-ed25519': change.signature ?? signature,
        'x-signature-timestamp': change.timestamp ?? timestamp,
      },
      body: change.body ?? body,
    });
    refused[response.statusCode === 401 ? 401 : 'other'] += 1;
  }
  expect(refused).toEqual({ 401: 10_000, other: 0 });
  expect(runs).toEqual([]);
  expect(observed).toEqual([]);
}, 60_000);

describe('an interaction', () => {
  test('is answered in the response, with the shard of its guild at hand', async () => {
    const { send, signed, command, outcomes } = bench();
    expect(json(await send(signed(command('ping'))))).toEqual({
      type: 4,
      data: { content: '3/64 53908232506183680', flags: 64 },
    });
    expect(discord.requests).toEqual([]);
    expect(outcomes()).toEqual(['answered']);
  });

  test('that is replayed, at once or later, runs once', async () => {
    const { start, signed, command, outcomes, clock } = bench();
    const request = signed(command('slow'));
    const first = start(request);
    const second = start(request);
    await clock.settle();
    goOn.resolve();
    await Promise.all([first.ended, second.ended]);
    const third = start(request);
    await third.ended;
    expect(runs).toHaveLength(1);
    expect(first.responses).toMatchObject([{ statusCode: 200 }]);
    expect([...second.responses, ...third.responses]).toMatchObject([{ statusCode: 409 }, { statusCode: 409 }]);
    expect(outcomes().sort()).toEqual(['answered', 'duplicate', 'duplicate']);
  });

  test('older than three seconds is refused and told of', async () => {
    const { send, signed, clock, lines } = bench();
    const old = commandInteraction('ping', clock.wallClockMs() - 3100);
    expect(await send(signed(old))).toMatchObject({ statusCode: 410 });
    expect(lines).toMatchObject([{ event: 'interactions.expired', fields: { interaction: old.id } }]);
  });

  test('of a user command, a component, a form and an autocompletion finds its handler', async () => {
    const { send, signed, command, clock } = bench();
    const user = { id: '5', username: 'x' };
    const wave = { data: { id: '1', name: 'Wave', type: 2, target_id: '5', resolved: { users: { 5: user } } } };
    expect(json(await send(signed(command('Wave', wave))))).toMatchObject({ data: { content: 'waves at 5' } });

    const message = { id: '9' };
    const vote = { type: 3, message, data: { custom_id: 'vote:yes', component_type: 2 } };
    expect(json(await send(signed(command('', vote))))).toMatchObject({ type: 7, data: { content: 'voted yes' } });

    const label = { type: 18, component: { type: 4, custom_id: 'text', value: 'nice' } };
    const submit = { type: 5, data: { custom_id: 'feedback:ideas', components: [label] } };
    expect(json(await send(signed(command('', submit))))).toMatchObject({ type: 4, data: { content: 'ideas: nice' } });

    const option = { name: 'fruit', type: 3, value: 'ap', focused: true };
    const typing = { type: 4, data: { id: '1', name: 'pick', type: 1, options: [option] } };
    expect(json(await send(signed(command('', typing))))).toEqual({
      type: 8,
      data: { choices: [{ name: 'ap!', value: 'ap!' }] },
    });
    expect(clock.pendingTimers).toBe(0);
  });

  test.each([
    { what: 'command', sent: { data: { id: '1', name: 'gone', type: 1 } }, text: 'no command \\"gone\\"' },
    { what: 'button', sent: { type: 3, data: { custom_id: 'x', component_type: 2 } }, text: 'does not know' },
    { what: 'form', sent: { type: 5, data: { custom_id: 'x', components: [] } }, text: 'does not know' },
    { what: 'kind of interaction', sent: { type: 77, data: {} }, text: 'does not know' },
  ])('of a $what that nobody handles is answered for its user alone, and counted', async ({ sent, text }) => {
    const { send, signed, command, lines, outcomes } = bench();
    const response = await send(signed(command('', sent)));
    expect(response.statusCode).toBe(200);
    expect(json(response)).toMatchObject({ type: 4, data: { flags: 64 } });
    expect(response.body).toContain(text);
    expect(outcomes()).toEqual(['unknown']);
    // What the alarm's metric counts.
    expect(lines.map(({ event }) => event)).toContain('interactions.unknown');
  });

  test('whose handler throws is answered with an apology and a number, which the log has with the error', async () => {
    const { send, signed, command, lines } = bench();
    const response = await send(signed(command('broken')));
    const failure = lines.find(({ event }) => event === 'interactions.handler_failed');
    expect(json(response)).toMatchObject({ type: 4, data: { flags: 64 } });
    expect(response.body).toContain(failure?.fields['reference']);
    expect(response.body).not.toContain('secret');
    expect(failure?.fields).toMatchObject({ error: 'secret details', command: 'broken', way: 'http' });
  });

  test('whose handler says nothing ends with an error status, and is told of', async () => {
    const { send, signed, command, outcomes } = bench();
    expect(await send(signed(command('silent')))).toMatchObject({ statusCode: 500 });
    expect(outcomes()).toEqual(['unanswered']);
  });

  test('answered with a file is deferred, and the file comes with the message', async () => {
    const { send, signed, command } = bench();
    expect(json(await send(signed(command('file'))))).toEqual({ type: 5 });
    expect(discord.requests).toMatchObject([
      { method: 'PATCH', path: expect.stringContaining('@original') as string, body: { content: 'here' } },
    ]);
  });

  test('that cannot be claimed has no answer: nobody knows whether it has run', async () => {
    const clock = new ManualClock();
    const { deps } = interactionsDeps({ discordApiUrl: discord.url, handlers, clock });
    const endpoint = createInteractionsEndpoint({
      ...deps,
      claims: { claim: () => Promise.reject(new Error('no table')) },
      signature: new RequestSignature(key.publicKey),
      shards: { of: async () => shardContext([0, 1], 0, noShards) },
    });
    const responses: HttpResponse[] = [];
    const request = signedRequest(
      key,
      JSON.stringify(commandInteraction('slow', clock.wallClockMs())),
      clock.wallClockMs(),
    );
    const context = { getRemainingTimeInMillis: () => 10_000 };
    await expect(endpoint(functionUrlEvent(request), (each) => responses.push(each), context)).rejects.toThrow(
      'no table',
    );
    expect({ responses, runs }).toEqual({ responses: [], runs: [] });
    expect(clock.pendingTimers).toBe(0);
  });
});

describe('a handler that takes its time', () => {
  test('is deferred two seconds after the user’s action, goes on, and its reply takes the place', async () => {
    const { start, signed, command, clock, observed, lines } = bench();
    const request = signed(command('slow'));
    await clock.advance(600);
    const { responses, ended } = start(request);
    await clock.advance(1399);
    expect(responses).toEqual([]);
    await clock.advance(1);
    expect(responses.map(json)).toEqual([{ type: 5 }]);
    expect(lines).toMatchObject([{ event: 'interactions.answered', fields: { ageMs: 2000, arrivedAfterMs: 600 } }]);
    await clock.advance(20_000);
    goOn.resolve();
    await ended;
    expect(discord.requests).toMatchObject([
      {
        method: 'PATCH',
        path: '/api/v10/webhooks/900/interaction-token/messages/@original',
        body: { content: 'at last' },
      },
    ]);
    expect(runs).toHaveLength(1);
    expect(observed).toMatchObject([{ outcome: 'answered', deferred: true, way: 'http' }]);
    expect(clock.pendingTimers).toBe(0);
  });

  test('and came late is deferred at once', async () => {
    const { start, signed, command, clock, lines } = bench();
    const request = signed(command('slow'));
    await clock.advance(2500);
    const { responses, ended } = start(request);
    await clock.advance(0);
    expect(responses.map(json)).toEqual([{ type: 5 }]);
    expect(lines).toMatchObject([
      { event: 'interactions.answered_late', fields: { command: 'slow', way: 'http', arrivedAfterMs: 2500 } },
    ]);
    goOn.resolve();
    await ended;
  });

  test('and answers for one user is not shown to all: the public message goes first', async () => {
    const { start, signed, command, clock } = bench();
    const { ended } = start(signed(command('secret')));
    await clock.advance(2000);
    goOn.resolve();
    await ended;
    expect(discord.requests.map(({ method, body }) => [method, body])).toEqual([
      ['DELETE', undefined],
      ['POST', { content: 'for you', flags: 64 }],
    ]);
  });

  test('may be deferred for its user alone', async () => {
    const { start, signed, command, clock } = bench();
    const { responses, ended } = start(signed(command('hush')));
    await clock.advance(2000);
    goOn.resolve();
    await ended;
    expect(responses.map(json)).toEqual([{ type: 5, data: { flags: 64 } }]);
    expect(discord.requests).toMatchObject([{ method: 'PATCH', body: { content: 'quietly' } }]);
  });

  test('and does not want to be deferred is not', async () => {
    const { start, signed, command, clock } = bench();
    const { responses, ended } = start(signed(command('stubborn')));
    await clock.advance(2800);
    expect(responses).toEqual([]);
    goOn.resolve();
    await ended;
    expect(responses.map(json)).toMatchObject([{ type: 9, data: { custom_id: 'feedback:bugs' } }]);
  });

  test('and then shows a form apologizes, and the log says what to set', async () => {
    const { start, signed, command, clock, lines } = bench();
    const { ended } = start(signed(command('late-form')));
    await clock.advance(2000);
    goOn.resolve();
    await ended;
    expect(discord.requests).toMatchObject([{ method: 'DELETE' }, { method: 'POST', body: { flags: 64 } }]);
    const failure = lines.find(({ event }) => event === 'interactions.handler_failed');
    expect(failure?.fields['error']).toContain('autoDefer: false');
  });

  test('for a component leaves its message as it is, and updates it later', async () => {
    const { start, signed, command, clock } = bench();
    const vote = { type: 3, message: { id: '9' }, data: { custom_id: 'vote:slow', component_type: 2 } };
    const { responses, ended } = start(signed(command('', vote)));
    await clock.advance(2000);
    goOn.resolve();
    await ended;
    expect(responses.map(json)).toEqual([{ type: 6 }]);
    expect(discord.requests).toMatchObject([
      { method: 'PATCH', path: expect.stringContaining('@original') as string, body: { content: 'voted slow' } },
    ]);
  });

  test('over suggestions gets none shown, and its own are dropped', async () => {
    const { start, signed, command, clock } = bench();
    const option = { name: 'fruit', type: 3, value: 'slow', focused: true };
    const typing = { type: 4, data: { id: '1', name: 'pick', type: 1, options: [option] } };
    const { responses, ended } = start(signed(command('', typing)));
    await clock.advance(2000);
    goOn.resolve();
    await ended;
    expect(responses.map(json)).toEqual([{ type: 8, data: { choices: [] } }]);
    expect(discord.requests).toEqual([]);
  });

  test('after its answer does not keep the user waiting', async () => {
    const { start, signed, command, clock } = bench();
    const { responses, ended } = start(signed(command('busy')));
    await clock.settle();
    expect(responses.map(json)).toEqual([{ type: 4, data: { content: 'on it' } }]);
    goOn.resolve();
    await ended;
    expect(discord.requests).toMatchObject([{ method: 'POST', body: { content: 'done' } }]);
  });

  test('follows up again where Discord has not taken in the response yet', async () => {
    discord.refusals.push(
      { status: 404, body: { code: 10_015, message: 'Unknown Webhook' } },
      { status: 404, body: { code: 10_015, message: 'Unknown Webhook' } },
    );
    const { start, signed, command, clock, outcomes } = bench();
    const { ended } = start(signed(command('busy')));
    goOn.resolve();
    await vi.waitFor(() => expect(clock.pendingTimers).toBeGreaterThan(2), { timeout: 5000 });
    await clock.advance(150);
    await vi.waitFor(() => expect(discord.requests).toHaveLength(2), { timeout: 5000 });
    await vi.waitFor(() => expect(clock.pendingTimers).toBeGreaterThan(2), { timeout: 5000 });
    await clock.advance(150);
    await ended;
    expect(discord.requests).toHaveLength(3);
    expect(outcomes()).toEqual(['answered']);
  });

  test('and never ends is given up before the invocation is, with an apology', async () => {
    const { start, signed, command, clock, lines, outcomes } = bench();
    const { responses, ended } = start(signed(command('endless')), 15_000);
    await clock.advance(13_500);
    await ended;
    expect(responses.map(json)).toEqual([{ type: 5 }]);
    expect(outcomes()).toEqual(['failed']);
    expect(discord.requests).toMatchObject([
      { method: 'DELETE', path: expect.stringContaining('@original') as string },
      { method: 'POST', body: { flags: 64 } },
    ]);
    expect(lines.map(({ event }) => event)).toContain('interactions.handler_failed');
    expect(clock.pendingTimers).toBe(0);
  });
});

test('ids stay strings, and what Discord adds does no harm', async () => {
  const { send, signed, clock } = bench();
  const id = snowflakeAt(clock.wallClockMs());
  const sent = {
    ...commandInteraction('ping', clock.wallClockMs()),
    id,
    brand_new: { nested: [1] },
    member: undefined,
  };
  const alone = { ...sent, guild_id: undefined, user: { id: '18446744073709551615', username: 'x' } };
  expect(json(await send(signed(alone)))).toMatchObject({ data: { content: '3/64 18446744073709551615' } });
});

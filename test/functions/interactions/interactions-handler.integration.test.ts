import { randomUUID } from 'node:crypto';
import { ConditionalCheckFailedException } from '@aws-sdk/client-dynamodb';
import type { SQSRecord } from 'aws-lambda';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { InteractionClaims } from '../../../functions/interactions/interaction-claims.ts';
import {
  createInteractionsHandler,
  type QueuedInteractionsDeps,
} from '../../../functions/interactions/interactions-handler.ts';
import { defineCommand } from '../../../functions/kit/define-command.ts';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { systemClock } from '../../../shared/clock.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { asciiJson } from '../../../shared/envelope.ts';
import { provision } from '../../../shared/provision.ts';
import { systemRandom } from '../../../shared/random.ts';
import { type Emulator, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { sqsRecord } from '../events/events-fixture.ts';
import { ManualClock } from '../../manual-clock.ts';
import { type FakeDiscordRest, startFakeDiscordRest } from '../fake-discord-rest.ts';
import { commandInteraction, interactionsDeps, noShards, snowflakeAt } from './interactions-fixture.ts';

const fleet = readFleetConfig({});
const emulators: Emulator[] = [];
let discord: FakeDiscordRest;

beforeAll(async () => {
  emulators.push(await startDynalite(), await startFauxqs());
  await provision(fleet, {
    dynamodb: createDynamoDBClient('general', emulators[0]?.settings),
    sqs: createSqsClient('general', emulators[1]?.settings),
  });
  discord = await startFakeDiscordRest();
});
beforeEach(() => {
  discord.requests.length = 0;
  discord.refusals.length = 0;
});
afterAll(async () => {
  await discord[Symbol.asyncDispose]();
  for (const emulator of emulators) await emulator[Symbol.asyncDispose]();
});

const runs: string[] = [];
const patience = Promise.withResolvers<void>();
const commands = {
  patient: defineCommand({
    name: 'patient',
    description: 'Waits for the test',
    async run({ reply }) {
      await patience.promise;
      await reply('here it is');
    },
  }),
  ping: defineCommand({
    name: 'ping',
    description: 'Pings',
    run: ({ reply, shard, userId, guildId }) => reply(`${shard.id}/${shard.total} ${userId} ${guildId}`),
  }),
  count: defineCommand({
    name: 'count',
    description: 'Counts',
    async run({ interaction, reply }) {
      runs.push(interaction.id);
      await reply({ content: 'counted', ephemeral: true });
    },
  }),
  late: defineCommand({
    name: 'late',
    description: 'Runs at any time',
    runsWhenExpired: true,
    run: ({ interaction }) => void runs.push(interaction.id),
  }),
  slow: defineCommand({
    name: 'slow',
    description: 'Answers later',
    options: { text: { type: 'string', description: 'What to say', required: true } },
    async run({ defer, editReply, followUp, options }) {
      await defer({ ephemeral: true });
      await editReply(options.text);
      await followUp('and more');
    },
  }),
  broken: defineCommand({
    name: 'broken',
    description: 'Throws',
    run() {
      throw new Error('secret details');
    },
  }),
  deferredAndBroken: defineCommand({
    name: 'deferred-and-broken',
    description: 'Throws after a while',
    async run({ defer }) {
      await defer();
      throw new Error('secret details');
    },
  }),
  answeredAndBroken: defineCommand({
    name: 'answered-and-broken',
    description: 'Throws in the end',
    async run({ reply }) {
      await reply('done');
      throw new Error('secret details');
    },
  }),
};

const interaction = (name: string, overrides: object = {}) => commandInteraction(name, Date.now(), overrides);
const snowflake = (ageMs: number) => snowflakeAt(Date.now() - ageMs);

function message(body: { readonly id: string }): SQSRecord {
  const envelope = { v: 1, shard: [3, 64], epoch: 7, session: 's', seq: 5, at: Date.now(), interaction: body };
  return sqsRecord({ body: asciiJson(envelope) });
}

function bench(overrides: Partial<QueuedInteractionsDeps> = {}) {
  const clock = overrides.clock ?? systemClock;
  const { deps, lines, observed, outcomes } = interactionsDeps({
    discordApiUrl: discord.url,
    handlers: commands,
    clock,
  });
  const documents = createDynamoDBDocumentClient('general', emulators[0]?.settings);
  const handler = createInteractionsHandler({
    ...deps,
    claims: new InteractionClaims(documents, fleet.directoryTable, systemClock, systemRandom),
    shards: noShards,
    ...overrides,
  });
  const invoke = async (...records: SQSRecord[]) => {
    const answer = await handler({ Records: records }, { getRemainingTimeInMillis: () => 15_000 });
    return answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier);
  };
  return { invoke, lines, observed, outcomes };
}

test('a command answers over the callback route, with its shard at hand', async () => {
  const { invoke, outcomes } = bench();
  const sent = interaction('ping');
  expect(await invoke(message(sent))).toEqual([]);
  expect(discord.requests).toMatchObject([
    {
      method: 'POST',
      path: expect.stringContaining(`/api/v10/interactions/${sent.id}/interaction-token/callback`) as string,
      body: { type: 4, data: { content: '3/64 53908232506183680 41771983423143937' } },
    },
  ]);
  expect(outcomes()).toEqual(['answered']);
});

test('a command may defer, edit its answer and follow up', async () => {
  const { invoke } = bench();
  const data = { id: '1', name: 'slow', type: 1, options: [{ name: 'text', type: 3, value: 'späte Antwort' }] };
  expect(await invoke(message(interaction('slow', { data })))).toEqual([]);
  expect(discord.requests.map(({ method, path }) => `${method} ${path.replace(/\?.*|\/\d{10,}/g, '')}`)).toEqual([
    'POST /api/v10/interactions/interaction-token/callback',
    'PATCH /api/v10/webhooks/900/interaction-token/messages/@original',
    'POST /api/v10/webhooks/900/interaction-token',
  ]);
  expect(discord.requests.map(({ body }) => body)).toMatchObject([
    { type: 5, data: { flags: 64 } },
    { content: 'späte Antwort' },
    { content: 'and more' },
  ]);
});

test('an interaction that comes several times runs once, in one batch and in the next', async () => {
  runs.length = 0;
  const { invoke, outcomes } = bench();
  const sent = interaction('count');
  expect(await invoke(message(sent), message(sent), message(sent))).toEqual([]);
  expect(await invoke(message(sent))).toEqual([]);
  expect(runs).toEqual([sent.id]);
  expect(discord.requests).toHaveLength(1);
  expect(discord.requests).toMatchObject([{ body: { data: { flags: 64 } } }]);
  expect(outcomes().sort()).toEqual(['answered', 'duplicate', 'duplicate', 'duplicate']);
});

describe('an interaction older than three seconds', () => {
  test('is refused, and told of', async () => {
    runs.length = 0;
    const { invoke, outcomes, lines } = bench();
    const old = interaction('count', { id: snowflake(3100) });
    expect(await invoke(message(old), message(interaction('gone', { id: snowflake(3100) })))).toEqual([]);
    expect(runs).toEqual([]);
    expect(discord.requests).toEqual([]);
    expect(outcomes()).toEqual(['expired', 'expired']);
    expect(lines).toMatchObject([{ event: 'interactions.expired', fields: { interaction: old.id } }, {}]);
  });

  test('runs if its command wants that', async () => {
    runs.length = 0;
    const { invoke } = bench();
    const old = interaction('late', { id: snowflake(60_000) });
    await invoke(message(old));
    expect(runs).toEqual([old.id]);
  });
});

describe('a command that throws', () => {
  test.each([
    { name: 'broken', request: 0, path: '/callback', apology: { data: { flags: 64 } } },
    { name: 'deferred-and-broken', request: 2, path: '/interaction-token', apology: { flags: 64 } },
    { name: 'answered-and-broken', request: 1, path: '/interaction-token', apology: { flags: 64 } },
  ])('$name: the user gets a number, the log has it with the error', async ({ name, request, path, apology }) => {
    const { invoke, lines, outcomes } = bench();
    expect(await invoke(message(interaction(name)))).toEqual([]);
    expect(outcomes()).toEqual(['failed']);
    const failure = lines.find(({ event }) => event === 'interactions.handler_failed');
    expect(failure?.fields).toMatchObject({ command: name, error: 'secret details', shard: 3 });
    const sent = discord.requests[request];
    expect(sent?.path).toContain(path);
    expect(sent?.body).toMatchObject(apology);
    const text = JSON.stringify(sent?.body);
    expect(text).toContain(failure?.fields['reference']);
    expect(text).not.toContain('secret');
  });

  test('does no harm to others when even the apology fails', async () => {
    discord.refusals.push({ status: 404, body: { code: 10_062, message: 'Unknown interaction' } });
    const { invoke, lines } = bench();
    expect(await invoke(message(interaction('broken')))).toEqual([]);
    expect(lines.map(({ event }) => event)).toContain('interactions.apology_not_delivered');
  });
});

test.each([
  { what: 'an unknown command', sent: () => interaction('gone'), text: 'no command \\"gone\\"' },
  {
    what: 'a button',
    sent: () => interaction('', { type: 3, data: { custom_id: 'x', component_type: 2 } }),
    text: 'does not know',
  },
  {
    what: 'a user command',
    sent: () => interaction('ping', { data: { id: '1', name: 'ping', type: 2 } }),
    text: 'no command',
  },
])('$what is answered for the user alone', async ({ sent, text }) => {
  const { invoke, outcomes } = bench();
  expect(await invoke(message(sent()))).toEqual([]);
  expect(outcomes()).toEqual(['unknown']);
  expect(discord.requests).toMatchObject([{ body: { type: 4, data: { flags: 64 } } }]);
  expect(JSON.stringify(discord.requests[0]?.body)).toContain(text);
});

test('a command that answers nothing is told of', async () => {
  const { invoke, lines } = bench();
  await invoke(message(interaction('late')));
  expect(lines.map(({ event }) => event)).toEqual(['interactions.left_unanswered']);
});

test('a command that takes its time is deferred in time, and its reply takes the place', async () => {
  const clock = new ManualClock({ wallClockMs: Date.now() });
  const { invoke, observed } = bench({ clock });
  const batch = invoke(message(interaction('patient')));
  await vi.waitFor(() => expect(clock.nextTimerMs).toBeLessThan(2001), { timeout: 10_000 });
  await clock.advance(2000);
  await vi.waitFor(() => expect(discord.requests).toHaveLength(1), { timeout: 10_000 });
  patience.resolve();
  expect(await batch).toEqual([]);
  expect(discord.requests).toMatchObject([
    { path: expect.stringContaining('/callback') as string, body: { type: 5 } },
    { method: 'PATCH', body: { content: 'here it is' } },
  ]);
  expect(observed).toMatchObject([{ outcome: 'answered', deferred: true, way: 'gateway' }]);
});

test('a claim whose answer was lost is known again as our own', async () => {
  const documents = createDynamoDBDocumentClient('general', emulators[0]?.settings);
  const claims = new InteractionClaims(documents, fleet.directoryTable, systemClock, {
    ...systemRandom,
    uuid: () => 'we',
  });
  const others = new InteractionClaims(documents, fleet.directoryTable, systemClock, {
    ...systemRandom,
    uuid: () => 'they',
  });
  const refused = (claimant: string) =>
    Object.assign(new ConditionalCheckFailedException({ $metadata: {}, message: 'the conditional request failed' }), {
      Item: { claimant: { S: claimant } },
    });
  // As DynamoDB answers; the emulator leaves the item out.
  documents.middlewareStack.add(() => () => Promise.reject(refused('we')), { step: 'initialize' });
  expect(await claims.claim('1')).toBe(true);
  expect(await others.claim('1')).toBe(false);
});

describe('handed back are', () => {
  test('messages that are no interaction, and only they', async () => {
    const { invoke, lines } = bench();
    const bad = sqsRecord({ messageId: randomUUID(), body: '{"v":1}' });
    expect(await invoke(message(interaction('ping')), bad)).toEqual([bad.messageId]);
    expect(discord.requests).toHaveLength(1);
    const failed = lines.filter(({ event }) => event === 'interactions.message_failed');
    expect(failed).toMatchObject([{ fields: { messageId: bad.messageId } }]);
  });

  test('interactions that cannot be claimed: nobody knows whether they have run', async () => {
    runs.length = 0;
    const claims = { claim: () => Promise.reject(new Error('no table')) };
    const { invoke } = bench({ claims });
    const record = message(interaction('count'));
    expect(await invoke(record)).toEqual([record.messageId]);
    expect(runs).toEqual([]);
  });
});

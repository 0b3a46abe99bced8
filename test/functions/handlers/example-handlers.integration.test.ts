import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
import { createDynamoDBClient, createDynamoDBDocumentClient, createSqsClient } from '../../../shared/aws-clients.ts';
import { readFleetConfig } from '../../../shared/config.ts';
import { asciiJson } from '../../../shared/envelope.ts';
import { provision } from '../../../shared/provision.ts';
import { type Emulator, startDynalite, startFauxqs } from '../../shared/in-process-emulators.ts';
import { recordOf, sqsRecord } from '../events/events-fixture.ts';
import { type FakeDiscordRest, startFakeDiscordRest } from '../fake-discord-rest.ts';

/** The Lambda entries as deployed: everything they know comes from the environment. */
const fleet = readFleetConfig({ BATON_FLEET: 'examples' });
const emulators: Emulator[] = [];
let discord: FakeDiscordRest;

beforeAll(async () => {
  emulators.push(await startDynalite(), await startFauxqs());
  await provision(fleet, {
    dynamodb: createDynamoDBClient('general', emulators[0]?.settings),
    sqs: createSqsClient('general', emulators[1]?.settings),
  });
  discord = await startFakeDiscordRest();
  vi.stubEnv('BATON_FLEET', 'examples');
  vi.stubEnv('DISCORD_TOKEN', 'test-token');
  vi.stubEnv('DISCORD_API_URL', discord.url);
  vi.stubEnv('BATON_LOG_LEVEL', 'silent');
  vi.stubEnv('AWS_REGION', 'us-east-1');
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'local');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'local');
  vi.stubEnv('AWS_ENDPOINT_URL_DYNAMODB', emulators[0]?.settings.endpoint as string);
  vi.stubEnv('AWS_ENDPOINT_URL_SQS', emulators[1]?.settings.endpoint as string);
});
afterEach(() => {
  vi.restoreAllMocks();
  discord.requests.length = 0;
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await discord[Symbol.asyncDispose]();
  for (const emulator of emulators) await emulator[Symbol.asyncDispose]();
});

const context = { getRemainingTimeInMillis: () => 30_000 };
const guild = '41771983423143937';

function command(name: string, options: object[] = [], resolved: object = {}) {
  const id = String((BigInt(Date.now() - 1_420_070_400_000) << 22n) + BigInt(Math.floor(Math.random() * 4096)));
  const data = { id: '1', name, type: 1, options, resolved };
  const interaction = {
    id,
    application_id: '900',
    type: 2,
    token: 't',
    guild_id: guild,
    data,
    member: { user: { id: '5' } },
  };
  return sqsRecord({
    body: asciiJson({ v: 1, shard: [3, 64], epoch: 1, session: 's', seq: 1, at: Date.now(), interaction }),
  });
}

const memberAdd = (user: object) =>
  JSON.stringify({ t: 'GUILD_MEMBER_ADD', s: 1, op: 0, d: { guild_id: guild, user } });

test('/ping and /shard answer', async () => {
  const { handler } = await import('../../../functions/interactions/handler.ts');
  expect(await handler({ Records: [command('ping'), command('shard')] }, context)).toEqual({ batchItemFailures: [] });
  const answers = discord.requests.map(({ body }) => (body as { data: { content: string } }).data.content);
  expect(answers.sort()).toEqual([
    expect.stringMatching(/^Pong: \d+ ms/),
    'This server is on shard 3 of 64: unheld on no worker, 0 servers, 0 ms.',
  ]);
});

test('members are greeted where /greeting says so, bots are not', async () => {
  const { handler: interactions } = await import('../../../functions/interactions/handler.ts');
  const { handler: events } = await import('../../../functions/events/handler.ts');
  const joins = recordOf({
    events: [memberAdd({ id: '77' }), memberAdd({ id: '78', bot: true })],
    header: { after: 0, first: 1, last: 2 },
  });
  expect(await events({ Records: [joins] }, context)).toEqual({ batchItemFailures: [] });
  expect(discord.requests).toEqual([]);
  await interactions(
    {
      Records: [
        command('greeting', [{ name: 'channel', type: 7, value: '600' }], { channels: { 600: { id: '600' } } }),
      ],
    },
    context,
  );
  expect(await events({ Records: [{ ...joins, messageId: randomUUID() }] }, context)).toEqual({
    batchItemFailures: [],
  });
  expect(discord.requests.slice(1)).toMatchObject([
    { method: 'POST', path: '/api/v10/channels/600/messages', body: { content: 'Welcome, <@77>!' } },
  ]);
});

test('messages are counted per server, and written now and then', async () => {
  const { handler } = await import('../../../functions/events/handler.ts');
  const documents = createDynamoDBDocumentClient('general', emulators[0]?.settings);
  const stored = async (id: string) => {
    const Key = { pk: `APP#MESSAGES#${id}`, sk: 'COUNT' };
    return (await documents.send(new GetCommand({ TableName: fleet.directoryTable, Key }))).Item?.[
      'messages'
    ] as unknown;
  };
  const send = (...seqs: number[]) =>
    handler(
      { Records: [recordOf({ events: seqs.map((seq) => ({ seq, guild: seq % 2 === 0 ? '20' : '10' })) })] },
      context,
    );
  await send(1, 2, 3);
  expect(await stored('10')).toBeUndefined();
  const nowMs = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(nowMs + 10_000);
  await send(4, 5);
  expect([await stored('10'), await stored('20')]).toEqual([3, 2]);
});

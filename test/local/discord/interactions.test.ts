import { beforeEach, describe, expect, test } from 'vitest';
import { loadCorpus } from '../../../local/discord/corpus.ts';
import { type InteractionRecord, Interactions } from '../../../local/discord/interactions.ts';
import type { RestAnswer } from '../../../local/discord/rest-answers.ts';
import { World } from '../../../local/discord/world.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';

const corpus = loadCorpus();
let clock: ManualClock;
let world: World;
let interactions: Interactions;
let open: InteractionRecord;

beforeEach(() => {
  clock = new ManualClock();
  const random = seededRandom(3);
  world = new World({ shards: 1, guildsPerShard: 1, membersPerGuild: 2 }, corpus, clock, random);
  const options = { interactionDeadlineMs: 3000, interactionTokenMs: 900_000 };
  interactions = new Interactions({ options, world, clock, random });
  open = interactions.open({ type: 2, command: 'ping', guildId: '1', channelId: '2' });
});

const reply = { type: 4, data: { content: 'pong' } };
const answer = (body: unknown = reply, withResponse = false) =>
  interactions.callback(open.id, open.token, body, withResponse);
const code = ({ status, body }: RestAnswer) => [status, (body as { code?: number } | undefined)?.code];
const message = (method: string, id: string, body?: unknown) =>
  interactions.message(method, world.applicationId, open.token, id, body);
const followUp = (content: string) => interactions.followUp(world.applicationId, open.token, { content });

describe('the first answer', () => {
  test('is taken within three seconds', async () => {
    await clock.advance(3000);
    expect(answer()).toEqual({ status: 204 });
    expect(open).toMatchObject({ callbackAfterMs: 3000, answers: [{ kind: 'callback', type: 4, content: 'pong' }] });
    expect(interactions.totals).toMatchObject({ emitted: 1, answered: 1, late: 0 });
  });

  test('is refused later, for good', async () => {
    await clock.advance(3001);
    expect(code(answer())).toEqual([404, 10062]);
    expect(code(followUp('x'))).toEqual([404, 10015]);
    expect(interactions.totals).toMatchObject({ answered: 0, late: 1 });
  });

  test('is taken once', () => {
    answer();
    expect(code(answer())).toEqual([400, 40060]);
    expect(interactions.totals).toMatchObject({ answered: 1, acknowledgedTwice: 1 });
  });

  test('needs the right id and token', () => {
    expect(code(interactions.callback('1', open.token, reply, false))).toEqual([404, 10062]);
    expect(code(interactions.callback(open.id, 'x', reply, false))).toEqual([404, 10062]);
  });

  test.each([[{}], [{ type: 8 }], [{ type: 1 }], [{ type: 4, data: { content: 'x'.repeat(2001) } }]])(
    '%j is no answer to a command',
    (body) => expect(code(answer(body))).toEqual([400, 50035]),
  );

  test('tells about the message when asked', () => {
    expect(answer(reply, true)).toMatchObject({
      status: 200,
      body: { interaction: { id: open.id, type: 2 }, resource: { type: 4, message: { content: 'pong' } } },
    });
  });
});

describe('afterwards', () => {
  test('a deferred answer is edited into the message', () => {
    answer({ type: 5, data: { flags: 64 } });
    expect(message('GET', '@original').body).toMatchObject({ flags: 64 | 128, content: '' });
    expect(message('PATCH', '@original', { content: 'done' })).toMatchObject({
      status: 200,
      body: { content: 'done', flags: 64 },
    });
    expect(open.answers.map(({ kind }) => kind)).toEqual(['callback', 'editOriginal']);
  });

  test('the first follow-up to a deferral takes the place of the loading message', () => {
    answer({ type: 5 });
    const first = followUp('one').body as { id: string };
    expect(message('GET', '@original').body).toMatchObject({ id: first.id, content: 'one' });
    expect((followUp('two').body as { id: string }).id).not.toBe(first.id);
  });

  test('follow-ups are read, changed and deleted by id', () => {
    answer();
    const { id } = followUp('one').body as { id: string };
    expect(message('PATCH', id, { content: 'two' }).body).toMatchObject({ content: 'two' });
    expect(message('DELETE', id)).toEqual({ status: 204 });
    expect(code(message('GET', id))).toEqual([404, 10008]);
  });

  test('the token lives for fifteen minutes', async () => {
    answer();
    await clock.advance(900_000);
    expect(followUp('in time').status).toBe(200);
    await clock.advance(1);
    expect(code(followUp('late'))).toEqual([401, 50027]);
    expect(code(interactions.followUp('1', open.token, { content: 'x' }))).toEqual([401, 50027]);
  });
});

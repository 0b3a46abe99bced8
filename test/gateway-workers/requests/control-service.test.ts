import { describe, expect, test } from 'vitest';
import type { RequestRunner } from '../../../shared/control/request-runner.ts';
import {
  type FleetCommand,
  type Outcome,
  readWorkerReply,
  type RequestMessage,
} from '../../../shared/control/requests.ts';
import { BatonError } from '../../../shared/errors.ts';
import { AskedFleet, type AskedWorker } from '../../shared/control/asked-fleet.ts';

const online: FleetCommand = { op: 3, d: { since: null, activities: [], status: 'online', afk: false } };

async function served(runner?: RequestRunner): Promise<{ rig: AskedFleet; worker: AskedWorker } & AsyncDisposable> {
  const rig = await new AskedFleet(2).found();
  const worker = await rig.worker('alpha', [0, 1], runner && { runner });
  return { rig, worker, [Symbol.asyncDispose]: () => rig[Symbol.asyncDispose]() };
}

function message(rig: AskedFleet, body: RequestMessage['body'], fields: Partial<RequestMessage> = {}): RequestMessage {
  return {
    kind: 'request',
    v: 1,
    id: '0a1b2c3d-0000-4000-8000-000000000001',
    sending: 0,
    expiresAtMs: rig.clock.wallClockMs() + 5000,
    shards: ['2.0'],
    body,
    ...fields,
  };
}

/** Sends and gives what is answered, one list a reply. */
async function answersTo(rig: AskedFleet, request: RequestMessage, afterMs = 100): Promise<readonly Outcome[][]> {
  await rig.control.send('memory:alpha', request);
  await rig.clock.advance(afterMs);
  const replies = await rig.replies.receive(request.id);
  return replies.map(({ body }) => readWorkerReply(body)?.outcomes ?? []);
}

describe('a request', () => {
  test('of an unknown kind or version is answered, not dropped', async () => {
    await using served_ = await served();
    const { rig } = served_;
    expect(await answersTo(rig, message(rig, { kind: 'explode' }, { shards: ['2.0', '2.1'] }))).toEqual([
      [
        { shard: '2.0', ok: false, code: 'unsupported', reason: 'this worker knows no request "explode"' },
        { shard: '2.1', ok: false, code: 'unsupported', reason: 'this worker knows no request "explode"' },
      ],
    ]);
    const newer = message(rig, { kind: 'ping' }, { v: 2, sending: 1, id: '0a1b2c3d-0000-4000-8000-000000000002' });
    expect(await answersTo(rig, newer)).toMatchObject([[{ ok: false, code: 'unsupported' }]]);
    const { shards: _, ...toWorker } = message(
      rig,
      { kind: 'respawn', fresh: false },
      { id: '0a1b2c3d-0000-4000-8000-000000000003' },
    );
    expect(await answersTo(rig, toWorker)).toMatchObject([[{ ok: false, code: 'unsupported' }]]);
  });

  test('of a wrong form is answered with what is wrong', async () => {
    await using served_ = await served();
    const { rig } = served_;
    expect(await answersTo(rig, message(rig, { kind: 'respawn', fresh: 'yes' }))).toMatchObject([
      [{ ok: false, code: 'invalid', reason: expect.stringMatching(/^respawn: fresh: /) }],
    ]);
  });

  test('that comes after its deadline is not carried out', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    const late = message(rig, { kind: 'respawn', fresh: true }, { expiresAtMs: rig.clock.wallClockMs() - 60_000 });
    expect(await answersTo(rig, late)).toMatchObject([[{ shard: '2.0', ok: false, code: 'expired' }]]);
    expect(worker.shard('2.0').respawns).toEqual([]);
  });

  test('that the queue delivers twice is carried out once', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    const request = message(rig, { kind: 'command', command: online });
    await rig.control.send('memory:alpha', request);
    expect(await answersTo(rig, request)).toEqual([[{ shard: '2.0', ok: true, value: { state: 'sent' } }]]);
    await answersTo(rig, { ...request, sending: 1 });
    expect(worker.shard('2.0').sent).toEqual([online, online]);
  });

  test('for a shard of another worker is answered with "not mine"', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    worker.held.delete('2.1');
    const request = message(rig, { kind: 'ping' }, { shards: ['2.0', '2.1'] });
    expect(await answersTo(rig, request)).toMatchObject([
      [
        { shard: '2.0', ok: true },
        { shard: '2.1', ok: false, code: 'not-mine' },
      ],
    ]);
  });
});

describe('a gateway command', () => {
  test('that the send limits hold back is answered as waiting', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    worker.shard('2.0').onSend = () => rig.clock.sleep(20_000);
    expect(await answersTo(rig, message(rig, { kind: 'command', command: online }), 600)).toEqual([
      [{ shard: '2.0', ok: true, value: { state: 'waiting' } }],
    ]);
    await rig.clock.advance(20_000);
  });

  test('that is given up because the shard moved on is for its next owner', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    worker.shard('2.0').onSend = async () => {
      worker.held.delete('2.0');
      throw new BatonError('SHARD_STOPPED', 'shard 2.0 is not connected');
    };
    expect(await answersTo(rig, message(rig, { kind: 'command', command: online }))).toMatchObject([
      [{ shard: '2.0', ok: false, code: 'not-mine' }],
    ]);
  });

  test('that is refused fails with the reason', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    worker.shard('2.0').onSend = async () => {
      throw new BatonError('COMMAND_REFUSED', 'op 3: 1000 commands of this shard wait already, send fewer');
    };
    expect(await answersTo(rig, message(rig, { kind: 'command', command: online }))).toMatchObject([
      [{ ok: false, code: 'failed', reason: expect.stringContaining('send fewer') }],
    ]);
  });
});

describe('code, properties and queries', () => {
  test('are off without a runner, and eval alone without a sandbox', async () => {
    await using none = await served();
    const off = [[{ shard: '2.0', ok: false, code: 'off', reason: expect.any(String) }]];
    expect(await answersTo(none.rig, message(none.rig, { kind: 'eval', code: '1' }))).toEqual(off);
    await using some = await served({ fetch: async (path) => path, query: async () => 1 });
    const { rig } = some;
    expect(await answersTo(rig, message(rig, { kind: 'eval', code: '1' }))).toEqual(off);
    const fetched = message(rig, { kind: 'fetch', path: 'ws.ping' }, { id: '0a1b2c3d-0000-4000-8000-000000000002' });
    expect(await answersTo(rig, fetched)).toEqual([[{ shard: '2.0', ok: true, value: 'ws.ping' }]]);
  });

  test('get a view of their shard', async () => {
    const views: unknown[] = [];
    await using served_ = await served({
      fetch: async (_, view) => views.push({ ...view, guilds: [...view.guilds] }),
      query: async () => null,
    });
    await answersTo(served_.rig, message(served_.rig, { kind: 'fetch', path: 'x' }, { shards: ['2.1'] }));
    expect(views).toMatchObject([
      { shard: { shardId: 1, shardCount: 2 }, workerId: 'alpha', userId: '1', guilds: [['10', 5]], memoryMb: 181 },
    ]);
  });

  test.each<[string, () => unknown, object]>([
    ['throws', () => Promise.reject(new Error('no such guild')), { code: 'failed', reason: 'no such guild' }],
    ['is refused', () => Promise.reject(new BatonError('REQUEST_INVALID', 'bad path')), { code: 'invalid' }],
    ['is no JSON', () => 1n, { code: 'failed', reason: expect.stringContaining('no JSON') }],
    ['is a circle', () => Object.assign([] as unknown[], { 0: globalThis }), { code: 'failed' }],
    ['is too large', () => 'x'.repeat(1_100_000), { code: 'too-large' }],
  ])('whose result %s tell why', async (_, run, expected) => {
    await using served_ = await served({ fetch: async () => run(), query: async () => null });
    const { rig } = served_;
    expect(await answersTo(rig, message(rig, { kind: 'fetch', path: 'x' }))).toMatchObject([
      [{ shard: '2.0', ok: false, ...expected }],
    ]);
  });

  test('without a result have null, and one that never ends is given up before the caller is', async () => {
    await using served_ = await served({
      fetch: async () => undefined,
      query: () => new Promise<never>(() => {}),
    });
    const { rig } = served_;
    expect(await answersTo(rig, message(rig, { kind: 'fetch', path: 'x' }))).toEqual([
      [{ shard: '2.0', ok: true, value: null }],
    ]);
    const hanging = message(
      rig,
      { kind: 'query', name: 'x', args: null },
      { id: '0a1b2c3d-0000-4000-8000-000000000002' },
    );
    expect(await answersTo(rig, hanging, 4900)).toMatchObject([[{ ok: false, code: 'timed-out' }]]);
  });
});

test('a worker that is told to drain answers first', async () => {
  await using served_ = await served();
  const { rig, worker } = served_;
  const { shards: _, ...drain } = message(rig, { kind: 'drain' });
  expect(await answersTo(rig, drain)).toEqual([[{ ok: true, value: { shards: 2 } }]]);
  expect(worker.drains).toBe(1);
});

describe('the tap', () => {
  const frame = Buffer.from('{"t":"MESSAGE_CREATE","s":5,"op":0,"d":{"id":"7","guild_id":"41"}}');
  const tail = { kind: 'tail', tail: '0a1b2c3d-0000-4000-8000-0000000000aa', types: [], guilds: [] } as const;

  test('keeps to the rate and counts what it leaves out; only asked-for guilds count', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    const tap = worker.service?.tap;
    const wide = { ...tail, types: [], guilds: [], perSecond: 8, forMs: 1000 };
    const narrow = { ...wide, tail: '0a1b2c3d-0000-4000-8000-0000000000bb', guilds: ['99'] };
    expect([tap?.open(wide), tap?.open(narrow)]).toEqual([true, true]);
    for (let seq = 1; seq <= 5; seq += 1) tap?.see(0, frame, seq, 'MESSAGE_CREATE');
    await rig.clock.advance(300);
    expect((await rig.replies.receive(wide.tail)).map(({ body }) => body)).toMatchObject([
      { events: [{ seq: 1 }, { seq: 2 }], skipped: 3 },
    ]);
    expect(await rig.replies.receive(narrow.tail)).toEqual([]);
  });

  test('closes by itself, and does not serve everybody', async () => {
    await using served_ = await served();
    const { rig, worker } = served_;
    const tap = worker.service?.tap;
    const opened = Array.from({ length: 9 }, (_, index) =>
      tap?.open({
        ...tail,
        types: [],
        guilds: [],
        tail: `0a1b2c3d-0000-4000-8000-00000000000${index}`,
        perSecond: 1,
        forMs: 1000,
      }),
    );
    expect(opened).toEqual([...Array.from({ length: 8 }, () => true), false]);
    await rig.clock.advance(2000);
    expect(tap?.isOpen).toBe(false);
  });
});

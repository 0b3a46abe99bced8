import { describe, expect, test } from 'vitest';
import type { FleetCommand, RequestMessage, ShardRequest } from '../../../shared/control/requests.ts';
import { BatonError } from '../../../shared/errors.ts';
import { AskedFleet } from './asked-fleet.ts';

const ping = { kind: 'ping' } as const;
const online: FleetCommand = { op: 3, d: { since: null, activities: [], status: 'online', afk: false } };
const command: ShardRequest & { kind: 'command' } = { kind: 'command', command: online };

async function fleetOf(shardCount: number): Promise<AskedFleet> {
  return new AskedFleet(shardCount).found();
}

describe('requests to shards', () => {
  test('are answered by the workers that hold them, in order of the shards', async () => {
    await using rig = await fleetOf(4);
    await rig.worker('alpha', [0, 3]);
    await rig.worker('beta', [1, 2]);
    expect(await rig.settled(rig.fleet.askShards('all', ping))).toEqual({
      results: [
        { shard: 0, worker: 'alpha', value: { release: 'r1' } },
        { shard: 1, worker: 'beta', value: { release: 'r1' } },
        { shard: 2, worker: 'beta', value: { release: 'r1' } },
        { shard: 3, worker: 'alpha', value: { release: 'r1' } },
      ],
      missing: [],
    });
    const { results } = await rig.settled(rig.fleet.askShards([2, 1, 2], ping));
    expect(results.map(({ shard }) => shard)).toEqual([1, 2]);
  });

  test('of a worker that says nothing are missing when the deadline is over, the others are there', async () => {
    await using rig = await fleetOf(3);
    await rig.worker('alpha', [0]);
    (await rig.worker('beta', [1, 2])).isSilent = true;
    const startedMs = rig.clock.monotonicMs();
    const answer = await rig.settled(rig.fleet.askShards('all', ping, { withinMs: 2000 }));
    expect(rig.clock.monotonicMs() - startedMs).toBeLessThan(2100);
    expect(answer.results.map(({ shard }) => shard)).toEqual([0]);
    const reason = 'no answer from beta within 2000 ms';
    expect(answer.missing).toEqual([
      { shard: 1, worker: 'beta', code: 'no-answer', reason },
      { shard: 2, worker: 'beta', code: 'no-answer', reason },
    ]);
  });

  test('of a shard that changes hands are answered by its new owner', async () => {
    await using rig = await fleetOf(1);
    const alpha = await rig.worker('alpha', [0]);
    const beta = await rig.worker('beta', []);
    // The lease still says alpha, which has let go of the shard already.
    alpha.held.clear();
    const asking = rig.fleet.askShards([0], command);
    await rig.clock.advance(1000);
    await rig.give(0, 'beta');
    beta.hold('1.0');
    const { results, missing } = await rig.settled(asking);
    expect(missing).toEqual([]);
    expect(results).toEqual([{ shard: 0, worker: 'beta', value: { state: 'sent' } }]);
    expect(beta.shard('1.0').sent).toEqual([online]);
  });

  test('a shard that is being released is not asked, though its worker still has it', async () => {
    await using rig = await fleetOf(1);
    const alpha = await rig.worker('alpha', [0]);
    alpha.shard('1.0').isFrozen = true;
    const { missing } = await rig.settled(rig.fleet.askShards([0], command, { withinMs: 1000 }));
    expect(missing).toMatchObject([{ shard: 0, worker: 'alpha', code: 'moving' }]);
    expect(alpha.shard('1.0').sent).toEqual([]);
  });

  test('a question is repeated at the new owner of a dead worker, a command is not', async () => {
    await using rig = await fleetOf(1);
    (await rig.worker('alpha', [0])).isSilent = true;
    const beta = await rig.worker('beta', []);
    const asking = rig.fleet.askShards([0], ping);
    const telling = rig.fleet.askShards([0], command);
    await rig.clock.advance(1500);
    await rig.give(0, 'beta');
    beta.hold('1.0');
    expect((await rig.settled(asking)).results).toMatchObject([{ shard: 0, worker: 'beta' }]);
    expect((await rig.settled(telling)).missing).toMatchObject([{ shard: 0, worker: 'alpha', code: 'no-answer' }]);
    expect(beta.shard('1.0').sent).toEqual([]);
  });

  test('of a shard that nobody holds, or whose queue is gone, say so', async () => {
    await using rig = await fleetOf(2);
    await rig.worker('alpha', [0]);
    await rig.control.close('memory:alpha');
    const { missing } = await rig.settled(rig.fleet.askShards('all', ping, { withinMs: 1000 }));
    expect(missing).toMatchObject([
      { shard: 0, worker: 'alpha', code: 'unreachable', reason: expect.stringContaining('memory:alpha') },
      { shard: 1, code: 'unheld', reason: 'no worker holds it' },
    ]);
  });

  test('end when the caller has had enough', async () => {
    await using rig = await fleetOf(1);
    (await rig.worker('alpha', [0])).isSilent = true;
    const stop = new AbortController();
    const asking = rig.fleet.askShards([0], ping, { signal: stop.signal });
    await rig.clock.advance(100);
    stop.abort();
    expect((await asking).missing).toHaveLength(1);
  });

  test.each([
    [[4], 'there is no shard 4: the fleet has 0 to 3'],
    [[-1], 'there is no shard -1: the fleet has 0 to 3'],
    [[0, 1.5], 'there is no shard 1.5: the fleet has 0 to 3'],
  ])('to %j are refused, and nobody is asked', async (shards, message) => {
    await using rig = await fleetOf(4);
    const alpha = await rig.worker('alpha', [0, 1, 2, 3]);
    await expect(rig.fleet.askShards(shards, ping)).rejects.toMatchObject({ code: 'REQUEST_INVALID', message });
    await rig.clock.advance(1000);
    expect(alpha.read).toEqual([]);
  });

  test.each<[string, object, RegExp]>([
    ['an unknown kind', { kind: 'explode' }, /^explode: kind: /],
    ['a wrong field', { kind: 'command', command: { op: 8, d: { guild_id: 'x', limit: 0, query: '' } } }, /guild_id/],
    ['too much', { kind: 'eval', code: 'x'.repeat(300_000) }, /has 3000\d\d bytes, at most 262144 are sent/],
  ])('with %s are refused before they are sent', async (_, request, message) => {
    await using rig = await fleetOf(1);
    await rig.worker('alpha', [0]);
    const asking = rig.fleet.askShards('all', request as ShardRequest);
    await expect(asking).rejects.toMatchObject({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) });
  });

  test('before the fleet has ever been started fail with one line', async () => {
    const rig = new AskedFleet(1);
    await expect(rig.fleet.askShards('all', ping)).rejects.toMatchObject({ code: 'REQUEST_FAILED' });
  });

  test('leave no replies and no timers behind', async () => {
    await using rig = await fleetOf(2);
    const alpha = await rig.worker('alpha', [0, 1]);
    await rig.settled(rig.fleet.askShards('all', ping));
    const [{ id }] = alpha.read as [RequestMessage];
    await rig.fleet.tidied();
    expect(await rig.replies.receive(id)).toEqual([]);
    alpha.stop.abort();
    await alpha.running;
    expect(rig.clock.pendingTimers).toBe(0);
  });
});

describe('a gateway command to one shard', () => {
  test('resolves with what became of it, and throws when there is no answer', async () => {
    await using rig = await fleetOf(2);
    await rig.worker('alpha', [0]);
    expect(await rig.settled(rig.fleet.command(0, online))).toEqual({ state: 'sent' });
    const unheld = rig.settled(rig.fleet.command(1, online, { withinMs: 500 }));
    await expect(unheld).rejects.toMatchObject({ code: 'REQUEST_FAILED', message: 'shard 1: no worker holds it' });
  });
});

describe('requests to workers', () => {
  test('reach all, or those that are named, by name or incarnation', async () => {
    await using rig = await fleetOf(2);
    await rig.worker('alpha', [0]);
    const beta = await rig.worker('beta', [1]);
    const everybody = await rig.settled(rig.fleet.askWorkers('all', { kind: 'figures' }));
    expect(everybody.results.map(({ worker, value }) => [worker, value.workerId])).toEqual([
      ['alpha', 'alpha'],
      ['beta', 'beta'],
    ]);
    const drained = await rig.settled(rig.fleet.askWorkers(['beta'], { kind: 'drain' }));
    expect(drained.results).toMatchObject([{ worker: 'beta', incarnation: 'beta', value: { shards: 2 } }]);
    expect(beta.drains).toBe(1);
  });

  test('that say nothing are missing; an unknown one is refused with those there are', async () => {
    await using rig = await fleetOf(2);
    await rig.worker('alpha', [0]);
    (await rig.worker('beta', [1])).isSilent = true;
    const answer = await rig.settled(rig.fleet.askWorkers('all', ping, { withinMs: 500 }));
    expect(answer.results.map(({ worker }) => worker)).toEqual(['alpha']);
    expect(answer.missing).toMatchObject([{ worker: 'beta', code: 'no-answer' }]);
    await expect(rig.fleet.askWorkers(['gamma'], ping)).rejects.toThrow(
      new BatonError('REQUEST_INVALID', 'there is no worker "gamma": there are alpha, beta'),
    );
  });
});

describe('a tail', () => {
  test('gives what the workers see, and costs nothing once its caller is gone', async () => {
    await using rig = await fleetOf(1);
    const alpha = await rig.worker('alpha', [0]);
    const stop = new AbortController();
    const batches = rig.fleet.tail({ types: ['MESSAGE_CREATE'], signal: stop.signal });
    const first = batches.next();
    await rig.clock.advance(300);
    const tap = alpha.service?.tap;
    expect(tap?.isOpen).toBe(true);
    const frame = Buffer.from('{"t":"MESSAGE_CREATE","s":5,"op":0,"d":{"id":"7","guild_id":"41"}}');
    tap?.see(0, frame, 5, 'MESSAGE_CREATE');
    tap?.see(0, frame, 6, 'TYPING_START');
    expect(await rig.settled(first)).toMatchObject({
      value: {
        workerId: 'alpha',
        events: [{ shard: 0, seq: 5, type: 'MESSAGE_CREATE', guildId: '41', id: '7', bytes: frame.length }],
        skipped: 0,
      },
    });
    // It asks again long before its time is over.
    const second = batches.next();
    await rig.clock.advance(25_000);
    expect(tap?.isOpen).toBe(true);
    stop.abort();
    await rig.settled(second);
    await rig.clock.advance(11_000);
    expect(tap?.isOpen).toBe(false);
  });

  test('of a fleet whose workers say nothing ends with the reason', async () => {
    await using rig = await fleetOf(1);
    (await rig.worker('alpha', [0])).isSilent = true;
    const batches = rig.fleet.tail({ signal: new AbortController().signal });
    await expect(rig.settled(batches.next())).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'no answer from alpha within 2000 ms',
    });
    const flawed = rig.fleet.tail({ types: ['message'], signal: new AbortController().signal });
    await expect(flawed.next()).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

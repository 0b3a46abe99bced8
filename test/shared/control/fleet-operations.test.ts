import { describe, expect, test } from 'vitest';
import type { WorkerRecord } from '../../../shared/coordination/model.ts';
import { AskedFleet } from './asked-fleet.ts';

const shard = { shardId: 0, shardCount: 4 };

async function fleetWith(beta: Partial<WorkerRecord> = {}): Promise<AskedFleet> {
  const rig = await new AskedFleet(4).found();
  await rig.worker('alpha', [0, 1, 2]);
  await rig.worker('beta', [3], beta);
  return rig;
}

const leaseOf = async (rig: AskedFleet) => (await rig.store.readLeases([shard]))[0];

describe('migrate', () => {
  test('makes the wish and ends when the target has the shard', async () => {
    await using rig = await fleetWith();
    const lines: string[] = [];
    const migrating = rig.operations.migrate(0, 'beta', { onProgress: (line) => lines.push(line) });
    await rig.clock.advance(200);
    expect(await leaseOf(rig)).toMatchObject({ owner: 'alpha', want: 'beta' });
    await rig.store.release(shard, {
      owner: 'alpha',
      epoch: 1,
      to: 'beta',
      checkpoint: { acknowledgedSeq: 0, publishedSeq: 0 },
    });
    expect(await rig.settled(migrating)).toMatchObject({ shard: 0, from: 'alpha', to: 'beta', moved: true, epoch: 2 });
    expect(lines).toHaveLength(2);
  });

  test('to where it is already changes nothing', async () => {
    await using rig = await fleetWith();
    expect(await rig.operations.migrate(3, 'beta')).toMatchObject({ from: 'beta', to: 'beta', moved: false, epoch: 1 });
  });

  test.each<[string, Partial<WorkerRecord>, RegExp]>([
    ['full', { maxShards: 1 }, /^beta is full: it has 1 of 1 shards$/],
    ['draining', { draining: true }, /^beta is draining and takes no shards$/],
    ['on a list of its own', { assignable: false }, /^beta runs a list of its own/],
  ])('to a worker that is %s is refused, and nothing changes', async (_, beta, message) => {
    await using rig = await fleetWith(beta);
    await expect(rig.operations.migrate(0, 'beta')).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringMatching(message),
    });
    expect((await leaseOf(rig))?.want).toBeUndefined();
  });

  test('to a dead or unknown worker, and of a shard that is none or on its way, is refused', async () => {
    await using rig = await fleetWith();
    const [item] = await rig.store.readCheckpoints([{ incarnation: 'beta', chunk: 0 }]);
    await rig.store.fence({ incarnation: 'beta', chunk: 0, seenVersion: item?.version ?? 0, by: 'alpha' });
    const refused = (message: RegExp) => ({ code: 'REQUEST_INVALID', message: expect.stringMatching(message) });
    await expect(rig.operations.migrate(0, 'beta')).rejects.toMatchObject(refused(/^beta was found dead/));
    await expect(rig.operations.migrate(0, 'gamma')).rejects.toMatchObject(
      refused(/^there is no worker "gamma": there are alpha, beta$/),
    );
    await expect(rig.operations.migrate(4, 'beta')).rejects.toMatchObject(
      refused(/^there is no shard 4: the fleet has 0 to 3$/),
    );
    await rig.worker('gamma', []);
    await rig.store.setWant(shard, { owner: 'alpha', epoch: 1, want: 'beta' });
    await expect(rig.operations.migrate(0, 'gamma')).rejects.toMatchObject(refused(/on its way to beta already$/));
  });

  test('that the target does not take fails, and takes the wish back', async () => {
    await using rig = await fleetWith();
    const failing = rig.settled(rig.operations.migrate(0, 'beta', { withinMs: 2000 }));
    await expect(failing).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'shard 0 was not moved: time was up, and it stays where it was',
    });
    expect(await leaseOf(rig)).toMatchObject({ owner: 'alpha' });
    expect((await leaseOf(rig))?.want).toBeUndefined();
  });

  test('that the owner gives up is told at once', async () => {
    await using rig = await fleetWith();
    const migrating = rig.operations.migrate(0, 'beta');
    migrating.catch(() => {});
    await rig.clock.advance(200);
    await rig.store.setWant(shard, { owner: 'alpha', epoch: 1, unwanted: 'beta' });
    await expect(rig.settled(migrating, 500)).rejects.toMatchObject({
      message: 'shard 0 was not moved: beta did not take it in time, and it stays where it was',
    });
  });
});

describe('drain', () => {
  test('asks the worker and ends when it has left', async () => {
    await using rig = await fleetWith();
    const beta = rig.workers.get('beta');
    const lines: string[] = [];
    const draining = rig.operations.drain('beta', { onProgress: (line) => lines.push(line) });
    await rig.clock.advance(500);
    expect(beta?.drains).toBe(1);
    await rig.give(3, 'alpha');
    const [item] = await rig.store.readCheckpoints([{ incarnation: 'beta', chunk: 0 }]);
    await rig.store.fence({ incarnation: 'beta', chunk: 0, seenVersion: item?.version ?? 0, by: 'beta' });
    await rig.store.removeWorker('beta');
    expect(await rig.settled(draining)).toMatchObject({ worker: 'beta', shards: 1, unheld: 0 });
    expect(lines).toEqual(['beta: 0 of 1 shards handed over', 'beta: 1 of 1 shards handed over']);
  });

  test('is refused where the others have no room, and nobody is asked', async () => {
    await using rig = await fleetWith({ maxShards: 2 });
    await expect(rig.operations.drain('alpha')).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: 'alpha holds 3 shards and the other workers have room for 1: start one first',
    });
    expect(rig.workers.get('alpha')?.drains).toBe(0);
  });

  test('of a worker that gives no answer fails in time', async () => {
    await using rig = await fleetWith();
    (rig.workers.get('beta') as { isSilent: boolean }).isSilent = true;
    await expect(rig.settled(rig.operations.drain('beta'))).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'beta was not drained: no answer from beta within 10000 ms',
    });
  });

  test('that takes too long fails and says how far it came', async () => {
    await using rig = await fleetWith();
    await expect(rig.settled(rig.operations.drain('beta', { withinMs: 3000 }))).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'beta is still draining after 3 s, with 1 shards: it goes on',
    });
  });
});

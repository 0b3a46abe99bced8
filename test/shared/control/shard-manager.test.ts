import { describe, expect, test } from 'vitest';
import * as z from 'zod';
import { defineQuery } from '../../../shared/control/define-query.ts';
import { type ShardFleet, ShardManager, type ShardSpawner, valuesOf } from '../../../shared/control/shard-manager.ts';
import { BatonError } from '../../../shared/errors.ts';
import { ManualClock } from '../../manual-clock.ts';
import { FakeFleet } from './fake-fleet.ts';

function connected(count = 3) {
  const fleet = new FakeFleet(count);
  const clock = new ManualClock();
  let closed = 0;
  const manager = new ShardManager({ clock, fleet, close: () => (closed += 1) });
  return { fleet, clock, manager, closed: () => closed };
}

class FakeSpawner implements ShardSpawner {
  readonly failed: Promise<never>;
  readonly fail: (error: unknown) => void;
  readonly fleet: ShardFleet;
  stops = 0;

  constructor(fleet: ShardFleet) {
    this.fleet = fleet;
    const { promise, reject } = Promise.withResolvers<never>();
    promise.catch(() => {});
    this.failed = promise;
    this.fail = reject;
  }

  async start() {
    return { fleet: this.fleet };
  }

  downReason(worker: string): string | undefined {
    return worker === 'worker-1' ? 'worker-1 ended SIGKILL; it stays down (respawn is false)' : undefined;
  }

  lastTrouble(): string {
    return 'worker-1: discord.unreachable';
  }

  async stop(): Promise<void> {
    this.stops += 1;
  }
}

describe('before and after its time', () => {
  test('every call but spawnShards wants the shards spawned', async () => {
    const manager = new ShardManager({ clock: new ManualClock(), spawner: new FakeSpawner(new FakeFleet(1)) });
    const calls: [string, () => Promise<unknown>][] = [
      ['getShardInfo', () => manager.getShardInfo()],
      ['broadcastEval', () => manager.broadcastEval('1')],
      ['fetchClientValues', () => manager.fetchClientValues('uptime')],
      ['respawnShard', () => manager.respawnShard(0)],
      ['getShardStats', () => manager.getShardStats()],
      ['query', () => manager.query('any')],
    ];
    for (const [name, call] of calls) {
      await expect(call()).rejects.toMatchObject({
        code: 'REQUEST_INVALID',
        message: `${name}: no shards have been spawned yet; call spawnShards first`,
      });
    }
    await manager.spawnShards();
    await expect(manager.spawnShards()).rejects.toThrow('the shards have been spawned already');
    await manager.stop();
    await expect(manager.getShardInfo()).rejects.toThrow('getShardInfo: this manager was stopped; create another');
    await expect(manager.spawnShards()).rejects.toThrow('spawnShards: this manager was stopped; create another');
  });

  test('stop is for everything that was started, once', async () => {
    const spawner = new FakeSpawner(new FakeFleet(1));
    const manager = new ShardManager({ clock: new ManualClock(), spawner });
    await manager.stop();
    await manager.stop();
    expect(spawner.stops).toBe(1);
    const { manager: other, closed } = connected();
    await other.stop();
    expect(closed()).toBe(1);
  });
});

describe('spawnShards', () => {
  test('waits until every shard is ready', async () => {
    const { fleet, clock, manager } = connected();
    fleet.unready.add(1);
    let info: unknown;
    const spawning = manager.spawnShards().then((shards) => (info = shards));
    await clock.advance(5000);
    expect(info).toBeUndefined();
    fleet.unready.clear();
    await clock.advance(1000);
    await spawning;
    expect(info).toMatchObject([{ shardId: 0 }, { shardId: 1 }, { shardId: 2 }]);
  });

  test('names the shards that are not ready in time', async () => {
    const { fleet, clock, manager } = connected();
    fleet.unready.add(1).add(2);
    const spawning = expect(manager.spawnShards({ timeoutMs: 1000 })).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: expect.stringMatching(/^shards 1, 2 are not ready \(identifying\) after \d+ ms$/) as string,
    });
    await clock.advance(2000);
    await spawning;
  });

  test('tells what a worker of its own last complained about', async () => {
    const fleet = new FakeFleet(1);
    fleet.unready.add(0);
    const clock = new ManualClock();
    const manager = new ShardManager({ clock, spawner: new FakeSpawner(fleet) });
    const spawning = expect(manager.spawnShards({ timeoutMs: 1000 })).rejects.toThrow(
      /^shards 0 are not ready \(identifying\) after \d+ ms \(worker-1: discord\.unreachable\)$/,
    );
    await clock.advance(2000);
    await spawning;
  });

  test('ends with what ends the fleet', async () => {
    const fleet = new FakeFleet(1);
    fleet.unready.add(0);
    const spawner = new FakeSpawner(fleet);
    const clock = new ManualClock();
    const manager = new ShardManager({ clock, spawner });
    const spawning = expect(manager.spawnShards()).rejects.toThrow('the emulator died');
    await clock.advance(500);
    spawner.fail(new BatonError('EMULATOR_FAILED', 'the emulator died'));
    await spawning;
    await manager.stop();
    await clock.advance(500);
  });
});

describe('answers', () => {
  test('are partial when they have to be', async () => {
    const { fleet, manager } = connected();
    fleet.silent.set(1, 'no answer from worker-1 within 5000 ms');
    const answer = await manager.fetchClientValues('shard.ids.0');
    expect(answer.results.map(({ shard, value }) => [shard, value])).toEqual([
      [0, 0],
      [2, 2],
    ]);
    expect(answer.missing).toEqual([
      { shard: 1, worker: 'worker-1', code: 'no-answer', reason: 'no answer from worker-1 within 5000 ms' },
    ]);
    expect(() => valuesOf(answer)).toThrow('shard 1: no answer from worker-1 within 5000 ms');
    expect(valuesOf(await manager.fetchClientValues('shard.ids.0', { shards: [2, 0] }))).toEqual([0, 2]);
  });

  test('say why a worker is down where that is known', async () => {
    const fleet = new FakeFleet(1);
    const manager = new ShardManager({ clock: new ManualClock(), spawner: new FakeSpawner(fleet) });
    await manager.spawnShards();
    fleet.silent.set(0, 'no answer from worker-1 within 5000 ms');
    expect(await manager.getShardStats()).toEqual([
      { shardId: 0, error: 'worker-1 ended SIGKILL; it stays down (respawn is false)' },
    ]);
    expect(await manager.getShardInfo()).toMatchObject([
      { shardId: 0, status: 'unknown', ready: false, worker: 'worker-1' },
    ]);
  });

  test('have the deadline that was asked for', async () => {
    const { fleet, manager } = connected();
    await manager.broadcastEval('1', { timeoutMs: 700 });
    expect(fleet.askedWithinMs).toEqual([700]);
    for (const timeoutMs of [0, -5, Number.NaN, Infinity]) {
      await expect(manager.broadcastEval('1', { timeoutMs })).rejects.toThrow(
        /^broadcastEval: timeoutMs=.* must be a number of milliseconds above 0$/,
      );
    }
  });
});

describe('broadcastEval', () => {
  test.each<[unknown, string]>([
    [(client: unknown) => client, 'broadcastEval: a function cannot travel to other machines'],
    [undefined, 'broadcastEval: code=undefined must be a string of JavaScript'],
    ['  ', 'broadcastEval: code="  " must be a string of JavaScript'],
    [{ code: '1' }, 'broadcastEval: code={"code":"1"} must be a string'],
  ])('refuses %s', async (code, message) => {
    const { manager, fleet } = connected();
    await expect(manager.broadcastEval(code as string)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining(message) as string,
    });
    expect(fleet.asked).toEqual([]);
  });

  test('says how to switch it on when it is off everywhere', async () => {
    const { manager, fleet } = connected();
    fleet.evalIsOff = true;
    await expect(manager.broadcastEval('1')).rejects.toMatchObject({
      code: 'EVAL_OFF',
      message: expect.stringContaining('BATON_EVAL=sandbox') as string,
    });
    fleet.silent.set(0, 'no answer');
    // One that did not answer may have it on.
    expect((await manager.broadcastEval('1')).missing.map(({ code }) => code)).toEqual(['no-answer', 'off', 'off']);
  });
});

describe('shards that are asked', () => {
  test.each<[unknown, string]>([
    [[3], 'there is no shard 3: the fleet has 0 to 2'],
    [[0.5], 'there is no shard 0.5'],
    [['0'], 'there is no shard 0'],
    ['all', 'shards="all" must be an array of shard ids'],
  ])('%j are refused', async (shards, message) => {
    const { manager } = connected();
    await expect(manager.fetchClientValues('uptime', { shards: shards as number[] })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining(`fetchClientValues: ${message}`) as string,
    });
  });

  test('respawnShard takes one id, and a session of its own only on demand', async () => {
    const { manager, fleet } = connected();
    expect(await manager.respawnShard(1)).toEqual({ shardId: 1, how: 'resumed', tookMs: 7 });
    expect(await manager.respawnShard(1, { fresh: true })).toEqual({ shardId: 1, how: 'identified', tookMs: 7 });
    await expect(manager.respawnShard('one' as never)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    fleet.silent.set(2, 'no worker holds it');
    await expect(manager.respawnShard(2)).rejects.toMatchObject({
      code: 'REQUEST_FAILED',
      message: 'respawnShard: shard 2: no worker holds it',
    });
  });
});

describe('query', () => {
  const guildsAbove = defineQuery(
    'guildsAbove',
    z.object({ members: z.int().min(0).default(3) }),
    (shard, { members }) => [...shard.guilds.values()].filter((count) => count > members),
  );

  test('sends the name and the arguments as they were given', async () => {
    const { manager, fleet } = connected(1);
    await manager.query(guildsAbove, {});
    await manager.query('other', [1]);
    await manager.query('none');
    expect(fleet.asked).toEqual([
      { kind: 'query', name: 'guildsAbove', args: {} },
      { kind: 'query', name: 'other', args: [1] },
      { kind: 'query', name: 'none', args: null },
    ]);
  });

  test('refuses arguments that its schema refuses, and nobody is asked', async () => {
    const { manager, fleet } = connected(1);
    await expect(manager.query(guildsAbove, { members: -1 })).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      message: expect.stringContaining('query guildsAbove: arguments.members: ') as string,
    });
    expect(fleet.asked).toEqual([]);
  });
});

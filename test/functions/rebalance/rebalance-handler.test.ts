import { describe, expect, test } from 'vitest';
import type { CoordinationStore } from '../../../shared/coordination/store.ts';
import { StoreUnavailable } from '../../../shared/coordination/store.ts';
import type { WorkerCountAdvice } from '../../../functions/rebalance/worker-count.ts';
import { LivelyFleet } from './lively-fleet.ts';

const [a, b, c] = ['alpha', 'beta', 'gamma'] as const;

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** `store` with some methods replaced. */
function withMethods(store: CoordinationStore, methods: Partial<CoordinationStore>): CoordinationStore {
  return new Proxy(store, {
    get(target, name) {
      const method = Reflect.get(methods, name) ?? Reflect.get(target, name);
      return typeof method === 'function' ? method.bind(target) : method;
    },
  });
}

/** 24 shards: alpha has twelve of them, too many for it; a coordinator lives. */
async function lopsided(): Promise<LivelyFleet> {
  const fleet = await LivelyFleet.of(24);
  await fleet.start(a, range(0, 12));
  await fleet.start(b, range(12, 18));
  await fleet.start(c, range(18, 24));
  await fleet.lead();
  return fleet;
}

describe('while a coordinator lives', () => {
  test('shards of a busy worker are wished elsewhere, and both sides are told', async () => {
    const fleet = await lopsided();
    const result = await fleet.minutes(2, 7);
    expect(result).toMatchObject({
      kind: 'planned',
      dryRun: false,
      coordinator: 'alive',
      moves: [
        { shard: '24.0', from: 'name-of-alpha', to: 'name-of-beta', reason: 'cpu', gain: 8.8 },
        { shard: '24.1', to: 'name-of-gamma' },
        { shard: '24.2', to: 'name-of-beta' },
      ],
      refused: [],
      held: undefined,
    });
    const wants = (await fleet.leases()).map(({ want }) => want);
    expect(wants.slice(0, 4)).toEqual([b, c, b, undefined]);
    expect(await fleet.messagesTo(a)).toEqual([{ kind: 'nudge', shards: ['24.0', '24.1', '24.2'] }]);
    expect(await fleet.messagesTo(b)).toEqual([{ kind: 'nudge', shards: ['24.0', '24.2'] }]);
    expect(await fleet.messagesTo(c)).toEqual([{ kind: 'nudge', shards: ['24.1'] }]);
  });

  test('the plan is logged with its reasons', async () => {
    const fleet = await lopsided();
    const { kind: _, ...fields } = await fleet.minutes(2, 7);
    expect(fleet.logger.lines.filter(({ message }) => message === 'rebalance.planned').at(-1)?.fields).toEqual(fields);
  });

  test('what was moved rests, and the next round goes on from there', async () => {
    const fleet = await lopsided();
    await fleet.minutes(2, 7);
    for (const { shard, epoch, owner, want, checkpoint } of await fleet.leases()) {
      if (want === undefined || owner === undefined) continue;
      await fleet.store.release(shard, { owner, epoch, to: want, checkpoint });
    }
    await fleet.clock.advance(60_000);
    expect(await fleet.minutes(1, 7)).toMatchObject({ moves: [] });
    const state = await fleet.store.readRebalanceState();
    expect([...(state?.movedAtMs.keys() ?? [])]).toEqual([0, 1, 2]);
    expect(state?.workers.get(a)).toMatchObject({ shardCount: 9, isHot: false });
  });

  test('a dead worker is left to it', async () => {
    const fleet = await lopsided();
    fleet.stop(b);
    await fleet.clock.advance(20_000);
    expect(await fleet.invoke()).toMatchObject({ kind: 'planned', coordinator: 'alive' });
    expect(await fleet.fencedBy(b)).toBeUndefined();
    expect((await fleet.owners()).slice(12, 18)).toEqual(range(12, 18).map(() => b));
  });

  test('a worker that does not show any life gets nothing', async () => {
    const fleet = await lopsided();
    await fleet.minutes(1, 7);
    fleet.stop(b);
    await fleet.clock.advance(60_000);
    const result = await fleet.minutes(1, 7);
    const targets = result.kind === 'planned' ? result.moves.map(({ to }) => to) : [];
    expect([...new Set(targets)]).toEqual(['name-of-gamma']);
  });

  test('it takes a few seconds', async () => {
    const fleet = await lopsided();
    const startedMs = fleet.clock.monotonicMs();
    await fleet.invoke();
    expect(fleet.clock.monotonicMs() - startedMs).toBeLessThanOrEqual(4000);
  });

  test('a successor is waited for', async () => {
    const fleet = await lopsided();
    fleet.stop('coordinator');
    fleet.stop(b);
    await fleet.clock.advance(1500);
    const answer = fleet.invocation();
    await fleet.clock.advance(10_500);
    await fleet.lead();
    expect(await fleet.untilAnswered(answer)).toMatchObject({ kind: 'planned', coordinator: 'alive' });
    expect(await fleet.fencedBy(b)).toBeUndefined();
  });

  test('a lease that changed meanwhile is left as it is, and named', async () => {
    const fleet = await lopsided();
    await fleet.minutes(1, 7);
    await fleet.clock.advance(60_000);
    await fleet.report(7);
    const store = withMethods(fleet.store, {
      async listLeases(shardCount) {
        const leases = await fleet.store.listLeases(shardCount);
        const [{ shard, owner, epoch, checkpoint }] = leases as [(typeof leases)[number]];
        if (owner === a) await fleet.store.release(shard, { owner, epoch, to: undefined, checkpoint });
        return leases;
      },
    });
    expect(await fleet.invoke({}, { deps: { store } })).toMatchObject({
      moves: [{ shard: '24.0' }, { shard: '24.1' }, { shard: '24.2' }],
      refused: ['24.0'],
    });
    expect((await fleet.leases())[0]).toMatchObject({ epoch: 2 });
    expect((await fleet.leases())[0]?.want).toBeUndefined();
  });

  test('of two invocations at a time one leaves it to the other', async () => {
    const fleet = await lopsided();
    await fleet.minutes(1, 7);
    await fleet.clock.advance(60_000);
    await fleet.report(7);
    const results = await fleet.untilAnswered(Promise.all([fleet.invocation(), fleet.invocation()]));
    expect(results.map(({ kind }) => kind).sort()).toEqual(['planned', 'superseded']);
    expect(await fleet.messagesTo(c)).toHaveLength(1);
  });

  test('nothing is moved while the identify budget is low', async () => {
    const fleet = await lopsided();
    const budget = await fleet.store.readBudget();
    await fleet.store.refreshBudget(budget?.version, { total: 1000, remaining: 90 });
    expect(await fleet.minutes(2, 7)).toMatchObject({ moves: [], held: 'identify-budget-low' });
    expect((await fleet.leases()).filter(({ want }) => want !== undefined)).toEqual([]);
  });

  test('whoever sets the number of workers is advised', async () => {
    const fleet = await lopsided();
    const heard: WorkerCountAdvice[] = [];
    await fleet.report(10);
    const advise = async (advice: WorkerCountAdvice) => void heard.push(advice);
    const deps = { desiredCount: { advise } };
    const expected = { kind: 'atLeast', count: 4, because: 'cpu' };
    expect(await fleet.invoke({}, { deps })).toMatchObject({ workerCount: expected });
    expect(heard).toEqual([expected]);
    await fleet.invoke({ dryRun: true }, { deps });
    expect(heard).toHaveLength(1);
  });
});

describe('a dry run', () => {
  /** Refuses everything that is not a read. */
  function readOnly(store: CoordinationStore): CoordinationStore {
    return new Proxy(store, {
      get(target, name) {
        if (!/^(read|list)/.test(String(name))) throw new Error(`${String(name)} is called in a dry run`);
        const method = Reflect.get(target, name) as (...args: unknown[]) => unknown;
        return method.bind(target);
      },
    });
  }

  test('plans the same and writes nothing', async () => {
    const fleet = await lopsided();
    await fleet.minutes(1, 7);
    await fleet.clock.advance(60_000);
    await fleet.report(7);
    const before = await fleet.store.readRebalanceState();
    const dry = await fleet.invoke({ dryRun: true }, { deps: { store: readOnly(fleet.store) } });
    expect(dry).toMatchObject({ kind: 'planned', dryRun: true, refused: undefined });
    expect(await fleet.store.readRebalanceState()).toEqual(before);
    expect(await fleet.messagesTo(a)).toEqual([]);
    expect(await fleet.invoke()).toEqual({ ...dry, dryRun: false, refused: [] });
  });

  test('does not care for a fleet without a coordinator, and says that there is none', async () => {
    const fleet = await lopsided();
    fleet.stop('coordinator');
    fleet.stop(b);
    const result = await fleet.invoke({ dryRun: true }, { deps: { store: readOnly(fleet.store) } });
    expect(result).toMatchObject({ kind: 'planned', coordinator: 'absent' });
    expect(await fleet.fencedBy(b)).toBeUndefined();
  });

  test.each([{ dryRun: 'yes' }, { dryRun: 1 }, 'dryRun', []])(
    'asked for as %j is refused, not carried out',
    async (event) => {
      const fleet = await lopsided();
      await expect(fleet.invoke(event)).rejects.toMatchObject({ code: 'COMMAND_REFUSED' });
      expect(await fleet.store.readRebalanceState()).toBeUndefined();
    },
  );
});

describe('without a coordinator', () => {
  test('the dead are fenced, and the living get their shards from where they were', async () => {
    const fleet = await LivelyFleet.of(6);
    await fleet.start(a, [0, 1, 2]);
    await fleet.start(b, [3, 4]);
    await fleet.lead();
    await fleet.clock.advance(3000);
    fleet.stop(a);
    fleet.stop('coordinator');
    expect(await fleet.invoke()).toEqual({ kind: 'cared' });
    expect(await fleet.fencedBy(a)).toMatch(/^rebalance-/);
    expect(await fleet.fencedBy(b)).toBeUndefined();
    const leases = await fleet.leases();
    expect(leases.map(({ owner, epoch }) => [owner, epoch])).toEqual([
      [b, 2],
      [b, 2],
      [b, 2],
      [b, 1],
      [b, 1],
      [b, 1],
    ]);
    expect(leases[1]?.checkpoint).toMatchObject({ session: 's', acknowledgedSeq: 101 });
    expect((await fleet.messagesTo(b)).map(({ kind }) => kind)).toContain('nudge');
    expect((await fleet.store.listWorkers()).map(({ incarnation }) => incarnation)).toEqual([b]);
    expect(fleet.logger.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'fleet.no_coordinator' }),
    );
  });

  test('shards that nobody ever held are given out', async () => {
    const fleet = await LivelyFleet.of(4);
    await fleet.start(a, []);
    await fleet.start(b, []);
    expect(await fleet.invoke()).toEqual({ kind: 'cared' });
    const owners = await fleet.owners();
    for (const worker of [a, b]) expect(owners.filter((owner) => owner === worker)).toHaveLength(2);
  });

  test('nobody is fenced before a successor has had its time', async () => {
    const fleet = await LivelyFleet.of(2);
    await fleet.start(a, [0]);
    await fleet.start(b, [1]);
    await fleet.lead();
    fleet.stop('coordinator');
    fleet.stop(a);
    const answer = fleet.invocation();
    await fleet.clock.advance(11_900);
    expect(await fleet.fencedBy(a)).toBeUndefined();
    await fleet.untilAnswered(answer);
    expect(await fleet.fencedBy(a)).toBeDefined();
  });

  test('a fleet in which nobody lives keeps its sessions where they are', async () => {
    const fleet = await LivelyFleet.of(2);
    await fleet.start(a, [0]);
    await fleet.start(b, [1], { assignable: false });
    fleet.stop(a);
    const heard: WorkerCountAdvice[] = [];
    const desiredCount = { advise: async (advice: WorkerCountAdvice) => void heard.push(advice) };
    expect(await fleet.invoke({}, { deps: { desiredCount } })).toEqual({ kind: 'deserted' });
    // What sets the number may have to start the first one.
    expect(heard).toEqual([{ kind: 'keep' }]);
    expect(await fleet.fencedBy(a)).toBeUndefined();
    expect(await fleet.owners()).toEqual([a, b]);
    expect(fleet.logger.lines).toContainEqual(
      expect.objectContaining({ level: 'error', message: 'fleet.no_living_worker' }),
    );
  });

  test('nobody is fenced by an observer whose own writes fail', async () => {
    const fleet = await LivelyFleet.of(2);
    await fleet.start(a, [0]);
    await fleet.start(b, [1]);
    fleet.stop(a);
    const store = withMethods(fleet.store, {
      async swapRebalanceState() {
        throw new StoreUnavailable('write', new Error('throttled'));
      },
    });
    expect(await fleet.invoke({}, { deps: { store } })).toEqual({ kind: 'unclear' });
    expect(await fleet.fencedBy(a)).toBeUndefined();
  });

  test('a failing read starts the observation anew', async () => {
    const fleet = await LivelyFleet.of(2);
    await fleet.start(a, [0]);
    await fleet.start(b, [1]);
    fleet.stop(a);
    let reads = 0;
    const store = withMethods(fleet.store, {
      async readRole() {
        reads += 1;
        if (reads === 9) throw new StoreUnavailable('read', new Error('timeout'));
        return fleet.store.readRole();
      },
    });
    const answer = fleet.invocation({}, { deps: { store } });
    await fleet.clock.advance(19_000);
    expect(await fleet.fencedBy(a)).toBeUndefined();
    expect(await fleet.untilAnswered(answer)).toEqual({ kind: 'cared' });
    expect(await fleet.fencedBy(a)).toBeDefined();
  });

  test('nothing is done when the invocation has no time for it', async () => {
    const fleet = await LivelyFleet.of(2);
    await fleet.start(a, [0]);
    await fleet.start(b, [1]);
    fleet.stop(a);
    expect(await fleet.invoke({}, { withinMs: 15_000 })).toEqual({ kind: 'unclear' });
    expect(await fleet.fencedBy(a)).toBeUndefined();
  });
});

test('a table without a fleet is left alone', async () => {
  const fleet = await LivelyFleet.of(1);
  const store = withMethods(fleet.store, { readFleet: async () => undefined });
  const heard: WorkerCountAdvice[] = [];
  const desiredCount = { advise: async (advice: WorkerCountAdvice) => void heard.push(advice) };
  expect(await fleet.invoke({ dryRun: true }, { deps: { store, desiredCount } })).toEqual({ kind: 'noFleet' });
  expect(heard).toEqual([]);
  expect(await fleet.invoke({}, { deps: { store, desiredCount } })).toEqual({ kind: 'noFleet' });
  expect(heard).toEqual([{ kind: 'keep' }]);
  expect(await fleet.store.readRebalanceState()).toBeUndefined();
});

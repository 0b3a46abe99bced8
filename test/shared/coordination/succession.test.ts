import { describe, expect, test } from 'vitest';
import type { WorkerRecord } from '../../../shared/coordination/model.ts';
import { decideRole, successionOrder, successionStepMs } from '../../../shared/coordination/succession.ts';

function worker(incarnation: string, joinNumber: number, more: Partial<WorkerRecord> = {}): WorkerRecord {
  return {
    incarnation,
    workerId: incarnation,
    joinNumber,
    release: '1',
    chunkCount: 1,
    controlQueueUrl: `queue:${incarnation}`,
    originalCoordinator: false,
    assignable: true,
    draining: false,
    ...more,
  };
}

const nobody: ReadonlySet<string> = new Set();
const role = { holder: 'b', term: 1, counter: 7 };

describe('the order of succession', () => {
  test('is by age, the original coordinator first, without the draining, the dead and those on their own', () => {
    const workers = [
      worker('a', 1),
      worker('b', 2),
      worker('original', 5, { originalCoordinator: true }),
      worker('draining', 3, { draining: true }),
      worker('alone', 4, { assignable: false }),
    ];
    const order = successionOrder(workers, new Set(['a']));
    expect(order.map(({ incarnation }) => incarnation)).toEqual(['original', 'b']);
  });
});

describe('the holder of the role', () => {
  const original = worker('original', 1, { originalCoordinator: true });
  const order = [original, worker('b', 2)];

  test('gives it to the original coordinator that it has seen alive', () => {
    const decision = decideRole({ me: 'b', role, order, vacantForMs: undefined, seenAlive: new Set(['original']) });
    expect(decision).toEqual({ kind: 'yield', to: 'original' });
  });

  test('keeps it while the original coordinator is only registered: its record says nothing about its life', () => {
    expect(decideRole({ me: 'b', role, order, vacantForMs: undefined, seenAlive: nobody })).toEqual({ kind: 'hold' });
  });

  test('keeps it when it is an original coordinator itself, whatever became of an earlier one', () => {
    const me = worker('b', 2, { originalCoordinator: true });
    const decision = decideRole({ me: 'b', role, order: [original, me], vacantForMs: undefined, seenAlive: nobody });
    expect(decision).toEqual({ kind: 'hold' });
  });

  test('that drains gives it to the first that it has seen alive, or to nobody', () => {
    const others = [worker('dead', 1), worker('c', 3)];
    const view = { me: 'b', role, order: others, vacantForMs: undefined };
    expect(decideRole({ ...view, seenAlive: new Set(['c']) })).toEqual({ kind: 'yield', to: 'c' });
    expect(decideRole({ ...view, seenAlive: nobody })).toEqual({ kind: 'yield', to: undefined });
  });
});

test.each([
  { me: 'a', vacantForMs: 0, kind: 'take' },
  { me: 'b', vacantForMs: successionStepMs - 1, kind: 'wait' },
  { me: 'b', vacantForMs: successionStepMs, kind: 'take' },
  { me: 'stranger', vacantForMs: 60_000, kind: 'wait' },
  { me: 'a', vacantForMs: undefined, kind: 'wait' },
])('$me faces a role vacant for $vacantForMs ms: $kind', ({ me, vacantForMs, kind }) => {
  const order = [worker('a', 1), worker('b', 2)];
  const vacant = { term: 3, counter: 0 };
  expect(decideRole({ me, role: vacant, order, vacantForMs, seenAlive: nobody })).toEqual({ kind });
});

test('the place in the line is counted without the holder that is dead: its heir does not wait for it', () => {
  const order = [worker('b', 1), worker('first', 2), worker('second', 3)];
  const view = { role, order, vacantForMs: 0, seenAlive: nobody };
  expect(decideRole({ ...view, me: 'first' })).toEqual({ kind: 'take' });
  expect(decideRole({ ...view, me: 'second' })).toEqual({ kind: 'wait' });
  expect(decideRole({ ...view, me: 'second', vacantForMs: successionStepMs })).toEqual({ kind: 'take' });
});

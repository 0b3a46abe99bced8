import { expect, test } from 'vitest';
import { CoordinatorGaps } from '../../local/coordinator-gaps.ts';

const line = (msg: string, incarnation: string, more: object = {}) => ({ level: 'info', msg, incarnation, ...more });

function started(): CoordinatorGaps {
  const gaps = new CoordinatorGaps();
  gaps.take('one', line('worker.registered', 'a'), 0);
  gaps.take('two', line('worker.registered', 'b'), 0);
  gaps.take('one', line('coordinator.role_taken', 'a'), 100);
  return gaps;
}

test('a gap is from the loss of the coordinator until another has the role', () => {
  const gaps = started();
  expect(gaps.coordinator).toBe('one');
  gaps.lost('two', 'killed', 500);
  gaps.lost('one', 'killed', 1000);
  gaps.take('two', line('coordinator.role_taken', 'b'), 10_900.4);
  expect(gaps.gaps).toEqual([{ cause: 'killed', from: 'one', to: 'two', ms: 9900, fromMs: 1000 }]);
  expect(gaps.coordinator).toBe('two');
});

test('a coordinator that goes on before anybody took its role leaves no gap', () => {
  const gaps = started();
  gaps.lost('one', 'paused', 1000);
  gaps.back('one');
  gaps.take('two', line('coordinator.role_taken', 'b'), 60_000);
  expect(gaps.gaps).toEqual([]);
});

test('one that was killed is not back when its name is', () => {
  const gaps = started();
  gaps.lost('one', 'killed', 1000);
  gaps.back('one');
  gaps.take('one', line('coordinator.role_taken', 'c'), 3000);
  expect(gaps.gaps).toEqual([{ cause: 'killed', from: 'one', to: 'one', ms: 2000, fromMs: 1000 }]);
});

test('a role that is given away leaves no gap', () => {
  const gaps = started();
  gaps.take('one', line('coordinator.role_given', 'a', { holder: 'b' }), 1000);
  expect([gaps.coordinator, gaps.gaps]).toEqual(['two', []]);
});

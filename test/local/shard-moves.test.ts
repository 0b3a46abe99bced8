import { expect, test } from 'vitest';
import { ShardMoves } from '../../local/shard-moves.ts';

const held = (shard: number, incarnation: string, epoch: number, poised = false) => ({
  level: 'info',
  msg: 'shard.held',
  shard,
  incarnation,
  epoch,
  poised,
});
const fenced = (incarnation: string, ...shards: string[]) => ({
  level: 'warn',
  msg: 'worker.fenced',
  incarnation: 'coordinator',
  fenced: incarnation,
  shards,
});

test('the first owner is no move, a later one is a handoff', () => {
  const moves = new ShardMoves();
  expect(moves.take('one', held(3, 'a', 1))).toBeUndefined();
  expect(moves.take('two', held(3, 'b', 2, true))).toEqual({
    shard: 3,
    from: 'one',
    to: 'two',
    fromIncarnation: 'a',
    epoch: 2,
    poised: true,
  });
  expect([moves.handoffs, moves.takeovers]).toEqual([1, 0]);
});

test('a move away from a fenced worker is a takeover, whichever is heard of first', () => {
  const moves = new ShardMoves();
  for (const shard of [1, 2]) moves.take('one', held(shard, 'a', 1));
  moves.take('two', held(1, 'b', 2));
  moves.take('two', fenced('a', '16.1', '16.2'));
  moves.take('two', held(2, 'b', 2));
  expect([moves.handoffs, moves.takeovers]).toEqual([0, 2]);
  expect([moves.isHandoff(1, 2), moves.isHandoff(9, 1)]).toEqual([false, false]);
});

test('a shard that was given to a worker just before its end is taken over, though its checkpoint did not list it', () => {
  const moves = new ShardMoves();
  moves.take('one', held(7, 'a', 1));
  moves.take('two', fenced('a'));
  moves.take('two', held(7, 'b', 2));
  expect([moves.handoffs, moves.takeovers]).toEqual([0, 1]);
});

test('knows what each worker holds', () => {
  const moves = new ShardMoves();
  for (const shard of [1, 2]) moves.take('one', held(shard, 'a', 1));
  moves.take('two', held(2, 'b', 2, true));
  expect(moves.heldBy('one')).toEqual([{ shard: 1, epoch: 1 }]);
  expect(moves.heldBy('two')).toEqual([{ shard: 2, epoch: 2 }]);
  expect(moves.isHandoff(2, 2)).toBe(true);
});

test('a worker that fences itself after handing over leaves handoffs behind', () => {
  const moves = new ShardMoves();
  for (const shard of [1, 2, 3]) moves.take('one', held(shard, 'a', 1));
  moves.take('two', held(1, 'b', 2, true));
  const toNobody = { level: 'warn', msg: 'worker.released_to_nobody', incarnation: 'a', shards: ['16.2'] };
  moves.take('one', toNobody);
  moves.take('one', { level: 'info', msg: 'shard.handoff', incarnation: 'a', shard: 3, to: 'b' });
  moves.take('two', fenced('a', '16.1', '16.2'));
  moves.take('two', held(2, 'b', 2));
  moves.take('two', held(3, 'b', 2));
  expect([moves.handoffs, moves.takeovers]).toEqual([3, 0]);
});

test('lines that say nothing of the kind, come late or lack fields are passed over', () => {
  const moves = new ShardMoves();
  moves.take('one', held(1, 'b', 5));
  expect(moves.take('two', held(1, 'a', 4))).toBeUndefined();
  expect(moves.take('two', { level: 'info', msg: 'shard.held', shard: 1 })).toBeUndefined();
  expect(moves.take('two', { level: 'error', msg: 'worker.fenced', by: 'x' })).toBeUndefined();
  expect(moves.take('two', { level: 'info', msg: 'shard.ready', shard: 1 })).toBeUndefined();
  expect([moves.handoffs, moves.takeovers]).toEqual([0, 0]);
});

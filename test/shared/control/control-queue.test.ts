import { expect, test } from 'vitest';
import { controlQueueName, decodeControlMessage } from '../../../shared/control/control-queue.ts';

test('the name of a queue fits SQS even for the longest name of a fleet', () => {
  const incarnation = '0a1b2c3d-1111-4222-8333-444455556666';
  expect(controlQueueName('baton', incarnation)).toBe('baton-control-0a1b2c3d111142228333444455556666');
  expect(controlQueueName('f'.repeat(39), incarnation)).toMatch(/^[\w-]{1,80}$/);
});

test.each([
  { body: '', reason: 'JSON' },
  { body: 'null', reason: 'body' },
  { body: '{"kind":"explode"}', reason: 'kind' },
  { body: '{"kind":"nudge"}', reason: 'shards' },
  { body: '{"kind":"nudge","shards":["16.16"]}', reason: 'shards.0: not a shard key' },
  { body: '{"kind":"nudge","shards":[3]}', reason: 'shards.0: not a shard key' },
  { body: '{"kind":"fenced","incarnation":"a"}', reason: 'by' },
  { body: '{"kind":"poised","shard":"16.3","epoch":-1,"incarnation":"a"}', reason: 'epoch' },
])('$body is no control message', ({ body, reason }) => {
  expect(() => decodeControlMessage(body)).toThrow(reason);
});

test('what a later release adds to a message is let through unread', () => {
  expect(decodeControlMessage('{"kind":"tick","why":"just so"}')).toEqual({ kind: 'tick' });
});

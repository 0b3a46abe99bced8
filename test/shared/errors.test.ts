import { expect, test } from 'vitest';
import { BatonError, messageOf } from '../../shared/errors.ts';

test('an error carries a code to match on and keeps its cause', () => {
  const cause = new Error('why');
  const error = new BatonError('PORT_IN_USE', 'port 8080 is in use', { cause });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ name: 'BatonError', code: 'PORT_IN_USE', message: 'port 8080 is in use', cause });
});

test.each([
  { name: 'an error', thrown: new Error('broken'), message: 'broken' },
  { name: 'an error without words', thrown: new RangeError(''), message: 'RangeError' },
  { name: 'a string', thrown: 'broken', message: 'broken' },
  { name: 'nothing', thrown: undefined, message: 'undefined' },
  {
    name: 'a failed dial of several addresses',
    thrown: new AggregateError([new Error('connect ECONNREFUSED ::1'), new Error('connect ECONNREFUSED 127.0.0.1')]),
    message: 'connect ECONNREFUSED ::1; connect ECONNREFUSED 127.0.0.1',
  },
])('one line about $name', ({ thrown, message }) => {
  expect(messageOf(thrown)).toBe(message);
});

import { expect, test } from 'vitest';
import { readFrameIdentity, readIdentity, withIdentity } from '../../../local/discord/event-identity.ts';
import { dispatchFrame } from '../../../local/discord/gateway-frames.ts';

test('an identity is read back from the payload and from the frame text', () => {
  const body = withIdentity('{"id":"1","content":"x"}', '573478797313522841', 42);
  const identity = { stream: '573478797313522841', n: 42 };
  expect(readIdentity(JSON.parse(body))).toEqual(identity);
  expect(readFrameIdentity(dispatchFrame('MESSAGE_CREATE', 7, body).toString())).toEqual(identity);
  expect(JSON.parse(body)).toMatchObject({ id: '1', content: 'x' });
});

test('an empty payload can carry one too', () => {
  expect(readIdentity(JSON.parse(withIdentity('{}', 'dm', 1)))).toEqual({ stream: 'dm', n: 1 });
});

test.each([
  null,
  5,
  'x',
  [],
  {},
  { baton_seq: 7 },
  { baton_seq: 'guild' },
  { baton_seq: 'g:0' },
  { baton_seq: 'g:1.5' },
])('%j carries none', (d) => expect(readIdentity(d)).toBeUndefined());

test('text inside a payload cannot pass for an identity', () => {
  const content = '"d":{"baton_seq":"1:1"';
  expect(readFrameIdentity(dispatchFrame('MESSAGE_CREATE', 1, JSON.stringify({ content })).toString())).toBeUndefined();
});

import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRosterGuilds, encodeRosterGuilds } from '../../../shared/coordination/roster-codec.ts';

test('guilds and member counts come back as they were', () => {
  const guild = fc.tuple(fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }).map(String), fc.maxSafeNat());
  fc.assert(
    fc.property(fc.array(guild, { maxLength: 300 }), (pairs) => {
      const guilds = new Map(pairs);
      expect(decodeRosterGuilds(encodeRosterGuilds(guilds))).toEqual(guilds);
    }),
  );
});

test.each(['-1', '18446744073709551616', 'abc'])('a guild id of %s is not packed', (guildId) => {
  expect(() => encodeRosterGuilds(new Map([[guildId, 1]]))).toThrow();
});

test.each([
  { name: 'nothing', bytes: [] },
  { name: 'another version', bytes: [9] },
  { name: 'half an id', bytes: [1, 0, 0, 0] },
  { name: 'an id without a count', bytes: [1, 0, 0, 0, 0, 0, 0, 0, 1] },
])('$name is refused', ({ bytes }) => {
  expect(() => decodeRosterGuilds(Uint8Array.from(bytes))).toThrow(
    expect.objectContaining({ code: 'STORE_ITEM_INVALID' }),
  );
});

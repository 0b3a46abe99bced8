import { describe, expect, test } from 'vitest';
import { type IdentifyRules, judgeIdentify } from '../../../local/discord/client-payloads.ts';
import { allIntents, intentBits } from '../../../local/discord/intents.ts';

const rules: IdentifyRules = {
  acceptsToken: (token) => token === 'good',
  privilegedIntents: intentBits.MESSAGE_CONTENT,
  shardCountMultiple: 2,
  guildsOn: ({ shardCount }) => 12_000 / shardCount,
};
const good = { token: 'good', properties: {}, intents: 1, shard: [3, 16] };

describe('judgeIdentify', () => {
  test('a good payload', () => {
    expect(judgeIdentify({ ...good, compress: true }, rules)).toEqual({
      kind: 'valid',
      identify: { intents: 1, shard: { shardId: 3, shardCount: 16 }, compressPayloads: true, presence: undefined },
    });
  });

  test('compress may be the name of a transport, as some clients send it', () => {
    expect(judgeIdentify({ ...good, compress: 'zlib-stream' }, rules)).toMatchObject({
      identify: { compressPayloads: false },
    });
  });

  test.each<[string, unknown, number]>([
    ['no object', 5, 4001],
    ['no properties', { ...good, properties: undefined }, 4001],
    ['large_threshold out of range', { ...good, large_threshold: 251 }, 4001],
    ['wrong token', { ...good, token: 'bad' }, 4004],
    ['wrong token wins over wrong intents', { ...good, token: 'bad', intents: -1 }, 4004],
    ['id not below count', { ...good, shard: [16, 16] }, 4010],
    ['negative id', { ...good, shard: [-1, 16] }, 4010],
    ['count 0', { ...good, shard: [0, 0] }, 4010],
    ['text', { ...good, shard: ['0', '16'] }, 4010],
    ['three numbers', { ...good, shard: [0, 16, 1] }, 4010],
    ['not the required multiple', { ...good, shard: [0, 15] }, 4010],
    ['more than 2500 guilds', { ...good, shard: [0, 4] }, 4011],
    ['no intents', { ...good, intents: undefined }, 4013],
    ['undocumented bit', { ...good, intents: 1 << 17 }, 4013],
    ['beyond the documented bits', { ...good, intents: 2 ** 33 }, 4013],
    ['privileged and not enabled', { ...good, intents: intentBits.GUILD_PRESENCES }, 4014],
    ['all intents, not all enabled', { ...good, intents: allIntents }, 4014],
  ])('%s', (_name, d, code) => {
    expect(judgeIdentify(d, rules)).toMatchObject({ kind: 'refused', code });
  });

  test('without shard it is one session for all guilds', () => {
    const small = { ...rules, shardCountMultiple: 1, guildsOn: () => 2500 };
    expect(judgeIdentify({ ...good, shard: undefined }, small)).toMatchObject({ identify: { shard: undefined } });
    expect(judgeIdentify({ ...good, shard: undefined }, { ...small, guildsOn: () => 2501 })).toMatchObject({
      code: 4011,
    });
  });
});

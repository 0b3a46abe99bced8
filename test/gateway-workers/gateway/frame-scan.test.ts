import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type FrameHeader, scanGuildFields, scanHeader } from '../../../gateway-workers/gateway/frame-scan.ts';
import { corpusDispatches, readCorpus } from './corpus.ts';

const scan = (text: string) => scanHeader(Buffer.from(text));

interface AnyFrame {
  op: number;
  s?: number | null;
  t?: string | null;
  d?: unknown;
}

const headerOf = ({ op, s = null, t = null }: AnyFrame): FrameHeader => ({ op, seq: s, type: t });

/** Values that hold keys and braces where a careless scan would take them for the frame's own. */
const trap = fc.constantFrom<unknown>(
  '","op":7,"s":1,"t":"X',
  '\\"op\\":7}',
  '}}}]"',
  '\\',
  '\\\\"',
  'd":{"op":1}',
  { op: 9, s: 77, t: 'TRAP', d: { op: 10 } },
  [{ op: 9 }, ']}', '{"s":3'],
);
const anyData = fc.oneof(
  fc.jsonValue(),
  trap,
  fc.dictionary(
    fc.oneof(fc.constantFrom('op', 's', 't', 'd', '"', '\\', '{'), fc.string({ unit: 'binary' })),
    fc.oneof(trap, fc.jsonValue()),
  ),
);
const eventName = fc.oneof(
  fc.constantFrom('MESSAGE_CREATE', 'GUILD_CREATE', 'READY', 'A', 'GUILD_SCHEDULED_EVENT_USER_REMOVE'),
  fc.stringMatching(/^[A-Z_0-9]{1,64}$/),
  fc.string({ unit: 'binary' }),
);
const frame: fc.Arbitrary<AnyFrame> = fc.oneof(
  fc.record({ op: fc.constant(0), s: fc.maxSafeNat(), t: eventName, d: anyData }),
  fc.record(
    { op: fc.nat(50), s: fc.option(fc.maxSafeNat()), t: fc.option(eventName), d: anyData, extra: anyData },
    { requiredKeys: ['op'] },
  ),
);
const space = fc.stringMatching(/^[ \t\r\n]{0,3}$/);

/** JSON text with keys in any order, white space anywhere, and characters written as escapes now and then. */
const written: fc.Arbitrary<[AnyFrame, string]> = frame.chain((value) =>
  fc
    .tuple(
      fc.shuffledSubarray(Object.keys(value), { minLength: Object.keys(value).length }),
      fc.array(space, { minLength: 4, maxLength: 4 }),
      fc.option(fc.constantFrom(1, 2, 3)),
      fc.boolean(),
    )
    .map(([keys, [before = '', inside = '', around = '', after = ''], indent, escaped]) => {
      const quoted = (key: string) =>
        escaped
          ? `"${key.replaceAll(/./g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)}"`
          : JSON.stringify(key);
      const members = keys.map((key) => {
        const text = JSON.stringify(value[key as keyof AnyFrame], undefined, indent ?? undefined);
        return `${inside}${quoted(key)}${around}:${inside}${text}${around}`;
      });
      return [value, `${before}{${members.join(',')}${inside}}${after}`];
    }),
);

test('finds what was written, in any order of keys, with any white space and escapes', () => {
  fc.assert(
    fc.property(written, ([value, text]) => {
      // Not compared with JSON.parse: V8 misreads a key of one escaped character once it has met the key "\\".
      expect(scan(text)).toEqual(headerOf(value));
    }),
    { numRuns: 2_000 },
  );
});

test('finds the header in every payload of the corpus, whichever way it is written', () => {
  const dispatches = corpusDispatches();
  expect(dispatches.length).toBeGreaterThan(200);
  for (const [index, { t, d }] of dispatches.entries()) {
    const expected = { op: 0, seq: index + 1, type: t };
    for (const value of [
      { t, s: index + 1, op: 0, d },
      { op: 0, s: index + 1, t, d },
      { op: 0, d, s: index + 1, t },
      { d, t, op: 0, s: index + 1 },
    ]) {
      expect(scan(JSON.stringify(value))).toEqual(expected);
      expect(scan(JSON.stringify(value, undefined, 2))).toEqual(expected);
    }
  }
});

test('reads control frames in the forms seen, with and without null keys', () => {
  for (const value of readCorpus('_server-frames.json') as AnyFrame[]) {
    expect(scan(JSON.stringify(value))).toEqual(headerOf(value));
  }
});

test.each([
  ['', 'nothing'],
  ['null', 'no object'],
  ['[{"op":0}]', 'an array'],
  ['{}', 'no op'],
  ['{"op":null}', 'op is null'],
  ['{"op":"0"}', 'op is text'],
  ['{"op":1.5}', 'op is a fraction'],
  ['{"op":-1}', 'op is negative'],
  ['{"op":{"op":0}}', 'op is an object'],
  ['{"op":0,"s":"1","t":"A","d":{}}', 's is text'],
  ['{"op":0,"s":1,"t":2,"d":{}}', 't is a number'],
  ['{"op":0 "s":1}', 'a comma is missing'],
  ['{"op"0}', 'a colon is missing'],
  ['{op:0}', 'keys without quotes'],
  ['{"op":01x}', 'a number that is none'],
  ['{"d":{"a":[}', 'an open array'],
  ['{"t":"A","s":1,"op":0,"d":{"a":1}', 'one brace short'],
  ['{"t":"\\uZZZZ","s":1,"op":0,"d":{}}', 'a broken escape'],
  ['not a frame at all, but long enough for the fast path', 'text'],
])('%s is no frame: %s', (text) => {
  expect(scan(text)).toBeUndefined();
});

test('every cut of a frame is noticed, unless it ends in a brace pair', () => {
  const text = '{"t":"MESSAGE_CREATE","s":5,"op":0,"d":{"content":"hello {world}","author":{"id":"1"},"n":[1,2]}}';
  for (let end = 0; end < text.length; end++) expect(scan(text.slice(0, end)), text.slice(0, end)).toBeUndefined();
});

test('no bytes make it throw', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      scanHeader(Buffer.from(bytes));
      scanGuildFields(Buffer.from(bytes));
    }),
  );
  fc.assert(
    fc.property(written, fc.nat(), fc.nat(255), ([, text], at, byte) => {
      const bytes = Buffer.from(text);
      bytes[at % bytes.length] = byte;
      scanHeader(bytes);
      scanGuildFields(bytes);
    }),
  );
});

describe('guild fields', () => {
  const guild = (d: unknown) => scanGuildFields(Buffer.from(JSON.stringify({ t: 'GUILD_CREATE', s: 1, op: 0, d })));

  test('are those of the top level of d, in every guild payload of the corpus', () => {
    const dispatches = corpusDispatches().filter(({ t }) => t === 'GUILD_CREATE' || t === 'GUILD_DELETE');
    expect(dispatches.length).toBeGreaterThan(5);
    for (const { d } of dispatches) {
      const { id, guild_id, member_count, unavailable } = d as Record<string, unknown>;
      expect(guild(d)).toEqual({ id, guildId: guild_id, memberCount: member_count, unavailable });
    }
  });

  test('equal what JSON.parse finds, in any order, between nested look-alikes', () => {
    const fields = {
      id: fc.oneof(fc.stringMatching(/^\d{17,20}$/), fc.string({ unit: 'binary' }), fc.integer(), trap),
      guild_id: fc.oneof(fc.stringMatching(/^\d{17,20}$/), fc.constant(null), trap),
      member_count: fc.oneof(fc.nat(), fc.double(), fc.string(), trap),
      unavailable: fc.oneof(fc.boolean(), fc.constant(null), trap),
      channels: fc.array(fc.record({ id: fc.string(), guild_id: fc.string(), member_count: fc.nat() })),
      name: fc.oneof(trap, fc.string({ unit: 'binary' })),
    };
    const shuffled = fc
      .record(fields, { requiredKeys: [] })
      .chain((d) => fc.shuffledSubarray(Object.entries(d), { minLength: Object.keys(d).length }));
    fc.assert(
      fc.property(shuffled, (entries) => {
        const text = JSON.stringify({ t: 'GUILD_CREATE', d: Object.fromEntries(entries), op: 0, s: 1 });
        const { d } = JSON.parse(Buffer.from(text).toString()) as { d: Record<string, unknown> };
        const only = (key: string, type: string) => (typeof d[key] === type ? d[key] : undefined);
        const count = only('member_count', 'number');
        expect(scanGuildFields(Buffer.from(text))).toEqual({
          id: only('id', 'string'),
          guildId: only('guild_id', 'string'),
          memberCount: Number.isSafeInteger(count) ? count : undefined,
          unavailable: only('unavailable', 'boolean'),
        });
      }),
      { numRuns: 500 },
    );
  });

  test.each(['{"op":0,"d":null}', '{"op":0,"d":"id"}', '{"op":0}', '{"d":{"id":"1"', '[]', ''])(
    '%s has none',
    (text) => {
      expect(scanGuildFields(Buffer.from(text))).toBeUndefined();
    },
  );
});

import { expect, expectTypeOf, test } from 'vitest';
import * as z from 'zod';
import { defineQuery, noArguments, queriesOf } from '../../../shared/control/define-query.ts';
import type { ShardAnswer } from '../../../shared/control/answers.ts';
import type { ShardManager } from '../../../shared/control/shard-manager.ts';

const schema = z.object({ count: z.int().default(3), since: z.string().transform((text) => new Date(text)) });

test('arguments and results have the types of the definition', () => {
  const query = defineQuery('typed', schema, (shard, args) => {
    expectTypeOf(args).toEqualTypeOf<{ count: number; since: Date }>();
    expectTypeOf(shard.guilds).toEqualTypeOf<ReadonlyMap<string, number>>();
    return [{ id: shard.id, count: args.count }];
  });
  const ask = (manager: ShardManager) => manager.query(query, { since: '2026-11-22' });
  expectTypeOf(ask).returns.resolves.toEqualTypeOf<ShardAnswer<{ id: number; count: number }[]>>();
  // @ts-expect-error a Date is what the query gets, not what callers send
  void ((manager: ShardManager) => manager.query(query, { since: new Date() }));
  const none = defineQuery('none', noArguments, (shard) => shard.uptimeMs);
  const askNone = (manager: ShardManager) => manager.query(none, null);
  expectTypeOf(askNone).returns.resolves.toEqualTypeOf<ShardAnswer<number | null>>();
});

test('a module’s queries are what it exports, alone or in lists, each once', () => {
  const one = defineQuery('one', noArguments, () => 1);
  const two = defineQuery('two', noArguments, () => 2);
  expect(queriesOf({ one, all: [one, two], other: 'thing' }, 'queries.ts')).toEqual([one, two]);
  expect(() => queriesOf({ other: 'thing' }, 'queries.ts')).toThrow('queries.ts: exports no query');
});

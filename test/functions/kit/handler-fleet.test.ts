import { expect, test } from 'vitest';
import { HandlerFleet } from '../../../functions/kit/handler-fleet.ts';
import type { Fleet } from '../../../shared/control/fleet.ts';
import type { ShardMessages } from '../../../shared/control/shard-messages.ts';
import { largestGuilds } from '../../../shared/queries/largest-guilds.ts';
import { FakeFleet } from '../../shared/control/fake-fleet.ts';

test('a handler asks shards a query', async () => {
  const workers = new FakeFleet(3);
  const fleet = new HandlerFleet(workers as unknown as Fleet, {} as ShardMessages);
  const { results, missing } = await fleet.query(largestGuilds, { count: 2 }, { shards: [2, 0] });
  expect(results.map(({ shard }) => shard)).toEqual([0, 2]);
  expect(missing).toEqual([]);
  await fleet.query(largestGuilds, {});
  expect(workers.asked).toEqual([
    { kind: 'query', name: 'largestGuilds', args: { count: 2 } },
    { kind: 'query', name: 'largestGuilds', args: {} },
  ]);
});

test('arguments that the query does not take go nowhere', async () => {
  const workers = new FakeFleet(1);
  const fleet = new HandlerFleet(workers as unknown as Fleet, {} as ShardMessages);
  await expect(fleet.query(largestGuilds, { count: 0 })).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  expect(workers.asked).toEqual([]);
});

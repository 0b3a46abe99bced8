import { expect, test } from 'vitest';
import { z } from 'zod';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import { defineMessage } from '../../../functions/kit/define-message.ts';
import { createRegistry } from '../../../functions/kit/registry.ts';
import { EventsBench, recordOf } from './events-fixture.ts';

const message = (name: string, data: unknown, guildId?: string) =>
  JSON.stringify({ t: 'BATON_MESSAGE', s: 1, op: 0, d: { id: 'i', name, data, guild_id: guildId } });
const sent = (frame: string) => recordOf({ events: [frame], session: 'message:i', header: { epoch: 0 } });

function benchOf(seen: unknown[]) {
  const exports = {
    settings: defineMessage('settings', z.object({ guildId: z.string() }), (data, ctx) => {
      seen.push([data, ctx.shard.id, ctx.guildId]);
    }),
    created: defineEvent('MESSAGE_CREATE', (_data, ctx) => void seen.push(ctx.seq)),
  };
  return new EventsBench([], { registry: createRegistry([{ file: 'handlers/test.ts', exports }]) });
}

test('a message runs in order with the events of its shard or guild', async () => {
  const seen: unknown[] = [];
  const bench = benchOf(seen);
  const events = recordOf({ events: [{ seq: 1, guild: '10' }] });
  const later = recordOf({ events: [{ seq: 2, guild: '10' }] });
  const records = [events, sent(message('settings', { guildId: '10' }, '10')), later];
  expect(await bench.invoke(records)).toEqual([]);
  expect(seen).toEqual([1, [{ guildId: '10' }, 3, '10'], 2]);
});

test('what the schema refuses goes to the dead letters at once, what nobody knows goes nowhere', async () => {
  const seen: unknown[] = [];
  const bench = benchOf(seen);
  expect(await bench.invoke([sent(message('settings', { guild: '10' }))])).toEqual([]);
  expect(seen).toEqual([]);
  expect(bench.deadLetters.messages).toHaveLength(1);
  expect(JSON.parse(bench.deadLetters.messages[0]?.body ?? '')).toMatchObject({
    failure: {
      attempts: 1,
      handler: 'handlers/test.ts#settings',
      error: expect.stringContaining('message "settings"'),
    },
  });
  expect(await bench.invoke([sent(message('other', {}))])).toEqual([]);
  expect(bench.deadLetters.messages).toHaveLength(1);
});

import { TestBot } from 'baton/testing';
import { expect, test } from 'vitest';
import * as dice from '../../examples/roll.ts';
import * as tickets from '../../examples/ticket.ts';

test('dice are rolled as often as asked', async () => {
  const bot = new TestBot({ ...dice });
  const { messages } = await bot.command('roll', { sides: 6, count: 3, secret: true });
  expect(messages).toMatchObject([
    { content: expect.stringMatching(/^You rolled [1-6], [1-6], [1-6]\.$/), ephemeral: true },
  ]);
});

test('a ticket is asked for, filed and claimed', async () => {
  const bot = new TestBot({ ...tickets }, { user: { id: '5', username: 'ann' } });
  const { modal } = await bot.command('ticket open', { urgent: true });
  const filed = await bot.submit(modal, { subject: 'Help', area: 'abuse' });
  expect(filed.content).toContain('🚨 **Help** (abuse)');
  const claimed = await bot.click('ticket:5:claim', { id: '700', content: 'Help' });
  expect(claimed.messages).toEqual([{ how: 'update', content: 'Help\n\n<@5> takes care of it.' }]);
});

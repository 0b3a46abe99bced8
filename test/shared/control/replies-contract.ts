import { expect, test } from 'vitest';
import type { Replies } from '../../../shared/control/replies.ts';

/** What every adapter of the replies must do. */
export function repliesContract(open: () => Promise<Replies>): void {
  test('replies are found under their request, and no other', async () => {
    const replies = await open();
    await replies.send('one', 'alpha.0', { outcomes: [1, null, 'ü☃'] });
    await replies.send('one', 'beta.1', []);
    await replies.send('other', 'alpha.0', {});
    expect((await replies.receive('one')).map(({ from, body }) => [from, body])).toEqual(
      expect.arrayContaining([
        ['alpha.0', { outcomes: [1, null, 'ü☃'] }],
        ['beta.1', []],
      ]),
    );
    expect(await replies.receive('one')).toHaveLength(2);
    expect(await replies.receive('nobody')).toEqual([]);
  });

  test('a reply that is sent again replaces itself', async () => {
    const replies = await open();
    await replies.send('again', 'alpha.0', 'first');
    await replies.send('again', 'alpha.0', 'second');
    expect(await replies.receive('again')).toMatchObject([{ from: 'alpha.0', body: 'second' }]);
  });

  test('what was fetched can be forgotten, and the rest stays', async () => {
    const replies = await open();
    await replies.send('some', 'alpha.0', 'large '.repeat(200_000));
    await replies.send('some', 'beta.0', 2);
    const fetched = (await replies.receive('some')).filter(({ from }) => from === 'alpha.0');
    await replies.forget('some', fetched);
    expect(await replies.receive('some')).toMatchObject([{ from: 'beta.0', body: 2 }]);
    await replies.forget('some', fetched);
  });

  test('megabytes come as they were sent', async () => {
    const replies = await open();
    const body = { text: 'ü☃'.repeat(500_000), list: Array.from({ length: 1000 }, (_, index) => index) };
    await replies.send('large', 'alpha.0', body);
    expect((await replies.receive('large'))[0]?.body).toEqual(body);
  });
}

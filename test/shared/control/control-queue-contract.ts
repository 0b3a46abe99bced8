import { expect, test } from 'vitest';
import type { ControlMessage, ControlPlane } from '../../../shared/control/control-queue.ts';
import { BatonError } from '../../../shared/errors.ts';

const alpha = '0a1b2c3d-0000-4000-8000-000000000001';
const beta = '0a1b2c3d-0000-4000-8000-000000000002';
const never = new AbortController().signal;

const everyKind: readonly ControlMessage[] = [
  { kind: 'nudge', shards: ['16.3', '16.4'] },
  { kind: 'nudge', shards: [] },
  { kind: 'fenced', incarnation: alpha, by: beta },
  { kind: 'poised', shard: '1024.1023', epoch: 7, incarnation: beta },
  { kind: 'tick' },
  {
    kind: 'request',
    v: 1,
    id: alpha,
    sending: 3,
    expiresAtMs: 1_790_000_000_000,
    shards: ['16.3'],
    // A kind of a later release travels all the same: its receiver says that it does not know it.
    body: { kind: 'explode', text: 'ü☃', list: [1, null] },
  },
];

/** Receives until nothing more comes, in no order, as SQS has none. */
async function drain(plane: ControlPlane, url: string): Promise<ControlMessage[]> {
  const messages: ControlMessage[] = [];
  for (;;) {
    const received = await plane.receive(url, { waitMs: 0, signal: never });
    if (received.length === 0) return messages;
    messages.push(...received);
  }
}

/** What every adapter of the control plane must do. `open` gives one without queues. */
export function controlPlaneContract(open: () => Promise<ControlPlane>): void {
  test('every kind of message arrives as it was sent, once', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    for (const message of everyKind) await plane.send(url, message);
    const received = await drain(plane, url);
    expect(received).toHaveLength(everyKind.length);
    expect(received).toEqual(expect.arrayContaining([...everyKind]));
    await plane.close(url);
  });

  test('a message goes to its own queue alone', async () => {
    const plane = await open();
    const [one, other] = [await plane.open(alpha), await plane.open(beta)];
    expect(one).not.toBe(other);
    await plane.send(other, { kind: 'tick' });
    expect(await drain(plane, one)).toEqual([]);
    expect(await drain(plane, other)).toEqual([{ kind: 'tick' }]);
    await plane.close(one);
    await plane.close(other);
  });

  test('opening again finds the same queue with what is in it', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    await plane.send(url, { kind: 'tick' });
    expect(await plane.open(alpha)).toBe(url);
    expect(await drain(plane, url)).toEqual([{ kind: 'tick' }]);
    await plane.close(url);
  });

  test('more than ten messages come in several answers', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    const sent = Array.from({ length: 25 }, (_, epoch) => ({
      kind: 'poised' as const,
      shard: '16.3' as const,
      epoch,
      incarnation: beta,
    }));
    for (const message of sent) await plane.send(url, message);
    expect((await plane.receive(url, { waitMs: 0, signal: never })).length).toBeLessThanOrEqual(10);
    expect((await drain(plane, url)).length).toBeGreaterThanOrEqual(15);
    await plane.close(url);
  });

  test('one who waits gets a message when it is sent', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    const waiting = plane.receive(url, { waitMs: 20_000, signal: never });
    await plane.send(url, { kind: 'tick' });
    expect(await waiting).toEqual([{ kind: 'tick' }]);
    await plane.close(url);
  });

  test('an abort ends a wait with nothing, before and during it', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    expect(await plane.receive(url, { waitMs: 20_000, signal: AbortSignal.abort() })).toEqual([]);
    const controller = new AbortController();
    const waiting = plane.receive(url, { waitMs: 20_000, signal: controller.signal });
    controller.abort();
    expect(await waiting).toEqual([]);
    await plane.send(url, { kind: 'tick' });
    expect(await drain(plane, url)).toEqual([{ kind: 'tick' }]);
    await plane.close(url);
  });

  test('a queue that is gone is told to senders and receivers, and closing it again is no fault', async () => {
    const plane = await open();
    const url = await plane.open(alpha);
    await plane.close(url);
    await plane.close(url);
    const gone = { code: 'QUEUE_UNREACHABLE', message: expect.stringContaining(url) };
    await expect(plane.send(url, { kind: 'tick' })).rejects.toMatchObject(gone);
    await expect(plane.receive(url, { waitMs: 0, signal: never })).rejects.toMatchObject(gone);
    await expect(plane.send(url, { kind: 'tick' })).rejects.toBeInstanceOf(BatonError);
  });
}

import { DiscordAPIError } from '@discordjs/rest';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { defineEvent } from '../../../functions/kit/define-event.ts';
import type { Clock } from '../../../shared/clock.ts';
import { decodeEnvelope } from '../../../shared/envelope.ts';
import { ManualClock } from '../../manual-clock.ts';
import { RecordingLogger } from '../../shared/recording-logger.ts';
import { EventsBench, frameOf, gate, recordOf, redelivered, sqsRecord, type TestEvent } from './events-fixture.ts';

/** A handler that notes what it ran, in the order in which it was done. */
function recorder(before?: (seq: number, signal: AbortSignal) => Promise<void> | void) {
  const ran: number[] = [];
  const definition = defineEvent('MESSAGE_CREATE', (_message, ctx) => {
    const waited = before?.(ctx.seq, ctx.signal);
    if (!waited) {
      ran.push(ctx.seq);
      return;
    }
    return waited.then(() => void ran.push(ctx.seq));
  });
  return { ran, definition };
}

const never = new Promise<void>(() => {});

describe('order', () => {
  test('a slow guild holds up itself alone, across the messages of its batch', async () => {
    const slow = gate();
    const { ran, definition } = recorder((seq) => (seq === 1 ? slow.opened : undefined));
    const bench = new EventsBench([definition]);
    const answer = bench.invoke([
      recordOf({
        events: [
          { seq: 1, guild: 'a' },
          { seq: 2, guild: 'b' },
          { seq: 3, guild: 'a' },
        ],
      }),
      recordOf({
        events: [
          { seq: 4, guild: 'b' },
          { seq: 5, guild: 'a' },
        ],
      }),
    ]);
    await bench.pass();
    expect(ran).toEqual([2, 4]);
    slow.open();
    expect(await answer).toEqual([]);
    expect(ran).toEqual([2, 4, 1, 3, 5]);
  });

  test('every event runs once and in the order of its guild, whatever handlers take', async () => {
    const events = fc.array(
      fc.record({ guild: fc.constantFrom('a', 'b', 'c', undefined), waits: fc.nat({ max: 3 }) }),
      {
        minLength: 1,
        maxLength: 40,
      },
    );
    const batch = fc.array(fc.record({ shard: fc.nat({ max: 2 }), events }), { minLength: 1, maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(batch, fc.integer({ min: 1, max: 4 }), async (messages, parallelGuilds) => {
        const waits = new Map<string, number>();
        const ran = new Map<string, number[]>();
        const sent = new Map<string, number[]>();
        const nextSeq = [1, 1, 1];
        const records = messages.map(({ shard, events }) =>
          recordOf({
            shard: [shard, 3],
            session: `s${shard}`,
            events: events.map(({ guild, waits: turns }): TestEvent => {
              const seq = nextSeq[shard] as number;
              nextSeq[shard] = seq + 1;
              waits.set(`${shard}.${seq}`, turns);
              push(sent, `${shard} ${guild}`, seq);
              return { seq, ...(guild !== undefined && { guild }) };
            }),
          }),
        );
        const handler = defineEvent('MESSAGE_CREATE', (_message, ctx) => {
          const turns = waits.get(`${ctx.shard.id}.${ctx.seq}`) as number;
          const done = () => push(ran, `${ctx.shard.id} ${ctx.guildId}`, ctx.seq);
          if (turns === 0) return done();
          return (async () => {
            for (let turn = 0; turn < turns; turn += 1) await new Promise((resolve) => setImmediate(resolve));
            done();
          })();
        });
        const bench = new EventsBench([handler], { limits: { parallelGuilds } });
        expect(await bench.invoke(records)).toEqual([]);
        expect(ran).toEqual(sent);
      }),
      { numRuns: 60 },
    );
  });

  test('a batch that goes well asks the table for nothing', async () => {
    const { definition } = recorder();
    const bench = new EventsBench([definition]);
    await bench.invoke([
      recordOf({ events: [{ seq: 1, guild: 'a' }] }),
      recordOf({ events: [{ seq: 2, guild: 'a' }] }),
    ]);
    expect({ reads: bench.marks.reads, writes: bench.marks.writes }).toEqual({ reads: 0, writes: 0 });
    expect(bench.clock.pendingTimers).toBe(0);
  });

  test('every event is observed after it ran, with its envelope', async () => {
    const { definition } = recorder();
    const bench = new EventsBench([definition]);
    await bench.invoke([
      recordOf({
        events: [
          { seq: 1, guild: 'a' },
          { seq: 2, type: 'TYPING_START' },
        ],
        header: { replayed: true },
      }),
    ]);
    expect(bench.observed).toMatchObject([
      { type: 'MESSAGE_CREATE', guildId: 'a', seq: 1, data: { id: 'm1' }, group: '64.3', outcome: 'handled' },
      { type: 'TYPING_START', guildId: undefined, seq: 2, header: { replayed: true, session: 'session' } },
    ]);
  });
});

describe('a failing event', () => {
  const threeGuildsEvents = [
    { seq: 1, guild: 'a' },
    { seq: 2, guild: 'a' },
    { seq: 3, guild: 'b' },
    { seq: 4, guild: 'a' },
  ];

  test('goes to the dead letters after its retries; its neighbours run once and the group goes on', async () => {
    const tries: number[] = [];
    const { ran, definition } = recorder((seq) => {
      if (seq !== 2) return;
      tries.push(seq);
      throw new Error('boom \u{1F4A5}');
    });
    const bench = new EventsBench([definition]);
    const answer = bench.invoke([recordOf({ messageId: 'message', events: threeGuildsEvents })]);
    await bench.pass(3000);
    expect(await answer).toEqual([]);
    expect(tries).toEqual([2, 2, 2]);
    expect(ran).toEqual([1, 3, 4]);
    expect(bench.deadLetters.messages).toMatchObject([
      {
        groupId: '64.3',
        deduplicationId: 'message.1',
        attributes: {
          reason: 'handler-failed',
          error: 'boom ??',
          type: 'MESSAGE_CREATE',
          guild: 'a',
          shard: '3/64',
          session: 'session',
          seq: '2',
          handler: 'handlers/test.ts#handler0',
        },
      },
    ]);
    expect(bench.summaries).toMatchObject([{ handled: 3, retried: 2, deadLettered: 1, unfinished: 0 }]);
  });

  test('comes as an envelope of its own, which runs again when it is put back', async () => {
    let broken = true;
    const { ran, definition } = recorder(() => {
      if (broken) throw new Error('boom');
    });
    const bench = new EventsBench([definition], { limits: { attempts: 1 }, consumerGuard: true });
    await bench.invoke([recordOf({ events: [{ seq: 9, guild: 'a' }] })]);
    const [letter] = bench.deadLetters.messages;
    if (!letter?.events) throw new Error('there is no dead letter with frames');
    expect(decodeEnvelope(letter.body, letter.events)).toMatchObject({
      header: { first: 9, last: 9, count: 1, session: 'session', shard: [3, 64] },
      frames: [frameOf({ seq: 9, guild: 'a' })],
    });
    broken = false;
    const { body, events, attributes, groupId } = letter;
    expect(await bench.invoke([sqsRecord({ body, events, attributes, group: groupId })])).toEqual([]);
    expect(ran).toEqual([9]);
  });

  test('is tried again only as long as there is time, then handed back', async () => {
    const { definition } = recorder(() => {
      throw new Error('boom');
    });
    const bench = new EventsBench([definition], { limits: { retryBaseMs: 60_000, retryCapMs: 60_000 } });
    const answer = bench.invoke([recordOf({ messageId: 'message', events: [{ seq: 1, guild: 'a' }] })]);
    await bench.pass(30_000);
    expect(await answer).toEqual(['message']);
    expect(bench.deadLetters.messages).toEqual([]);
  });

  test('is not tried again when Discord has refused it', async () => {
    let tries = 0;
    const { definition } = recorder(async () => {
      tries += 1;
      const refusal = { code: 50_013, message: 'Missing Permissions' };
      throw new DiscordAPIError(refusal, 50_013, 403, 'POST', 'https://discord.com/api', {});
    });
    const bench = new EventsBench([definition]);
    expect(await bench.invoke([recordOf({ events: [{ seq: 1, guild: 'a' }] })])).toEqual([]);
    expect(tries).toBe(1);
    expect(bench.deadLetters.messages).toMatchObject([{ attributes: { error: 'Missing Permissions' } }]);
  });

  test('does not run the handlers again that had handled it', async () => {
    const first = recorder();
    const second = recorder(async () => {
      throw new Error('boom');
    });
    const third = recorder();
    const bench = new EventsBench([first.definition, second.definition, third.definition]);
    const answer = bench.invoke([recordOf({ events: [{ seq: 1, guild: 'a' }] })]);
    await bench.pass(3000);
    expect(await answer).toEqual([]);
    expect([first.ran, third.ran]).toEqual([[1], []]);
    expect(bench.deadLetters.messages).toMatchObject([{ attributes: { handler: 'handlers/test.ts#handler1' } }]);
  });

  test('stays where it is while the dead-letter queue takes nothing: its group is handed back, others are not', async () => {
    const { ran, definition } = recorder((seq) => {
      if (seq === 2) throw new Error('boom');
    });
    const bench = new EventsBench([definition], { limits: { attempts: 1 } });
    bench.deadLetters.outage = new Error('no queue');
    const first = recordOf({ messageId: 'first', events: threeGuildsEvents });
    const second = recordOf({ messageId: 'second', events: [{ seq: 5, guild: 'b' }] });
    const other = recordOf({ messageId: 'other', shard: [4, 64], events: [{ seq: 5, guild: 'c' }] });
    const before = recordOf({ messageId: 'before', events: [{ seq: 0, guild: 'b' }], header: { after: 0 } });
    expect(await bench.invoke([before, first, other, second])).toEqual(['first', 'second']);
    expect(inOrder(ran)).toEqual([0, 1, 3, 5, 5]);
    ran.length = 0;
    bench.deadLetters.outage = undefined;
    expect(await bench.invoke([redelivered(first), redelivered(second)])).toEqual([]);
    expect(ran).toEqual([4]);
    expect(bench.deadLetters.messages).toHaveLength(1);
    expect(bench.summaries.at(-1)).toMatchObject({ alreadyDone: 3, handled: 1, deadLettered: 1 });
  });
});

describe('what cannot be read', () => {
  const good = recordOf({ events: [{ seq: 1, guild: 'a' }] });
  test.each([
    { what: 'no attribute', record: { ...good, messageAttributes: {} }, reason: 'no binary attribute "events"' },
    { what: 'no JSON', record: { ...good, body: 'x' }, reason: 'header is not JSON' },
    { what: 'another version', record: { ...good, body: good.body.replace('"v":1', '"v":2') }, reason: 'header: v' },
    {
      what: 'another count',
      record: { ...good, body: good.body.replace('"count":1', '"count":2') },
      reason: '2 frames',
    },
    { what: 'other bytes', record: { ...good, body: good.body.replace('gzip', 'zstd') }, reason: 'decode as zstd' },
  ])('a message with $what goes to the dead letters as it is, and its group goes on', async ({ record, reason }) => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition]);
    expect(await bench.invoke([record, recordOf({ events: [{ seq: 2, guild: 'a' }] })])).toEqual([]);
    expect(ran).toEqual([2]);
    expect(bench.deadLetters.messages).toMatchObject([
      {
        body: record.body,
        groupId: '64.3',
        deduplicationId: record.messageId,
        attributes: { reason: 'envelope-undecodable', error: expect.stringContaining(reason) as string },
      },
    ]);
  });

  test('a message that the dead-letter queue does not take is handed back, and its group waits behind it', async () => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition]);
    bench.deadLetters.outage = new Error('no queue');
    const bad = { ...good, messageId: 'bad', body: 'x' };
    const behind = recordOf({ messageId: 'behind', events: [{ seq: 2, guild: 'a' }] });
    const other = recordOf({ shard: [4, 64], events: [{ seq: 3, guild: 'b' }] });
    expect(await bench.invoke([bad, behind, other])).toEqual(['bad', 'behind']);
    expect(ran).toEqual([3]);
  });

  test.each(['{', 'null', '{"s":2,"d":{}}', '{"t":"MESSAGE_CREATE","d":{}}'])(
    'the frame %s goes to the dead letters alone',
    async (frame) => {
      const { ran, definition } = recorder();
      const bench = new EventsBench([definition]);
      expect(await bench.invoke([recordOf({ events: [{ seq: 1, guild: 'a' }, frame, { seq: 3 }] })])).toEqual([]);
      expect(ran).toEqual([1, 3]);
      expect(bench.deadLetters.messages).toMatchObject([{ attributes: { reason: 'frame-invalid' } }]);
    },
  );
});

describe('a handler that does not end', () => {
  test('loses its time, not that of others: the event goes to the dead letters, without a second try', async () => {
    const signals: AbortSignal[] = [];
    const { ran, definition } = recorder((seq, signal) => {
      if (seq !== 1) return;
      signals.push(signal);
      return never;
    });
    const bench = new EventsBench([definition]);
    const answer = bench.invoke([
      recordOf({
        events: [
          { seq: 1, guild: 'a' },
          { seq: 2, guild: 'a' },
          { seq: 3, guild: 'b' },
        ],
      }),
    ]);
    await bench.pass(9999);
    expect(ran).toEqual([3]);
    await bench.pass(1);
    expect(await answer).toEqual([]);
    expect(ran).toEqual([3, 2]);
    expect(signals.map((signal) => signal.aborted)).toEqual([true]);
    expect(bench.deadLetters.messages).toMatchObject([{ attributes: { reason: 'handler-timed-out', seq: '1' } }]);
    expect(bench.clock.pendingTimers).toBe(0);
  });
});

describe('a batch that takes long', () => {
  async function logOf(handlerMs: number) {
    const patient = defineEvent('MESSAGE_CREATE', ({ id }, ctx) =>
      bench.clock.sleep(id === 'm2' ? handlerMs : 100, ctx.signal),
    );
    const logger = new RecordingLogger();
    const bench = new EventsBench([patient], { logger });
    const events = [1, 2, 3].map((seq) => ({ seq, guild: 'a' }));
    const answer = bench.invoke([recordOf({ events })]);
    await bench.pass(10_000);
    expect(await answer).toEqual([]);
    return logger.lines.filter(({ message }) => message === 'events.batch');
  }

  test('tells which handler took longest', async () => {
    const slowest = { slowestHandler: 'handlers/test.ts#handler0', slowestType: 'MESSAGE_CREATE', slowestMs: 1800 };
    expect(await logOf(1800)).toMatchObject([{ level: 'warn', fields: { tookMs: 2000, ...slowest } }]);
  });

  test('and one that does not is not told of', async () => {
    expect(await logOf(1700)).toMatchObject([{ level: 'debug' }]);
  });
});

describe('time that runs out', () => {
  // Each event takes 6 s, so a guild gets through four in the 27.5 s that an invocation of 30 s has for them.
  function slowBench(consumerGuard: boolean) {
    const started: number[] = [];
    const finished: number[] = [];
    const slow = defineEvent('MESSAGE_CREATE', async (_message, ctx) => {
      started.push(ctx.seq);
      await bench.clock.sleep(6000, ctx.signal);
      ctx.signal.throwIfAborted();
      finished.push(ctx.seq);
    });
    const bench = new EventsBench([slow], { consumerGuard });
    return { bench, started, finished };
  }
  const sixOfOneGuild = [1, 2, 3, 4, 5, 6].map((seq) => ({ seq, guild: 'a' }));

  test('hands the rest back, with everything behind it, before Lambda ends the invocation', async () => {
    const { bench, finished } = slowBench(false);
    const first = recordOf({ messageId: 'first', events: sixOfOneGuild });
    const second = recordOf({ messageId: 'second', events: [{ seq: 7, guild: 'b' }] });
    const other = recordOf({ messageId: 'other', shard: [4, 64], events: [{ seq: 8, guild: 'c' }] });
    const answer = bench.invoke([first, second, other]);
    await bench.pass(27_500);
    expect(await answer).toEqual(['first', 'second']);
    expect(inOrder(finished)).toEqual([1, 2, 3, 4, 7, 8]);
    expect(bench.deadLetters.messages).toEqual([]);

    // Done is done; what was interrupted runs again.
    finished.length = 0;
    const again = bench.invoke([redelivered(first), redelivered(second)]);
    await bench.pass(27_500);
    expect(await again).toEqual([]);
    expect(finished).toEqual([5, 6]);
  });

  test('does not cast doubt on what was interrupted: guilds run side by side again', async () => {
    const { bench, started, finished } = slowBench(false);
    const record = recordOf({
      events: [1, 2, 3, 4, 5].flatMap((seq) => [
        { seq, guild: 'a' },
        { seq: seq + 10, guild: 'b' },
      ]),
    });
    const second = bench.invoke([redelivered(record)]);
    await bench.pass(27_500);
    expect(await second).toHaveLength(1);
    started.length = 0;
    const third = bench.invoke([redelivered(redelivered(record))]);
    await bench.pass();
    expect(started).toEqual([5, 15]);
    await bench.pass(6000);
    expect(await third).toEqual([]);
    expect(inOrder(finished)).toEqual([1, 2, 3, 4, 5, 11, 12, 13, 14, 15]);
  });

  test('with the consumer guard, what was interrupted does not run again: it goes to the dead letters', async () => {
    const { bench, started, finished } = slowBench(true);
    const first = recordOf({ messageId: 'first', events: sixOfOneGuild });
    const answer = bench.invoke([first]);
    await bench.pass(28_000);
    expect(await answer).toEqual(['first']);
    expect(bench.deadLetters.messages).toMatchObject([{ attributes: { reason: 'interrupted', seq: '5' } }]);
    const again = bench.invoke([redelivered(first)]);
    await bench.pass(28_000);
    expect(await again).toEqual([]);
    expect(started).toEqual([1, 2, 3, 4, 5, 6]);
    expect(finished).toEqual([1, 2, 3, 4, 6]);
  });

  test('handlers that never wait are stopped too', async () => {
    let busyMs = 0;
    const clock = new ManualClock();
    const busyClock: Clock = {
      monotonicMs: () => clock.monotonicMs() + busyMs,
      wallClockMs: () => clock.wallClockMs(),
      sleep: (durationMs, signal) => clock.sleep(durationMs, signal),
      schedule: (durationMs, run) => clock.schedule(durationMs, run),
    };
    const busy = defineEvent('MESSAGE_CREATE', () => {
      busyMs += 10_000;
    });
    const bench = new EventsBench([busy], { clock: busyClock });
    const record = recordOf({ messageId: 'first', events: [1, 2, 3, 4, 5, 6].map((seq) => ({ seq, guild: 'a' })) });
    expect(await bench.invoke([record])).toEqual(['first']);
    expect(bench.summaries).toMatchObject([{ handled: 3, unfinished: 1 }]);
  });
});

describe('an invocation that dies', () => {
  const record = recordOf({
    messageId: 'message',
    events: [
      { seq: 1, guild: 'a' },
      { seq: 2, guild: 'a' },
      { seq: 3, guild: 'b' },
      { seq: 4, guild: 'b' },
      { seq: 5, guild: 'c' },
      { seq: 6, guild: 'a' },
    ],
  });

  /** Event 4 kills the process: seen from outside, its invocation just never goes on. */
  function deadlyBench() {
    const ran: number[] = [];
    let deadly = true;
    const bench = new EventsBench([
      defineEvent('MESSAGE_CREATE', (_message, ctx) => {
        ran.push(ctx.seq);
        // Event 5 happens to be under way whenever 4 strikes.
        return deadly && (ctx.seq === 4 || ctx.seq === 5) ? never : undefined;
      }),
    ]);
    return { bench, ran, cure: () => void (deadly = false) };
  }

  /** Lets an invocation run until it can go no further, and forgets it. */
  async function crash(bench: EventsBench, receiveCount: number) {
    const attributes = { ...record.attributes, ApproximateReceiveCount: String(receiveCount) };
    void bench.invoke([{ ...record, attributes }]);
    await bench.pass();
  }

  test('leaves marks from the second delivery on: what had ended does not run again', async () => {
    const { bench, ran, cure } = deadlyBench();
    await crash(bench, 1);
    expect(bench.marks.writes).toBe(0);
    await crash(bench, 2);
    ran.length = 0;
    cure();
    expect(await bench.invoke([redelivered(redelivered(record))])).toEqual([]);
    // Only those that were under way, in doubt, run again.
    expect(inOrder(ran)).toEqual([4, 5]);
    expect(bench.deadLetters.messages).toEqual([]);
  });

  test('finds the guilty event by running those in doubt one at a time', async () => {
    const { bench, ran, cure } = deadlyBench();
    await crash(bench, 1);
    await crash(bench, 2);
    ran.length = 0;
    await crash(bench, 3);
    expect(ran).toEqual([4]);
    ran.length = 0;
    cure();
    const answer = await bench.invoke([redelivered(redelivered(redelivered(record)))]);
    expect(answer).toEqual([]);
    expect(bench.deadLetters.messages).toMatchObject([{ attributes: { reason: 'invocation-died', seq: '4' } }]);
    expect(ran).toEqual([5]);
  });

  test('does not condemn an event that ran beside the guilty one of another message', async () => {
    const killer = recordOf({ messageId: 'killer', shard: [4, 64], events: [{ seq: 4, guild: 'x' }] });
    const innocent = recordOf({ messageId: 'innocent', events: [{ seq: 5, guild: 'y' }] });
    const { bench, ran, cure } = deadlyBench();
    void bench.invoke([redelivered(killer), redelivered(innocent)]);
    await bench.pass();
    cure();
    ran.length = 0;
    expect(await bench.invoke([killer, innocent].map(redelivered).map(redelivered))).toEqual([]);
    expect(ran).toEqual([4, 5]);
    expect(bench.deadLetters.messages).toEqual([]);
  });

  test('gives way when a later delivery of its message is at work', async () => {
    const slow = gate();
    const { ran, definition } = recorder((seq) => (seq === 1 ? slow.opened : undefined));
    const bench = new EventsBench([definition]);
    const second = redelivered(record);
    const stale = bench.invoke([second]);
    await bench.pass();
    const current = bench.invoke([redelivered(second)]);
    await bench.pass();
    slow.open();
    expect(await stale).toEqual(['message']);
    expect(await current).toEqual([]);
    expect(ran.filter((seq) => seq === 6)).toEqual([6]);
  });

  test('hands the message back when its marks cannot be read, and runs nothing of it', async () => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition]);
    bench.marks.outage = new Error('no table');
    const behind = recordOf({ messageId: 'behind', events: [{ seq: 7, guild: 'd' }] });
    const other = recordOf({ shard: [4, 64], events: [{ seq: 8, guild: 'e' }] });
    expect(await bench.invoke([redelivered(record), behind, other])).toEqual(['message', 'behind']);
    expect(ran).toEqual([8]);
  });
});

describe('consumer guard', () => {
  test('runs an envelope once, however often and in whatever cut it comes', async () => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition], { consumerGuard: true });
    const events = [1, 2, 3, 4, 5].map((seq) => ({ seq, guild: 'a' }));
    await bench.invoke([recordOf({ events: events.slice(0, 3) })]);
    await bench.invoke([recordOf({ events: events.slice(0, 3) }), recordOf({ events: events.slice(1) })]);
    expect(ran).toEqual([1, 2, 3, 4, 5]);
    expect(bench.summaries).toMatchObject([{ skippedByGuard: 0 }, { skippedByGuard: 5, holes: 0 }]);
    expect(bench.marks.writes).toBe(3);
  });

  test('tells sessions and groups apart', async () => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition], { consumerGuard: true });
    const events = [{ seq: 5, guild: 'a' }];
    await bench.invoke([
      recordOf({ events }),
      recordOf({ events, session: 'next' }),
      recordOf({ events, shard: [4, 64] }),
    ]);
    expect(ran).toEqual([5, 5, 5]);
  });

  test('counts a hole and runs what comes behind it', async () => {
    const { ran, definition } = recorder();
    const bench = new EventsBench([definition], { consumerGuard: true });
    await bench.invoke([recordOf({ events: [{ seq: 5, guild: 'a' }] })]);
    await bench.invoke([recordOf({ events: [{ seq: 9, guild: 'a' }] })]);
    expect(ran).toEqual([5, 9]);
    expect(bench.summaries).toMatchObject([{ holes: 0 }, { holes: 1 }]);
  });

  test('runs nothing twice even when an invocation dies half-way', async () => {
    const { ran, definition } = recorder((seq) => (seq === 2 ? never : undefined));
    const bench = new EventsBench([definition], { consumerGuard: true });
    const record = recordOf({ events: [1, 2, 3].map((seq) => ({ seq, guild: 'a' })) });
    void bench.invoke([record]);
    await bench.pass();
    expect(ran).toEqual([1]);
    expect(await bench.invoke([redelivered(record)])).toEqual([]);
    expect(ran).toEqual([1]);
    expect(bench.summaries).toMatchObject([{ skippedByGuard: 3 }]);
  });
});

describe('afterBatch', () => {
  test('runs once for handlers that ran, and its failure is no failure of events', async () => {
    const calls: string[] = [];
    const bench = new EventsBench([
      defineEvent('MESSAGE_CREATE', () => {}, {
        afterBatch: async () => {
          calls.push('messages');
          throw new Error('boom');
        },
      }),
      defineEvent('TYPING_START', () => {}, { afterBatch: async () => void calls.push('typing') }),
    ]);
    expect(await bench.invoke([recordOf({ events: [{ seq: 1 }, { seq: 2 }] })])).toEqual([]);
    expect(calls).toEqual(['messages']);
  });
});

function push(lists: Map<string, number[]>, key: string, value: number): void {
  const list = lists.get(key);
  if (list) list.push(value);
  else lists.set(key, [value]);
}

function inOrder(seqs: readonly number[]): number[] {
  return seqs.toSorted((one, other) => one - other);
}

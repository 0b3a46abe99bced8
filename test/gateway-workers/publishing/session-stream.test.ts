import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { KeptFrame } from '../../../gateway-workers/publishing/pack.ts';
import { type Doubt, SessionStream } from '../../../gateway-workers/publishing/session-stream.ts';
import type { Checkpoint } from '../../../shared/coordination/model.ts';

const now = { wallClockMs: 1_790_000_000_000, monotonicMs: 5000 };

function frame(seq: number, type = 'MESSAGE_CREATE', size = 40): KeptFrame {
  return {
    seq,
    type,
    bytes: Buffer.from(`{"t":"${type}","s":${seq},"op":0,"d":"${'x'.repeat(size)}"}`),
    replayed: false,
  };
}

function openStream(options: { from?: Checkpoint; wanted?: string[]; oversized?: KeptFrame[] } = {}): SessionStream {
  const wanted = new Set(options.wanted ?? ['MESSAGE_CREATE']);
  return new SessionStream({
    session: 'a'.repeat(32),
    from: options.from,
    isWanted: (type) => wanted.has(type),
    encoding: 'none',
    monotonicMs: () => now.monotonicMs,
    onOversized: (oversized) => options.oversized?.push(oversized),
  });
}

function seqs(doubt: Doubt | undefined): number[] {
  return (doubt?.packed?.frames ?? []).map(({ seq }) => seq);
}

describe('a stream', () => {
  test('keeps frames although their memory is written over, small ones and large ones', () => {
    const stream = openStream();
    const sizes = [10, 700, 20_000, 80_000, 700];
    const loaned = sizes.map((size, index) => frame(index + 1, 'MESSAGE_CREATE', size));
    const sent = loaned.map(({ bytes }) => bytes.toString());
    for (const one of loaned) {
      stream.accept(one);
      one.bytes.fill(0x21);
    }
    expect(stream.cut(now)?.packed?.payload.toString().split('\n')).toEqual(sent);
  });

  test('that is stuck does not keep the memory of the frames that pass it by', () => {
    let monotonicMs = 0;
    const open = (session: string) =>
      new SessionStream({
        session,
        from: undefined,
        isWanted: () => true,
        encoding: 'none',
        monotonicMs: () => monotonicMs,
        onOversized: () => {},
      });
    const [stuck, flowing] = [open('stuck'), open('flowing')];
    const passing = frame(1, 'MESSAGE_CREATE', 8000);
    // Eight seconds in which 25 MB pass and 400 small frames stay.
    for (let seq = 1; seq <= 400; seq += 1) {
      monotonicMs += 20;
      stuck.accept(frame(seq));
      for (let place = 0; place < 8; place += 1) flowing.accept({ ...passing, seq: 8 * seq + place });
      const sent = flowing.cut({ ...now, monotonicMs });
      if (sent) flowing.acknowledge(sent);
    }
    const frames = stuck.cut({ ...now, monotonicMs })?.packed?.frames ?? [];
    expect(frames).toHaveLength(400);
    const held = new Set(frames.map(({ bytes }) => bytes.buffer));
    expect([...held].reduce((bytes, { byteLength }) => bytes + byteLength, 0)).toBeLessThan(10_000_000);
  });

  test('acknowledges filtered frames at once and holds what waits for SQS', () => {
    const stream = openStream();
    stream.accept(frame(1, 'READY'));
    stream.accept(frame(2, 'TYPING_START'));
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 2, publishedSeq: 0 });
    stream.accept(frame(3));
    stream.accept(frame(4, 'TYPING_START'));
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 2 });
    const doubt = stream.cut(now) as Doubt;
    stream.acknowledge(doubt);
    expect(stream.checkpoint()).toEqual({ session: stream.session, acknowledgedSeq: 4, publishedSeq: 3 });
  });

  test('cuts one range at a time, and chains it to the one before', () => {
    const stream = openStream();
    for (const seq of [2, 3]) stream.accept(frame(seq));
    const first = stream.cut(now) as Doubt;
    stream.accept(frame(4));
    expect(stream.cut(now)).toBe(first);
    expect(first).toMatchObject({ first: 2, last: 3, after: 0 });
    stream.acknowledge(first);
    expect(stream.cut(now)).toMatchObject({ first: 4, last: 4, after: 3 });
  });

  test('never passes an event that another place must have first', () => {
    const stream = openStream();
    stream.accept(frame(2));
    stream.hold(3);
    stream.accept(frame(3, 'INTERACTION_CREATE'));
    stream.accept(frame(4));
    const doubt = stream.cut(now) as Doubt;
    stream.acknowledge(doubt);
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 2, publishedSeq: 4 });
    stream.letPass(3);
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 4 });
  });

  test('rebuilds the inherited range with the same boundaries, before anything else', () => {
    const inDoubt = { first: 12, last: 15, firstAttemptAtMs: 1 };
    const stream = openStream({ from: { session: 'x', acknowledgedSeq: 11, publishedSeq: 10, inDoubt } });
    // 14 is the RESUMED of a resume before: Discord replays that as well.
    for (const [seq, type] of [
      [12, 'MESSAGE_CREATE'],
      [13, 'TYPING_START'],
      [14, 'RESUMED'],
    ] as const) {
      stream.accept(frame(seq, type));
      expect(stream.doubt?.packed).toBeUndefined();
    }
    stream.accept(frame(15));
    stream.accept(frame(16));
    expect(stream.doubt).toMatchObject({ first: 12, last: 15, after: 10, firstAttemptAtMs: 1 });
    expect(seqs(stream.doubt)).toEqual([12, 15]);
    stream.acknowledge(stream.doubt as Doubt);
    expect(stream.cut(now)).toMatchObject({ first: 16, after: 15 });
  });

  test('sends the inherited range even when nothing of it is left, once the replay is over', () => {
    const inDoubt = { first: 12, last: 15, firstAttemptAtMs: 1 };
    const stream = openStream({ from: { session: 'x', acknowledgedSeq: 11, publishedSeq: 10, inDoubt }, wanted: [] });
    for (const seq of [12, 13, 14, 15]) stream.accept(frame(seq));
    expect(seqs(stream.doubt)).toEqual([]);
    expect(stream.doubt?.packed?.payload.length).toBeGreaterThan(0);
  });

  test('does not send again what is in SQS, when a held event made Discord replay it', () => {
    const stream = openStream({ from: { session: 'x', acknowledgedSeq: 4, publishedSeq: 9 } });
    for (const seq of [5, 6, 9, 10]) stream.accept(frame(seq));
    expect(seqs(stream.cut(now))).toEqual([10]);
  });

  test('drops a range that nobody can rebuild when Discord refuses the session, and says so', () => {
    const inDoubt = { first: 12, last: 15, firstAttemptAtMs: 1 };
    const stream = openStream({ from: { session: 'x', acknowledgedSeq: 11, publishedSeq: 10, inDoubt } });
    expect(stream.end()).toEqual(inDoubt);
    expect(stream.isDrained).toBe(true);
  });

  test('still sends what it read of a session that has ended', () => {
    const stream = openStream();
    stream.accept(frame(2));
    expect(stream.end()).toBeUndefined();
    expect(seqs(stream.cut(now))).toEqual([2]);
    expect(stream.isDrained).toBe(false);
  });

  test('halves a refused range until one frame is refused alone, which is put aside', () => {
    const oversized: KeptFrame[] = [];
    const stream = openStream({ oversized });
    for (let seq = 2; seq <= 17; seq += 1) stream.accept(frame(seq));
    const attempts: number[][] = [];
    const sendAll = () => {
      for (let doubt = stream.cut(now); doubt !== undefined; doubt = stream.cut(now)) {
        attempts.push([doubt.first, doubt.last]);
        if (seqs(doubt).includes(12)) stream.refuse(doubt);
        else stream.acknowledge(doubt);
      }
    };
    sendAll();
    // Nothing passes a frame that is nowhere yet: another owner would skip it as published.
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 11, publishedSeq: 11 });
    expect(oversized.map(({ seq }) => seq)).toEqual([12]);
    stream.letPass(12);
    sendAll();
    // After each success twice as many frames are tried again.
    expect(attempts).toEqual([
      [2, 17],
      [2, 9],
      [10, 17],
      [10, 13],
      [10, 11],
      [12, 15],
      [12, 13],
      [12, 12],
      [13, 13],
      [14, 15],
      [16, 17],
    ]);
    expect(stream.checkpoint()).toMatchObject({ acknowledgedSeq: 17, publishedSeq: 17 });
  });

  test('marks what it sends under other boundaries when the owner before it may have sent the whole', () => {
    const inDoubt = { first: 2, last: 3, firstAttemptAtMs: 1 };
    const stream = openStream({ from: { session: 'x', acknowledgedSeq: 1, publishedSeq: 1, inDoubt } });
    for (const seq of [2, 3]) stream.accept(frame(seq));
    expect(stream.waitingSinceMs).toBeUndefined();
    stream.refuse(stream.doubt as Doubt);
    // Nothing else tells the flush cycle that there is something to send.
    expect(stream.waitingSinceMs).toBeLessThan(now.monotonicMs);
    stream.accept(frame(4));
    const cuts: unknown[] = [];
    for (let next = stream.cut(now); next !== undefined; next = stream.cut(now)) {
      cuts.push([next.first, next.last, next.unfenced]);
      stream.acknowledge(next);
    }
    expect(cuts).toEqual([
      [2, 2, true],
      // Half of it may be double.
      [3, 4, true],
    ]);
  });

  test('gives a frame above 256 KiB its own envelope and puts one aside that SQS cannot carry', () => {
    const oversized: KeptFrame[] = [];
    const stream = openStream({ oversized });
    const noise = (seq: number, bytes: number): KeptFrame => ({
      ...frame(seq),
      bytes: Buffer.alloc(bytes, seq).map((_, i) => (i * 7919 * seq) % 251) as Buffer,
    });
    stream.accept(frame(2));
    stream.accept(noise(3, 400_000));
    stream.accept(frame(4));
    expect(seqs(stream.cut(now))).toEqual([2]);
    stream.acknowledge(stream.doubt as Doubt);
    expect(seqs(stream.cut(now))).toEqual([3]);
    stream.acknowledge(stream.doubt as Doubt);
    expect(seqs(stream.cut(now))).toEqual([4]);
    expect(oversized).toEqual([]);
  });
});

test('whatever happens, the ranges sent cover the wanted frames in order, once, and a only grows', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('wanted', 'filtered', 'interaction', 'resumed', 'cut', 'ack', 'pass', 'restart'), {
        maxLength: 120,
      }),
      (steps) => {
        let stream = openStream();
        let seq = 1;
        let sent: number[] = [];
        const log: { seq: number; type: string }[] = [];
        const held = new Set<number>();
        let lastAcknowledged = 0;
        const read = (type: string) => {
          seq += 1;
          log.push({ seq, type });
          if (type === 'INTERACTION_CREATE') {
            stream.hold(seq);
            held.add(seq);
          }
          stream.accept(frame(seq, type));
        };
        stream.accept(frame(1, 'READY'));
        for (const step of steps) {
          if (step === 'wanted') read('MESSAGE_CREATE');
          else if (step === 'filtered') read('TYPING_START');
          else if (step === 'interaction') read('INTERACTION_CREATE');
          else if (step === 'resumed') read('RESUMED');
          else if (step === 'cut') stream.cut(now);
          else if (step === 'ack' && stream.doubt?.packed) {
            sent = [...sent, ...seqs(stream.doubt)];
            stream.acknowledge(stream.doubt);
          } else if (step === 'pass') {
            for (const one of held) stream.letPass(one);
            held.clear();
          } else if (step === 'restart') {
            // Another owner goes on from the checkpoint; Discord replays what is above it.
            const checkpoint = stream.checkpoint();
            stream = openStream({ from: checkpoint });
            for (const { seq: replayed, type } of log) {
              if (replayed <= checkpoint.acknowledgedSeq) continue;
              if (type === 'INTERACTION_CREATE') stream.hold(replayed);
              stream.accept(frame(replayed, type));
            }
          }
          const { acknowledgedSeq } = stream.checkpoint();
          expect(acknowledgedSeq).toBeGreaterThanOrEqual(lastAcknowledged);
          lastAcknowledged = acknowledgedSeq;
        }
        while (stream.cut(now)) {
          sent = [...sent, ...seqs(stream.doubt)];
          stream.acknowledge(stream.doubt as Doubt);
        }
        expect(sent).toEqual(log.filter(({ type }) => type === 'MESSAGE_CREATE').map((one) => one.seq));
      },
    ),
    { numRuns: 300 },
  );
});

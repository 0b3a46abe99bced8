import { describe, expect, test } from 'vitest';
import { closeRules } from '../../../gateway-workers/gateway/close-codes.ts';
import { type FakeSocket, Rig, mainUrl, notingLogger, resumeUrl, session, token } from './connection-rig.ts';

const identify = 2;
const resume = 6;
const query = '/?v=10&encoding=json';

/** Fails unless the connection goes on by resuming from `seq` at `url`. */
async function expectResume(rig: Rig, seq: number, url = resumeUrl): Promise<FakeSocket> {
  const socket = await rig.nextSocket();
  expect(new URL(socket.url).host).toBe(new URL(url).host);
  socket.opens().hello();
  await rig.clock.settle();
  expect(socket.sent).toEqual([{ op: resume, d: { token, session_id: 'session-1', seq } }]);
  expect(rig.listener.notes).not.toContain('lost');
  return socket;
}

describe('a new session', () => {
  test('goes through the gate to the main URL, identifies after HELLO, and is told before its READY', async () => {
    const rig = new Rig();
    rig.connection.connect();
    await rig.clock.settle();
    expect(rig.gate.approached).toBe(1);
    expect(rig.socket.url).toBe(`wss://gateway.example${query}`);
    rig.socket.opens();
    await rig.clock.settle();
    expect(rig.socket.sent).toEqual([]);
    rig.socket.hello();
    await rig.clock.settle();
    expect(rig.socket.sent).toEqual([
      {
        op: identify,
        d: {
          token,
          intents: 513,
          shard: [3, 64],
          properties: { os: process.platform, browser: 'baton', device: 'baton' },
        },
      },
    ]);
    rig.socket.ready().dispatch(2, 'GUILD_CREATE');
    expect(rig.listener.notes).toEqual(['started', 'READY 1', 'GUILD_CREATE 2']);
    expect(rig.listener.started).toEqual({
      session: { sessionId: 'session-1', resumeGatewayUrl: resumeUrl, seq: 1 },
      ready: { applicationId: '200', userId: '100', guildIds: ['1'] },
    });
    expect(rig.connection.session).toEqual({ sessionId: 'session-1', resumeGatewayUrl: resumeUrl, seq: 2 });
    expect(rig.connection.state).toBe('ready');
    expect(rig.gate.outcomes).toEqual(['ready']);
    expect(rig.listener.changes.map(({ to }) => to)).toEqual([
      'approaching',
      'dialling',
      'awaitingHello',
      'awaitingPermit',
      'identifying',
      'ready',
    ]);
  });

  test('frames reach the listener byte for byte', async () => {
    const rig = new Rig();
    const socket = await rig.identified();
    const frame = '{"t":"MESSAGE_CREATE","s":2,"op":0,"d":{"content":"\\u00e9\\ud83d 語 \\"}}\\""}}';
    const odd = ' { "op" : 0 , "d" : {"t":"X","s":99} , "s" : 3 , "t" : "TYPING_START" } ';
    socket.says(frame).says(odd);
    expect(rig.listener.frames.slice(1)).toEqual([frame, odd]);
    expect(rig.listener.notes.slice(2)).toEqual(['MESSAGE_CREATE 2', 'TYPING_START 3']);
  });

  test('a permit that comes too late is not used; another one is won', async () => {
    const rig = new Rig();
    let wins = 0;
    rig.gate.beforeWin = async () => {
      if (wins++ < 2) await rig.clock.sleep(2_000);
    };
    rig.connection.connect();
    await rig.clock.settle();
    rig.socket.opens().hello();
    await rig.clock.advance(1_999);
    expect(rig.gate.outcomes).toEqual([]);
    await rig.clock.advance(1);
    expect(rig.gate.outcomes).toEqual(['unused']);
    await rig.clock.advance(2_000);
    expect(rig.gate.outcomes).toEqual(['unused', 'unused']);
    expect(rig.socket.ops().filter((op) => op === identify)).toEqual([identify]);
    rig.socket.ready();
    expect(rig.gate.outcomes).toEqual(['unused', 'unused', 'ready']);
  });

  test('a permit that is won when the socket is gone goes back unused', async () => {
    const rig = new Rig();
    let give: () => void = () => undefined;
    rig.gate.beforeWin = () => new Promise((resolve) => (give = resolve));
    rig.connection.connect();
    await rig.clock.settle();
    const first = rig.socket.opens().hello();
    first.closes(1006);
    give();
    await rig.clock.settle();
    expect(rig.gate.outcomes).toEqual(['unused']);
    expect(first.sent).toEqual([]);
    await rig.nextSocket();
    expect(rig.gate.approached).toBe(2);
  });

  test.each([
    ['op 9', (socket: FakeSocket) => socket.says({ op: 9, d: false }), 'invalidSession'],
    ['op 9 true', (socket: FakeSocket) => socket.says({ op: 9, d: true }), 'invalidSession'],
    ['a cut', (socket: FakeSocket) => socket.closes(1006), 'failed'],
    ['op 7', (socket: FakeSocket) => socket.says({ op: 7, d: null }), 'failed'],
    ['close 4009', (socket: FakeSocket) => socket.closes(4009), 'failed'],
    ['close 4014', (socket: FakeSocket) => socket.closes(4014), 'failed'],
    ['an unreadable READY', (socket: FakeSocket) => socket.dispatch(1, 'READY', {}), 'failed'],
  ] as const)('%s after IDENTIFY settles the permit once', async (_name, happen, outcome) => {
    const rig = new Rig();
    rig.connection.connect();
    await rig.clock.settle();
    rig.socket.opens().hello();
    await rig.clock.settle();
    happen(rig.socket);
    await rig.clock.advance(6_000);
    expect(rig.gate.outcomes).toEqual([outcome]);
    await rig.connection.close();
    expect(rig.gate.outcomes).toEqual([outcome]);
    expect(rig.listener.notes).not.toContain('lost');
  });

  test('close() after IDENTIFY settles the permit', async () => {
    const rig = new Rig();
    rig.connection.connect();
    await rig.clock.settle();
    rig.socket.opens().hello();
    await rig.clock.settle();
    const closing = rig.connection.close();
    rig.socket.closes(4000);
    await closing;
    expect(rig.gate.outcomes).toEqual(['failed']);
  });

  test('READY that does not come in 60 s is a failure, though heartbeats are acknowledged', async () => {
    const rig = new Rig();
    rig.connection.connect();
    await rig.clock.settle();
    const socket = rig.socket.opens().hello(10_000);
    await rig.clock.settle();
    for (let second = 0; second < 59; second++) {
      await rig.clock.advance(1_000);
      socket.ack();
    }
    expect(rig.connection.state).toBe('identifying');
    await rig.clock.advance(1_000);
    expect(rig.gate.outcomes).toEqual(['failed']);
    expect(socket.closedWith).toBe(4000);
  });

  test('a gate without an answer is asked again, later each time', async () => {
    const rig = new Rig();
    rig.gate.beforeApproach = async () => {
      if (rig.gate.approached < 4) throw new Error('store unreachable');
    };
    rig.connection.connect();
    await rig.clock.settle();
    expect(rig.gate.approached).toBe(1);
    await rig.nextSocket();
    expect(rig.gate.approached).toBe(4);
    expect(rig.listener.changes.map(({ reason }) => reason)).toContain('identify gate: store unreachable');
  });
});

describe('RESUME', () => {
  test('goes to the resume URL, without gate, after a confirmation, and continues behind the given seq', async () => {
    const rig = new Rig({ compress: 'none' });
    rig.connection.connect(session);
    expect(rig.socket.url).toBe(`wss://resume.example${query}`);
    rig.socket.opens().hello();
    expect(rig.connection.state).toBe('confirming');
    await rig.clock.settle();
    expect(rig.confirmations.length).toBe(1);
    expect(rig.socket.sent).toEqual([{ op: resume, d: { token, session_id: 'session-1', seq: 10 } }]);
    rig.socket.dispatch(11).dispatch(12).resumed(13).dispatch(14);
    expect(rig.listener.notes).toEqual([
      'MESSAGE_CREATE 11',
      'MESSAGE_CREATE 12',
      'resumed',
      'RESUMED 13',
      'MESSAGE_CREATE 14',
    ]);
    expect(rig.gate.approached).toBe(0);
    expect(rig.connection.session?.seq).toBe(14);
  });

  test.each(
    Object.entries(closeRules)
      .filter(([, { action }]) => action === 'resume')
      .map(([code]) => Number(code)),
  )('follows close code %i, at once when the socket had proven healthy, after a confirmation', async (code) => {
    const rig = new Rig();
    const first = await rig.resumed();
    await rig.clock.advance(40_000);
    first.ack().dispatch(12).closes(code);
    expect(rig.connection.stats.lastCloseCode).toBe(code);
    const startedMs = rig.clock.monotonicMs();
    await expectResume(rig, 12);
    expect(rig.confirmations.length).toBe(1);
    const waitedMs = rig.clock.monotonicMs() - startedMs;
    if (code === 4008) expect(waitedMs).toBeGreaterThanOrEqual(1_000);
    else expect(waitedMs).toBe(0);
  });

  test('waits for the confirmation, heartbeating; a refused one delays it and asks again', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    let answer: (error?: Error) => void = () => undefined;
    rig.confirm = () => new Promise((resolve, reject) => (answer = (error) => (error ? reject(error) : resolve())));
    first.closes(1006);
    const second = await rig.nextSocket();
    second.opens().hello(3_000);
    await rig.clock.advance(3_000);
    expect(rig.connection.state).toBe('confirming');
    expect(second.ops()).toEqual([1]);
    answer(new Error('lease unknown'));
    await rig.clock.settle();
    expect(second.closedWith).toBe(4000);
    const third = await rig.nextSocket();
    third.opens().hello();
    await rig.clock.settle();
    expect(third.sent).toEqual([]);
    answer();
    await rig.clock.settle();
    expect(third.ops()).toEqual([resume]);
    expect(rig.confirmations.map(({ aborted }) => aborted)).toEqual([true, true]);
  });

  test('the ladder alternates between resume and main URL and never drops the session, however long it takes', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.closes(1006);
    const hosts: string[] = [];
    for (let attempt = 0; attempt < 6; attempt++) {
      const socket = await rig.nextSocket();
      hosts.push(new URL(socket.url).host);
      if (attempt % 2 === 0) socket.fails(new Error('ECONNREFUSED')).closes(1006);
      else while (!socket.terminated) await rig.clock.advance(1_000); // a dial without any answer
    }
    expect(hosts).toEqual([
      'resume.example',
      'gateway.example',
      'resume.example',
      'gateway.example',
      'resume.example',
      'gateway.example',
    ]);
    await expectResume(rig, 11);
    expect(rig.connection.stats.reconnects).toBe(7);
  });

  test('a dial, a HELLO and a RESUMED that do not come are given up by the clock', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    await rig.clock.advance(9_999);
    expect(rig.socket.terminated).toBe(false);
    await rig.clock.advance(1);
    expect(rig.sockets[0]?.terminated).toBe(true);

    const second = await rig.nextSocket();
    second.opens();
    await rig.clock.advance(20_000);
    expect(second.terminated).toBe(true);

    const third = await rig.nextSocket();
    third.opens().hello(120_000);
    await rig.clock.settle();
    // Frames of a long replay are progress.
    await rig.clock.advance(29_000);
    third.dispatch(11);
    await rig.clock.advance(29_000);
    expect(rig.connection.state).toBe('resuming');
    await rig.clock.advance(2_000);
    expect(third.closedWith).toBe(4000);
    await expectResume(rig, 11, mainUrl);
  });

  test('a resume URL that cannot be dialled at all is skipped', async () => {
    const rig = new Rig();
    rig.connection.connect({ ...session, resumeGatewayUrl: 'not a url' });
    await expectResume(rig, 10, mainUrl);
  });

  test('op 7 closes with a code that keeps the session, also before HELLO', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    rig.socket.opens().says({ op: 7, d: null });
    expect(rig.socket.closedWith).toBe(4000);
    const second = await rig.nextSocket();
    second.opens().hello();
    await rig.clock.settle();
    second.resumed(11).says({ op: 7, d: null, s: null, t: null });
    expect(second.closedWith).toBe(4000);
    second.dispatch(12);
    expect(rig.listener.notes).toEqual(['resumed', 'RESUMED 11']);
    await expectResume(rig, 11);
  });

  test('op 9 true resumes', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.says({ op: 9, d: true });
    await expectResume(rig, 11);
  });

  test('a session that was taken away is resumed', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.closes(4006);
    await expectResume(rig, 11);
  });

  test.each([
    ['op 9 false', (socket: FakeSocket) => socket.says({ op: 9, d: false })],
    ['close 4003', (socket: FakeSocket) => socket.closes(4003)],
    ['close 4007', (socket: FakeSocket) => socket.closes(4007)],
  ] as const)(
    '%s loses the session: 1 to 5 s later a new one through the gate, at the main URL',
    async (_name, happen) => {
      const rig = new Rig();
      const first = await rig.resumed();
      happen(first);
      expect(rig.listener.notes.at(-1)).toBe('lost');
      expect(rig.connection.session).toBeUndefined();
      const lostMs = rig.clock.monotonicMs();
      const second = await rig.nextSocket();
      expect(rig.clock.monotonicMs() - lostMs).toBeGreaterThanOrEqual(1_000);
      expect(rig.clock.monotonicMs() - lostMs).toBeLessThanOrEqual(5_000);
      expect(rig.gate.approached).toBe(1);
      expect(second.url).toBe(`wss://gateway.example${query}`);
      second.opens().hello();
      await rig.clock.settle();
      expect(second.ops()).toEqual([identify]);
      second.ready(1, 'session-2').dispatch(2);
      expect(rig.listener.notes.slice(-3)).toEqual(['started', 'READY 1', 'MESSAGE_CREATE 2']);
      expect(rig.connection.session).toEqual({ sessionId: 'session-2', resumeGatewayUrl: resumeUrl, seq: 2 });
    },
  );

  test('a refusal before RESUME was sent says nothing about the session', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    rig.socket.opens().closes(4003);
    const second = await rig.nextSocket();
    second.opens().says({ op: 9, d: false });
    await expectResume(rig, 10, mainUrl);
  });

  test('reconnect() closes and resumes', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    rig.connection.reconnect('epoch changed');
    expect(first.closedWith).toBe(4000);
    expect(rig.listener.changes.at(-1)).toMatchObject({ from: 'ready', to: 'backingOff', reason: 'epoch changed' });
    await expectResume(rig, 11);
  });

  test('events of an old socket never reach the new one', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.says({ op: 7, d: null });
    const second = await rig.nextSocket();
    first.dispatch(12).says({ op: 9, d: false }).says('garbage').fails(new Error('late')).closes(4004);
    second.opens();
    first.hello().opens();
    expect(second.sent).toEqual([]);
    second.hello();
    await rig.clock.settle();
    second.resumed(12);
    expect(rig.listener.notes).toEqual(['resumed', 'RESUMED 11', 'resumed', 'RESUMED 12']);
    expect(rig.connection.stats.badFrames).toEqual({});
    expect(rig.listener.fatal).toBeUndefined();
  });
});

describe('sequence', () => {
  test('a hole resumes from the last event before it and does not deliver the one behind it', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.dispatch(12).dispatch(14).dispatch(15);
    expect(rig.listener.notes.at(-1)).toBe('MESSAGE_CREATE 12');
    expect(rig.connection.stats.badFrames).toEqual({ hole: 1 });
    expect(first.closedWith).toBe(4000);
    const second = await expectResume(rig, 12);
    second.dispatch(13).dispatch(14).dispatch(15).resumed(16);
    expect(rig.listener.notes.slice(2)).toEqual([
      'MESSAGE_CREATE 12',
      'MESSAGE_CREATE 13',
      'MESSAGE_CREATE 14',
      'MESSAGE_CREATE 15',
      'resumed',
      'RESUMED 16',
    ]);
  });

  test('a hole that Discord does not fill is counted and passed after two RESUMEs', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.dispatch(13);
    const second = await expectResume(rig, 11);
    second.dispatch(13);
    const third = await expectResume(rig, 11, mainUrl);
    third.dispatch(13).resumed(14).dispatch(16);
    expect(rig.listener.notes.slice(2)).toEqual(['MESSAGE_CREATE 13', 'resumed', 'RESUMED 14']);
    expect(rig.connection.stats.badFrames).toEqual({ hole: 3, holeAccepted: 1 });
    await expectResume(rig, 14);
  });

  test('repeats are dropped and counted', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.dispatch(12).dispatch(12).dispatch(3).dispatch(13);
    expect(rig.listener.notes.slice(2)).toEqual(['MESSAGE_CREATE 12', 'MESSAGE_CREATE 13']);
    expect(rig.connection.stats.badFrames).toEqual({ repeat: 2 });
    expect(rig.connection.state).toBe('ready');
  });
});

describe('heartbeats', () => {
  test('start after a random part of the interval and carry the last seq; ACKs give the latency', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const before = socket.sent.length;
    const firstMs = rig.clock.nextTimerMs as number;
    expect(firstMs).toBeGreaterThan(0);
    expect(firstMs).toBeLessThan(40_000);
    await rig.clock.advance(firstMs);
    expect(socket.sent.slice(before)).toEqual([{ op: 1, d: 11 }]);
    await rig.clock.advance(120);
    socket.ack().dispatch(12);
    expect(rig.connection.latencyMs).toBe(120);
    await rig.clock.advance(39_880);
    expect(socket.sent.slice(before + 1)).toEqual([{ op: 1, d: 12 }]);
  });

  test('before the first event they carry null', async () => {
    const rig = new Rig();
    rig.gate.beforeWin = () => new Promise(() => undefined);
    rig.connection.connect();
    await rig.clock.settle();
    rig.socket.opens().hello();
    await rig.clock.advance(40_000);
    expect(rig.socket.sent).toEqual([{ op: 1, d: null }]);
  });

  test('without an ACK before the next one is due, the socket is cut at once and the session resumed', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    await rig.clock.advance(rig.clock.nextTimerMs as number);
    await rig.clock.advance(39_999);
    expect(socket.terminated).toBe(false);
    await rig.clock.advance(1);
    expect(socket.terminated).toBe(true);
    expect(socket.closedWith).toBeUndefined();
    expect(rig.connection.stats.zombies).toBe(1);
    await expectResume(rig, 11);
  });

  test('a request for a heartbeat is answered at once and changes neither the rhythm nor the verdict', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const firstMs = rig.clock.nextTimerMs as number;
    await rig.clock.advance(firstMs - 1);
    const before = socket.sent.length;
    socket.says({ op: 1, d: null });
    expect(socket.sent.slice(before)).toEqual([{ op: 1, d: 11 }]);
    await rig.clock.advance(1);
    expect(socket.sent.length).toBe(before + 2);
    expect(rig.connection.stats.zombies).toBe(0);
  });

  test('a process that stood still reads what has arrived before it judges', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    await rig.clock.advance(rig.clock.nextTimerMs as number);
    // The clock jumps by a minute without any timer having run in between.
    const monotonicMs = rig.clock.monotonicMs.bind(rig.clock);
    rig.clock.monotonicMs = () => monotonicMs() + 60_000;
    await rig.clock.advance(40_000);
    expect(socket.terminated).toBe(false);
    socket.ack();
    await rig.clock.advance(1_000);
    expect(socket.terminated).toBe(false);
    expect(socket.ops().filter((op) => op === 1).length).toBe(2);
  });
});

describe('backpressure', () => {
  test('reading stops, heartbeats go on, and unread ACKs are no zombie', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    await rig.clock.advance(rig.clock.nextTimerMs as number);
    rig.connection.pauseReading();
    expect(socket.paused).toBe(true);
    socket.ack().dispatch(12);
    for (let beat = 0; beat < 5; beat++) {
      await rig.clock.advance(40_000);
      socket.ack();
    }
    expect(socket.ops().filter((op) => op === 1).length).toBe(6);
    expect(socket.terminated).toBe(false);
    expect(rig.listener.notes).toEqual(['resumed', 'RESUMED 11']);
    rig.connection.resumeReading();
    expect(rig.listener.notes.at(-1)).toBe('MESSAGE_CREATE 12');
    await rig.clock.advance(40_000);
    expect(socket.terminated).toBe(false);
    // From here on the usual rule holds.
    await rig.clock.advance(40_000);
    expect(socket.terminated).toBe(true);
  });

  test('a replay that cannot be read is not late', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    const socket = rig.socket.opens().hello();
    rig.connection.pauseReading();
    socket.dispatch(11).resumed(12);
    await rig.clock.advance(300_000);
    expect(rig.connection.state).toBe('resuming');
    rig.connection.resumeReading();
    expect(rig.connection.state).toBe('ready');
  });

  test('a socket that breaks is dialled again when reading goes on', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    rig.connection.pauseReading();
    socket.closes(1006);
    await rig.clock.advance(60_000);
    expect(rig.sockets.length).toBe(1);
    expect(rig.connection.state).toBe('parked');
    rig.connection.resumeReading();
    await rig.clock.settle();
    expect(rig.sockets.length).toBe(2);
    rig.socket.opens().hello();
    await rig.clock.settle();
    expect(rig.socket.ops()).toEqual([resume]);
  });

  test('a socket that opens meanwhile is paused too, and is not blamed for its silence', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    rig.connection.pauseReading();
    rig.socket.opens();
    expect(rig.socket.paused).toBe(true);
    rig.socket.hello();
    await rig.clock.advance(120_000);
    expect(rig.connection.state).toBe('awaitingHello');
    rig.connection.resumeReading();
    await rig.clock.settle();
    expect(rig.socket.ops()).toEqual([resume]);
  });
});

describe('a held connection', () => {
  test('opens, heartbeats and waits; proceed resumes on the same socket', async () => {
    const rig = new Rig();
    rig.connection.connect(undefined, { holdAtHello: true, resumeGatewayUrl: resumeUrl });
    expect(rig.socket.url).toBe(`wss://resume.example${query}`);
    rig.socket.opens().hello(5_000);
    await rig.clock.advance(5_000);
    expect(rig.connection.state).toBe('holding');
    expect(rig.socket.sent).toEqual([{ op: 1, d: null }]);
    rig.connection.proceed(session);
    await rig.clock.settle();
    expect(rig.socket.sent.slice(1)).toEqual([{ op: resume, d: { token, session_id: 'session-1', seq: 10 } }]);
    rig.socket.resumed(11);
    expect(rig.connection.session).toEqual({ ...session, seq: 11 });
  });

  test('proceed may come before HELLO, or while it waits to dial again', async () => {
    const rig = new Rig();
    rig.connection.connect(session, { holdAtHello: true });
    rig.socket.closes(1006);
    expect(rig.connection.state).toBe('backingOff');
    rig.connection.proceed();
    expect(rig.sockets.length).toBe(2);
    rig.socket.opens().hello();
    await rig.clock.settle();
    expect(rig.socket.ops()).toEqual([resume]);
  });

  test('one that breaks is opened again and still holds', async () => {
    const rig = new Rig();
    rig.connection.connect(session, { holdAtHello: true });
    rig.socket.opens().hello().closes(1006);
    const second = await rig.nextSocket();
    second.opens().hello();
    expect(rig.connection.state).toBe('holding');
    expect(second.sent).toEqual([]);
  });

  test('proceed without a session identifies: at the main URL on the same socket, else on a new one', async () => {
    const rig = new Rig();
    rig.connection.connect(undefined, { holdAtHello: true });
    expect(rig.socket.url).toBe(`wss://gateway.example${query}`);
    rig.socket.opens().hello();
    rig.connection.proceed();
    await rig.clock.settle();
    expect(rig.socket.ops()).toEqual([identify]);

    const other = new Rig();
    other.connection.connect(undefined, { holdAtHello: true, resumeGatewayUrl: resumeUrl });
    const first = other.socket.opens().hello();
    other.connection.proceed();
    expect(first.closedWith).toBe(4000);
    await other.clock.settle();
    expect(other.socket.url).toBe(`wss://gateway.example${query}`);
    other.socket.opens().hello();
    await other.clock.settle();
    expect(other.socket.ops()).toEqual([identify]);
  });

  test('only a held connection can proceed, and only an idle one connect', async () => {
    const rig = new Rig();
    await rig.resumed();
    expect(() => rig.connection.proceed(session)).toThrow(/not held/);
    expect(() => rig.connection.connect()).toThrow(/connected already/);
  });
});

describe('bad frames', () => {
  const broken = [
    ['text that is no JSON', 'hello', 'malformed'],
    ['a cut frame', '{"t":"MESSAGE_CREATE","s":12,"op":0,"d":{"id":"1"', 'malformed'],
    ['nothing', '', 'malformed'],
  ] as const;

  test.each(broken)('%s: counted, RESUME', async (_name, text, reason) => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.says(text);
    expect(rig.connection.stats.badFrames).toEqual({ [reason]: 1 });
    expect(socket.closedWith).toBe(4000);
    await expectResume(rig, 11);
  });

  test('a binary message in text mode, and a text message in binary mode: RESUME', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.says('{"op":11}', true);
    expect(rig.connection.stats.badFrames).toEqual({ binaryMessage: 1 });
    await expectResume(rig, 11);

    for (const compress of ['zlib-stream', 'zstd-stream'] as const) {
      const other = new Rig({ compress });
      other.connection.connect(session);
      expect(other.socket.url).toBe(`wss://resume.example${query}&compress=${compress}`);
      other.socket.opens().says('{"op":10,"d":{"heartbeat_interval":40000}}');
      expect(other.connection.stats.badFrames).toEqual({ textMessage: 1 });
      expect(other.connection.state).toBe('backingOff');
    }
  });

  test.each(['zlib-stream', 'zstd-stream'] as const)('corrupt %s: RESUME', async (compress) => {
    const rig = new Rig({ compress });
    rig.connection.connect(session);
    const socket = rig.socket.opens().says(Buffer.from('010203040000ffff', 'hex'));
    expect(rig.connection.stats.badFrames).toEqual({ inflate: 1 });
    expect(socket.closedWith).toBe(4000);
    const second = await rig.nextSocket();
    expect(rig.connection.session).toEqual(session);
    second.opens().says(Buffer.from('ff', 'hex')).says(Buffer.from('ff0000ffff', 'hex'));
    expect(rig.connection.stats.badFrames).toEqual({ inflate: 2 });
  });

  test('a dispatch without s or t is counted and dropped; where it was part of the stream, the next one shows the hole', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.says('{"op":0,"t":"NEW_KIND","s":null,"d":{}}').dispatch(12);
    expect(rig.listener.notes.at(-1)).toBe('MESSAGE_CREATE 12');
    socket.says('{"op":0,"s":13,"d":{}}').dispatch(14);
    expect(rig.connection.stats.badFrames).toEqual({ dispatchIncomplete: 2, hole: 1 });
    await expectResume(rig, 12);
  });

  test('an unknown op is counted and ignored', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.says({ op: 99, d: {} }).dispatch(12);
    expect(rig.connection.stats.badFrames).toEqual({ unknownOp: 1 });
    expect(rig.listener.notes.at(-1)).toBe('MESSAGE_CREATE 12');
  });

  test.each([{}, { heartbeat_interval: 0 }, { heartbeat_interval: 'x' }, { heartbeat_interval: -5 }, null])(
    'HELLO with %j is not usable',
    async (d) => {
      const rig = new Rig();
      rig.connection.connect(session);
      rig.socket.opens().says({ op: 10, d });
      expect(rig.connection.stats.badFrames).toEqual({ helloUnreadable: 1 });
      await expectResume(rig, 10, mainUrl);
    },
  );

  test('a dispatch before the session is up is not believed', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    rig.socket.opens().dispatch(11);
    expect(rig.listener.notes).toEqual([]);
    expect(rig.connection.stats.badFrames).toEqual({ dispatchOutOfPlace: 1 });
    await expectResume(rig, 10, mainUrl);
  });

  test('what the WebSocket layer cannot read is counted and resumed without waiting for its close', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    socket.fails(
      Object.assign(new RangeError('Max payload size exceeded'), { code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' }),
    );
    expect(rig.connection.stats.badFrames).toEqual({ protocol: 1 });
    await expectResume(rig, 11);
  });
});

describe('fatal close codes', () => {
  const fatal = Object.entries(closeRules)
    .filter(([, { action }]) => action === 'fatal')
    .map(([code]) => Number(code));

  test.each(fatal)('%i stops for good and says what to do', async (code) => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const waiting = Promise.allSettled(Array.from({ length: 200 }, () => rig.connection.send({ op: 4, d: {} })));
    socket.closes(code);
    const expected = code === 4004 ? 'DISCORD_UNAUTHORIZED' : 'SHARD_STOPPED';
    expect(rig.listener.fatal?.code).toBe(expected);
    expect(rig.listener.fatal?.message).toMatch(new RegExp(`^shard 64\\.3: .*${code} \\(.+\\); .{20,}`));
    expect((await waiting).filter(({ status }) => status === 'rejected').length).toBe(200 - 115 + 1);
    await rig.clock.advance(3_600_000);
    expect(rig.sockets.length).toBe(1);
    expect(rig.connection.state).toBe('stopped');
    expect(rig.listener.notes.filter((note) => note === 'fatal').length).toBe(1);
    expect(rig.clock.pendingTimers).toBe(0);
    rig.connection.proceed(session);
    expect(rig.sockets.length).toBe(1);
    await expect(rig.connection.send({ op: 3, d: {} })).rejects.toMatchObject({ code: 'SHARD_STOPPED' });
  });
});

describe('respawn()', () => {
  test('closes so that the session lives, and resumes it', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const { seq } = rig.connection.session ?? { seq: -1 };
    rig.connection.respawn({ fresh: false });
    expect(socket.closedWith).toBe(4000);
    await expectResume(rig, seq);
  });

  test('with a fresh session gives the old one up and identifies through the gate', async () => {
    const rig = new Rig();
    await rig.resumed();
    rig.connection.respawn({ fresh: true });
    expect(rig.listener.notes.at(-1)).toBe('given up');
    expect(rig.connection.session).toBeUndefined();
    const socket = await rig.nextSocket();
    socket.opens().hello();
    await rig.clock.settle();
    expect(socket.sent).toMatchObject([{ op: identify }]);
    socket.ready(1, 'session-2');
    expect(rig.connection.session?.sessionId).toBe('session-2');
  });

  test('tries again what Discord had stopped', async () => {
    const rig = new Rig();
    (await rig.resumed()).closes(4014);
    const { seq } = rig.connection.session ?? { seq: -1 };
    expect(rig.connection.state).toBe('stopped');
    rig.connection.respawn({ fresh: false });
    const socket = await rig.nextSocket();
    socket.opens().hello();
    await rig.clock.settle();
    expect(socket.sent).toMatchObject([{ op: resume, d: { seq } }]);
  });
});

describe('close()', () => {
  test('keeps the session, delivers nothing more, and leaves no timer', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    let closed = false;
    const closing = rig.connection.close().then(() => (closed = true));
    expect(socket.closedWith).toBe(4000);
    expect(rig.connection.state).toBe('idle');
    socket.dispatch(12);
    await rig.clock.settle();
    expect(closed).toBe(false);
    socket.closes(4000);
    await closing;
    expect(socket.terminated).toBe(false);
    expect(rig.clock.pendingTimers).toBe(0);
    expect(rig.listener.notes).toEqual(['resumed', 'RESUMED 11']);
    expect(rig.connection.session).toEqual({ ...session, seq: 11 });
    await expect(rig.connection.send({ op: 3, d: {} })).rejects.toMatchObject({ code: 'SHARD_STOPPED' });
  });

  test('cuts a peer that does not answer after 2 s', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const closing = rig.connection.close();
    await rig.clock.advance(1_999);
    expect(socket.terminated).toBe(false);
    await rig.clock.advance(1);
    expect(socket.terminated).toBe(true);
    await closing;
    expect(rig.clock.pendingTimers).toBe(0);
  });

  test('lets a paused socket read the answer', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    rig.connection.pauseReading();
    const closing = rig.connection.close();
    expect(socket.paused).toBe(false);
    socket.closes(4000);
    await closing;
  });

  test('waits for sockets of earlier reconnects too', async () => {
    const rig = new Rig();
    const first = await rig.resumed();
    first.says({ op: 7, d: null });
    const closing = rig.connection.close();
    await rig.clock.advance(2_000);
    expect(first.terminated).toBe(true);
    await closing;
    expect(rig.clock.pendingTimers).toBe(0);
  });

  test.each(['approaching', 'dialling', 'awaitingHello', 'awaitingPermit', 'backingOff', 'idle'])(
    'works in state %s and leaves nothing behind',
    async (state) => {
      const rig = new Rig();
      const aborted: string[] = [];
      const never = (name: string) => (signal: AbortSignal) =>
        new Promise<void>(() => signal.addEventListener('abort', () => aborted.push(name)));
      if (state === 'approaching') rig.gate.beforeApproach = never('approach');
      rig.gate.beforeWin = never('win');
      if (state !== 'idle') rig.connection.connect();
      await rig.clock.settle();
      if (state === 'awaitingHello' || state === 'awaitingPermit') rig.socket.opens();
      if (state === 'awaitingPermit') rig.socket.hello();
      if (state === 'backingOff') rig.socket.closes(1006);
      expect(rig.connection.state).toBe(state);
      const closing = rig.connection.close();
      rig.sockets.at(-1)?.closes(4000);
      await closing;
      expect(rig.connection.state).toBe('idle');
      expect(rig.clock.pendingTimers).toBe(0);
      if (state === 'dialling') expect(rig.socket.terminated).toBe(true);
      if (state === 'approaching') expect(aborted).toEqual(['approach']);
      if (state === 'awaitingPermit') expect(aborted).toEqual(['win']);
    },
  );

  test('may be called from within a listener', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    let closing: Promise<void> | undefined;
    rig.listener.afterDispatch = () => {
      closing ??= rig.connection.close();
    };
    socket.dispatch(12).dispatch(13);
    expect(rig.listener.notes.slice(2)).toEqual(['MESSAGE_CREATE 12']);
    socket.closes(4000);
    await closing;
    expect(rig.connection.session?.seq).toBe(12);

    const other = new Rig();
    let done = false;
    other.listener.onStateChange = ({ to }) => {
      if (to === 'ready') void other.connection.close().then(() => (done = true));
    };
    const late = await other.resumed();
    expect(late.closedWith).toBe(4000);
    await other.clock.settle();
    expect(done).toBe(false);
    late.closes(4000);
    await other.clock.settle();
    expect(done).toBe(true);
    expect(other.clock.pendingTimers).toBe(0);
  });

  test('the connection can be used again', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    const closing = rig.connection.close();
    socket.closes(4000);
    await closing;
    rig.connection.connect(rig.connection.session);
    rig.socket.opens().hello();
    await rig.clock.settle();
    rig.socket.resumed(12);
    expect(rig.listener.notes.at(-1)).toBe('RESUMED 12');
  });
});

describe('commands', () => {
  test('wait for the session, survive a reconnect, and reach the socket as they are', async () => {
    const rig = new Rig();
    rig.connection.connect(session);
    const sending = rig.connection.send({
      op: 4,
      d: { guild_id: '1', channel_id: null, self_mute: false, self_deaf: true },
    });
    rig.socket.opens().hello().closes(1006);
    const second = await rig.nextSocket();
    second.opens().hello();
    await rig.clock.settle();
    expect(second.ops()).toEqual([resume]);
    second.resumed(11);
    await sending;
    expect(second.sent[1]).toEqual({
      op: 4,
      d: { guild_id: '1', channel_id: null, self_mute: false, self_deaf: true },
    });
    await expect(rig.connection.send({ op: 8, d: { nonce: 'x'.repeat(5_000) } })).rejects.toMatchObject({
      code: 'COMMAND_REFUSED',
    });
  });

  test('heartbeats do not wait behind them', async () => {
    const rig = new Rig();
    const socket = await rig.resumed();
    void Promise.allSettled(Array.from({ length: 400 }, () => rig.connection.send({ op: 4, d: {} })));
    await rig.clock.advance(rig.clock.nextTimerMs as number);
    expect(socket.ops().at(-1)).toBe(1);
    expect(socket.sent.length).toBeLessThanOrEqual(120);
    const closing = rig.connection.close();
    socket.closes(4000);
    await closing;
  });
});

test('the token is in no log line, no state change and no error', async () => {
  const lines: string[] = [];
  const rig = new Rig({ logger: notingLogger(lines) });
  const socket = await rig.identified();
  socket.says('garbage');
  const second = await rig.nextSocket();
  second.fails(new Error('socket hang up')).closes(1006);
  const third = await rig.nextSocket();
  third.opens().hello();
  await rig.clock.settle();
  third.closes(4004, 'Authentication failed.');
  expect(lines.length).toBeGreaterThan(5);
  const everything = JSON.stringify([lines, rig.listener.changes, rig.listener.fatal?.message]);
  expect(everything).not.toContain(token);
  expect(everything).toContain('Authentication failed.');
});

test('a gateway URL that is none is refused when the connection is made', () => {
  expect(() => new Rig({ gatewayUrl: 'https://gateway.example' })).toThrow(/ws or wss/);
});

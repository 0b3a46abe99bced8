import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeRules } from '../../../gateway-workers/gateway/close-codes.ts';
import {
  type Address,
  type GatewayEffect,
  type GatewayInput,
  type GatewayState,
  type Goal,
  type SessionRef,
  step,
} from '../../../gateway-workers/gateway/session-machine.ts';

const session: SessionRef = { sessionId: 'abc', resumeGatewayUrl: 'wss://resume.example' };
const resumeAddress: Address = { kind: 'resume', resumeGatewayUrl: session.resumeGatewayUrl };
const main: Address = { kind: 'main' };
const fresh = { tries: 0, rung: 0 };
const resumeGoal: Goal = { kind: 'resume', session };
const hold = { kind: 'hold', resumeGatewayUrl: session.resumeGatewayUrl } as const;

const states = {
  idle: { kind: 'idle' },
  backingOff: { kind: 'backingOff', goal: resumeGoal, ladder: fresh },
  backingOffToIdentify: { kind: 'backingOff', goal: { kind: 'identify' }, ladder: fresh },
  backingOffToHold: { kind: 'backingOff', goal: hold, ladder: { tries: 3, rung: 3 } },
  parked: { kind: 'parked', goal: resumeGoal, ladder: fresh },
  parkedToHold: { kind: 'parked', goal: hold, ladder: fresh },
  approaching: { kind: 'approaching', ladder: fresh },
  dialling: { kind: 'dialling', goal: resumeGoal, ladder: fresh, address: resumeAddress },
  diallingToHold: { kind: 'dialling', goal: hold, ladder: fresh, address: resumeAddress },
  diallingToIdentify: { kind: 'dialling', goal: { kind: 'identify' }, ladder: fresh, address: main },
  awaitingHello: { kind: 'awaitingHello', goal: resumeGoal, ladder: fresh, address: resumeAddress },
  awaitingHelloToHold: { kind: 'awaitingHello', goal: hold, ladder: fresh, address: resumeAddress },
  awaitingHelloToIdentify: { kind: 'awaitingHello', goal: { kind: 'identify' }, ladder: fresh, address: main },
  holding: { kind: 'holding', goal: hold, ladder: fresh, address: resumeAddress },
  holdingOnMain: { kind: 'holding', goal: hold, ladder: fresh, address: main },
  confirming: { kind: 'confirming', session, ladder: fresh },
  awaitingPermit: { kind: 'awaitingPermit', ladder: fresh },
  identifying: { kind: 'identifying', ladder: fresh },
  resuming: { kind: 'resuming', session, ladder: fresh },
  ready: { kind: 'ready', session, ladder: { tries: 1, rung: 0 } },
  readyAndProven: { kind: 'ready', session, ladder: fresh },
  stopped: { kind: 'stopped', closeCode: 4004 },
} as const satisfies Record<string, GatewayState>;
type StateName = keyof typeof states;
const stateNames = Object.keys(states) as StateName[];

const inputs = {
  connect: { kind: 'connect', goal: { kind: 'identify' } },
  connectToResume: { kind: 'connect', goal: resumeGoal },
  connectToHold: { kind: 'connect', goal: hold },
  proceed: { kind: 'proceed', session },
  proceedToIdentify: { kind: 'proceed', session: undefined },
  close: { kind: 'close' },
  reconnect: { kind: 'reconnect', reason: 'asked' },
  renew: { kind: 'renew' },
  waited: { kind: 'waited', readingPaused: false },
  waitedWhilePaused: { kind: 'waited', readingPaused: true },
  readingResumed: { kind: 'readingResumed' },
  approached: { kind: 'approached' },
  gateFailed: { kind: 'gateFailed', reason: 'no answer' },
  permitted: { kind: 'permitted' },
  confirmed: { kind: 'confirmed' },
  confirmFailed: { kind: 'confirmFailed', reason: 'no answer' },
  opened: { kind: 'opened' },
  closed1006: { kind: 'closed', code: 1006 },
  closed4007: { kind: 'closed', code: 4007 },
  closed4008: { kind: 'closed', code: 4008 },
  closed4014: { kind: 'closed', code: 4014 },
  timedOut: { kind: 'timedOut', excused: false },
  timedOutExcused: { kind: 'timedOut', excused: true },
  hello: { kind: 'hello', heartbeatIntervalMs: 41_250 },
  heartbeatRequested: { kind: 'heartbeatRequested' },
  heartbeatAcknowledged: { kind: 'heartbeatAcknowledged' },
  heartbeatMissed: { kind: 'heartbeatMissed' },
  reconnectRequested: { kind: 'reconnectRequested' },
  invalidResumable: { kind: 'sessionInvalid', resumable: true },
  invalid: { kind: 'sessionInvalid', resumable: false },
  sessionStarted: { kind: 'sessionStarted', session },
  resumed: { kind: 'resumed' },
  streamBroken: { kind: 'streamBroken', reason: 'hole' },
} as const satisfies Record<string, GatewayInput>;
type InputName = keyof typeof inputs;
const inputNames = Object.keys(inputs) as InputName[];

/** `next state: effects`, with the argument that matters in brackets. */
function told(state: GatewayState, effects: readonly GatewayEffect[]): string {
  const words = effects.map((effect) => {
    if (effect.kind === 'dial') return `dial(${effect.address.kind})`;
    if (effect.kind === 'armDeadline') return `armDeadline(${effect.durationMs / 1000})`;
    if (effect.kind === 'backOff') return `backOff(${effect.tries})`;
    if (effect.kind === 'settlePermit') return `settlePermit(${effect.outcome})`;
    return effect.kind;
  });
  return [state.kind, ...words].join(' ');
}

const closeIt = 'cancelDeadline closeSocket';
const cutIt = 'cancelDeadline terminateSocket';
const redial = 'backingOff cancelDeadline closeSocket backOff(1)';
const redialCut = 'backingOff cancelDeadline terminateSocket backOff(1)';
const stop = `stopped ${cutIt} stop`;
const idle = `idle ${closeIt}`;
const beat = (state: string) => `${state} sendHeartbeat`;

/** What any state with a socket does with what may come at any time; the session, if any, is kept. */
const anySocket = (kind: string) =>
  ({
    close: idle,
    reconnect: redial,
    closed1006: redialCut,
    closed4007: redialCut,
    closed4008: `backingOff ${cutIt} backOffAfterRefusal`,
    closed4014: stop,
    heartbeatRequested: beat(kind),
    heartbeatMissed: redialCut,
    reconnectRequested: redial,
    invalidResumable: redial,
    invalid: redial,
    streamBroken: redial,
  }) satisfies Row;

const lost = `backingOff ${closeIt} sessionLost backOffAfterRefusal`;
const lostAndClosed = `backingOff ${cutIt} sessionLost backOffAfterRefusal`;
const dialResume = 'dialling dial(resume) armDeadline(10)';
const dialMain = 'dialling dial(main) armDeadline(30)';
const resumeNow = 'resuming sendResume armDeadline(30)';
const afterHello = (rest: string) => {
  const [state, ...effects] = rest.split(' ');
  return [state, 'cancelDeadline', 'startHeartbeat', ...effects].join(' ');
};

type Row = Partial<Record<InputName, string>>;

const start: Row = { connect: 'approaching approachGate', connectToResume: dialResume, connectToHold: dialResume };
const dialling: Row = {
  ...anySocket('dialling'),
  opened: 'awaitingHello armDeadline(10)',
  timedOut: redialCut,
  timedOutExcused: redialCut,
};
const awaitingHello: Row = {
  ...anySocket('awaitingHello'),
  timedOut: redialCut,
  timedOutExcused: 'awaitingHello armDeadline(10)',
};
const holding: Row = { ...anySocket('holding'), proceed: 'confirming confirm' };

const readyAgain: Row = {
  ...anySocket('ready'),
  invalid: lost,
  closed4007: lostAndClosed,
};

/** Of the states that lead to a RESUME, or have a session. */
const renewed: Partial<Record<StateName, string>> = {
  ...Object.fromEntries(
    ['backingOff', 'parked'].map((name) => [name, 'approaching cancelDeadline sessionLost approachGate']),
  ),
  ...Object.fromEntries(
    ['dialling', 'awaitingHello', 'confirming', 'resuming', 'ready', 'readyAndProven'].map((name) => [
      name,
      `approaching ${closeIt} sessionLost approachGate`,
    ]),
  ),
};

/** Whatever is not listed leaves the state as it is and does nothing. */
const table: Record<StateName, Row> = {
  idle: { ...start, proceed: dialResume, proceedToIdentify: 'approaching approachGate' },
  stopped: start,
  backingOff: { close: 'idle cancelDeadline', waited: dialResume, waitedWhilePaused: 'parked' },
  backingOffToIdentify: {
    close: 'idle cancelDeadline',
    waited: 'approaching approachGate',
    waitedWhilePaused: 'parked',
  },
  backingOffToHold: {
    close: 'idle cancelDeadline',
    waited: 'dialling dial(main) armDeadline(30)',
    waitedWhilePaused: 'parked',
    proceed: 'dialling cancelDeadline dial(main) armDeadline(30)',
    proceedToIdentify: 'approaching cancelDeadline approachGate',
  },
  parked: { close: 'idle cancelDeadline', readingResumed: dialResume },
  parkedToHold: {
    close: 'idle cancelDeadline',
    readingResumed: dialResume,
    proceed: 'parked',
    proceedToIdentify: 'parked',
  },
  approaching: {
    close: 'idle cancelDeadline',
    approached: dialMain,
    gateFailed: 'backingOff cancelDeadline backOff(1)',
  },
  dialling,
  diallingToHold: {
    ...dialling,
    proceed: 'dialling',
    proceedToIdentify: `approaching ${closeIt} approachGate`,
  },
  diallingToIdentify: { ...dialling, opened: 'awaitingHello armDeadline(30)' },
  awaitingHello: { ...awaitingHello, hello: afterHello('confirming confirm') },
  awaitingHelloToHold: {
    ...awaitingHello,
    hello: afterHello('holding'),
    proceed: 'awaitingHello',
    proceedToIdentify: `approaching ${closeIt} approachGate`,
  },
  awaitingHelloToIdentify: {
    ...awaitingHello,
    timedOutExcused: 'awaitingHello armDeadline(30)',
    hello: afterHello('awaitingPermit winPermit'),
  },
  holding: { ...holding, proceedToIdentify: `approaching ${closeIt} approachGate` },
  holdingOnMain: { ...holding, proceedToIdentify: 'awaitingPermit winPermit' },
  confirming: {
    ...anySocket('confirming'),
    confirmed: resumeNow,
    confirmFailed: redial,
  },
  awaitingPermit: {
    ...anySocket('awaitingPermit'),
    permitted: 'identifying sendIdentify armDeadline(60)',
    gateFailed: redial,
  },
  identifying: {
    close: `idle settlePermit(failed) ${closeIt}`,
    reconnect: `backingOff settlePermit(failed) ${closeIt} backOff(1)`,
    closed1006: `backingOff settlePermit(failed) ${cutIt} backOff(1)`,
    closed4007: `backingOff settlePermit(failed) ${cutIt} backOff(1)`,
    closed4008: `backingOff settlePermit(failed) ${cutIt} backOffAfterRefusal`,
    closed4014: `stopped settlePermit(failed) ${cutIt} stop`,
    heartbeatRequested: beat('identifying'),
    heartbeatMissed: `backingOff settlePermit(failed) ${cutIt} backOff(1)`,
    reconnectRequested: `backingOff settlePermit(failed) ${closeIt} backOff(1)`,
    invalidResumable: `backingOff settlePermit(invalidSession) ${closeIt} backOffAfterRefusal`,
    invalid: `backingOff settlePermit(invalidSession) ${closeIt} backOffAfterRefusal`,
    streamBroken: `backingOff settlePermit(failed) ${closeIt} backOff(1)`,
    timedOut: `backingOff settlePermit(failed) ${closeIt} backOff(1)`,
    timedOutExcused: 'identifying armDeadline(60)',
    sessionStarted: 'ready settlePermit(ready) cancelDeadline openCommands',
  },
  resuming: {
    ...anySocket('resuming'),
    invalid: lost,
    closed4007: lostAndClosed,
    timedOut: redial,
    timedOutExcused: 'resuming armDeadline(30)',
    resumed: 'ready cancelDeadline openCommands',
  },
  ready: readyAgain,
  // A socket that has proven healthy is replaced at once.
  readyAndProven: Object.fromEntries(
    Object.entries(readyAgain).map(([input, answer]) => [input, answer.replace('backOff(1)', 'backOff(0)')]),
  ),
};

describe.each(stateNames)('%s', (stateName) => {
  test.each(inputNames)('%s', (inputName) => {
    const { state, effects } = step(states[stateName], inputs[inputName]);
    const expected = inputName === 'renew' ? renewed[stateName] : table[stateName][inputName];
    expect(told(state, effects)).toBe(expected ?? states[stateName].kind);
  });
});

test('a state that stays is really the same, but for what proves the socket or changes the goal', () => {
  for (const stateName of stateNames) {
    for (const inputName of inputNames) {
      const { state, effects } = step(states[stateName], inputs[inputName]);
      if (effects.length > 0 || state.kind !== states[stateName].kind) continue;
      if (inputName === 'heartbeatAcknowledged' || inputName.startsWith('proceed')) continue;
      expect(state).toBe(states[stateName]);
    }
  }
});

test.each(Object.entries(closeRules).map(([code, rule]) => ({ code: Number(code), ...rule })))(
  'close code $code in a running session: $action',
  ({ code, action }) => {
    const { state, effects } = step(states.readyAndProven, { kind: 'closed', code });
    const kinds = effects.map((effect) => effect.kind);
    expect(kinds.includes('sessionLost')).toBe(action === 'newSession');
    expect(kinds.includes('stop')).toBe(action === 'fatal');
    if (action === 'fatal') expect(state).toEqual({ kind: 'stopped', closeCode: code });
    if (action === 'resume' || action === 'takenAway')
      expect(state).toMatchObject({ kind: 'backingOff', goal: { kind: 'resume', session } });
    if (action === 'newSession') expect(state).toMatchObject({ kind: 'backingOff', goal: { kind: 'identify' } });
  },
);

test('a session that was taken away is resumed, and given up only when it is taken three times before it is up again', () => {
  let state: GatewayState = states.readyAndProven;
  const lost: boolean[] = [];
  const feed = (input: GatewayInput) => {
    const next = step(state, input);
    state = next.state;
    if (input.kind === 'closed') lost.push(next.effects.some(({ kind }) => kind === 'sessionLost'));
  };
  const taken: GatewayInput = { kind: 'closed', code: 4006 };
  const untilResuming = [inputs.waited, inputs.opened, inputs.hello, inputs.confirmed];
  for (const input of [taken, ...untilResuming, taken, ...untilResuming]) feed(input);
  for (const input of [inputs.resumed, taken, ...untilResuming, taken, ...untilResuming, taken]) feed(input);
  expect(lost).toEqual([false, false, false, false, true]);
  expect(state).toMatchObject({ kind: 'backingOff', goal: { kind: 'identify' } });
});

test('the resume ladder alternates between the two addresses and never gives the session up', () => {
  let state: GatewayState = states.readyAndProven;
  const dialled: string[] = [];
  const waits: number[] = [];
  const feed = (input: GatewayInput) => {
    const next = step(state, input);
    state = next.state;
    for (const effect of next.effects) {
      if (effect.kind === 'dial') dialled.push(effect.address.kind);
      if (effect.kind === 'backOff') waits.push(effect.tries);
    }
  };
  for (let attempt = 0; attempt < 6; attempt++) {
    feed(inputs.closed1006);
    feed(inputs.waited);
  }
  expect(dialled).toEqual(['resume', 'main', 'resume', 'main', 'resume', 'main']);
  expect(waits).toEqual([0, 1, 2, 3, 4, 5]);
  expect(state).toMatchObject({ kind: 'dialling', goal: { kind: 'resume', session } });

  for (const input of [inputs.opened, inputs.hello, inputs.confirmed, inputs.resumed]) feed(input);
  expect(state).toMatchObject({ kind: 'ready', ladder: { tries: 2, rung: 0 } });
  feed(inputs.heartbeatAcknowledged);
  expect(state).toMatchObject({ kind: 'ready', ladder: { tries: 0, rung: 0 } });
});

test.each<[StateName, InputName, 'resume' | 'main']>([
  ['dialling', 'closed1006', 'main'],
  ['dialling', 'timedOut', 'main'],
  ['awaitingHello', 'timedOut', 'main'],
  ['awaitingHello', 'reconnectRequested', 'resume'],
  ['confirming', 'confirmFailed', 'resume'],
  ['resuming', 'timedOut', 'main'],
  ['resuming', 'closed1006', 'main'],
  ['resuming', 'reconnectRequested', 'resume'],
  ['resuming', 'invalidResumable', 'resume'],
  ['resuming', 'reconnect', 'resume'],
  ['ready', 'closed1006', 'resume'],
  ['ready', 'heartbeatMissed', 'resume'],
])('%s, then %s: the next dial goes to the %s address', (stateName, inputName, address) => {
  const lost = step(states[stateName], inputs[inputName]).state;
  expect(step(lost, inputs.waited).effects[0]).toMatchObject({ kind: 'dial', address: { kind: address } });
});

test('no order of inputs breaks the rules that make a session and a permit safe', () => {
  const anyInput = fc.constantFrom(...inputNames);
  // Mostly what leads on, so that walks get far.
  const walk = fc.array(
    fc.oneof(
      {
        weight: 3,
        arbitrary: fc.constantFrom<InputName>('connect', 'waited', 'approached', 'opened', 'hello', 'permitted'),
      },
      { weight: 3, arbitrary: fc.constantFrom<InputName>('sessionStarted', 'resumed', 'confirmed', 'connectToResume') },
      { weight: 2, arbitrary: anyInput },
    ),
    { maxLength: 80 },
  );
  fc.assert(
    fc.property(walk, (names) => {
      let state: GatewayState = states.idle;
      let sockets = 0;
      let permits = 0;
      let owned: SessionRef | undefined;
      for (const name of names) {
        const before = state;
        const input = inputs[name];
        const next = step(before, input);
        state = next.state;
        for (const effect of next.effects) {
          if (effect.kind === 'dial') sockets++;
          if (effect.kind === 'closeSocket' || effect.kind === 'terminateSocket') sockets--;
          if (effect.kind === 'sendIdentify') permits++;
          if (effect.kind === 'settlePermit') permits--;
          if (effect.kind === 'sendIdentify')
            expect([before.kind, input.kind]).toEqual(['awaitingPermit', 'permitted']);
          if (effect.kind === 'sendResume') expect(effect.session).toBe(session);
          if (effect.kind === 'sessionLost') {
            // Nobody but Discord ends a session unless somebody asks for a new one.
            expect(effect.asked).toBe(input.kind === 'renew');
            if (!effect.asked) expect(['resuming', 'ready']).toContain(before.kind);
            owned = undefined;
          }
        }
        expect(sockets, 'one socket at a time').toBe(
          ['idle', 'backingOff', 'parked', 'approaching', 'stopped'].includes(state.kind) ? 0 : 1,
        );
        expect(permits, 'each permit settled once').toBe(state.kind === 'identifying' ? 1 : 0);
        if (state.kind === 'ready') owned = state.session;
        if (state.kind === 'idle' || state.kind === 'stopped') owned = undefined;
        if (owned) expect(['approaching', 'awaitingPermit', 'identifying']).not.toContain(state.kind);
      }
    }),
    { numRuns: 2_000 },
  );
});

import { closeRule } from './close-codes.ts';

/** The part of a session that decides where to connect. Its `seq` is the driver's: it changes with every event. */
export interface SessionRef {
  readonly sessionId: string;
  readonly resumeGatewayUrl: string;
}

/** What the next working socket is for. */
export type Goal =
  /** Wait at HELLO until told to proceed. */
  | { readonly kind: 'hold'; readonly resumeGatewayUrl: string | undefined }
  | { readonly kind: 'resume'; readonly session: SessionRef }
  | { readonly kind: 'identify' };

type Hold = Extract<Goal, { kind: 'hold' }>;

/** How often in a row it went wrong before this socket. */
interface Ladder {
  /** Sockets since one that proved healthy; decides the back-off. */
  readonly tries: number;
  /** Sockets since one that got a session up; decides the address. */
  readonly rung: number;
  /** How often the session was taken away since it was last up. */
  readonly taken?: number;
}

/** Where a socket leads: the session's own address (with which one), or the one from `GET /gateway/bot`. */
export type Address = { readonly kind: 'main' } | { readonly kind: 'resume'; readonly resumeGatewayUrl: string };

/** The life of one shard's session over successive sockets. */
export type GatewayState =
  /** Not started, or closed on purpose. */
  | { readonly kind: 'idle' }
  /** Waiting before the next dial. */
  | { readonly kind: 'backingOff'; readonly goal: Goal; readonly ladder: Ladder }
  /** Ready to dial, but reading is paused, so not even HELLO could be read. */
  | { readonly kind: 'parked'; readonly goal: Goal; readonly ladder: Ladder }
  /** In the queue for an IDENTIFY, no socket yet. */
  | { readonly kind: 'approaching'; readonly ladder: Ladder }
  | { readonly kind: 'dialling'; readonly goal: Goal; readonly ladder: Ladder; readonly address: Address }
  | { readonly kind: 'awaitingHello'; readonly goal: Goal; readonly ladder: Ladder; readonly address: Address }
  /** HELLO has come, heartbeats go out, and `proceed` is awaited. */
  | { readonly kind: 'holding'; readonly goal: Hold; readonly ladder: Ladder; readonly address: Address }
  /** HELLO has come; the owner is asked whether the session may be resumed. */
  | { readonly kind: 'confirming'; readonly session: SessionRef; readonly ladder: Ladder }
  /** HELLO has come; the gate is asked for an IDENTIFY. */
  | { readonly kind: 'awaitingPermit'; readonly ladder: Ladder }
  | { readonly kind: 'identifying'; readonly ladder: Ladder }
  | { readonly kind: 'resuming'; readonly session: SessionRef; readonly ladder: Ladder }
  | { readonly kind: 'ready'; readonly session: SessionRef; readonly ladder: Ladder }
  /** Discord closed with a fatal code; only a new `connect` leads out. */
  | { readonly kind: 'stopped'; readonly closeCode: number };

export type GatewayInput =
  | { readonly kind: 'connect'; readonly goal: Goal }
  | { readonly kind: 'proceed'; readonly session: SessionRef | undefined }
  | { readonly kind: 'close' }
  | { readonly kind: 'reconnect'; readonly reason: string }
  /** Somebody wants a new session though there may be a good one. */
  | { readonly kind: 'renew' }
  /** The back-off is over. */
  | { readonly kind: 'waited'; readonly readingPaused: boolean }
  | { readonly kind: 'readingResumed' }
  | { readonly kind: 'approached' }
  /** The gate gave no answer at all. */
  | { readonly kind: 'gateFailed'; readonly reason: string }
  | { readonly kind: 'permitted' }
  | { readonly kind: 'confirmed' }
  | { readonly kind: 'confirmFailed'; readonly reason: string }
  | { readonly kind: 'opened' }
  | { readonly kind: 'closed'; readonly code: number }
  /** The deadline armed last has passed; `excused` when what it waits for could not have been read, or is arriving. */
  | { readonly kind: 'timedOut'; readonly excused: boolean }
  | { readonly kind: 'hello'; readonly heartbeatIntervalMs: number }
  | { readonly kind: 'heartbeatRequested' }
  | { readonly kind: 'heartbeatAcknowledged' }
  /** The next heartbeat is due and the last one was not acknowledged. */
  | { readonly kind: 'heartbeatMissed' }
  | { readonly kind: 'reconnectRequested' }
  | { readonly kind: 'sessionInvalid'; readonly resumable: boolean }
  | { readonly kind: 'sessionStarted'; readonly session: SessionRef }
  | { readonly kind: 'resumed' }
  /** What was read cannot be trusted, or has a hole. */
  | { readonly kind: 'streamBroken'; readonly reason: string };

/** What a permit to IDENTIFY was used for. */
export type IdentifyOutcome = 'ready' | 'invalidSession' | 'failed' | 'unused';

export type GatewayEffect =
  /** Wait with full jitter, longer with each of `tries`; not at all when that is 0. */
  | { readonly kind: 'backOff'; readonly tries: number }
  /** Wait 1 to 5 s, as Discord asks after op 9. */
  | { readonly kind: 'backOffAfterRefusal' }
  | { readonly kind: 'dial'; readonly address: Address }
  | { readonly kind: 'armDeadline'; readonly durationMs: number }
  | { readonly kind: 'cancelDeadline' }
  | { readonly kind: 'approachGate' }
  | { readonly kind: 'winPermit' }
  | { readonly kind: 'settlePermit'; readonly outcome: IdentifyOutcome }
  | { readonly kind: 'confirm' }
  | { readonly kind: 'startHeartbeat'; readonly intervalMs: number }
  | { readonly kind: 'sendHeartbeat' }
  | { readonly kind: 'sendIdentify' }
  | { readonly kind: 'sendResume'; readonly session: SessionRef }
  /** Commands may flow. */
  | { readonly kind: 'openCommands' }
  /** Close with a code that keeps the session. */
  | { readonly kind: 'closeSocket' }
  | { readonly kind: 'terminateSocket' }
  /** `asked`: somebody wanted a new one. */
  | { readonly kind: 'sessionLost'; readonly reason: string; readonly asked: boolean }
  | { readonly kind: 'stop'; readonly closeCode: number };

export interface Step {
  readonly state: GatewayState;
  /** To be carried out in order. */
  readonly effects: readonly GatewayEffect[];
  /** Why the state changed, for people. */
  readonly reason?: string;
}

const readyTimeoutMs = 60_000;
const resumedTimeoutMs = 30_000;
/** A session that is taken away this often before it is up again is over: no other connection is that quick. */
const takenTooOften = 3;
/** A working socket that keeps breaking is dialled again after at most 2 s. */
const maxTriesAfterSuccess = 2;

const noLadder: Ladder = { tries: 0, rung: 0 };
const mainAddress: Address = { kind: 'main' };

/** The same state and input always give the same answer; the connection only carries out `effects`. */
export function step(state: GatewayState, input: GatewayInput): Step {
  switch (input.kind) {
    case 'connect':
      return state.kind === 'idle' || state.kind === 'stopped' ? begin(input.goal, noLadder, 'connect') : stay(state);
    case 'proceed':
      return proceed(state, input.session);
    case 'close':
      return state.kind === 'stopped' || state.kind === 'idle'
        ? stay(state)
        : { state: { kind: 'idle' }, effects: leave(state, 'closeSocket'), reason: 'closed' };
    case 'reconnect':
      return hasSocket(state) ? startOver(state, 'closeSocket', input.reason, sameAddress) : stay(state);
    case 'renew':
      return renew(state);
    case 'waited':
      return state.kind === 'backingOff' ? afterWait(state, input.readingPaused) : stay(state);
    case 'readingResumed':
      return state.kind === 'parked' ? begin(state.goal, state.ladder, 'reading resumed') : stay(state);
    case 'approached':
      return state.kind === 'approaching' ? dial({ kind: 'identify' }, state.ladder, 'gate reached') : stay(state);
    case 'gateFailed':
      return state.kind === 'approaching' || state.kind === 'awaitingPermit'
        ? startOver(state, 'closeSocket', `identify gate: ${input.reason}`)
        : stay(state);
    case 'permitted':
      return state.kind === 'awaitingPermit' ? identify(state.ladder) : stay(state);
    case 'confirmed':
      return state.kind === 'confirming' ? resume(state.session, state.ladder, 'confirmed') : stay(state);
    case 'confirmFailed':
      return state.kind === 'confirming'
        ? startOver(state, 'closeSocket', `not confirmed: ${input.reason}`, sameAddress)
        : stay(state);
    case 'opened':
      return state.kind === 'dialling' ? awaitHello(state) : stay(state);
    case 'closed':
      return hasSocket(state) ? afterClose(state, input.code) : stay(state);
    case 'timedOut':
      return afterTimeout(state, input.excused);
    case 'hello':
      return state.kind === 'awaitingHello' ? afterHello(state, input.heartbeatIntervalMs) : stay(state);
    case 'heartbeatRequested':
      return hasSocket(state) ? { state, effects: [{ kind: 'sendHeartbeat' }] } : stay(state);
    case 'heartbeatAcknowledged':
      // Only now has the socket shown that it lasts; the next break deserves an immediate dial.
      return state.kind === 'ready' ? stay({ ...state, ladder: noLadder }) : stay(state);
    case 'heartbeatMissed':
      return hasSocket(state) ? startOver(state, 'terminateSocket', 'heartbeat not acknowledged') : stay(state);
    case 'reconnectRequested':
      return hasSocket(state)
        ? startOver(state, 'closeSocket', 'Discord asked to reconnect (op 7)', sameAddress)
        : stay(state);
    case 'sessionInvalid':
      return hasSocket(state) ? afterInvalidSession(state, input.resumable) : stay(state);
    case 'sessionStarted':
      return state.kind === 'identifying' ? becomeReady(input.session, state.ladder, 'READY') : stay(state);
    case 'resumed':
      return state.kind === 'resuming' ? becomeReady(state.session, state.ladder, 'RESUMED') : stay(state);
    case 'streamBroken':
      return hasSocket(state) ? startOver(state, 'closeSocket', input.reason) : stay(state);
  }
}

/** How long a dial or a HELLO may take. Short at first, so that a shard is back within what Discord replays, then patient. */
function connectTimeoutMs(goal: Goal, ladder: Ladder): number {
  const patientMs = 30_000;
  return goal.kind === 'identify' ? patientMs : Math.min(patientMs, 10_000 * (ladder.rung + 1));
}

type Connected = Extract<
  GatewayState,
  {
    kind:
      | 'dialling'
      | 'awaitingHello'
      | 'holding'
      | 'confirming'
      | 'awaitingPermit'
      | 'identifying'
      | 'resuming'
      | 'ready';
  }
>;

type Busy = Exclude<GatewayState, { kind: 'idle' | 'stopped' }>;
type Working = Exclude<Busy, { kind: 'backingOff' | 'parked' }>;

function hasSocket(state: GatewayState): state is Connected {
  switch (state.kind) {
    case 'dialling':
    case 'awaitingHello':
    case 'holding':
    case 'confirming':
    case 'awaitingPermit':
    case 'identifying':
    case 'resuming':
    case 'ready':
      return true;
    case 'idle':
    case 'backingOff':
    case 'parked':
    case 'approaching':
    case 'stopped':
      return false;
  }
}

function stay(state: GatewayState): Step {
  return { state, effects: [] };
}

/** Starts towards `goal`, at once when nothing has failed yet. */
function begin(goal: Goal, ladder: Ladder, reason: string): Step {
  if (goal.kind !== 'identify') return dial(goal, ladder, reason);
  return { state: { kind: 'approaching', ladder }, effects: [{ kind: 'approachGate' }], reason };
}

function dial(goal: Goal, ladder: Ladder, reason: string): Step {
  const address = addressFor(goal, ladder);
  return {
    state: { kind: 'dialling', goal, ladder, address },
    effects: [
      { kind: 'dial', address },
      { kind: 'armDeadline', durationMs: connectTimeoutMs(goal, ladder) },
    ],
    reason,
  };
}

/** The resume ladder: the session's own address first, then in turn with the main one. */
function addressFor(goal: Goal, ladder: Ladder): Address {
  const resumeGatewayUrl = goal.kind === 'resume' ? goal.session.resumeGatewayUrl : undefined;
  const url = goal.kind === 'hold' ? goal.resumeGatewayUrl : resumeGatewayUrl;
  return url === undefined || ladder.rung % 2 === 1 ? mainAddress : { kind: 'resume', resumeGatewayUrl: url };
}

function awaitHello(state: Extract<GatewayState, { kind: 'dialling' }>): Step {
  const { goal, ladder, address } = state;
  return {
    state: { kind: 'awaitingHello', goal, ladder, address },
    effects: [{ kind: 'armDeadline', durationMs: connectTimeoutMs(goal, ladder) }],
    reason: 'socket open',
  };
}

function afterHello(state: Extract<GatewayState, { kind: 'awaitingHello' }>, intervalMs: number): Step {
  const { goal, ladder, address } = state;
  const next = withHello(goal, ladder, address);
  return {
    ...next,
    effects: [{ kind: 'cancelDeadline' }, { kind: 'startHeartbeat', intervalMs }, ...next.effects],
  };
}

function withHello(goal: Goal, ladder: Ladder, address: Address): Step {
  switch (goal.kind) {
    case 'hold':
      return { state: { kind: 'holding', goal, ladder, address }, effects: [], reason: 'HELLO' };
    case 'identify':
      return { state: { kind: 'awaitingPermit', ladder }, effects: [{ kind: 'winPermit' }], reason: 'HELLO' };
    case 'resume':
      return {
        state: { kind: 'confirming', session: goal.session, ladder },
        effects: [{ kind: 'confirm' }],
        reason: 'HELLO',
      };
  }
}

function resume(session: SessionRef, ladder: Ladder, reason: string): Step {
  return {
    state: { kind: 'resuming', session, ladder },
    effects: [
      { kind: 'sendResume', session },
      { kind: 'armDeadline', durationMs: resumedTimeoutMs },
    ],
    reason,
  };
}

function identify(ladder: Ladder): Step {
  return {
    state: { kind: 'identifying', ladder },
    effects: [{ kind: 'sendIdentify' }, { kind: 'armDeadline', durationMs: readyTimeoutMs }],
    reason: 'permit won',
  };
}

function becomeReady(session: SessionRef, ladder: Ladder, reason: string): Step {
  const settled: GatewayEffect[] = reason === 'READY' ? [{ kind: 'settlePermit', outcome: 'ready' }] : [];
  return {
    state: {
      kind: 'ready',
      session,
      ladder: { tries: Math.min(ladder.tries + 1, maxTriesAfterSuccess), rung: 0 },
    },
    effects: [...settled, { kind: 'cancelDeadline' }, { kind: 'openCommands' }],
    reason,
  };
}

function proceed(state: GatewayState, session: SessionRef | undefined): Step {
  const goal: Goal = session ? { kind: 'resume', session } : { kind: 'identify' };
  switch (state.kind) {
    case 'idle':
      return begin(goal, noLadder, 'proceed');
    case 'holding':
      // IDENTIFY belongs to the main address (Discord, "Gateway", Resuming).
      return goal.kind === 'identify' && state.address.kind === 'resume'
        ? afresh(state, goal)
        : { ...withHello(goal, state.ladder, state.address), reason: 'proceed' };
    case 'dialling':
    case 'awaitingHello':
      if (state.goal.kind !== 'hold') return stay(state);
      return goal.kind === 'identify' ? afresh(state, goal) : { state: { ...state, goal }, effects: [] };
    case 'backingOff':
      return state.goal.kind === 'hold' ? afresh(state, goal) : stay(state);
    case 'parked':
      return state.goal.kind === 'hold' ? { state: { ...state, goal }, effects: [] } : stay(state);
    case 'approaching':
    case 'confirming':
    case 'awaitingPermit':
    case 'identifying':
    case 'resuming':
    case 'ready':
    case 'stopped':
      return stay(state);
  }
}

/** What was done so far does not serve the new goal. */
function afresh(state: Busy, goal: Goal): Step {
  const next = begin(goal, state.ladder, 'proceed');
  return { ...next, effects: [...leave(state, 'closeSocket'), ...next.effects] };
}

function afterWait(state: Extract<GatewayState, { kind: 'backingOff' }>, readingPaused: boolean): Step {
  const { goal, ladder } = state;
  if (readingPaused) return { state: { kind: 'parked', goal, ladder }, effects: [], reason: 'reading is paused' };
  return begin(goal, ladder, 'back-off over');
}

function afterTimeout(state: GatewayState, excused: boolean): Step {
  switch (state.kind) {
    case 'dialling':
      return startOver(state, 'terminateSocket', 'no connection in time');
    case 'awaitingHello':
      return excused
        ? rearm(state, connectTimeoutMs(state.goal, state.ladder))
        : startOver(state, 'terminateSocket', 'no HELLO in time');
    case 'identifying':
      return excused ? rearm(state, readyTimeoutMs) : startOver(state, 'closeSocket', 'no READY in time');
    case 'resuming':
      return excused ? rearm(state, resumedTimeoutMs) : startOver(state, 'closeSocket', 'no RESUMED in time');
    case 'idle':
    case 'backingOff':
    case 'parked':
    case 'approaching':
    case 'holding':
    case 'confirming':
    case 'awaitingPermit':
    case 'ready':
    case 'stopped':
      return stay(state);
  }
}

function rearm(state: GatewayState, durationMs: number): Step {
  return { state, effects: [{ kind: 'armDeadline', durationMs }] };
}

function afterInvalidSession(state: Connected, resumable: boolean): Step {
  if (state.kind === 'identifying') {
    return {
      state: { kind: 'backingOff', goal: { kind: 'identify' }, ladder: afterLoss(state) },
      effects: [
        { kind: 'settlePermit', outcome: 'invalidSession' },
        ...dropSocket('closeSocket'),
        { kind: 'backOffAfterRefusal' },
      ],
      reason: 'Discord refused the IDENTIFY (op 9)',
    };
  }
  if (!resumable && ownsSession(state)) return loseSession(state, 'closeSocket', 'Discord refused the session (op 9)');
  return startOver(state, 'closeSocket', 'Discord asked to resume (op 9)', sameAddress);
}

/** Whether this socket has spoken for the session; before that, nothing Discord says on it is about the session. */
function ownsSession(state: Connected): state is Extract<GatewayState, { kind: 'resuming' | 'ready' }> {
  return state.kind === 'resuming' || state.kind === 'ready';
}

function afterClose(state: Connected, code: number): Step {
  const rule = closeRule(code);
  const reason = `closed with ${code} (${rule.meaning})`;
  if (rule.action === 'fatal') {
    return {
      state: { kind: 'stopped', closeCode: code },
      effects: [...leave(state, 'terminateSocket'), { kind: 'stop', closeCode: code }],
      reason,
    };
  }
  if (rule.action === 'newSession' && ownsSession(state)) return loseSession(state, 'terminateSocket', reason);
  if (rule.action === 'takenAway' && ownsSession(state)) return afterTaken(state, reason);
  return startOver(state, 'terminateSocket', reason, rule.backOff ? { pause: { kind: 'backOffAfterRefusal' } } : {});
}

/**
 * A former owner that has not heard of its fencing may have resumed the session. To start a new one now would lose events
 * that Discord still has; a RESUME gets them, or Discord's refusal.
 */
function afterTaken(state: Extract<GatewayState, { kind: 'resuming' | 'ready' }>, reason: string): Step {
  const taken = (state.ladder.taken ?? 0) + 1;
  if (taken >= takenTooOften) return loseSession(state, 'terminateSocket', reason);
  return startOver({ ...state, ladder: { ...state.ladder, taken } }, 'terminateSocket', reason, sameAddress);
}

function loseSession(state: Connected, how: 'closeSocket' | 'terminateSocket', reason: string): Step {
  return {
    state: { kind: 'backingOff', goal: { kind: 'identify' }, ladder: afterLoss(state) },
    effects: [...leave(state, how), { kind: 'sessionLost', reason, asked: false }, { kind: 'backOffAfterRefusal' }],
    reason,
  };
}

/** What is on its way to a new session goes on; one that is held for a handoff is not this worker's to give up. */
function renew(state: GatewayState): Step {
  const reason = 'a new session was asked for';
  const next = begin({ kind: 'identify' }, noLadder, reason);
  const lost: GatewayEffect = { kind: 'sessionLost', reason, asked: true };
  switch (state.kind) {
    case 'confirming':
    case 'resuming':
    case 'ready':
      return { ...next, effects: [...leave(state, 'closeSocket'), lost, ...next.effects] };
    case 'dialling':
    case 'awaitingHello':
    case 'backingOff':
    case 'parked':
      return state.goal.kind === 'resume'
        ? { ...next, effects: [...leave(state, 'closeSocket'), lost, ...next.effects] }
        : stay(state);
    case 'idle':
    case 'holding':
    case 'approaching':
    case 'awaitingPermit':
    case 'identifying':
    case 'stopped':
      return stay(state);
  }
}

/** The address is not to blame: it works, or was not even asked. */
const sameAddress = { keepAddress: true };

/** Gives the socket up and works towards the same goal again. The session, where there is one, stays. */
function startOver(
  state: Working,
  how: 'closeSocket' | 'terminateSocket',
  reason: string,
  { pause, keepAddress = false }: { pause?: GatewayEffect; keepAddress?: boolean } = {},
): Step {
  const lost = afterLoss(state);
  const ladder = keepAddress ? { ...lost, rung: state.ladder.rung } : lost;
  return {
    state: { kind: 'backingOff', goal: goalAfterLoss(state), ladder },
    effects: [...leave(state, how), pause ?? { kind: 'backOff', tries: ladder.tries }],
    reason,
  };
}

/** A socket that got its session up has paid for its try when that was made. */
function afterLoss(state: Working): Ladder {
  if (state.kind === 'ready') return state.ladder;
  return { ...state.ladder, tries: state.ladder.tries + 1, rung: state.ladder.rung + 1 };
}

function goalAfterLoss(state: Working): Goal {
  switch (state.kind) {
    case 'dialling':
    case 'awaitingHello':
    case 'holding':
      return state.goal;
    case 'confirming':
    case 'resuming':
    case 'ready':
      return { kind: 'resume', session: state.session };
    case 'approaching':
    case 'awaitingPermit':
    case 'identifying':
      return { kind: 'identify' };
  }
}

/** What must be undone when a state is left early. */
function leave(state: Busy, how: 'closeSocket' | 'terminateSocket'): GatewayEffect[] {
  const settled: GatewayEffect[] = state.kind === 'identifying' ? [{ kind: 'settlePermit', outcome: 'failed' }] : [];
  return [...settled, ...(hasSocket(state) ? dropSocket(how) : [{ kind: 'cancelDeadline' } as const])];
}

function dropSocket(how: 'closeSocket' | 'terminateSocket'): GatewayEffect[] {
  return [{ kind: 'cancelDeadline' }, { kind: how }];
}

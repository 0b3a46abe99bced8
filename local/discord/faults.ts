import { type Random, randomBelow } from '../../shared/random.ts';
import type { GatewayConnection } from './gateway-connection.ts';
import type { GatewayServer, NewConnectionFaults, ResumeUrlState } from './gateway-server.ts';
import type { RestAnswer } from './rest-answers.ts';
import type { Session } from './session.ts';
import type { Sessions } from './sessions.ts';

/** Which sessions or connections a fault strikes. */
export interface FaultTarget {
  /** Default: all. */
  readonly shards?: 'all' | readonly number[];
  /** Only sessions with this `num_shards`. Default: any. */
  readonly shardCount?: number;
}

/** Frames that no client should fall over. */
export const malformedFrames = [
  'notJson',
  'truncated',
  'empty',
  'huge',
  'binary',
  'unknownOp',
  'unknownEvent',
  'missingOp',
  'wrongTypes',
] as const;
export type MalformedFrame = (typeof malformedFrames)[number];

/** What a REST request meets instead of an answer, or before it. */
export type RestFaultAction =
  /** Answered late. */
  | { readonly kind: 'delay'; readonly delayMs: number }
  /** Answered with a status and a body that says so. */
  | { readonly kind: 'status'; readonly status: number }
  /** 429. */
  | { readonly kind: 'rateLimit'; readonly retryAfterMs: number; readonly scope: 'user' | 'global' | 'shared' }
  /** The TCP connection is dropped. */
  | { readonly kind: 'reset' }
  /** Never answered. */
  | { readonly kind: 'hang' };

export interface RestFault {
  /** Start of the path after the API version, e.g. `/gateway/bot`. Default: every route. */
  readonly path?: string | undefined;
  /** Default: every method. */
  readonly method?: string | undefined;
  readonly action: RestFaultAction;
  /** Strikes this many requests. Default: until {@link Faults.clear}. */
  readonly times?: number | undefined;
}

/** Codes after which Discord keeps no session. */
const sessionEndingCodes = new Set([4003, 4004, 4006, 4007, 4010, 4011, 4012, 4013, 4014]);

/** Everything that can be made to go wrong, on demand. */
export class Faults {
  readonly #server: GatewayServer;
  readonly #sessions: Sessions;
  readonly #random: Random;
  readonly #unknownEvents: readonly { readonly t: string; readonly d: unknown }[];
  #restFaults: { fault: RestFault; left: number }[] = [];

  constructor(deps: {
    server: GatewayServer;
    sessions: Sessions;
    random: Random;
    unknownEvents: readonly { readonly t: string; readonly d: unknown }[];
  }) {
    this.#server = deps.server;
    this.#sessions = deps.sessions;
    this.#random = deps.random;
    this.#unknownEvents = deps.unknownEvents;
  }

  /** Sends op 7; the connection is closed a few seconds later if the client has not done so. Returns how many got it. */
  reconnect(target: FaultTarget = {}): number {
    return this.#each(target, (connection) => connection.requestReconnect());
  }

  /** Sends op 9. With `resumable` false the sessions end, those without a connection too. */
  invalidateSessions(target: FaultTarget, resumable: boolean): number {
    const struck = this.#each(target, (connection) => connection.invalidateSession(resumable));
    if (resumable) return struck;
    const offline = [...this.#sessions.live()].filter((session) => matches(session, target));
    for (const session of offline) this.#sessions.end(session, 'invalidated');
    return struck + offline.length;
  }

  /** Drops TCP without a close frame. */
  cut(target: FaultTarget = {}): number {
    return this.#each(target, (connection) => connection.cut());
  }

  /** Makes connections neither send nor hear anything, or lets them speak again. */
  silence(target: FaultTarget, silent: boolean): number {
    return this.#each(target, (connection) => {
      connection.silent = silent;
    });
  }

  /** Takes heartbeats without acknowledging them, or acknowledges again. */
  ignoreHeartbeats(target: FaultTarget, ignore: boolean): number {
    return this.#each(target, (connection) => {
      connection.acknowledgesHeartbeats = !ignore;
    });
  }

  /** Asks for a heartbeat (op 1). */
  requestHeartbeat(target: FaultTarget = {}): number {
    return this.#each(target, (connection) => connection.requestHeartbeat());
  }

  /** Closes with `code`. The session ends with the codes after which Discord keeps none, unless `endSession` says otherwise. */
  close(
    target: FaultTarget,
    {
      code,
      reason = '',
      endSession = sessionEndingCodes.has(code),
    }: { code: number; reason?: string; endSession?: boolean },
  ): number {
    return this.#each(target, (connection, session) => {
      connection.close(code, reason);
      if (endSession) this.#sessions.end(session, 'invalidated');
    });
  }

  /** Sends a frame that is no proper frame. `bytes` is the length of the `huge` one (default 8 MiB). */
  sendMalformed(target: FaultTarget, frame: MalformedFrame, bytes = 8 * 1024 * 1024): number {
    return this.#each(target, (connection) => {
      connection.sendBytes(this.#malformed(frame, bytes), frame === 'binary' ? 'raw' : 'encoded');
    });
  }

  /** What new connections meet; what is not named stays as it is. */
  newConnections(faults: Partial<NewConnectionFaults>): void {
    Object.assign(this.#server.newConnectionFaults, faults);
  }

  /** @throws {BatonError} `PORT_IN_USE` when somebody else has taken the port of a resume URL that was `refused`. */
  async resumeUrl(state: ResumeUrlState): Promise<void> {
    await this.#server.setResumeUrl(state);
  }

  /** Adds a fault of REST; the oldest one that fits a request strikes it. */
  rest(fault: RestFault): void {
    this.#restFaults.push({ fault, left: fault.times ?? Number.POSITIVE_INFINITY });
  }

  /** The fault that strikes a request, if any; it is used up by that. */
  takeRestFault(method: string, path: string): RestFaultAction | undefined {
    const found = this.#restFaults.find(
      ({ fault }) => path.startsWith(fault.path ?? '') && (fault.method ?? method) === method,
    );
    if (!found) return undefined;
    found.left -= 1;
    if (found.left <= 0) this.#restFaults = this.#restFaults.filter((each) => each !== found);
    return found.fault.action;
  }

  /** Ends every lasting fault; what was struck stays struck. */
  async clear(): Promise<void> {
    this.#restFaults = [];
    this.newConnections({ helloDelayMs: 0, silent: false, ignoreHeartbeats: false });
    this.silence({}, false);
    this.ignoreHeartbeats({}, false);
    for (const connection of this.#server.connections) connection.silent = false;
    await this.resumeUrl('alive');
  }

  /** Lasting faults, as the control API shows them. */
  state(): { newConnections: NewConnectionFaults; resumeUrl: ResumeUrlState; rest: readonly RestFault[] } {
    return {
      newConnections: { ...this.#server.newConnectionFaults },
      resumeUrl: this.#server.resumeUrlState,
      rest: this.#restFaults.map(({ fault }) => fault),
    };
  }

  #each(target: FaultTarget, strike: (connection: GatewayConnection, session: Session) => void): number {
    let struck = 0;
    for (const connection of this.#server.connections) {
      const { session } = connection;
      if (!session || !matches(session, target)) continue;
      strike(connection, session);
      struck += 1;
    }
    return struck;
  }

  #malformed(frame: MalformedFrame, bytes: number): Buffer {
    switch (frame) {
      case 'notJson':
        return Buffer.from('this is no JSON');
      case 'truncated':
        return Buffer.from('{"t":"MESSAGE_CREATE","s":12,"op":0,"d":{"id":"15491252350894');
      case 'empty':
        return Buffer.alloc(0);
      case 'huge':
        return Buffer.from(`{"t":null,"s":null,"op":11,"d":"${'x'.repeat(bytes)}"}`);
      case 'binary':
        return Buffer.from(Array.from({ length: 512 }, () => randomBelow(this.#random, 256)));
      case 'unknownOp':
        return Buffer.from('{"t":null,"s":null,"op":77,"d":{"a":1}}');
      case 'unknownEvent': {
        // Without a sequence number: the stream of the session is not touched.
        const { t, d } = this.#unknownEvents[randomBelow(this.#random, this.#unknownEvents.length)] as {
          t: string;
          d: unknown;
        };
        return Buffer.from(JSON.stringify({ t, s: null, op: 0, d }));
      }
      case 'missingOp':
        return Buffer.from('{"d":null}');
      case 'wrongTypes':
        return Buffer.from('{"t":5,"s":"x","op":"0","d":[]}');
    }
  }
}

function matches(session: Session, { shards = 'all', shardCount }: FaultTarget): boolean {
  const { shard } = session;
  if (shardCount !== undefined && shardCount !== (shard?.shardCount ?? 1)) return false;
  return shards === 'all' || shards.includes(shard?.shardId ?? 0);
}

/** The answer of a `status` fault. */
export function faultAnswer(status: number): RestAnswer {
  return { status, body: { message: `${status}: injected fault`, code: 0 } };
}

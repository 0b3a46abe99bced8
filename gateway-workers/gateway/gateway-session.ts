import type { BatonError } from '../../shared/errors.ts';
import type { ShardAddress } from '../../shared/sharding.ts';
import type { GatewayState, IdentifyOutcome } from './session-machine.ts';

/** What Discord keeps for a shard, and how far it was read. */
export interface GatewaySession {
  readonly sessionId: string;
  readonly resumeGatewayUrl: string;
  /** The last `s` up to which nothing is missing. */
  readonly seq: number;
}

/** What READY told besides the session. */
export interface ReadyFacts {
  readonly applicationId: string;
  readonly userId: string;
  /** All guilds of the shard, at first unavailable. */
  readonly guildIds: string[];
}

export interface StateChange {
  readonly from: GatewayState['kind'];
  readonly to: GatewayState['kind'];
  readonly reason?: string;
  readonly closeCode?: number;
}

/** Told of everything, synchronously and in order. Must not throw. */
export interface GatewayListener {
  /**
   * Every dispatch, READY and RESUMED included, byte for byte as Discord sent it. The frame is on loan: the next one is
   * written over it, so what is kept is copied.
   * `seq` is one above the last, except over a hole that two RESUMEs could not fill (counted as `holeAccepted`).
   */
  onDispatch(frame: Buffer, seq: number, type: string): void;
  /** A new session; its READY follows in `onDispatch`. */
  onSessionStarted(session: GatewaySession, ready: ReadyFacts): void;
  /** The replay is complete; RESUMED follows in `onDispatch`. */
  onResumed(): void;
  /** Discord has refused the session, or (`asked`) somebody wanted a new one: its position means nothing any more. */
  onSessionLost(reason: string, how: { asked: boolean }): void;
  onStateChange(change: StateChange): void;
  /** Discord closed with a code that reconnecting cannot help. The connection has stopped. */
  onFatal(error: BatonError): void;
}

/** The fleet-wide limiter of IDENTIFY. A promise whose signal aborts may reject or never settle. */
export interface IdentifyGate {
  /** Resolves when it is worth opening a socket. */
  approach(shard: ShardAddress, signal: AbortSignal): Promise<void>;
  /** Asked once IDENTIFY could be sent at once. */
  win(shard: ShardAddress, signal: AbortSignal): Promise<IdentifyPermit>;
}

export interface IdentifyPermit {
  /** On the clock's `monotonicMs`. From then on the permit must not be used. */
  readonly sendBeforeMs: number;
  /** Called exactly once. */
  settle(outcome: IdentifyOutcome): void;
}

/** Why a frame was not taken at face value. */
export type BadFrameReason =
  /** No JSON object with a whole-number `op`, or cut off. */
  | 'malformed'
  /** The compressed stream is corrupt, or a frame is huge. */
  | 'inflate'
  | 'binaryMessage'
  | 'textMessage'
  /** The WebSocket layer could not read the peer. */
  | 'protocol'
  /** A dispatch without `s` or `t`: dropped. */
  | 'dispatchIncomplete'
  /** Before the session was up. */
  | 'dispatchOutOfPlace'
  | 'helloUnreadable'
  | 'readyUnreadable'
  | 'unknownOp'
  /** `s` jumped: RESUME from the last one without a hole. */
  | 'hole'
  /** RESUME did not fill the hole, so those events are lost. */
  | 'holeAccepted'
  /** `s` was read before: dropped. */
  | 'repeat';

/** Counts since the connection was made. */
export interface GatewayStats {
  /** Sockets dialled after the first. */
  reconnects: number;
  resumes: number;
  identifies: number;
  zombies: number;
  dispatches: number;
  readonly badFrames: Partial<Record<BadFrameReason, number>>;
  lastCloseCode: number | undefined;
}

/** A command of Discord's gateway that may be sent at any time while a session is up. */
export interface GatewayCommand {
  readonly op: 3 | 4 | 8 | 31 | 43;
  readonly d: unknown;
}

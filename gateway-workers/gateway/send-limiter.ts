import type { Clock, Timer } from '../../shared/clock.ts';
import { BatonError } from '../../shared/errors.ts';

/** Limits of what a client sends (Discord, "Gateway", Rate Limiting; "Gateway Events", Update Presence). */
const maxFrames = 120;
const maxPresences = 5;
export const maxFrameBytes = 4_096;

/** Discord counts at its end, where frames may arrive closer together than they were sent. */
const marginMs = 500;
const framesWindowMs = 60_000 + marginMs;
const presencesWindowMs = 20_000 + marginMs;

/** Slots kept free above the regular heartbeats: IDENTIFY or RESUME, and answers to heartbeat requests. */
const spareSlots = 3;
/** However short the heartbeat interval, ordinary frames keep this many slots. */
const minOrdinaryFrames = 10;
/** Frames that may wait; more than that is minutes of delay, and the caller should know. */
const maxWaiting = 1_000;

const presenceUpdate = 3;

interface Waiting {
  readonly op: number;
  readonly frame: string;
  readonly resolve: () => void;
  readonly reject: (error: BatonError) => void;
}

/**
 * Keeps a shard's sends under Discord's limits. Heartbeats, IDENTIFY and RESUME are only counted and never wait;
 * everything else queues, also across connections, and goes out in order while a session is up
 * (a presence change that must wait lets other frames pass).
 */
export class SendLimiter {
  readonly #clock: Clock;
  #frames = new Window(framesWindowMs);
  #presences = new Window(presencesWindowMs);
  #maxOrdinaryFrames = maxFrames;
  #write: ((frame: string) => void) | undefined;
  #timer: Timer | undefined;
  #waiting: Waiting[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Frames that wait to be sent. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Starts counting for a new connection, with room for its heartbeats. Nothing ordinary is sent until `open`. */
  startConnection(heartbeatIntervalMs: number): void {
    this.shut();
    this.#frames = new Window(framesWindowMs);
    this.#presences = new Window(presencesWindowMs);
    const reserved = Math.ceil(framesWindowMs / heartbeatIntervalMs) + spareSlots;
    this.#maxOrdinaryFrames = Math.max(minOrdinaryFrames, maxFrames - reserved);
  }

  /** Counts a frame that the caller sends at once. */
  countUrgent(): void {
    this.#frames.add(this.#clock.monotonicMs());
  }

  /** Lets ordinary frames flow: the session is ready. */
  open(write: (frame: string) => void): void {
    this.#write = write;
    this.#flush();
  }

  /** Holds ordinary frames back until the next `open`. */
  shut(): void {
    this.#write = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /**
   * Resolves when the frame has been handed to the socket.
   * Rejects with `COMMAND_REFUSED` when it is above 4,096 bytes or too many wait, and with what `rejectAll` is given.
   */
  submit(op: number, frame: string): Promise<void> {
    const bytes = Buffer.byteLength(frame);
    if (bytes > maxFrameBytes) {
      return Promise.reject(
        new BatonError('COMMAND_REFUSED', `op ${op} has ${bytes} bytes, Discord takes ${maxFrameBytes}: split it`),
      );
    }
    if (this.#waiting.length >= maxWaiting) {
      return Promise.reject(
        new BatonError('COMMAND_REFUSED', `op ${op}: ${maxWaiting} commands of this shard wait already, send fewer`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ op, frame, resolve, reject });
      this.#flush();
    });
  }

  /** Gives up everything that waits. */
  rejectAll(error: BatonError): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(error);
  }

  #flush(): void {
    if (!this.#write) return;
    this.#timer?.cancel();
    this.#timer = undefined;
    const nowMs = this.#clock.monotonicMs();
    let presencesHeld = false;
    for (let index = 0; index < this.#waiting.length; ) {
      if (this.#frames.count(nowMs) >= this.#maxOrdinaryFrames) break;
      const { op, frame, resolve } = this.#waiting[index] as Waiting;
      const isPresence = op === presenceUpdate;
      presencesHeld ||= isPresence && this.#presences.count(nowMs) >= maxPresences;
      if (isPresence && presencesHeld) {
        index++;
        continue;
      }
      this.#waiting.splice(index, 1);
      this.#frames.add(nowMs);
      if (isPresence) this.#presences.add(nowMs);
      this.#write(frame);
      resolve();
    }
    if (this.#waiting.length > 0) this.#timer = this.#clock.schedule(this.#delayMs(nowMs), () => this.#flush());
  }

  #delayMs(nowMs: number): number {
    const framesFull = this.#frames.count(nowMs) >= this.#maxOrdinaryFrames;
    const window = framesFull ? this.#frames : this.#presences;
    return window.oldestLeavesInMs(nowMs);
  }
}

/** Instants of the last while. */
class Window {
  readonly #lengthMs: number;
  readonly #instantsMs: number[] = [];

  constructor(lengthMs: number) {
    this.#lengthMs = lengthMs;
  }

  add(nowMs: number): void {
    this.#forget(nowMs);
    this.#instantsMs.push(nowMs);
  }

  count(nowMs: number): number {
    this.#forget(nowMs);
    return this.#instantsMs.length;
  }

  oldestLeavesInMs(nowMs: number): number {
    return (this.#instantsMs[0] ?? nowMs) + this.#lengthMs - nowMs;
  }

  #forget(nowMs: number): void {
    while (this.#instantsMs.length > 0 && (this.#instantsMs[0] as number) + this.#lengthMs <= nowMs) {
      this.#instantsMs.shift();
    }
  }
}

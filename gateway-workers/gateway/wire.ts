import type { Clock, Timer } from '../../shared/clock.ts';
import type { GatewayCompression } from '../../shared/config.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Random } from '../../shared/random.ts';
import { keepSessionCode } from './close-codes.ts';
import { type FrameHeader, scanHeader } from './frame-scan.ts';
import type { BadFrameReason } from './gateway-session.ts';
import { type DialGateway, type GatewaySocket, maxMessageBytes } from './gateway-socket.ts';
import { InflateError, type Inflater, createInflater } from './inflate.ts';

/** What a wire tells the connection; nothing after `close` or `terminate`. */
export interface WireListener {
  onOpen(): void;
  /** The frame is on loan until this returns. */
  onFrame(frame: Buffer, header: FrameHeader): void;
  /** What came cannot be read, nor what follows. */
  onUnreadable(reason: BadFrameReason, detail: string): void;
  onError(error: Error): void;
  onClose(code: number, reason: string): void;
  onHeartbeatDue(): void;
  /** The last heartbeat was not acknowledged and the next one is due. */
  onHeartbeatMissed(): void;
}

export interface WireOptions {
  readonly url: string;
  readonly compress: GatewayCompression;
  readonly dial: DialGateway;
  readonly clock: Clock;
  readonly random: Random;
  readonly readingPaused: boolean;
  readonly listener: WireListener;
}

const closeTimeoutMs = 2_000;
/** A heartbeat that runs this late means that this process stood still, not the peer. */
const stoodStillMs = 1_000;

/** One socket to Discord: its compression context, its heartbeats, its end. A reconnect makes a new one. */
export class Wire {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #listener: WireListener;
  readonly #compress: GatewayCompression;
  readonly #inflater: Inflater;
  readonly #socket: GatewaySocket;

  #isOpen = false;
  /** Given up by the connection: only the end of the socket matters now. */
  #isDropped = false;
  #onEnd: (() => void) | undefined;

  #readingPaused: boolean;
  #heartbeatTimer: Timer | undefined;
  #heartbeatIntervalMs = 0;
  #heartbeatDueMs = 0;
  #heartbeatSentMs = 0;
  #awaitsAck = false;
  /** An acknowledgement may be there, unread. */
  #pausedSinceHeartbeat = false;

  constructor({ url, compress, dial, clock, random, readingPaused, listener }: WireOptions) {
    this.#clock = clock;
    this.#random = random;
    this.#listener = listener;
    this.#compress = compress;
    this.#readingPaused = readingPaused;
    this.#inflater = createInflater(compress, maxMessageBytes);
    this.#socket = dial(url, {
      onOpen: () => this.#open(),
      onMessage: (message, isBinary) => this.#receive(message, isBinary),
      onError: (error) => this.#fail(error),
      onClose: (code, reason) => {
        this.#onEnd?.();
        if (!this.#isDropped) this.#listener.onClose(code, reason);
      },
    });
  }

  /** Does nothing before the socket is open. */
  send(text: string): void {
    if (this.#isOpen) this.#socket.send(text);
  }

  pauseReading(): void {
    this.#readingPaused = true;
    this.#pausedSinceHeartbeat = true;
    if (this.#isOpen) this.#socket.pause();
  }

  resumeReading(): void {
    this.#readingPaused = false;
    if (this.#isOpen) this.#socket.resume();
  }

  /** The first heartbeat comes after a random part of the interval (Discord, "Gateway", Heartbeat Interval). */
  startHeartbeat(intervalMs: number): void {
    this.#heartbeatIntervalMs = intervalMs;
    this.#scheduleHeartbeat(intervalMs * this.#random.next());
  }

  /** Takes note of an ACK; milliseconds since the heartbeat it answers, or `undefined` where that says nothing. */
  acknowledge(): number | undefined {
    const tells = this.#awaitsAck && !this.#pausedSinceHeartbeat;
    this.#awaitsAck = false;
    return tells ? this.#clock.monotonicMs() - this.#heartbeatSentMs : undefined;
  }

  /** Cuts the socket at once; the session stays resumable. */
  terminate(): void {
    this.#drop();
    this.#socket.terminate();
  }

  /** Closes so that the session stays resumable. Resolves when the socket is gone: after 2 s without an answer it is cut. */
  close(): Promise<void> {
    const wasOpen = this.#isOpen;
    this.#drop();
    if (!wasOpen) {
      this.#socket.terminate();
      return Promise.resolve();
    }
    // A paused socket would not even see the answer to its close.
    if (this.#readingPaused) this.#socket.resume();
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = this.#clock.schedule(closeTimeoutMs, () => {
      this.#socket.terminate();
      resolve();
    });
    this.#onEnd = () => {
      timer.cancel();
      resolve();
    };
    this.#socket.close(keepSessionCode, '');
    return promise;
  }

  #drop(): void {
    this.#isDropped = true;
    this.#isOpen = false;
    this.#heartbeatTimer?.cancel();
    this.#inflater.close();
  }

  #open(): void {
    if (this.#isDropped) return;
    this.#isOpen = true;
    if (this.#readingPaused) this.#socket.pause();
    this.#listener.onOpen();
  }

  #receive(message: Buffer, isBinary: boolean): void {
    if (this.#isDropped) return;
    if (isBinary === this.#inflater.textMessages) {
      const reason = isBinary ? 'binaryMessage' : 'textMessage';
      return this.#listener.onUnreadable(reason, `not expected with compression ${this.#compress}`);
    }
    let frame: Buffer | undefined;
    try {
      frame = this.#inflater.push(message);
    } catch (error) {
      if (error instanceof InflateError) return this.#listener.onUnreadable('inflate', error.message);
      throw error;
    }
    if (frame === undefined) return;
    const header = scanHeader(frame);
    if (header) this.#listener.onFrame(frame, header);
    else this.#listener.onUnreadable('malformed', `${frame.length} bytes`);
  }

  #fail(error: Error): void {
    if (this.#isDropped) return;
    this.#listener.onError(error);
    // The WebSocket layer could not read the peer, and would wait long for a closing handshake that may never come.
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('WS_ERR_')) this.#listener.onUnreadable('protocol', messageOf(error));
  }

  #scheduleHeartbeat(delayMs: number): void {
    this.#heartbeatDueMs = this.#clock.monotonicMs() + delayMs;
    this.#heartbeatTimer = this.#clock.schedule(delayMs, () => this.#heartbeat());
  }

  #heartbeat(): void {
    const nowMs = this.#clock.monotonicMs();
    if (this.#awaitsAck && !this.#pausedSinceHeartbeat) {
      // After standing still, what arrived meanwhile must be read before it is judged.
      if (nowMs - this.#heartbeatDueMs > stoodStillMs) this.#scheduleHeartbeat(stoodStillMs);
      else this.#listener.onHeartbeatMissed();
      return;
    }
    this.#awaitsAck = true;
    this.#heartbeatSentMs = nowMs;
    this.#pausedSinceHeartbeat = this.#readingPaused;
    this.#scheduleHeartbeat(this.#heartbeatIntervalMs);
    this.#listener.onHeartbeatDue();
  }
}

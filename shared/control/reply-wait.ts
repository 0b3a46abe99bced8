import type { WorkerRecord } from '../coordination/model.ts';
import { isPassingTrouble } from '../coordination/store.ts';
import { messageOf } from '../errors.ts';
import type { FleetOptions } from './fleet-ports.ts';
import type { Reply } from './replies.ts';
import {
  type Outcome,
  readWorkerReply,
  type RequestMessage,
  requestVersion,
  type ShardRequest,
  type WorkerRequest,
} from './requests.ts';

/** Replies are looked for this often at first, then, when they do not come, ever less often. */
const firstLookMs = 20;
const eagerForMs = 400;
const longestLookMs = 150;

export interface Waiting {
  readonly withinMs: number;
  readonly signal: AbortSignal | undefined;
  readonly tidying: Set<Promise<void>>;
}

/** The wait for replies to one request, shared by both kinds of rounds. */
export class ReplyWait {
  readonly id: string;
  readonly untilMs: number;
  readonly expiresAtMs: number;
  readonly #options: FleetOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #tidying: Set<Promise<void>>;
  readonly #seen: Reply[] = [];
  readonly #known = new Set<string>();
  readonly #eagerUntilMs: number;
  #lookMs = firstLookMs;
  #sendings = 0;
  trouble: string | undefined;

  constructor(options: FleetOptions, { withinMs, signal, tidying }: Waiting) {
    this.#options = options;
    this.#signal = signal;
    this.#tidying = tidying;
    this.id = options.random.uuid();
    this.untilMs = options.clock.monotonicMs() + withinMs;
    this.#eagerUntilMs = options.clock.monotonicMs() + eagerForMs;
    this.expiresAtMs = Math.round(options.clock.wallClockMs() + withinMs);
  }

  get isOver(): boolean {
    return this.#options.clock.monotonicMs() >= this.untilMs || this.#signal?.aborted === true;
  }

  /** Sends, and returns the number of the sending at once. `onFailure` is told when the queue does not take it. */
  send(
    to: WorkerRecord,
    body: ShardRequest | WorkerRequest,
    shards: RequestMessage['shards'],
    onFailure: (reason: string) => void,
  ): number {
    const sending = this.#sendings;
    this.#sendings += 1;
    const message: RequestMessage = {
      kind: 'request',
      v: requestVersion,
      id: this.id,
      sending,
      expiresAtMs: this.expiresAtMs,
      ...(shards && { shards }),
      body,
    };
    // Nobody waits for a queue: replies of others come meanwhile, and the deadline is for all.
    this.#options.control.send(to.controlQueueUrl, message).catch((error: unknown) => onFailure(messageOf(error)));
    return sending;
  }

  /** Waits a little, then gives the outcomes that have come since. */
  async next(): Promise<{ sending: number; outcomes: readonly Outcome[] }[]> {
    const { replies, clock } = this.#options;
    await clock.sleep(Math.min(this.#lookMs, Math.max(0, this.untilMs - clock.monotonicMs())), this.#signal);
    if (clock.monotonicMs() >= this.#eagerUntilMs) this.#lookMs = Math.min(longestLookMs, this.#lookMs * 1.5);
    let found: Reply[];
    try {
      found = (await replies.receive(this.id)).filter(({ from }) => !this.#known.has(from));
      this.trouble = undefined;
    } catch (error) {
      if (!isPassingTrouble(error)) throw error;
      this.trouble = messageOf(error);
      return [];
    }
    this.#seen.push(...found);
    return found.flatMap(({ from, body }) => {
      this.#known.add(from);
      return readWorkerReply(body) ?? [];
    });
  }

  /** Tidies up behind the request, beside whatever comes next. Replies that come later go by the table's time to live. */
  end(): void {
    const { replies, logger } = this.#options;
    const tidying = replies
      .forget(this.id, this.#seen)
      .catch((error: unknown) => {
        logger.debug({ error: messageOf(error) }, 'request.replies_not_forgotten');
      })
      .finally(() => this.#tidying.delete(tidying));
    this.#tidying.add(tidying);
  }

  noAnswer(workerId: string, withinMs: number): string {
    const trouble = this.trouble === undefined ? '' : ` (${this.trouble})`;
    return `no answer from ${workerId} within ${Math.round(withinMs)} ms${trouble}`;
  }
}

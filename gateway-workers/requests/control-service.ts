import type { Clock } from '../../shared/clock.ts';
import type { ControlQueueNotes } from '../../shared/control/control-queue-notes.ts';
import type { Replies } from '../../shared/control/replies.ts';
import type { RequestRunner, RunLimits, ShardView } from '../../shared/control/request-runner.ts';
import {
  type CommandResult,
  type FailureCode,
  type FleetCommand,
  type LiveShardFigures,
  maxResultBytes,
  maxWithinMs,
  type Outcome,
  readShardRequest,
  readWorkerRequest,
  type RequestMessage,
  requestVersion,
  type RespawnResult,
  type ShardRequest,
  type WorkerReply,
  type WorkerRequest,
} from '../../shared/control/requests.ts';
import type { Incarnation, WorkerReport } from '../../shared/coordination/model.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { ShardKey } from '../../shared/sharding.ts';
import { waitAtMost } from '../../shared/wait-at-most.ts';
import type { Shard } from '../shard/shard.ts';
import { EventTap } from './event-tap.ts';

/** What requests can ask of a shard. */
export type RequestedShard = Pick<Shard, 'shard' | 'isFrozen' | 'report' | 'roster' | 'send' | 'respawn'>;

/** What requests can ask of the worker. */
export interface RequestHost {
  /** The shard if this worker holds it. */
  held(key: ShardKey): RequestedShard | undefined;
  report(): WorkerReport;
  /** Figures of the process alone, cheap enough to be asked for every shard. */
  usage(): { readonly memoryMb: number; readonly uptimeMs: number };
}

/** What a worker process answers requests with. */
export interface RequestPorts {
  readonly replies: Replies;
  /** Absent: code, properties and queries are refused as off. */
  readonly runner?: RequestRunner;
  /** Begins what SIGTERM begins; absent where nothing can. */
  readonly drain?: () => void;
  /** Absent: control queues of the dead are not swept here. */
  readonly queueNotes?: ControlQueueNotes;
}

export interface ControlServiceOptions extends RequestPorts {
  readonly incarnation: Incarnation;
  readonly workerId: string;
  readonly release: string;
  readonly host: RequestHost;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Clocks of two machines differ; a request is late only when it is this much too late. */
const clockSkewMs = 2000;
/** Of the caller's time this much is kept for the reply's way: so that the worker's own reason arrives, not silence. */
const replyReserve = { leastMs: 150, share: 0.1 };
/** A command that Discord's limits hold back longer is answered before it is sent. */
const commandPatienceMs = 500;
/** A queue may deliver a message twice; it is known for as long as it may live there. */
const rememberForMs = 5 * 60_000;
const maxRunning = 256;
/** All that one reply may hold. */
const maxReplyBytes = 8 * 1024 * 1024;
/** On their way at once: more would crowd out heartbeats and checkpoints, at the table and in this process. */
const maxReplying = 8;
const replyAttempts = 3;
const endPatienceMs = 1000;
const replyRetryMs = 200;

/** Answers the requests that arrive on a worker's control queue. Nothing here holds up the queue, or a shard. */
export class ControlService {
  /** Shards show it what they read. */
  readonly tap: EventTap;
  readonly #options: ControlServiceOptions;
  readonly #running = new Set<Promise<void>>();
  /** Sendings that were taken, and when, on the monotonic clock; oldest first. */
  readonly #taken = new Map<string, number>();
  readonly #ending = new AbortController();
  #replying = 0;
  /** Replies that wait for their turn. */
  readonly #turns: (() => void)[] = [];

  constructor(options: ControlServiceOptions) {
    this.#options = options;
    this.tap = new EventTap(options);
  }

  /** Begins with a request; a copy of one that was taken before is ignored. Never throws. */
  accept(message: RequestMessage): void {
    if (this.#ending.signal.aborted || !this.#isNew(message)) return;
    const task = this.#answer(message)
      .catch((error: unknown) => {
        this.#options.logger.warn({ request: message.id, error: messageOf(error) }, 'request.not_answered');
      })
      .finally(() => this.#running.delete(task));
    this.#running.add(task);
  }

  /** Serves until `signal` aborts; then what is being answered has a moment to end, whatever the table does. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    const tapping = this.tap.run(signal);
    await untilAborted(signal);
    this.#ending.abort();
    await waitAtMost(
      endPatienceMs,
      Promise.all([tapping, ...this.#running]).then(() => {}),
      clock,
    );
  }

  #isNew({ id, sending }: RequestMessage): boolean {
    const nowMs = this.#options.clock.monotonicMs();
    for (const [name, takenAtMs] of this.#taken) {
      if (nowMs - takenAtMs < rememberForMs) break;
      this.#taken.delete(name);
    }
    const name = `${id} ${sending}`;
    if (this.#taken.has(name)) return false;
    this.#taken.set(name, nowMs);
    return true;
  }

  async #answer(message: RequestMessage): Promise<void> {
    const { clock, logger } = this.#options;
    const leftMs = message.expiresAtMs - clock.wallClockMs();
    const deadline = new AbortController();
    const patienceMs = Math.min(maxWithinMs, Math.max(clockSkewMs, leftMs));
    const withinMs = patienceMs - Math.max(replyReserve.leastMs, patienceMs * replyReserve.share);
    const timer = clock.schedule(withinMs, () => deadline.abort());
    const limits = { withinMs, signal: AbortSignal.any([deadline.signal, this.#ending.signal]) };
    const refuse = (code: FailureCode, reason: string) => this.#reply(message, refusal(message, code, reason));
    try {
      logger.debug({ request: message.id, kind: message.body.kind, shards: message.shards }, 'request.taken');
      if (leftMs < -clockSkewMs) {
        return await refuse(
          'expired',
          `it arrived ${Math.round(-leftMs)} ms after its deadline and was not carried out`,
        );
      }
      if (this.#running.size > maxRunning) {
        return await refuse('failed', `${maxRunning} requests are being carried out already, ask again later`);
      }
      if (message.shards === undefined) return await this.#answerForWorker(message, limits);
      const body = readShardRequest(message);
      if (body.kind === 'refused') return await refuse(body.code, body.reason);
      const outcomes = await Promise.all(message.shards.map((key) => this.#askShard(key, body.request, limits)));
      await this.#reply(message, withinSize(outcomes));
    } finally {
      timer.cancel();
      deadline.abort();
    }
  }

  async #answerForWorker(message: RequestMessage, limits: RunLimits): Promise<void> {
    const body = readWorkerRequest(message);
    if (body.kind === 'refused') return this.#reply(message, refusal(message, body.code, body.reason));
    if (body.request.kind === 'drain' && this.#options.drain !== undefined) {
      const { shards } = this.#options.host.report();
      await this.#reply(message, [{ ok: true, value: { shards: shards.length } }]);
      this.#options.logger.info({ request: message.id }, 'worker.asked_to_drain');
      this.#options.drain();
      return;
    }
    await this.#reply(message, withinSize([await settle(undefined, () => this.#askWorker(body.request), limits)]));
  }

  async #askWorker(request: WorkerRequest): Promise<unknown> {
    const { host, release } = this.#options;
    switch (request.kind) {
      case 'ping':
        return { release };
      case 'figures':
        return host.report();
      case 'drain':
        throw new Refused('off', 'this worker is not run by a process that could be told to drain');
      case 'tail':
        if (!this.tap.open(request)) throw new Refused('failed', 'too many people look at live events already');
        return { forMs: request.forMs };
    }
  }

  #askShard(key: ShardKey, request: ShardRequest, limits: RunLimits): Promise<Outcome> {
    return settle(key, () => this.#carryOut(key, request, limits), limits);
  }

  async #carryOut(key: ShardKey, request: ShardRequest, limits: RunLimits): Promise<unknown> {
    const { host, runner, release } = this.#options;
    const shard = host.held(key);
    // One that is being released answers at its next owner.
    if (shard === undefined || shard.isFrozen) throw new Refused('not-mine', 'another worker holds it');
    switch (request.kind) {
      case 'ping':
        return { release };
      case 'figures':
        return this.#figures(shard);
      case 'command':
        return this.#send(key, shard, request.command, limits);
      case 'respawn':
        return this.#respawn(shard, request.fresh, limits);
      case 'eval':
        if (runner?.evaluate === undefined) {
          throw new Refused('off', 'eval is off: it needs BATON_EVAL=sandbox at the workers');
        }
        return runner.evaluate(request.code, this.#viewOf(shard), limits);
      case 'fetch':
      case 'query': {
        if (runner === undefined) throw new Refused('off', `this worker runs no request "${request.kind}"`);
        const view = this.#viewOf(shard);
        return request.kind === 'fetch'
          ? runner.fetch(request.path, view, limits)
          : runner.query(request.name, request.args, view, limits);
      }
    }
  }

  async #send(
    key: ShardKey,
    shard: RequestedShard,
    command: FleetCommand,
    { signal }: RunLimits,
  ): Promise<CommandResult> {
    const { host, clock, logger } = this.#options;
    const sent = shard.send(command).then((): CommandResult => ({ state: 'sent' }));
    const answered = new AbortController();
    const patience = AbortSignal.any([signal, answered.signal]);
    const waiting = clock.sleep(commandPatienceMs, patience).then((): CommandResult => ({ state: 'waiting' }));
    try {
      const result = await Promise.race([sent, waiting]);
      if (result.state === 'waiting') {
        sent.catch((error: unknown) => {
          logger.warn({ shard: shard.shard.shardId, op: command.op, error: messageOf(error) }, 'command.not_sent');
        });
      }
      return result;
    } catch (error) {
      // Given up with the socket, so it was not sent: the next owner can.
      if (host.held(key) !== shard || shard.isFrozen) throw new Refused('not-mine', messageOf(error));
      throw error;
    } finally {
      answered.abort();
    }
  }

  async #respawn(shard: RequestedShard, fresh: boolean, { signal }: RunLimits): Promise<RespawnResult> {
    const { clock } = this.#options;
    const startedMs = clock.monotonicMs();
    const how = await shard.respawn({ fresh }, signal);
    return { how, tookMs: Math.round(clock.monotonicMs() - startedMs) };
  }

  #figures(shard: RequestedShard): LiveShardFigures {
    const { workerId, report, memoryMb, workerUptimeMs } = this.#viewOf(shard);
    return { ...report, workerId, memoryMb, workerUptimeMs };
  }

  #viewOf(shard: RequestedShard): ShardView {
    const { host, workerId } = this.#options;
    const { memoryMb, uptimeMs } = host.usage();
    return {
      shard: shard.shard,
      workerId,
      report: shard.report(),
      ...shard.roster,
      memoryMb,
      workerUptimeMs: uptimeMs,
    };
  }

  async #reply(message: RequestMessage, outcomes: readonly Outcome[]): Promise<void> {
    if (this.#replying < maxReplying) this.#replying += 1;
    else await new Promise<void>((resolve) => this.#turns.push(resolve));
    try {
      await this.#store(message, outcomes);
    } finally {
      const next = this.#turns.shift();
      if (next === undefined) this.#replying -= 1;
      else next();
    }
  }

  async #store({ id, sending }: RequestMessage, outcomes: readonly Outcome[]): Promise<void> {
    const { replies, incarnation, workerId, clock } = this.#options;
    const reply: WorkerReply = { v: requestVersion, sending, incarnation, workerId, outcomes: [...outcomes] };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await replies.send(id, `${incarnation}.${sending}`, reply);
      } catch (error) {
        if (attempt >= replyAttempts) throw error;
        await clock.sleep(replyRetryMs, this.#ending.signal);
      }
    }
  }
}

/** A request that is not carried out, as the caller is told. */
class Refused extends Error {
  readonly code: FailureCode;
  constructor(code: FailureCode, reason: string) {
    super(reason);
    this.code = code;
  }
}

async function untilAborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function refusal({ shards }: RequestMessage, code: FailureCode, reason: string): Outcome[] {
  if (shards === undefined) return [{ ok: false, code, reason }];
  return shards.map((shard) => ({ shard, ok: false, code, reason }));
}

/** Runs one part of a request; whatever happens is an outcome, by the deadline. */
async function settle(
  shard: ShardKey | undefined,
  run: () => Promise<unknown>,
  { signal, withinMs }: RunLimits,
): Promise<Outcome> {
  const name = shard === undefined ? {} : { shard };
  try {
    const late = Promise.withResolvers<never>();
    const expire = () => late.reject(new Refused('timed-out', `not done within ${Math.round(withinMs)} ms`));
    signal.addEventListener('abort', expire, { once: true });
    if (signal.aborted) expire();
    try {
      return { ...name, ok: true, value: await Promise.race([run(), late.promise]) };
    } finally {
      signal.removeEventListener('abort', expire);
    }
  } catch (error) {
    return { ...name, ok: false, code: codeOf(error), reason: messageOf(error) };
  }
}

function codeOf(error: unknown): FailureCode {
  if (error instanceof Refused) return error.code;
  if (error instanceof BatonError && error.code === 'REQUEST_INVALID') return 'invalid';
  return error instanceof BatonError && error.code === 'EVAL_OFF' ? 'off' : 'failed';
}

/** Results that are no JSON, or too large, are replaced by the reason. */
function withinSize(outcomes: readonly Outcome[]): Outcome[] {
  let totalBytes = 0;
  return outcomes.map((outcome): Outcome => {
    if (!outcome.ok) return outcome;
    const name = outcome.shard === undefined ? {} : { shard: outcome.shard };
    try {
      const bytes = Buffer.byteLength(JSON.stringify(outcome.value ?? null) ?? 'null');
      if (bytes > maxResultBytes) {
        const reason = `the result has ${bytes} bytes, at most ${maxResultBytes} are sent: ask for less`;
        return { ...name, ok: false, code: 'too-large', reason };
      }
      if (totalBytes + bytes > maxReplyBytes) {
        const reason = `the results of this worker's shards have more than ${maxReplyBytes} bytes together: ask fewer at once`;
        return { ...name, ok: false, code: 'too-large', reason };
      }
      totalBytes += bytes;
      return { ...name, ok: true, value: outcome.value ?? null };
    } catch (error) {
      return { ...name, ok: false, code: 'failed', reason: `the result is no JSON: ${messageOf(error)}` };
    }
  });
}

import {
  DeleteMessageBatchCommand,
  GetQueueAttributesCommand,
  type Message,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import type { SQSBatchResponse, SQSEvent, SQSRecord } from 'aws-lambda';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { BatonError, messageOf } from '../../shared/errors.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import { backoffMs, type Random, systemRandom } from '../../shared/random.ts';
import { InvocationSlots } from './invocation-slots.ts';
import { LambdaFunction, type LambdaHandler, type LambdaStats } from './lambda-runner.ts';
import { judgeBatch, sqsRecord, succeededAfterFailure } from './sqs-event.ts';

export interface EventSourceOptions {
  /** Waits for answers longer than `waitSeconds`. */
  readonly sqs: SQSClient;
  readonly queueUrl: string;
  readonly functionName: string;
  readonly handler: LambdaHandler<SQSEvent, SQSBatchResponse | void>;
  /** 1 to 10. */
  readonly batchSize?: number;
  /** Most invocations at a time. */
  readonly maximumConcurrency?: number;
  readonly functionTimeoutMs?: number;
  /** Receives under way at a time. One keeps any number of invocations busy until the receives are what takes time. */
  readonly pollerCount?: number;
  /**
   * Length of a long poll, 1 to 20. Short, because `stop` lets polls end by themselves: an emulator goes on waiting for
   * a caller that has gone, and gives it the next message.
   */
  readonly waitSeconds?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface EventSourceStats extends LambdaStats {
  readonly receives: number;
  readonly receiveErrors: number;
  readonly messagesReceived: number;
  readonly messagesDeleted: number;
  /** Left to their visibility timeout. */
  readonly messagesFailed: number;
  /** Deleted although an earlier message of their group failed: the function did not report them. */
  readonly messagesOutOfOrder: number;
}

const deleteAttempts = 3;
const receiveBackoff = { baseMs: 100, capMs: 5000 };

/**
 * Lambda's trigger for SQS (event source mapping with `ReportBatchItemFailures`): receives batches, invokes the function
 * with them, deletes what it has done and leaves the rest to the queue, which hands it out again after the visibility
 * timeout or moves it to the dead-letter queue. That a FIFO group is never in two invocations is the queue's doing: it
 * hands out nothing of a group while messages of it are in flight.
 * Unlike Lambda's it sends no more than ten messages or one receive to an invocation, and does not split at 6 MB.
 */
export class EventSource {
  readonly #sqs: SQSClient;
  readonly #queueUrl: string;
  readonly #queueArn: string;
  readonly #lambda: LambdaFunction<SQSEvent, SQSBatchResponse | void>;
  readonly #batchSize: number;
  readonly #waitSeconds: number;
  readonly #slots: InvocationSlots;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #stopping = new AbortController();
  readonly #abandoning = new AbortController();
  readonly #polls: Promise<unknown>;
  readonly #batches = new Set<Promise<void>>();
  #receives = 0;
  #receiveErrors = 0;
  #messagesReceived = 0;
  #messagesDeleted = 0;
  #messagesFailed = 0;
  #messagesOutOfOrder = 0;

  constructor(options: EventSourceOptions, queueArn: string) {
    const { maximumConcurrency = 10, pollerCount = 2, functionTimeoutMs = 30_000 } = options;
    const { logger = silentLogger, clock = systemClock, random = systemRandom } = options;
    this.#sqs = options.sqs;
    this.#queueUrl = options.queueUrl;
    this.#queueArn = queueArn;
    this.#batchSize = options.batchSize ?? 10;
    this.#waitSeconds = options.waitSeconds ?? 1;
    this.#slots = new InvocationSlots(maximumConcurrency);
    this.#logger = logger.child({ function: options.functionName, queue: queueArn.split(':').at(-1) });
    this.#clock = clock;
    this.#random = random;
    this.#lambda = new LambdaFunction({
      name: options.functionName,
      handler: options.handler,
      functionTimeoutMs,
      logger,
      clock,
      random,
    });
    this.#polls = Promise.all(Array.from({ length: Math.min(pollerCount, maximumConcurrency) }, () => this.#poll()));
  }

  get stats(): EventSourceStats {
    return {
      ...this.#lambda.stats,
      receives: this.#receives,
      receiveErrors: this.#receiveErrors,
      messagesReceived: this.#messagesReceived,
      messagesDeleted: this.#messagesDeleted,
      messagesFailed: this.#messagesFailed,
      messagesOutOfOrder: this.#messagesOutOfOrder,
    };
  }

  /**
   * Receives no further messages, and waits for the receives and invocations under way: `withinMs` at most (default 10
   * s), then gives them up and says so. Safe to call again.
   */
  async stop({ withinMs = 10_000 }: { withinMs?: number } = {}): Promise<void> {
    this.#stopping.abort();
    const deadline = this.#clock.schedule(withinMs, () => this.#abandoning.abort());
    const abandoned = new Promise<void>((resolve) => {
      if (this.#abandoning.signal.aborted) resolve();
      this.#abandoning.signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await this.#polls;
    await Promise.race([this.#allBatches(), abandoned]);
    deadline.cancel();
    if (this.#batches.size > 0) {
      this.#logger.error(
        { invocations: this.#batches.size, withinMs },
        'invocations were still running at the end of the stop and are given up: their messages come back',
      );
    }
  }

  async #allBatches(): Promise<void> {
    while (this.#batches.size > 0) await Promise.all(this.#batches);
  }

  async #poll(): Promise<void> {
    const stopping = this.#stopping.signal;
    let failures = 0;
    while (await this.#slots.take(stopping)) {
      let messages: Message[] = [];
      try {
        messages = await this.#receive();
        failures = 0;
      } catch (error) {
        if (!this.#abandoning.signal.aborted) {
          this.#receiveErrors += 1;
          failures += 1;
          if (failures === 1) this.#logger.error({ reason: messageOf(error) }, 'cannot receive messages, trying on');
          await this.#clock.sleep(backoffMs(failures, this.#random, receiveBackoff), stopping);
        }
      }
      if (messages.length === 0) {
        this.#slots.release();
        continue;
      }
      const batch = this.#handle(messages).finally(() => {
        this.#batches.delete(batch);
        this.#slots.release();
      });
      this.#batches.add(batch);
    }
  }

  async #receive(): Promise<Message[]> {
    this.#receives += 1;
    const { Messages = [] } = await this.#sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: this.#queueUrl,
        MaxNumberOfMessages: this.#batchSize,
        WaitTimeSeconds: this.#waitSeconds,
        MessageSystemAttributeNames: ['All'],
        MessageAttributeNames: ['All'],
      }),
      { abortSignal: this.#abandoning.signal },
    );
    this.#messagesReceived += Messages.length;
    return Messages;
  }

  /** Runs one batch from the invocation to the deletion. Never rejects. */
  async #handle(messages: readonly Message[]): Promise<void> {
    const records = messages.map((message) => sqsRecord(message, this.#queueArn));
    const outcome = await this.#lambda.invoke({ Records: records });
    if (outcome.kind === 'failed') {
      this.#messagesFailed += records.length;
      return;
    }
    const verdict = judgeBatch(records, outcome.result);
    this.#messagesFailed += verdict.failed.length;
    if (verdict.wholeBatch !== undefined) {
      this.#logger.error({ reason: verdict.wholeBatch }, 'the function’s answer fails its whole batch');
    }
    const outOfOrder = succeededAfterFailure(records, verdict);
    if (outOfOrder.length > 0) {
      this.#messagesOutOfOrder += outOfOrder.length;
      this.#logger.error(
        { messages: outOfOrder.map(({ messageId }) => messageId) },
        'the function reports messages as done after a failed one of their group: it comes back after them',
      );
    }
    if (verdict.succeeded.length > 0) await this.#delete(verdict.succeeded);
  }

  async #delete(records: readonly SQSRecord[]): Promise<void> {
    let entries = records.map(({ receiptHandle }, index) => ({ Id: String(index), ReceiptHandle: receiptHandle }));
    let reason = '';
    for (let attempt = 0; attempt < deleteAttempts; attempt += 1) {
      if (attempt > 0)
        await this.#clock.sleep(backoffMs(attempt, this.#random, receiveBackoff), this.#abandoning.signal);
      try {
        const { Failed = [] } = await this.#sqs.send(
          new DeleteMessageBatchCommand({ QueueUrl: this.#queueUrl, Entries: entries }),
        );
        const failedIds = new Set(Failed.map(({ Id }) => Id));
        this.#messagesDeleted += entries.length - failedIds.size;
        if (failedIds.size === 0) return;
        entries = entries.filter(({ Id }) => failedIds.has(Id));
        reason = Failed[0]?.Message ?? Failed[0]?.Code ?? 'refused';
      } catch (error) {
        reason = messageOf(error);
      }
    }
    this.#logger.error(
      { messages: entries.length, reason },
      'messages that are done could not be deleted: the function gets them again',
    );
  }
}

/**
 * Connects a function to a queue; `stop` ends it.
 * @throws {RangeError} for an impossible batch size or concurrency.
 * @throws {BatonError} `QUEUE_UNREACHABLE` when the queue does not answer, `CONFIG_INVALID` when its visibility timeout is
 * shorter than the function's, which Lambda refuses too.
 */
export async function startEventSource(options: EventSourceOptions): Promise<EventSource> {
  const { batchSize = 10, maximumConcurrency = 10, pollerCount = 2, waitSeconds = 1, queueUrl } = options;
  requireWithin('batchSize', batchSize, 1, 10);
  requireWithin('maximumConcurrency', maximumConcurrency, 1, 1000);
  requireWithin('pollerCount', pollerCount, 1, 100);
  requireWithin('waitSeconds', waitSeconds, 1, 20);
  const { QueueArn, VisibilityTimeout } = await queueAttributes(options.sqs, queueUrl);
  const functionTimeoutMs = options.functionTimeoutMs ?? 30_000;
  if (Number(VisibilityTimeout) * 1000 < functionTimeoutMs) {
    throw new BatonError(
      'CONFIG_INVALID',
      `function ${options.functionName} may run ${functionTimeoutMs} ms, but queue ${queueUrl} hands its messages out again after ${VisibilityTimeout} s: raise the queue's visibility timeout`,
    );
  }
  return new EventSource(options, QueueArn ?? '');
}

async function queueAttributes(
  sqs: SQSClient,
  queueUrl: string,
): Promise<{ QueueArn?: string; VisibilityTimeout?: string }> {
  try {
    const { Attributes = {} } = await sqs.send(
      new GetQueueAttributesCommand({ QueueUrl: queueUrl, AttributeNames: ['QueueArn', 'VisibilityTimeout'] }),
    );
    return Attributes;
  } catch (error) {
    throw new BatonError('QUEUE_UNREACHABLE', `cannot read queue ${queueUrl}: ${messageOf(error)}`, { cause: error });
  }
}

function requireWithin(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new RangeError(`${name} is ${value}: it must be a whole number from ${min} to ${max}`);
  }
}

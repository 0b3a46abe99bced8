import type { Context } from 'aws-lambda';
import type { Clock } from '../../shared/clock.ts';
import { messageOf } from '../../shared/errors.ts';
import type { Logger } from '../../shared/logger.ts';
import type { Random } from '../../shared/random.ts';

/** A Lambda handler in its promise form. */
export type LambdaHandler<Event, Result> = (event: Event, context: Context) => Promise<Result>;

export interface LambdaFunctionOptions<Event, Result> {
  readonly name: string;
  readonly handler: LambdaHandler<Event, Result>;
  readonly functionTimeoutMs: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}

/** What became of one invocation: a crash and a timeout are the function's outcomes, not faults of the runner. */
export type InvocationOutcome<Result> =
  | { readonly kind: 'returned'; readonly result: Result }
  | { readonly kind: 'failed'; readonly reason: string };

/** What AWS/Lambda shows as metrics. Durations are milliseconds. */
export interface LambdaStats {
  readonly invocations: number;
  /** Invocations that threw or ran out of time. */
  readonly errors: number;
  readonly totalDurationMs: number;
  readonly maxDurationMs: number;
  readonly concurrentExecutions: number;
  readonly maxConcurrentExecutions: number;
}

const account = '000000000000';
export const localRegion = 'us-east-1';

/** A Lambda function that runs in this process: it is invoked with an event and a context, within its timeout. */
export class LambdaFunction<Event, Result> {
  readonly name: string;
  readonly timeoutMs: number;
  readonly #handler: LambdaHandler<Event, Result>;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #logger: Logger;
  readonly #logStreamName: string;
  #invocations = 0;
  #errors = 0;
  #totalDurationMs = 0;
  #maxDurationMs = 0;
  #concurrent = 0;
  #maxConcurrent = 0;

  constructor(options: LambdaFunctionOptions<Event, Result>) {
    this.name = options.name;
    this.timeoutMs = options.functionTimeoutMs;
    this.#handler = options.handler;
    this.#clock = options.clock;
    this.#random = options.random;
    this.#logger = options.logger;
    this.#logStreamName = options.random.uuid();
  }

  get stats(): LambdaStats {
    return {
      invocations: this.#invocations,
      errors: this.#errors,
      totalDurationMs: this.#totalDurationMs,
      maxDurationMs: this.#maxDurationMs,
      concurrentExecutions: this.#concurrent,
      maxConcurrentExecutions: this.#maxConcurrent,
    };
  }

  /**
   * Runs the handler once. Never rejects. A handler that overruns its timeout is given up, as Lambda does, but not
   * ended, as Lambda would: in one process nothing can stop it.
   */
  async invoke(event: Event): Promise<InvocationOutcome<Result>> {
    const startedAtMs = this.#clock.monotonicMs();
    const context = this.#contextOf(startedAtMs);
    this.#invocations += 1;
    this.#concurrent += 1;
    this.#maxConcurrent = Math.max(this.#maxConcurrent, this.#concurrent);
    const outcome = await this.#withinTimeout(event, context);
    const durationMs = this.#clock.monotonicMs() - startedAtMs;
    this.#concurrent -= 1;
    this.#totalDurationMs += durationMs;
    this.#maxDurationMs = Math.max(this.#maxDurationMs, durationMs);
    if (outcome.kind === 'failed') {
      this.#errors += 1;
      this.#logger.error(
        { function: this.name, requestId: context.awsRequestId, reason: outcome.reason },
        'an invocation failed',
      );
    }
    return outcome;
  }

  #withinTimeout(event: Event, context: Context): Promise<InvocationOutcome<Result>> {
    return new Promise((resolve) => {
      const timer = this.#clock.schedule(this.timeoutMs, () =>
        resolve({ kind: 'failed', reason: `Task timed out after ${(this.timeoutMs / 1000).toFixed(2)} seconds` }),
      );
      const end = (outcome: InvocationOutcome<Result>) => {
        timer.cancel();
        resolve(outcome);
      };
      // A handler that throws before its first await fails in the same way.
      Promise.resolve()
        .then(() => this.#handler(event, context))
        .then(
          (result) => end({ kind: 'returned', result }),
          (error: unknown) => end({ kind: 'failed', reason: messageOf(error) }),
        );
    });
  }

  #contextOf(startedAtMs: number): Context {
    const onlyPromises = () => {
      throw new Error('callbacks of the old Lambda interface do not exist here: return a promise');
    };
    return {
      awsRequestId: this.#random.uuid(),
      callbackWaitsForEmptyEventLoop: true,
      functionName: this.name,
      functionVersion: '$LATEST',
      invokedFunctionArn: `arn:aws:lambda:${localRegion}:${account}:function:${this.name}`,
      logGroupName: `/aws/lambda/${this.name}`,
      logStreamName: this.#logStreamName,
      memoryLimitInMB: '512',
      getRemainingTimeInMillis: () => Math.max(0, startedAtMs + this.timeoutMs - this.#clock.monotonicMs()),
      done: onlyPromises,
      fail: onlyPromises,
      succeed: onlyPromises,
    };
  }
}

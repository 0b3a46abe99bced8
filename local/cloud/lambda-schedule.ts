import type { ScheduledEvent } from 'aws-lambda';
import { type Clock, systemClock } from '../../shared/clock.ts';
import { type Logger, silentLogger } from '../../shared/logger.ts';
import { type Random, systemRandom } from '../../shared/random.ts';
import { LambdaFunction, type LambdaHandler, type LambdaStats, localRegion } from './lambda-runner.ts';

export interface LambdaScheduleOptions {
  readonly functionName: string;
  readonly handler: LambdaHandler<ScheduledEvent, unknown>;
  /** EventBridge's finest rate is a minute; tests take less. */
  readonly periodMs?: number;
  readonly functionTimeoutMs?: number;
  readonly logger?: Logger;
  readonly clock?: Clock;
  readonly random?: Random;
}

export interface LambdaSchedule {
  readonly stats: LambdaStats;
  /** Starts no further invocation and waits for the running one, which its timeout bounds. */
  stop(): Promise<void>;
}

/**
 * Invokes a function once a period (default: a minute), the first time after one period, with EventBridge's scheduled
 * event. One invocation at a time (as with a reserved concurrency of 1): ticks that a long one covers are left out. A
 * failed one is logged and counted; EventBridge would repeat it twice, here the next period does.
 */
export function startSchedule(options: LambdaScheduleOptions): LambdaSchedule {
  const {
    functionName,
    handler,
    periodMs = 60_000,
    functionTimeoutMs = 30_000,
    logger = silentLogger,
    clock = systemClock,
    random = systemRandom,
  } = options;
  const lambda = new LambdaFunction({ name: functionName, handler, functionTimeoutMs, logger, clock, random });
  const stopping = new AbortController();
  const ended = runEveryPeriod(() => lambda.invoke(scheduledEvent(functionName, clock, random)), {
    periodMs,
    clock,
    signal: stopping.signal,
  });
  return {
    get stats() {
      return lambda.stats;
    },
    async stop() {
      stopping.abort();
      await ended;
    },
  };
}

async function runEveryPeriod(
  run: () => Promise<unknown>,
  { periodMs, clock, signal }: { periodMs: number; clock: Clock; signal: AbortSignal },
): Promise<void> {
  let dueAtMs = clock.monotonicMs();
  for (;;) {
    const nowMs = clock.monotonicMs();
    dueAtMs += periodMs * Math.max(1, Math.ceil((nowMs - dueAtMs) / periodMs));
    await clock.sleep(dueAtMs - nowMs, signal);
    if (signal.aborted) return;
    await run();
  }
}

function scheduledEvent(functionName: string, clock: Clock, random: Random): ScheduledEvent {
  return {
    version: '0',
    id: random.uuid(),
    'detail-type': 'Scheduled Event',
    source: 'aws.events',
    account: '000000000000',
    time: new Date(clock.wallClockMs()).toISOString().replace(/\.\d+Z$/, 'Z'),
    region: localRegion,
    resources: [`arn:aws:events:${localRegion}:000000000000:rule/${functionName}`],
    detail: {},
  };
}

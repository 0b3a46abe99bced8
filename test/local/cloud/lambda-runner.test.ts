import type { Context } from 'aws-lambda';
import { expect, test } from 'vitest';
import { LambdaFunction, type LambdaHandler } from '../../../local/cloud/lambda-runner.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { seededRandom } from '../../../shared/random.ts';
import { ManualClock } from '../../manual-clock.ts';

function lambdaOf(handler: LambdaHandler<string, string>, clock = new ManualClock()): LambdaFunction<string, string> {
  return new LambdaFunction({
    name: 'events',
    handler,
    functionTimeoutMs: 3000,
    clock,
    random: seededRandom(1),
    logger: silentLogger,
  });
}

test('runs the handler with its event and Lambda’s context', async () => {
  const clock = new ManualClock();
  const contexts: Context[] = [];
  const lambda = lambdaOf(async (event, context) => {
    contexts.push(context);
    await clock.advance(1000);
    return `${event} ${context.getRemainingTimeInMillis()}`;
  }, clock);
  expect(await lambda.invoke('first')).toEqual({ kind: 'returned', result: 'first 2000' });
  expect(await lambda.invoke('second')).toEqual({ kind: 'returned', result: 'second 2000' });
  const [first, second] = contexts;
  expect(first).toMatchObject({
    functionName: 'events',
    functionVersion: '$LATEST',
    invokedFunctionArn: 'arn:aws:lambda:us-east-1:000000000000:function:events',
  });
  expect(first?.awsRequestId).not.toBe(second?.awsRequestId);
  expect(lambda.stats).toEqual({
    invocations: 2,
    errors: 0,
    totalDurationMs: 2000,
    maxDurationMs: 1000,
    concurrentExecutions: 0,
    maxConcurrentExecutions: 1,
  });
});

test.each([
  [
    'throws',
    () => {
      throw new Error('broken');
    },
  ],
  ['rejects', () => Promise.reject(new Error('broken'))],
])('a handler that %s is an error', async (_words, handler) => {
  const lambda = lambdaOf(handler);
  expect(await lambda.invoke('event')).toEqual({ kind: 'failed', reason: 'broken' });
  expect(lambda.stats).toMatchObject({ invocations: 1, errors: 1, concurrentExecutions: 0 });
});

test('a handler that overruns its time is an error, and what it does later changes nothing', async () => {
  const clock = new ManualClock();
  const late = Promise.withResolvers<string>();
  const lambda = lambdaOf(() => late.promise, clock);
  const outcome = lambda.invoke('event');
  await clock.advance(2999);
  expect(lambda.stats.concurrentExecutions).toBe(1);
  await clock.advance(1);
  expect(await outcome).toEqual({ kind: 'failed', reason: 'Task timed out after 3.00 seconds' });
  late.resolve('late');
  await late.promise;
  expect(lambda.stats).toMatchObject({ errors: 1, concurrentExecutions: 0, maxDurationMs: 3000 });
});

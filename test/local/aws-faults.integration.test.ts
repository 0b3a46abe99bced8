import { expect, onTestFinished, test } from 'vitest';
import { AwsFaults, describeOutage } from '../../local/aws-faults.ts';
import { systemClock } from '../../shared/clock.ts';
import { seededRandom } from '../../shared/random.ts';
import { startDynalite, startFauxqs } from '../shared/in-process-emulators.ts';

test('AWS fails the workers it is told to, in the services it is told to, and serves the others', async () => {
  await using dynalite = await startDynalite();
  await using fauxqs = await startFauxqs();
  const cloud = {
    AWS_ENDPOINT_URL_DYNAMODB: dynalite.settings.endpoint as string,
    AWS_ENDPOINT_URL_SQS: fauxqs.settings.endpoint as string,
  };
  const workerIds = ['worker-1', 'worker-2'];
  const faults = await AwsFaults.start({ workerIds, cloud, clock: systemClock, random: seededRandom(1) });
  onTestFinished(() => faults.stop());
  /** Status of a request of that worker to that service; 0 when its connection ends without an answer. */
  const ask = async (workerId: string, service: 'DYNAMODB' | 'SQS'): Promise<number> => {
    const url = faults.environmentOf(workerId)[`AWS_ENDPOINT_URL_${service}`] as string;
    return fetch(url, { method: 'POST', body: '{}' }).then(
      ({ status }) => status,
      () => 0,
    );
  };
  const askAll = async () => [
    await ask('worker-1', 'DYNAMODB'),
    await ask('worker-1', 'SQS'),
    await ask('worker-2', 'DYNAMODB'),
    await ask('worker-2', 'SQS'),
  ];
  const healthy = await askAll();
  expect(healthy).not.toContain(500);
  expect(faults.environmentOf('stranger')).toEqual({});

  const failing = faults.impose(['worker-2'], ['dynamodb', 'sqs'], { kind: 'error', probability: 1 });
  expect(await askAll()).toEqual([healthy[0], healthy[1], 500, 500]);
  failing.lift();
  const refusing = faults.impose(workerIds, ['sqs'], { kind: 'refuse' });
  await expect.poll(askAll).toEqual([healthy[0], 0, healthy[2], 0]);
  refusing.lift();
  await expect.poll(askAll).toEqual(healthy);
  expect(faults.struck).toEqual({ 'dynamodb error': 1, 'sqs error': 1, 'sqs refuse': 2 });
});

test.each([
  [{ kind: 'refuse' }, 'refused connections'],
  [{ kind: 'error', probability: 1 }, 'answered 500 to 100 % of the requests'],
  [{ kind: 'throttle', probability: 0.25 }, 'throttled 25 % of the requests'],
  [{ kind: 'hang', probability: 1 }, 'left 100 % of the requests unanswered'],
  [{ kind: 'loseAnswer', how: 'reset', probability: 0.5 }, 'lost answers (reset) of 50 % of the requests'],
  [{ kind: 'delay', byMs: 300, probability: 1 }, 'passed 100 % of the requests on 300 ms late'],
  [{ kind: 'duplicate', afterMs: 70, probability: 1 }, 'carried 100 % of the requests out again 70 ms later'],
] as const)('%j in words', (outage, words) => {
  expect(describeOutage(outage)).toBe(words);
});

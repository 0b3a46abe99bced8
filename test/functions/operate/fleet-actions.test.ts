import { describe, expect, test } from 'vitest';
import type { APIGatewayProxyStructuredResultV2, LambdaFunctionURLEvent } from 'aws-lambda';
import { type ActionLine, FleetActions, readAction } from '../../../functions/operate/fleet-actions.ts';
import { createOperateHandler } from '../../../functions/operate/operate-handler.ts';
import type { RebalanceResult } from '../../../functions/rebalance/rebalance-round.ts';
import { Fleet } from '../../../shared/control/fleet.ts';
import { FleetOperations } from '../../../shared/control/fleet-operations.ts';
import { MemoryControlPlane } from '../../../shared/control/memory-control-queue.ts';
import { MemoryReplies } from '../../../shared/control/memory-replies.ts';
import { systemClock } from '../../../shared/clock.ts';
import { MemoryStore } from '../../../shared/coordination/memory-store.ts';
import { systemRandom } from '../../../shared/random.ts';
import type { TimelineDeed } from '../../../shared/stats/timeline.ts';
import { workerRecord } from '../../shared/coordination/store-contract.ts';
import { RecordingLogger } from '../../shared/recording-logger.ts';

const shard = { shardId: 1, shardCount: 2 };

/** Two workers, of which the first has both shards; nobody runs them, so a test plays their part. */
async function makeFleet() {
  const store = new MemoryStore(systemClock);
  const control = new MemoryControlPlane(systemClock);
  await store.swapFleet(undefined, { shardCount: 2, maxConcurrency: 1, gatewayUrl: 'wss://gateway.example' });
  await store.createLeases(2, [0, 1]);
  for (const incarnation of ['inc-1', 'inc-2']) {
    const controlQueueUrl = await control.open(incarnation);
    await store.join({ ...workerRecord(incarnation), workerId: `worker-of-${incarnation}`, controlQueueUrl });
  }
  for (const shardId of [0, 1]) await store.grant({ shardId, shardCount: 2 }, { epoch: 0, to: 'inc-1' });
  const logger = new RecordingLogger();
  const deeds: TimelineDeed[] = [];
  const timeline = { record: (deed: TimelineDeed) => void deeds.push(deed), flush: () => Promise.resolve() };
  const fleet = new Fleet({
    store,
    control,
    replies: new MemoryReplies(),
    clock: systemClock,
    random: systemRandom,
    logger,
  });
  const rounds: { dryRun: boolean }[] = [];
  const actions = new FleetActions({
    operations: new FleetOperations({ store, control, fleet, clock: systemClock, logger }),
    fleet,
    rebalance: (request): Promise<RebalanceResult> => {
      rounds.push(request);
      return Promise.resolve({ kind: 'unclear' });
    },
    redrive: ({ dryRun }) =>
      Promise.resolve({ moved: dryRun ? 0 : 3, left: dryRun ? 3 : 0, reasons: { 'handler-failed': 3 } }),
    timeline,
    logger,
  });
  const run = async (action: Parameters<FleetActions['run']>[0]): Promise<ActionLine[]> => {
    const lines: ActionLine[] = [];
    await actions.run(action, { by: 'user/ada', tell: (line) => lines.push(line) });
    return lines;
  };
  return { store, actions, run, deeds, rounds };
}

test('a migration is told step by step, and who asked is kept', async () => {
  const { store, run, deeds } = await makeFleet();
  const moved = run({ kind: 'migrate', shard: 1, to: 'worker-of-inc-2' });
  // The owner's part.
  await expect.poll(async () => (await store.readLeases([shard]))[0]?.want).toBe('inc-2');
  const checkpoint = { acknowledgedSeq: 0, publishedSeq: 0 };
  await store.release(shard, { owner: 'inc-1', epoch: 1, to: 'inc-2', checkpoint });
  const lines = await moved;
  expect(lines.at(-1)).toMatchObject({
    summary: expect.stringMatching(/^Shard 1 moved from worker-of-inc-1 to worker-of-inc-2 \(\d+ ms\)$/) as string,
  });
  expect(lines.length).toBeGreaterThan(1);
  expect(deeds).toEqual([{ kind: 'operator', by: 'user/ada', reason: 'migrate', shards: [1], to: 'worker-of-inc-2' }]);
});

test.each([
  { action: { kind: 'migrate', shard: 7, to: 'worker-of-inc-2' } as const, message: /there is no shard 7/ },
  { action: { kind: 'migrate', shard: 1, to: 'nobody' } as const, message: /there is no worker "nobody"/ },
  { action: { kind: 'drain', worker: 'nobody' } as const, message: /there is no worker "nobody"/ },
])('$action.kind of what is not there is the typed error, and nothing changes', async ({ action, message }) => {
  const { store, run, deeds } = await makeFleet();
  const before = await store.listLeases(2);
  const lines = await run(action);
  expect(lines).toEqual([{ error: { code: 'REQUEST_INVALID', message: expect.stringMatching(message) as string } }]);
  expect(await store.listLeases(2)).toEqual(before);
  expect(deeds.at(-1)?.reason).toMatch(/ failed: /);
});

test('a dry run is no deed, the round itself is', async () => {
  const { run, deeds, rounds } = await makeFleet();
  await run({ kind: 'rebalance', dryRun: true });
  expect(deeds).toEqual([]);
  expect((await run({ kind: 'rebalance', dryRun: false })).at(-1)).toMatchObject({ summary: /nothing was done/ });
  expect(deeds).toEqual([{ kind: 'operator', by: 'user/ada', reason: 'rebalance' }]);
  expect(rounds).toEqual([{ dryRun: true }, { dryRun: false }]);
});

describe('the function URL', () => {
  const event = (changes: {
    userArn?: string | undefined;
    method?: string;
    rawPath?: string;
    body?: string;
  }): LambdaFunctionURLEvent =>
    ({
      rawPath: changes.rawPath ?? '/api/actions',
      body: changes.body ?? '{"kind":"rebalance","dryRun":true}',
      isBase64Encoded: false,
      requestContext: {
        http: { method: changes.method ?? 'POST' },
        ...('userArn' in changes ? {} : { authorizer: { iam: { userArn: 'arn:aws:sts::1:assumed-role/ops/ada' } } }),
      },
    }) as unknown as LambdaFunctionURLEvent;

  async function answer(changes: Parameters<typeof event>[0]) {
    const asked: unknown[] = [];
    const handler = createOperateHandler({
      run: (action, { by, tell }) => {
        asked.push({ action, by });
        tell({ progress: 'half' });
        tell({ done: {}, summary: 'Done' });
        return Promise.resolve();
      },
    });
    const result: APIGatewayProxyStructuredResultV2 = await handler(event(changes));
    return { result, asked };
  }

  test('carries an action out in the name of the caller', async () => {
    const { result, asked } = await answer({});
    expect(asked).toEqual([{ action: { kind: 'rebalance', dryRun: true }, by: 'assumed-role/ops/ada' }]);
    expect(result).toMatchObject({ statusCode: 200, body: '{"progress":"half"}\n{"done":{},"summary":"Done"}\n' });
  });

  test.each([
    { what: 'nobody', changes: { userArn: undefined }, statusCode: 401 },
    { what: 'another path', changes: { rawPath: '/' }, statusCode: 404 },
    { what: 'another method', changes: { method: 'GET' }, statusCode: 405 },
    { what: 'no action', changes: { body: '{"kind":"explode"}' }, statusCode: 400 },
  ])('refuses $what, and nothing is done', async ({ changes, statusCode }) => {
    const { result, asked } = await answer(changes);
    expect(result.statusCode).toBe(statusCode);
    expect(asked).toEqual([]);
  });
});

test('an action is read strictly', () => {
  expect(readAction('{"kind":"respawn","shard":3}')).toEqual({ kind: 'respawn', shard: 3, fresh: false });
  expect(() => readAction('{"kind":"migrate","shard":-1,"to":"a"}')).toThrow(/shard/);
  expect(() => readAction('[]')).toThrow(/not an action/);
});

test('a redrive tells how many were put back, and a look at the dead letters is no deed', async () => {
  const { run, deeds } = await makeFleet();
  expect(await run({ kind: 'redrive', dryRun: true })).toMatchObject([{ summary: '3 dead letters: handler-failed' }]);
  expect(deeds).toEqual([]);
  expect(await run({ kind: 'redrive', dryRun: false })).toMatchObject([
    { done: { moved: 3 }, summary: '3 dead letters put back: 3 handler-failed' },
  ]);
  expect(deeds).toMatchObject([{ kind: 'operator', by: 'user/ada', reason: 'redrive' }]);
});

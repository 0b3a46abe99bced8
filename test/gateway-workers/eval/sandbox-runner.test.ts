import { afterEach, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { SandboxRunner } from '../../../gateway-workers/eval/sandbox-runner.ts';
import { systemClock } from '../../../shared/clock.ts';
import { defineQuery, noArguments } from '../../../shared/control/define-query.ts';
import type { RunLimits } from '../../../shared/control/request-runner.ts';
import { silentLogger } from '../../../shared/logger.ts';
import { largestGuilds } from '../../../shared/queries/largest-guilds.ts';
import { shardView } from '../../shared/control/shard-view-fixture.ts';

const view = shardView({
  guilds: new Map([
    ['1', 5],
    ['2', 50],
    ['3', 20],
  ]),
});
const limits: RunLimits = { withinMs: 5000, signal: new AbortController().signal };

const runners: SandboxRunner[] = [];
afterEach(() => Promise.all(runners.splice(0).map((runner) => runner[Symbol.asyncDispose]())));

function runnerWith(options: Partial<ConstructorParameters<typeof SandboxRunner>[0]> = {}): SandboxRunner {
  const runner = new SandboxRunner({
    evalMode: 'off',
    queries: [largestGuilds],
    clock: systemClock,
    logger: silentLogger,
    ...options,
  });
  runners.push(runner);
  return runner;
}

test('there is no eval unless it is switched on', async () => {
  expect(runnerWith().evaluate).toBeUndefined();
  expect(await runnerWith({ evalMode: 'sandbox' }).evaluate?.('1 + 1', view, limits)).toBe(2);
});

test('a run whose caller has gone is not begun', async () => {
  const runner = runnerWith({ evalMode: 'sandbox' });
  const gone = new AbortController();
  const first = runner.evaluate?.('1', view, limits);
  const second = runner.evaluate?.('2', view, { ...limits, signal: gone.signal });
  gone.abort();
  await expect(second).rejects.toMatchObject({ code: 'EVAL_FAILED' });
  expect(await first).toBe(1);
});

test('a runner that is closed ends what runs and takes no more', async () => {
  const runner = runnerWith({ evalMode: 'sandbox' });
  const running = runner.evaluate?.('for (;;);', view, limits);
  const rejected = expect(running).rejects.toMatchObject({ code: 'EVAL_FAILED' });
  await runner[Symbol.asyncDispose]();
  await rejected;
  await expect(runner.evaluate?.('1', view, limits)).rejects.toMatchObject({ code: 'EVAL_FAILED' });
});

describe('property paths', () => {
  test.each([
    ['guilds.cache.size', 3],
    ['users.cache.size', 75],
    ['ws.ping', 42],
    ['ws.status', 0],
    ['shard.ids', [3]],
    ['shard.ids.0', 3],
    ['shard.count', 8],
    ['user.id', '900'],
    ['uptime', 5000],
    ['guilds.cache.nothing', null],
    ['nothing.at.all', null],
    ['constructor.constructor', null],
    ['guilds.__proto__', null],
    ['guilds.cache.toJSON', null],
    ['user.id.length', null],
    ['isReady', null],
  ])('%s', async (path, expected) => {
    expect(await runnerWith().fetch(path, view)).toEqual(expected);
  });

  test('of a collection its values', async () => {
    expect(JSON.stringify(await runnerWith().fetch('guilds.cache', view))).toBe(
      '[{"id":"1","memberCount":5,"shardId":3},{"id":"2","memberCount":50,"shardId":3},{"id":"3","memberCount":20,"shardId":3}]',
    );
  });

  test('before the first READY', async () => {
    const early = shardView({ userId: '', applicationId: '', report: { ...view.report, ready: false, latencyMs: 0 } });
    expect(await runnerWith().fetch('user.id', early)).toBeNull();
    expect(await runnerWith().fetch('ws.ping', early)).toBe(-1);
    expect(await runnerWith().fetch('uptime', early)).toBeNull();
  });

  test.each(['', '.', 'a..b', 'a.', 'a b', 'a()', 'x'.repeat(300)])('%j is none', async (path) => {
    await expect(runnerWith().fetch(path, view)).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('queries', () => {
  test('run with parsed arguments and their defaults', async () => {
    expect(await runnerWith().query('largestGuilds', { count: 2 }, view, limits)).toEqual([
      { id: '2', memberCount: 50 },
      { id: '3', memberCount: 20 },
    ]);
  });

  test('answer plain JSON', async () => {
    const odd = defineQuery('odd', noArguments, () => ({
      at: new Date(0),
      nothing: undefined,
      map: new Map([[1, 2]]),
    }));
    expect(await runnerWith({ queries: [odd] }).query('odd', undefined, view, limits)).toEqual({
      at: '1970-01-01T00:00:00.000Z',
      map: {},
    });
    const silent = defineQuery('silent', noArguments, () => undefined);
    expect(await runnerWith({ queries: [silent] }).query('silent', null, view, limits)).toBeNull();
  });

  test.each([
    ['largestGuilds', { count: 0 }, 'REQUEST_INVALID', /query largestGuilds: arguments\.count/],
    ['largestGuilds', { count: 'many' }, 'REQUEST_INVALID', /arguments\.count/],
    ['other', {}, 'REQUEST_INVALID', /no query "other" on this worker: it knows largestGuilds, broken, cyclic/],
    ['broken', {}, 'QUERY_FAILED', /query broken: no luck/],
    ['cyclic', {}, 'QUERY_FAILED', /query cyclic: .*circular/],
  ])('%s with %j is refused', async (name, args, code, message) => {
    const broken = defineQuery('broken', z.object({}), () => {
      throw new Error('no luck');
    });
    const cyclic = defineQuery('cyclic', z.object({}), () => {
      const ring: Record<string, unknown> = {};
      ring['ring'] = ring;
      return ring;
    });
    const runner = runnerWith({ queries: [largestGuilds, broken, cyclic] });
    await expect(runner.query(name, args, view, limits)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message) as string,
    });
  });

  test('have names of their own', () => {
    expect(() => defineQuery('two words', noArguments, () => 1)).toThrow(/must be a letter/);
    expect(() => runnerWith({ queries: [largestGuilds, largestGuilds] })).toThrow(/defined twice/);
  });
});

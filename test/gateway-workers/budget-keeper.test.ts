import { afterEach, beforeEach, expect, test } from 'vitest';
import { BudgetKeeper } from '../../gateway-workers/budget-keeper.ts';
import type { GatewayBot } from '../../gateway-workers/gateway-bot.ts';
import { MemoryStore } from '../../shared/coordination/memory-store.ts';
import { BatonError } from '../../shared/errors.ts';
import { ManualClock } from '../manual-clock.ts';
import { RecordingLogger } from '../shared/recording-logger.ts';

let clock: ManualClock;
let store: MemoryStore;
let logger: RecordingLogger;
let stop: AbortController;
let asked: number;
let isResponsible: boolean;
let answer: () => Promise<number>;
let running: Promise<void>;

beforeEach(async () => {
  clock = new ManualClock();
  store = new MemoryStore(clock);
  logger = new RecordingLogger();
  stop = new AbortController();
  asked = 0;
  isResponsible = true;
  answer = () => Promise.resolve(1000);
  await store.refreshBudget(undefined, { total: 1000, remaining: 500, reported: 500 });
  const keeper = new BudgetKeeper({
    store,
    clock,
    logger,
    isResponsible: () => isResponsible,
    askGatewayBot: async (): Promise<GatewayBot> => {
      asked += 1;
      const remaining = await answer();
      const budget = { total: 1000, remaining, resetsAtMs: 0 };
      return { gatewayUrl: 'wss://gateway.test', shardCount: 1, maxConcurrency: 1, budget };
    },
  });
  running = keeper.run(stop.signal);
});

afterEach(async () => {
  stop.abort();
  await clock.advance(0);
  await running;
  expect(clock.pendingTimers).toBe(0);
});

test('asks once a minute, and only the worker that looks after the fleet does', async () => {
  await clock.advance(180_000);
  expect(asked).toBe(3);
  isResponsible = false;
  await clock.advance(180_000);
  expect(asked).toBe(3);
});

test('takes a renewed budget over, and says so loudly when little is left', async () => {
  await clock.advance(60_000);
  expect(await store.readBudget()).toMatchObject({ remaining: 980, reported: 1000 });
  answer = () => Promise.resolve(90);
  await clock.advance(60_000);
  expect(logger.lines.filter(({ message }) => message === 'identify.budget_low')).toMatchObject([
    { level: 'error', fields: { remaining: 90, reserve: 100 } },
  ]);
});

test('does not overwrite what was spent while Discord was asked', async () => {
  answer = async () => {
    await store.spendIdentify(0);
    return 500;
  };
  await clock.advance(60_000);
  expect(await store.readBudget()).toMatchObject({ remaining: 499, reported: 500 });
});

test('goes on when Discord does not answer, and stops when it refuses the token', async () => {
  answer = () => Promise.reject(new BatonError('DISCORD_UNREACHABLE', 'down'));
  await clock.advance(120_000);
  expect(asked).toBe(2);
  answer = () => Promise.reject(new BatonError('DISCORD_UNAUTHORIZED', 'refused'));
  await clock.advance(300_000);
  expect(asked).toBe(3);
  await running;
});

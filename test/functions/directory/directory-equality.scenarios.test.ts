import { expect, test } from 'vitest';
import { compareWithDiscordJs } from './directory-equality.ts';

/** BATON_TEST_EVENTS=100000 is what is promised; more, or at another rate, to look for trouble. */
const events = Number(process.env['BATON_TEST_EVENTS'] ?? 100_000);
const eventsPerSecond = Number(process.env['BATON_TEST_RATE'] ?? 300);
const seed = Number(process.env['BATON_TEST_SEED'] ?? 1);

test(`the directory is what discord.js has after ${events} events and harsh chaos`, {
  timeout: 3_600_000,
}, async () => {
  const { differences, chaos, ...figures } = await compareWithDiscordJs({
    events,
    eventsPerSecond,
    shards: 8,
    workers: 3,
    chaosMix: 'harsh',
    seed,
    lostSessions: 8,
    settleWithinMs: 900_000,
  });
  const kinds = Object.entries(Object.groupBy(chaos, ({ kind }) => kind)).map(([kind, done]) => [kind, done?.length]);
  process.stderr.write(`  ${JSON.stringify({ ...figures, chaos: Object.fromEntries(kinds) })}\n`);
  expect(differences).toEqual([]);
  expect(figures.events).toBeGreaterThanOrEqual(events);
  expect(figures.leftWhileAway).toBeGreaterThan(0);
});

import { expect, test } from 'vitest';
import { compareWithDiscordJs } from './directory-equality.ts';

test('the directory is what discord.js has, through kills, cuts and lost sessions', { timeout: 480_000 }, async () => {
  const { differences, ...result } = await compareWithDiscordJs({
    events: 2000,
    eventsPerSecond: 200,
    shards: 4,
    workers: 2,
    chaosMix: 'mild',
    seed: 7,
    lostSessions: 1,
    settleWithinMs: 240_000,
  });
  process.stderr.write(`  ${JSON.stringify(result)}\n`);
  expect(differences).toEqual([]);
  expect(result.leftWhileAway).toBe(1);
  expect(Math.min(result.left, result.threads, result.roles)).toBeGreaterThan(0);
  expect(result.chaos.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['killWorker', 'drainWorker']));
});

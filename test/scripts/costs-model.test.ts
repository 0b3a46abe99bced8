import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type CostInput, defaultCostInput, estimateCosts } from '../../scripts/costs-model.ts';
import { renderCostTable } from '../../scripts/costs-table.ts';

const root = resolve(import.meta.dirname, '../..');

function dollarsOf(what: string, input: Partial<CostInput>): number {
  const { lines } = estimateCosts({ ...defaultCostInput, ...input });
  return lines.find((line) => line.what === what)?.dollars ?? Number.NaN;
}

/** The study sends 7.5 events in an envelope, every 250 ms; with few events workers wait for more, so they get there sooner. */
const sevenEventsMs = 155;

/** Figures of a price study of the same ways, made independently of this model; full batches everywhere. */
describe('agrees with the price study', () => {
  test.each([
    [{ shards: 16, lingerMs: sevenEventsMs }, 25],
    [{ shards: 1000, lingerMs: sevenEventsMs }, 1577],
    [{ shards: 1000, lingerMs: 1000 }, 394],
    [{ shards: 16_000, lingerMs: 1000 }, 6300],
  ])('SQS of %j is about $%i', (fleet, dollars) => {
    const input = { ...fleet, eventsPerShard: 30, envelopesPerReceive: 10 };
    expect(dollarsOf('SQS events', input) / dollars).toBeGreaterThan(0.9);
    expect(dollarsOf('SQS events', input) / dollars).toBeLessThan(1.15);
  });

  test.each([
    [1000, 577],
    [16_000, 9230],
  ])('Fargate of %i shards, 50 on a vCPU, is $%i', (shards, dollars) => {
    expect(dollarsOf('Fargate', { shards }) / dollars).toBeCloseTo(1, 2);
  });

  test('Lambda of 1,000 shards in full batches is about $508', () => {
    const input = { shards: 1000, eventsPerShard: 30, lingerMs: sevenEventsMs, envelopesPerReceive: 10 };
    expect(dollarsOf('Lambda events', input) / 508).toBeGreaterThan(0.9);
    expect(dollarsOf('Lambda events', input) / 508).toBeLessThan(1.15);
  });
});

test('a fleet at rest costs its workers and little else', () => {
  const atRest = { eventsPerShard: 0, interactions: 0 };
  expect(estimateCosts({ ...defaultCostInput, ...atRest }).requestsPerEvent).toBe(0);
  for (const what of ['SQS events', 'SQS interactions, control', 'Lambda events', 'Lambda interactions']) {
    expect(dollarsOf(what, atRest)).toBeLessThan(1);
  }
  expect(dollarsOf('DynamoDB coordination', atRest)).toBeLessThan(10);
});

test('what runs every minute is counted, at its list price', () => {
  const rounds = 2.2 * 60 * 730;
  const gbSeconds = rounds * 0.5;
  expect(dollarsOf('Every minute', { shards: 1, eventsPerShard: 0 })).toBeCloseTo(
    gbSeconds * 0.000_013_333_4 + (rounds * 0.2) / 1e6 + (2 * 60 * 730 * 0.01) / 1000,
    1,
  );
});

test('a longer linger never costs more, and neither does Spot', () => {
  for (const eventsPerShard of [0.3, 3, 30, 100]) {
    const [short, long] = [250, 1000].map((lingerMs) =>
      estimateCosts({ ...defaultCostInput, eventsPerShard, lingerMs }),
    );
    expect(long?.dollars).toBeLessThanOrEqual(short?.dollars ?? 0);
  }
  expect(dollarsOf('Fargate', { spotShare: 1 })).toBeLessThan(dollarsOf('Fargate', { spotShare: 0 }) / 2);
});

test('the directory costs by what changes in guilds, and nothing without one', () => {
  const lively = { shards: 1000, eventsPerShard: 30, interactions: 0 };
  expect(dollarsOf('DynamoDB directory', { ...lively, directoryShare: 0 })).toBe(0);
  const seconds = 730 * 3600;
  const changes = 900 * seconds;
  expect(dollarsOf('DynamoDB directory', lively)).toBeCloseTo((changes * (1.5 * 0.625 + 2 * 0.125)) / 1e6, 0);
});

test('the table in the docs is what the model says', () => {
  expect(readFileSync(join(root, 'docs/costs.md'), 'utf8')).toContain(renderCostTable());
});

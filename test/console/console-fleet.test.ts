import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Browser, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConsoleServer } from '../../local/console-server.ts';
import { type LocalFleet, startFleet } from '../../local/fleet.ts';
import type { SimulatedDiscord } from '../../local/simulated-discord.ts';
import { systemClock } from '../../shared/clock.ts';
import { silentLogger } from '../../shared/logger.ts';
import { seededRandom } from '../../shared/random.ts';
import { isBrowserMissing, launchChromium } from './chromium.ts';

const shards = 8;
const heartbeatMs = 1000;
const livenessMs = 3 * heartbeatMs;
const patienceMs = 45_000;

describe.skipIf(isBrowserMissing())('the page of a real fleet under load', { timeout: 150_000 }, () => {
  let logDirectory: string;
  let fleet: LocalFleet;
  let server: ConsoleServer;
  let browser: Browser;
  let page: Page;
  const over = new AbortController();
  const following: Promise<unknown>[] = [];

  beforeAll(async () => {
    logDirectory = mkdtempSync(join(tmpdir(), 'baton-console-'));
    [fleet, browser] = await Promise.all([
      startFleet({
        environment: { BATON_HEARTBEAT_MS: String(heartbeatMs) },
        shards,
        workers: 3,
        dataDirectory: undefined,
        logDirectory,
        clock: systemClock,
        random: seededRandom(1),
        logger: silentLogger,
      }),
      launchChromium(),
    ]);
    following.push(fleet.watch(over.signal), fleet.console.run(over.signal));
    server = await ConsoleServer.start({ port: 0, state: () => ({}) });
    server.attach(fleet.console);
    await fleet.untilReady(90_000, over.signal);
    (fleet.discord as SimulatedDiscord).simulator.traffic.start({ eventsPerSecond: 100, interactionsPerSecond: 0 });
    page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
    await page.goto(server.url);
    await page.locator('.cell').first().waitFor({ timeout: patienceMs });
  }, 150_000);

  afterAll(async () => {
    over.abort();
    await browser.close();
    await server.stop();
    await Promise.all(following);
    await fleet.close();
    rmSync(logDirectory, { recursive: true });
  });

  const workerOf = (shardId: number) =>
    page.locator(`[data-worker]:has(#shard-${shardId})`).getAttribute('data-worker', { timeout: patienceMs });

  test('it shows who has which shard', async () => {
    await expect.poll(() => page.locator('.cell.is-ready').count(), { timeout: patienceMs }).toBe(shards);
    const leases = await fleet.store.listLeases(shards);
    const names = new Map(
      (await fleet.store.listWorkers()).map(({ incarnation, workerId }) => [incarnation, workerId]),
    );
    for (const { shard, owner } of leases) {
      await expect.poll(() => workerOf(shard.shardId), { timeout: patienceMs }).toBe(names.get(owner ?? ''));
    }
  });

  test('a shard that is dragged to another worker is there soon, and nothing is lost', async () => {
    const from = await workerOf(3);
    const to = from === 'worker-2' ? 'worker-3' : 'worker-2';
    const identifies = fleet.discord?.identifies;
    await page.locator('#shard-3').dragTo(page.locator(`[data-worker=${to}] header`));
    await page.getByRole('heading', { name: `Move shard 3 to ${to}?` }).waitFor();
    expect(await workerOf(3)).toBe(from);
    await page.getByRole('button', { name: 'Move it' }).click();
    await page.getByText(`Shard 3 moved from ${from} to ${to}`).waitFor({ timeout: patienceMs });
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await expect.poll(() => workerOf(3), { timeout: patienceMs }).toBe(to);
    await expect.poll(() => page.locator('.cell.is-ready').count(), { timeout: patienceMs }).toBe(shards);

    // The new owner RESUMEd a session that is older than it, and knows what RESUME does not tell.
    await page.locator('#shard-3').click();
    const fact = (label: string) => page.locator('.detail div', { hasText: label }).locator('dd').textContent();
    await expect.poll(() => fact('Resumes'), { timeout: patienceMs }).toBe('1');
    expect(await fact('Identifies')).toBe('0');
    expect(await fact('Session age')).toMatch(/^\d+ (s|min \d+ s)$/);
    expect(Number(await fact('Guilds'))).toBeGreaterThan(0);
    expect(Number(await fact('Epoch'))).toBeGreaterThan(1);
    await page.keyboard.press('Escape');

    // Who asked, and what came of it.
    await page
      .locator('.timeline')
      .getByText(/migrate, shard 3 to worker/)
      .waitFor({ timeout: patienceMs });
    const handoff = page.locator('.timeline .is-handoff', { hasText: `Shard 3: ${from} to ${to}` });
    await handoff.waitFor({ timeout: patienceMs });
    expect(await handoff.textContent()).toContain('migrate');
    await expectNothingLost();
    expect(fleet.discord?.identifies).toBe(identifies);
  });

  test('a worker that is killed turns red, and its shards move when it is found dead', async () => {
    // One that has shards; it is not started again, so that it stays dead.
    const victim = (await workerOf(3)) as string;
    const held = await page.locator(`[data-worker=${victim}] .cell`).count();
    expect(held).toBeGreaterThan(0);
    const killedMs = performance.now();
    fleet.workers.workers.find(({ workerId }) => workerId === victim)?.kill();
    await page.locator(`[data-worker=${victim}].is-dead`).waitFor({ timeout: patienceMs });
    const redAfterMs = performance.now() - killedMs;
    await expect.poll(() => page.locator(`[data-worker=${victim}] .cell`).count(), { timeout: patienceMs }).toBe(0);
    const movedAfterMs = performance.now() - killedMs;
    // A killed worker is noticed by its process at once; its shards wait for its counter, a tick and the page's next look.
    expect(redAfterMs).toBeLessThan(livenessMs + 4000);
    expect(movedAfterMs).toBeLessThan(livenessMs + 10_000);
    process.stderr.write(
      `console: a killed worker was red after ${Math.round(redAfterMs)} ms, its ${held} shards had moved after ${Math.round(movedAfterMs)} ms (liveness ${livenessMs} ms)\n`,
    );
    await expect.poll(() => page.locator('.cell.is-ready').count(), { timeout: patienceMs }).toBe(shards);
    const takeover = page.locator('.timeline .is-takeover', { hasText: `${victim} to` });
    await takeover.first().waitFor({ timeout: patienceMs });
    expect(await takeover.first().textContent()).toContain('no heartbeat');
    await expectNothingLost();
  });

  async function expectNothingLost(): Promise<void> {
    const discord = fleet.discord as SimulatedDiscord;
    discord.stopTraffic();
    await expect.poll(() => fleet.ledger.totals.pending, { timeout: patienceMs }).toBe(0);
    const { emitted, delivered, lost, duplicated, reordered } = fleet.ledger.totals;
    expect({ delivered, lost, duplicated, reordered }).toEqual({
      delivered: emitted,
      lost: 0,
      duplicated: 0,
      reordered: 0,
    });
    discord.simulator.traffic.start({ eventsPerSecond: 100, interactionsPerSecond: 0 });
  }
});

import { mkdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Browser } from 'playwright-core';
import { ConsoleServer } from '../../local/console-server.ts';
import { launchChromium } from './chromium.ts';
import { SyntheticFleet } from './synthetic-fleet.ts';

const images = resolve(import.meta.dirname, '../../docs/images');
const desktop = { width: 1440, height: 900 };
const phone = { width: 390, height: 844 };

interface Shot {
  readonly name: string;
  readonly url: string;
  readonly size: typeof desktop;
  readonly scheme: 'dark' | 'light';
  readonly fullPage?: boolean;
  readonly open?: string;
  readonly watchMs?: number;
  readonly tail?: boolean;
  readonly until?: string;
}

/** One picture of the console as it is at the moment, after it was watched for a while. */
export async function takeShot(browser: Browser, shot: Shot): Promise<void> {
  const page = await browser.newPage({ viewport: shot.size, colorScheme: shot.scheme, deviceScaleFactor: 1.5 });
  await page.goto(shot.url);
  await page.locator('.cell').first().waitFor({ timeout: 60_000 });
  await page.waitForTimeout(shot.watchMs ?? 4000);
  if (shot.tail) {
    await page.getByRole('button', { name: 'Start' }).click();
    await page.locator('.tail tbody tr').nth(12).waitFor({ timeout: 60_000 });
  }
  if (shot.open !== undefined) await page.locator(shot.open).first().click();
  // Until something is to be seen, if it comes at all.
  else if (shot.until !== undefined)
    await page
      .locator(shot.until)
      .first()
      .waitFor({ timeout: 60_000 })
      .catch(() => {});
  await page.waitForTimeout(shot.open === undefined ? 300 : 1500);
  await page.screenshot({ path: join(images, `${shot.name}.png`), fullPage: shot.fullPage ?? false });
  await page.close();
}

/** Pictures of a fleet of 4,000 shards that exists in figures alone. */
async function shootLargeFleet(browser: Browser): Promise<void> {
  await using fleet = new SyntheticFleet({ shards: 4000, workers: 40 });
  const server = await ConsoleServer.start({ port: 0, state: () => ({}) });
  server.attach(fleet);
  const ago = (seconds: number): number => Date.now() - seconds * 1000;
  fleet.happen({ atMs: ago(5400), kind: 'succession', shards: [], from: 'worker-9', to: 'worker-1' });
  fleet.happen({
    atMs: ago(1900),
    kind: 'wish',
    shards: [812, 1204],
    from: 'worker-12',
    to: 'worker-31',
    reason: 'cpu',
  });
  fleet.happen({
    atMs: ago(1898),
    kind: 'handoff',
    shards: [812, 1204],
    from: 'worker-12',
    to: 'worker-31',
    reason: 'cpu',
  });
  fleet.happen({ atMs: ago(600), kind: 'operator', shards: [77], to: 'worker-3', reason: 'migrate', by: 'ada' });
  fleet.happen({ atMs: ago(599), kind: 'handoff', shards: [77], from: 'worker-38', to: 'worker-3', reason: 'migrate' });
  fleet.happen({ atMs: ago(4), kind: 'fence', shards: [], from: 'worker-17', reason: 'silent' });
  fleet.setWorker('worker-17', { stillForMs: 8200, cpuPercent: 0 });
  fleet.setWorker('worker-24', { draining: true });
  for (let id = 23; id < 2000; id += 40) fleet.setShard(id, { wanted: `inc-${(id % 39) + 1}` });
  for (const id of [310, 1717, 2905]) fleet.setShard(id, { silent: true });
  for (const id of [5, 45, 885, 2005, 3125, 3130]) fleet.setShard(id, { ready: false, state: 'resuming' });
  try {
    await takeShot(browser, {
      name: 'console-4000-shards',
      url: server.url,
      size: { width: 1440, height: 1180 },
      scheme: 'dark',
      watchMs: 12_000,
    });
    await takeShot(browser, { name: 'console-4000-shards-phone', url: server.url, size: phone, scheme: 'dark' });
  } finally {
    await server.stop();
  }
}

/** Pictures of a fleet that runs elsewhere: `node test/console/screenshots.ts http://127.0.0.1:4410`. */
async function shootRunningFleet(browser: Browser, url: string): Promise<void> {
  await takeShot(browser, {
    name: 'console',
    url,
    size: desktop,
    scheme: 'dark',
    watchMs: 10_000,
    tail: true,
    until: '.group.is-dead .cell',
  });
  await takeShot(browser, {
    name: 'console-light',
    url,
    size: desktop,
    scheme: 'light',
    open: '.cell:nth-child(3)',
    watchMs: 8000,
  });
  await takeShot(browser, { name: 'console-phone', url, size: phone, scheme: 'dark', watchMs: 4000 });
}

if (import.meta.main) {
  mkdirSync(images, { recursive: true });
  const browser = await launchChromium();
  const [url] = process.argv.slice(2);
  if (url === undefined) await shootLargeFleet(browser);
  else await shootRunningFleet(browser, url);
  await browser.close();
}

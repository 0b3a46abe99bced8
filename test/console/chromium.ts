import { existsSync } from 'node:fs';
import { type Browser, chromium } from 'playwright-core';

const places = [
  process.env['CHROMIUM_PATH'],
  '/usr/bin/chromium',
  '/usr/bin/chromium-browser',
  '/usr/bin/google-chrome',
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
];

/** Path of the Chromium or Chrome of this machine; `undefined` when there is none. */
export const chromiumPath: string | undefined = places.find((path) => path !== undefined && existsSync(path));

/** For a suite's `skipIf`: without a browser its tests are left out, and it is said so. Where one is required they fail instead. */
export function isBrowserMissing(): boolean {
  if (chromiumPath !== undefined || process.env['BATON_BROWSER'] === 'required') return false;
  process.stderr.write('SKIPPED: the console is not tested, for there is no Chromium (apt-get install chromium)\n');
  return true;
}

/** @throws {Error} when there is no browser. */
export async function launchChromium(): Promise<Browser> {
  if (chromiumPath === undefined) throw new Error('there is no Chromium: apt-get install chromium');
  // Chromium's own sandbox needs what containers and root do not have; the pages are ours.
  return chromium.launch({ executablePath: chromiumPath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });
}

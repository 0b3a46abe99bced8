import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { withInstallLock } from './install-lock.mjs';
import { environmentWithNode, packageRoot } from './node-runtime.mjs';

/**
 * Makes node_modules what package-lock.json says, under the Node that will use it (npm leaves out optional packages
 * that do not fit the Node it runs on). `development: false` is content with an installation without those packages.
 * @throws {Error} when npm fails, with what it said.
 */
export async function installDependencies({ nodePath, development }) {
  if (areInstalled(development)) return;
  await withInstallLock(async () => {
    // Whoever held the lock before may have done it.
    if (!areInstalled(development)) await runNpmCi(nodePath, development);
  });
}

function areInstalled(development) {
  const wanted = packagesOf('package-lock.json');
  // As a dependency of another package this one has no lock file: whoever installed it brought the rest.
  if (wanted === undefined) return true;
  // npm writes this file last, so an installation that was cut short has none.
  const installed = packagesOf('node_modules/.package-lock.json');
  if (installed === undefined) return false;
  return Object.entries(wanted).every(([path, pkg]) => {
    if (path === '') return true;
    const found = installed[path];
    if (found === undefined) return pkg.optional === true || (pkg.dev === true && !development);
    return found.version === pkg.version && found.integrity === pkg.integrity;
  });
}

function packagesOf(file) {
  const path = join(packageRoot, file);
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')).packages : undefined;
}

function runNpmCi(nodePath, development) {
  return new Promise((resolve, reject) => {
    const startedAt = Date.now();
    const seconds = () => Math.round((Date.now() - startedAt) / 1000);
    const include = development ? ['--include=dev'] : [];
    const npm = spawn('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error', ...include], {
      cwd: packageRoot,
      env: environmentWithNode(nodePath),
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = [];
    npm.stdout.on('data', (text) => output.push(text));
    npm.stderr.on('data', (text) => output.push(text));
    const tty = process.stderr.isTTY;
    if (!tty) console.error('Installing dependencies (npm ci) …');
    const progress = setInterval(
      () =>
        process.stderr.write(`${tty ? '\r' : ''}Installing dependencies (npm ci) … ${seconds()} s${tty ? '' : '\n'}`),
      tty ? 1000 : 10_000,
    );
    npm.on('error', (error) => {
      clearInterval(progress);
      reject(new Error(`npm could not be started: ${error.message}`));
    });
    npm.on('close', (code) => {
      clearInterval(progress);
      if (tty) process.stderr.write('\r');
      if (code === 0) {
        console.error(`Dependencies installed in ${seconds()} s.          `.trimEnd().padEnd(tty ? 50 : 0));
        resolve();
      } else {
        reject(new Error(`npm ci failed (exit code ${code}):\n${Buffer.concat(output).toString().trim()}`));
      }
    });
  });
}

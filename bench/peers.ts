import { execFileSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const wanted = join(import.meta.dirname, 'peers/package.json');
/** Outside the package's own node_modules: nothing of it is ever shipped, or found by accident. */
const folder = join(import.meta.dirname, '../.baton/bench-peers');

/** Installs the libraries of peers/package.json where they are missing or others are wanted. Takes a while the first time. */
export function installPeers(): void {
  const installed = join(folder, 'package.json');
  if (existsSync(join(folder, 'node_modules')) && readFileSync(installed, 'utf8') === readFileSync(wanted, 'utf8'))
    return;
  mkdirSync(folder, { recursive: true });
  copyFileSync(wanted, installed);
  process.stderr.write('Installing the libraries to compare with …\n');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--no-package-lock'], { cwd: folder, stdio: 'ignore' });
  try {
    const nodedir = headersOfThisNode();
    const env = { ...process.env, ...(nodedir !== undefined && { npm_config_nodedir: nodedir }) };
    execFileSync('npm', ['rebuild', 'zlib-sync'], { cwd: folder, stdio: 'ignore', env });
  } catch {
    process.stderr.write('zlib-sync cannot be built here: @discordjs/ws and discord.js run on what Node has\n');
  }
}

/** An addon is built for the Node that loads it, which need not be the one that npm runs on. */
function headersOfThisNode(): string | undefined {
  const prefix = join(realpathSync(process.execPath), '../..');
  const npmPackage = `node_modules/node-${process.platform}-${process.arch}`;
  return [prefix, join(prefix, npmPackage)].find((path) => existsSync(join(path, 'include/node/node_api.h')));
}

/** Loads one of them. */
export function requirePeer(name: string): unknown {
  return createRequire(join(folder, 'package.json'))(name);
}

/** Whether zlib-sync, the native addon that several of them use where it is there, was built. */
export function hasZlibSync(): boolean {
  try {
    requirePeer('zlib-sync');
    return true;
  } catch {
    return false;
  }
}

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withInstallLock } from './install-lock.mjs';

/** The folder that holds package.json. */
export const packageRoot = fileURLToPath(new URL('../..', import.meta.url));

/** The first Node that runs TypeScript without a build step; the variable lets a test ask for a newer one. */
export const minimumNodeVersion = process.env.BATON_MINIMUM_NODE ?? '22.18.0';

/** File descriptor of the pipe whose end tells a fallback child that its parent is gone. */
const parentPipe = 3;

/** True in the child that an older Node started: whatever it runs on was chosen for it. */
export const startedByFallback = process.env.BATON_PARENT_PIPE === String(parentPipe);
// The children of this process have no such pipe.
delete process.env.BATON_PARENT_PIPE;

export function isTooOld(version) {
  const have = version.split('.').map(Number);
  const need = minimumNodeVersion.split('.').map(Number);
  const differs = need.findIndex((part, index) => part !== have[index]);
  return differs >= 0 && have[differs] < need[differs];
}

/**
 * Path of a Node 24 of the npm registry, kept by npx's own cache. Asking npx takes most of a second, so the answer is
 * remembered. @throws {Error} when npx cannot get it.
 */
export async function resolveNode24() {
  const remembered = join(packageRoot, '.baton', `node-24-${process.platform}-${process.arch}.path`);
  const known = readIfThere(remembered);
  if (known !== undefined && existsSync(known)) return known;
  return withInstallLock(async () => {
    const nodePath = await askNpx();
    mkdirSync(dirname(remembered), { recursive: true });
    writeFileSync(remembered, nodePath);
    return nodePath;
  });
}

function readIfThere(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch (error) {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  }
}

function askNpx() {
  return new Promise((resolve, reject) => {
    const npx = spawn('npx', ['-y', '--loglevel=error', '-p', 'node@24', '--', 'node', '-p', 'process.execPath'], {
      cwd: packageRoot,
      shell: process.platform === 'win32',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let path = '';
    let complaints = '';
    npx.stdout.on('data', (text) => (path += text));
    npx.stderr.on('data', (text) => (complaints += text));
    npx.on('error', (error) => reject(new Error(`npx could not be started: ${error.message}`)));
    npx.on('close', (code) => {
      if (code === 0 && existsSync(path.trim())) resolve(path.trim());
      else reject(new Error(`npx could not get Node 24 (exit code ${code}): ${complaints.trim() || path.trim()}`));
    });
  });
}

/** Environment for a child that shall find this Node when it looks for `node`. */
export function environmentWithNode(nodePath) {
  return { ...process.env, PATH: `${dirname(nodePath)}${delimiter}${process.env.PATH ?? ''}` };
}

/**
 * Runs `script` under another Node as if it were this process: same terminal, signals forwarded, same end.
 * Resolves to the exit code, or repeats on this process the signal that ended the child.
 */
export function runUnder(nodePath, script, args, npmOnly) {
  return new Promise((resolve, reject) => {
    const child = spawn(nodePath, [script, ...args], {
      stdio: ['inherit', 'inherit', 'inherit', 'pipe'],
      env: { ...environmentWithNode(nodePath), BATON_PARENT_PIPE: String(parentPipe) },
    });
    const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
    const forward = (signal) => child.kill(signal);
    for (const signal of signals) process.on(signal, forward);
    // Closing the pipe tells the child the same as our own death would.
    if (npmOnly) whenNpmIsGone(() => child.stdio[parentPipe].destroy());
    child.stdio[parentPipe].on('error', () => child.stdio[parentPipe].destroy());
    child.on('error', reject);
    child.on('close', (code, signal) => {
      for (const each of signals) process.off(each, forward);
      if (signal !== null) process.kill(process.pid, signal);
      resolve(code ?? 1);
    });
  });
}

/** Ends this process when the one that started it is gone, even by `kill -9`: nothing is left running unseen. */
export function endWithParent({ npmOnly, graceMs }) {
  const end = () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), graceMs).unref();
    process.kill(process.pid, 'SIGTERM');
  };
  if (startedByFallback) {
    const pipe = new Socket({ fd: parentPipe });
    pipe.on('error', () => pipe.destroy());
    pipe.once('close', end);
    pipe.resume();
    pipe.unref();
  } else if (npmOnly) {
    whenNpmIsGone(end);
  }
}

/** npm passes SIGTERM and SIGINT on, but `kill -9` of npm reaches nobody else; then the line of our parents changes. */
function whenNpmIsGone(run) {
  if (process.env.npm_lifecycle_event === undefined || process.platform === 'win32') return;
  const before = lineToNpm();
  const watch = setInterval(() => {
    if (lineToNpm() === before) return;
    clearInterval(watch);
    run();
  }, 500);
  watch.unref();
}

/** Our parent, which is npm, or the shell that npm runs scripts in and which has npm for its parent. */
function lineToNpm() {
  const parent = process.ppid;
  const stat = `/proc/${parent}/stat`;
  // `pid (name) state ppid …`
  const [, name, grandparent] = /^\d+ \((.*)\) \S (\d+)/s.exec(readIfThere(stat) ?? '') ?? [];
  return /^(ba|da|z|k)?sh$/.test(name) ? `${parent} ${grandparent}` : String(parent);
}

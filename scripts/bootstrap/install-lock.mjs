import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = fileURLToPath(new URL('../../.baton', import.meta.url));
const lock = join(folder, 'install.lock');

/** Runs `work` while no other command of this package installs anything. A lock whose holder died is taken over. */
export async function withInstallLock(work) {
  await takeLock();
  try {
    return await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

async function takeLock() {
  mkdirSync(folder, { recursive: true });
  const mine = join(folder, `install.${process.pid}`);
  // Linking a finished file is atomic: nobody ever sees a lock without its holder.
  writeFileSync(mine, String(process.pid));
  try {
    for (let told = false; ; ) {
      try {
        linkSync(mine, lock);
        return;
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      if (breakDeadLock()) continue;
      if (!told) console.error('Another command is installing what is missing; waiting for it.');
      told = true;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** True when there is no lock any more, or its holder is dead and the lock was put aside. */
function breakDeadLock() {
  const holder = holderOf(lock);
  if (holder === undefined) return true;
  if (isAlive(holder)) return false;
  const aside = `${lock}.${process.pid}`;
  try {
    renameSync(lock, aside);
    // Somebody else may have broken the lock and taken it anew in the meantime: give that one back.
    if (holderOf(aside) !== holder) linkSync(aside, lock);
  } catch (error) {
    if (error.code !== 'ENOENT' && error.code !== 'EEXIST') throw error;
  }
  rmSync(aside, { force: true });
  return true;
}

function holderOf(path) {
  try {
    return Number(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}
